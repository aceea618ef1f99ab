"""`healthchain certificates`: new ones for a whole organisation, before and after the members' votes."""

from __future__ import annotations

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Org
from healthchain.cli.output import Output, failures, run_async

app = group("New authorities and certificates for an organisation, which the members have to accept.")


@app.command(epilog="Example: healthchain certificates prepare --dir consortium --org city-clinic")
def prepare(folder: Folder, org: Org, json: Json = False) -> None:
    """Make them, and print the change that its administrator proposes (`governance propose --change`)."""
    import msgspec

    from healthchain.app.consortium import stored_topology
    from healthchain.app.renewing import prepare_certificates

    output = Output(as_json=json)
    with failures(output):
        output.raw(msgspec.json.encode(prepare_certificates(folder, stored_topology(folder), org)))


@app.command(epilog="Example: healthchain certificates renew --dir consortium --org city-clinic")
def renew(folder: Folder, org: Org, json: Json = False) -> None:
    """Once the members have accepted them: put them in place, for everybody whom the organisation enrolled."""
    from healthchain.app.renewing import renew as renewed

    output = Output(as_json=json)
    with failures(output):
        run_async(renewed(folder, org))
        output.result({"renewed": org}, f"{org} has new certificates")
