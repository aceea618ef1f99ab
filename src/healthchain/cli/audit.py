"""`healthchain audit`: what happened to a patient's records, what an organisation did, what the agency oversees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Org, Patient
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.app.acts import Act
    from healthchain.contract.overseeing import Oversight
    from healthchain.contract.trail import Entry

app = group("Audit: of a patient, of the own organisation, by the agency.")


@app.command(epilog="Example: healthchain audit patient --dir consortium --patient PSEUDONYM")
def patient(
    folder: Folder,
    patient: Patient,
    org: Annotated[
        str | None, typer.Option("--org", help="As the custodian's administrator; default: as the patient.")
    ] = None,
    json: Json = False,
) -> None:
    """As the patient: list everything that touched the records: who, when, what, for which purpose."""
    import msgspec

    from healthchain.app.consortium import ADMINISTRATOR, opened
    from healthchain.records.auditing import trail

    output = Output(as_json=json)

    async def work() -> list[Entry]:
        async with opened(folder) as consortium:
            actor = consortium.staff(org, ADMINISTRATOR) if org else consortium.patient(patient)
            return await trail(actor, patient)

    with failures(output):
        found = run_async(work())
        output.result({"entries": [msgspec.to_builtins(one) for one in found]}, "\n".join(map(_line, found)))


@app.command(epilog="Example: healthchain audit own --dir consortium --org city-clinic --last 100")
def own(
    folder: Folder,
    org: Org,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many blocks to look at, from the newest.")] = 1000,
    json: Json = False,
) -> None:
    """List what the organisation's users and patients submitted, from its own peer's blocks, with each outcome."""
    from dataclasses import asdict

    from healthchain.app.acts import own_acts
    from healthchain.app.consortium import opened

    output = Output(as_json=json)

    async def work() -> list[Act]:
        async with opened(folder) as consortium:
            msp_id = consortium.keyring(org).msp_id
            return list(own_acts(consortium.network.peers[org].ledger, msp_id, last))

    with failures(output):
        found = run_async(work())
        lines = [
            f"{_when(one.time_ms)}  {one.block:8}  {one.function:28} {one.user:40} {one.code}  {one.tx_id}"
            for one in found
        ]
        output.result({"acts": [asdict(one) for one in found]}, "\n".join(lines) if lines else "no acts")


@app.command(epilog="Example: healthchain audit oversee --dir consortium --org health-agency")
def oversee(folder: Folder, org: Org, json: Json = False) -> None:
    """As the agency: list pending reviews, claims that wait, late reports, members that are out, former policies."""
    import msgspec

    from healthchain.app.consortium import ADMINISTRATOR, opened
    from healthchain.records import auditing

    output = Output(as_json=json)

    async def work() -> Oversight:
        async with opened(folder) as consortium:
            return await auditing.oversee(consortium.staff(org, ADMINISTRATOR))

    with failures(output):
        found = run_async(work())
        lines = [
            *(
                f"review   {one.id}  due {_when(one.due_ms)}  {'overdue' if one.overdue else ''}".rstrip()
                for one in found.reviews
            ),
            *(
                f"claim    {one.id}  due {_when(one.due_ms)}  {'overdue' if one.overdue else ''}".rstrip()
                for one in found.claims
            ),
            *(f"report   {one.id}  {one.hospital}  late by {one.late_ms // 60_000} min" for one in found.reports.late),
            *(f"request  {one.id}  {one.hospital}  due {_when(one.due_ms)}" for one in found.reports.requests),
            *(f"member   {one.msp_id}  {one.standing}  since {_when(one.since_ms)}" for one in found.barred),
            *(f"policies from {_when(one.from_ms)}  {one.tx_id}" for one in found.policies),
        ]
        output.result(msgspec.to_builtins(found), "\n".join(lines))


def _line(one: Entry) -> str:
    """Of several ids the first one: that of what happened, before what it concerns."""
    what = f"{one.happening} {one.detail}".rstrip()
    return f"{_when(one.time_ms)}  {what:24} {''.join(one.ids[:1]):22}  {one.user:40} {one.purpose or ''}".rstrip()


def _when(time_ms: int) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).isoformat(timespec="seconds")
