"""`healthchain reports`: report cases to an agency; open them; see what is late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Org
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.contract.report_reading import ListedReport, Overview
    from healthchain.records.fhir_cases import Case

app = group("Report cases to an agency; open, confirm, withdraw; see what is late.")

Id = Annotated[str, typer.Option("--id", help="The report's id, as `file` printed it.")]
Officer = Annotated[str, typer.Option("--user", help="Who acts for the agency.")]
Clinician = Annotated[str, typer.Option("--user", help="Who acts for the hospital.")]


@app.command(
    epilog="Example: healthchain reports file --dir consortium --org general-hospital --agency health-agency"
    " --condition 444814009 bundle.json.gz"
)
def file(
    folder: Folder,
    org: Org,
    agency: Annotated[str, typer.Option(help="The agency, as the topology names it.")],
    condition: Annotated[str, typer.Option(help="The code of the Conditions to report.")],
    bundle: Annotated[Path, typer.Argument(help="A FHIR R4 Bundle of one patient, JSON or gzip.")],
    hours_ago: Annotated[int, typer.Option(min=0, help="Since when they are known.")] = 0,
    user: Clinician = "clinician",
    json: Json = False,
) -> None:
    """As a hospital: report each Condition of this code in a bundle, sealed to the agency alone."""
    from healthchain.app.consortium import opened
    from healthchain.app.input import read_file
    from healthchain.contract.policies import HOUR_MS
    from healthchain.errors import BadInput
    from healthchain.records import reporting
    from healthchain.records.actor import now_ms
    from healthchain.records.bundle import parse_bundle
    from healthchain.records.fhir_cases import cases

    output = Output(as_json=json)

    async def work(found: list[Case]) -> list[str]:
        async with opened(folder) as consortium:
            to, known_ms = consortium.topology.organisation(agency).msp_id, now_ms() - hours_ago * HOUR_MS
            return [await reporting.file(consortium.staff(org, user), to, one, known_ms) for one in found]

    with failures(output):
        found = cases(parse_bundle(read_file(bundle)), condition)
        if not found:
            raise BadInput("the bundle has no Condition of this code with an onset")
        filed = run_async(work(found))
        output.result({"reports": filed}, "\n".join(f"report {one}" for one in filed))


@app.command(
    "list", epilog="Example: healthchain reports list --dir consortium --org health-agency --user health-officer"
)
def list_(
    folder: Folder,
    org: Org,
    user: Annotated[str, typer.Option("--user", help="Who looks; for an agency health-officer.")] = "clinician",
    json: Json = False,
) -> None:
    """List what the hospital filed, or what is addressed to the agency."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records.reporting import list_reports

    output = Output(as_json=json)

    async def work() -> list[ListedReport]:
        async with opened(folder) as consortium:
            return await list_reports(consortium.staff(org, user))

    with failures(output):
        found = run_async(work())
        facts: list[Any] = [msgspec.to_builtins(one) for one in found]
        lines = [f"{_time(one.time_ms)}  {one.id}  {one.hospital:24} {_state(one)}" for one in found]
        output.result({"reports": facts}, "\n".join(lines) if lines else "no reports")


@app.command(
    "open", epilog="Example: healthchain reports open --dir consortium --org health-agency --id REPORT --confirm"
)
def open_(
    folder: Folder,
    org: Org,
    report: Id,
    confirm: Annotated[bool, typer.Option("--confirm", help="Put the receipt on the ledger.")] = False,
    user: Officer = "health-officer",
    json: Json = False,
) -> None:
    """As the agency: show what a report says."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records import reporting

    output = Output(as_json=json)

    async def work() -> Case:
        async with opened(folder) as consortium:
            officer = consortium.staff(org, user)
            case = await reporting.case_of(officer, report)
            if confirm:
                await reporting.acknowledge(officer, report)
            return case

    with failures(output):
        found = run_async(work())
        text = f"{found.condition} since {found.onset}, age {found.age_band}, {found.sex}, {found.region}"
        output.result(msgspec.to_builtins(found), text)


@app.command(
    epilog="Example: healthchain reports withdraw --dir consortium --org general-hospital --id REPORT --reason why.txt"
)
def withdraw(
    folder: Folder,
    org: Org,
    report: Id,
    reason: Annotated[typer.FileText, typer.Option(help="A file with the reason, - for standard input.")],
    user: Clinician = "clinician",
    json: Json = False,
) -> None:
    """As the hospital: it was no case. The reason is sealed to the agency."""
    from healthchain.app.consortium import opened
    from healthchain.errors import BadInput
    from healthchain.records import reporting

    output = Output(as_json=json)

    async def work(text: str) -> None:
        async with opened(folder) as consortium:
            await reporting.withdraw(consortium.staff(org, user), report, text)

    with failures(output):
        try:
            text = reason.read()
        except UnicodeDecodeError:
            raise BadInput("the reason is not text in UTF-8") from None
        run_async(work(text))
        output.result({"withdrawn": True}, "withdrawn")


@app.command(epilog="Example: healthchain reports overdue --dir consortium --org health-agency")
def overdue(folder: Folder, org: Org, user: Officer = "health-officer", json: Json = False) -> None:
    """As the agency: show by hospital what came late, and which questions wait beyond their time."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.contract.policies import HOUR_MS
    from healthchain.records import reporting

    output = Output(as_json=json)

    async def work() -> Overview:
        async with opened(folder) as consortium:
            return await reporting.overdue(consortium.staff(org, user))

    with failures(output):
        found = run_async(work())
        lines = [
            f"{one.hospital}: {one.late} late, by {one.late_ms_max // HOUR_MS} h at most" for one in found.hospitals
        ]
        lines += [f"{one.hospital}: no answer to {one.id} since {_time(one.due_ms)}" for one in found.requests]
        output.result(msgspec.to_builtins(found), "\n".join(lines) if lines else "nothing is late")


def _state(one: ListedReport) -> str:
    state = "confirmed" if one.acknowledged_ms is not None else "filed"
    return ("withdrawn" if one.withdrawn_ms is not None else state) + (", late" if one.late else "")


def _time(time_ms: int) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).isoformat(timespec="seconds")
