"""`healthchain licences`: which hospitals and practitioners may act, by the agency's word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Org, one_of
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from healthchain.app.consortium import Consortium
    from healthchain.contract.licences import ListedLicence
    from healthchain.records.actor import Actor

app = group("The agency's licences: a hospital and each practitioner of it need one to record, claim, report.")

To = Annotated[str, typer.Option("--to", help="The hospital, as the topology names it.")]
Practitioner = Annotated[
    str | None, typer.Option("--person", help="This practitioner of it, by common name; default: the hospital itself.")
]
Officer = Annotated[str, typer.Option("--user", help="Who acts for the agency.")]


@app.command(epilog="Example: healthchain licences issue --dir consortium --org health-agency --to island-hospital")
def issue(
    folder: Folder,
    org: Org,
    to: To,
    person: Practitioner = None,
    act: Annotated[
        list[str] | None,
        typer.Option(help="record, claim, report or emergency; repeat for several; default: all."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=36500, help="For how long.")] = 365,
    user: Officer = "health-officer",
    json: Json = False,
) -> None:
    """As the agency: license a hospital, or a practitioner of one. It replaces a licence that there is."""
    from healthchain.app.consortium import opened
    from healthchain.contract.licences import Act
    from healthchain.contract.policies import DAY_MS
    from healthchain.records.actor import now_ms
    from healthchain.records.licensing import license_holder

    output = Output(as_json=json)

    async def work() -> str:
        async with opened(folder) as consortium:
            acts = tuple(one_of(Act, one, "act") for one in act or Act)
            holder, start_ms = _holder(consortium, to, person), now_ms()
            end_ms = start_ms + days * DAY_MS
            await license_holder(consortium.staff(org, user), holder, start_ms, end_ms, acts)
            return holder

    with failures(output):
        holder = run_async(work())
        output.result({"holder": holder}, f"{holder} is licensed")


@app.command(
    epilog="Example: healthchain licences suspend --dir consortium --org health-agency --to city-clinic"
    " --person clinician"
)
def suspend(
    folder: Folder, org: Org, to: To, person: Practitioner = None, user: Officer = "health-officer", json: Json = False
) -> None:
    """As the agency: suspend a licence; nothing that the holder writes from now on is taken."""
    from healthchain.records import licensing

    output = Output(as_json=json)
    with failures(output):
        holder = run_async(_change(folder, (org, user), (to, person), licensing.suspend))
        output.result({"holder": holder}, f"{holder} is suspended")


@app.command(
    epilog="Example: healthchain licences reinstate --dir consortium --org health-agency --to city-clinic"
    " --person clinician"
)
def reinstate(
    folder: Folder, org: Org, to: To, person: Practitioner = None, user: Officer = "health-officer", json: Json = False
) -> None:
    """As the agency: end a suspension."""
    from healthchain.records import licensing

    output = Output(as_json=json)
    with failures(output):
        holder = run_async(_change(folder, (org, user), (to, person), licensing.reinstate))
        output.result({"holder": holder}, f"{holder} is licensed")


@app.command("list", epilog="Example: healthchain licences list --dir consortium --org city-clinic")
def list_(
    folder: Folder,
    org: Org,
    user: Annotated[str, typer.Option("--user", help="Who looks: any member may.")] = "administrator",
    json: Json = False,
) -> None:
    """List all licences, by holder."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records.licensing import list_licences

    output = Output(as_json=json)

    async def work() -> list[ListedLicence]:
        async with opened(folder) as consortium:
            return await list_licences(consortium.staff(org, user))

    with failures(output):
        found = run_async(work())
        output.result(
            {"licences": msgspec.to_builtins(found)}, "\n".join(map(_line, found)) if found else "no licences"
        )


async def _change(
    folder: Folder,
    by: tuple[str, str],
    to: tuple[str, str | None],
    change: Callable[[Actor, str], Awaitable[None]],
) -> str:
    """Answers with the licence's holder."""
    from healthchain.app.consortium import opened

    async with opened(folder) as consortium:
        holder = _holder(consortium, *to)
        await change(consortium.staff(*by), holder)
        return holder


def _holder(consortium: Consortium, hospital: str, person: str | None) -> str:
    msp_id = consortium.topology.organisation(hospital).msp_id
    return f"{msp_id}/{person}" if person else msp_id


def _line(one: ListedLicence) -> str:
    import datetime

    until = datetime.datetime.fromtimestamp(one.end_ms / 1000, datetime.UTC).isoformat(timespec="seconds")
    return f"{one.holder:48} {one.status:10} until {until}  {', '.join(one.acts)}"
