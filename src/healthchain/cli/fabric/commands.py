"""`healthchain fabric`: the same consortium on a real Hyperledger Fabric network, on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from healthchain.cli.fabric import compacting, machines, membership
from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, one_of, topology_of
from healthchain.cli.output import Output, failures, run_async

app = group("The consortium on a real Hyperledger Fabric network: all on this machine, or on the members' machines.")

BASE_PORT = 7051
Programs = Annotated[
    Path, typer.Option("--bin", envvar="FABRIC_BIN", help="The folder of Fabric's programs: peer, orderer, osnadmin.")
]


@app.command(epilog="Example: healthchain fabric init --dir consortium --consensus bft")
def init(
    folder: Folder,
    topology: Annotated[Path | None, typer.Option(help="A topology file; default: the demo's four members.")] = None,
    consensus: Annotated[str, typer.Option(help="raft, or bft (SmartBFT), which needs four organisations.")] = "raft",
    base_port: Annotated[
        int, typer.Option("--base-port", help="Of the first peer; each organisation has 20 ports from its own.")
    ] = BASE_PORT,
    json: Json = False,
) -> None:
    """Make a new consortium for Fabric: certificates, keys, block 0."""
    from healthchain.app.fabric import local
    from healthchain.fabric.nodes import Consensus, Settings

    output = Output(as_json=json)
    with failures(output):
        chosen = topology_of(topology)
        agree = one_of(Consensus, consensus, "consensus")
        local.init(folder, chosen, Settings(agree, base_port))
        organisations = [one.name for one in chosen.organisations]
        output.result(
            {"organisations": organisations, "channel": chosen.channel, "consensus": agree},
            f"A consortium of {len(organisations)} for Fabric ({agree}): {', '.join(organisations)}.",
        )


@app.command(epilog="Example: healthchain fabric up --dir consortium --bin fabric/bin")
def up(
    folder: Folder,
    programs: Programs,
    json: Json = False,
) -> None:
    """Start orderers, peers and chaincode services, deploy the contract, found the consortium; then they run on."""
    from healthchain.app.fabric import local

    output = Output(as_json=json)
    with failures(output):
        run_async(local.up(folder, programs, output.say))
        found = local.status(folder)
        output.result(
            {"nodes": [asdict(one) for one in found]},
            f"{len(found)} processes run: `healthchain fabric down` ends them",
        )


@app.command(epilog="Example: healthchain fabric down --dir consortium")
def down(folder: Folder, json: Json = False) -> None:
    """End the processes that `up` started, and no others; the ledgers stay."""
    from healthchain.app.fabric import local

    output = Output(as_json=json)
    with failures(output):
        ended = local.down(folder)
        output.result({"ended": ended}, f"{ended} processes ended")


@app.command(epilog="Example: healthchain fabric status --dir consortium")
def status(folder: Folder, json: Json = False) -> None:
    """List each organisation's peer, orderer and chaincode service: where, and whether it runs."""
    from healthchain.app.fabric import local

    output = Output(as_json=json)
    with failures(output):
        found = local.status(folder)
        lines = [
            f"{one.organisation:20}  {one.node:10}  {one.address:20}  {'running' if one.running else 'down'}"
            for one in found
        ]
        output.result({"nodes": [asdict(one) for one in found]}, "\n".join(lines))


app.command(epilog="Example: healthchain fabric traces --dir consortium --org city-clinic")(compacting.traces)
app.command(epilog="Example: healthchain fabric compact --dir consortium --bin fabric/bin")(compacting.compact)


@app.command(
    epilog="Example: healthchain fabric join --dir consortium --name island-hospital --kind hospital --bin fabric/bin"
)
def join(
    folder: Folder,
    name: Annotated[str, typer.Option("--name", help="The new member's name.")],
    kind: Annotated[str, typer.Option("--kind", help="hospital, insurer or agency.")],
    programs: Programs,
    title: Annotated[str, typer.Option("--title", help="How the new member is called.")] = "",
    json: Json = False,
) -> None:
    """Once the channel has a new member: start its nodes, let them join, agree on collections that name it."""
    from healthchain.app.fabric import joining
    from healthchain.cli.governance import specification

    output = Output(as_json=json)
    with failures(output):
        run_async(joining.join(folder, specification(name, kind, title), programs, output.say))
        output.result({"joined": name}, f"{name} has joined")


@app.command(epilog="Example: healthchain fabric leave --dir consortium --name city-clinic --bin fabric/bin")
def leave(
    folder: Folder,
    name: Annotated[str, typer.Option("--name", help="The member that the channel has no more.")],
    programs: Programs,
    json: Json = False,
) -> None:
    """Once the channel has a member no more: end its nodes, agree on collections without it."""
    from healthchain.app.fabric import joining

    output = Output(as_json=json)
    with failures(output):
        run_async(joining.leave(folder, name, programs, output.say))
        output.result({"left": name}, f"{name} has left")


@app.command(epilog="Example: healthchain fabric renew --dir consortium --org city-clinic --bin fabric/bin")
def renew(
    folder: Folder,
    org: Annotated[str, typer.Option("--org", help="Whose certificates, as the topology names it.")],
    programs: Programs,
    json: Json = False,
) -> None:
    """Once the channel has an organisation's new certificates: put them in place, and start its nodes with them."""
    from healthchain.app.fabric import joining

    output = Output(as_json=json)
    with failures(output):
        run_async(joining.renew(folder, org, programs, output.say))
        output.result({"renewed": org}, f"{org} has new certificates")


app.add_typer(membership.app, name="membership")
for _command, _options in (
    (machines.export, "export --topology topology.toml --hosts hosts.toml --out export"),
    (machines.request, "request --dir /opt/healthchain"),
    (machines.install, "install --dir /opt/healthchain --certificates certificates"),
    (machines.assemble, "assemble --dir /opt/healthchain --members members"),
    (machines.deploy, "deploy --dir /opt/healthchain --bin /opt/healthchain/bin"),
    (machines.candidate, "candidate --dir /opt/healthchain"),
    (machines.admit, "admit --dir /opt/healthchain --members members"),
):
    app.command(epilog=f"Example: healthchain fabric {_options}")(_command)
