"""`healthchain emergency`: break the glass, release keys, review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Org, Patient
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.contract.reviews import ListedEmergency

app = group("Break the glass for a patient without consent; release keys; review.")

Id = Annotated[str, typer.Option("--id", help="The emergency's id, as `open` printed it.")]
Clinician = Annotated[str, typer.Option("--user", help="The clinician.")]


@app.command(
    "open",
    epilog="Example: healthchain emergency open --dir consortium --org city-clinic --patient PSEUDONYM"
    " --reason why.txt",
)
def open_(
    folder: Folder,
    org: Org,
    patient: Patient,
    reason: Annotated[typer.FileText, typer.Option(help="A file with the reason, - for standard input.")],
    user: Clinician = "clinician",
    minutes: Annotated[int, typer.Option(min=1, max=24 * 60, help="For how long.")] = 60,
    json: Json = False,
) -> None:
    """As a clinician: break the glass. The patient, the custodian and the agency learn of it; a review falls due."""
    from healthchain.app.consortium import opened
    from healthchain.errors import BadInput
    from healthchain.records.emergency import BrokenGlass, break_glass

    output = Output(as_json=json)

    async def work(text: str) -> BrokenGlass:
        async with opened(folder) as consortium:
            return await break_glass(consortium.staff(org, user), patient, text, minutes * 60 * 1000)

    with failures(output):
        try:
            text = reason.read()
        except UnicodeDecodeError:
            raise BadInput("the reason is not text in UTF-8") from None
        if not text.strip():
            raise BadInput("the reason is empty: say why the records are needed")
        broken = run_async(work(text))
        facts = {"emergency": broken.id, "review_due_ms": broken.due_ms}
        words = f"emergency {broken.id}, the review is due at {_time(broken.due_ms)}"
        output.result(
            facts, f"{words}\nThe records open once the custodian has released their keys: `emergency release`."
        )


@app.command(epilog="Example: healthchain emergency release --dir consortium --org general-hospital")
def release(folder: Folder, org: Org, user: Clinician = "clinician", json: Json = False) -> None:
    """As the custodian: release the records' keys into every emergency that waits for them."""
    from healthchain.app.consortium import opened
    from healthchain.records.emergency import release_waiting

    output = Output(as_json=json)

    async def work() -> list[str]:
        async with opened(folder) as consortium:
            return await release_waiting(consortium.staff(org, user))

    with failures(output):
        found = run_async(work())
        output.result({"released": found}, "\n".join(found) if found else "no emergency waits for keys")


@app.command(
    epilog="Example: healthchain emergency read --dir consortium --org city-clinic --patient PSEUDONYM --id ID"
)
def read(
    folder: Folder, org: Org, patient: Patient, emergency: Id, user: Clinician = "clinician", json: Json = False
) -> None:
    """As the clinician: read all whose keys were released, as a FHIR collection Bundle; none were: an empty one."""
    from healthchain.app.consortium import opened
    from healthchain.records.emergency import enter
    from healthchain.records.reading import as_bundle

    output = Output(as_json=json)

    async def work() -> bytes:
        async with opened(folder) as consortium:
            entered = await enter(consortium.staff(org, user), patient, emergency)
            return as_bundle(await entered.read_all())

    with failures(output):
        output.raw(run_async(work()))


@app.command(
    epilog="Example: healthchain emergency close --dir consortium --org city-clinic --patient PSEUDONYM --id ID"
)
def close(
    folder: Folder, org: Org, patient: Patient, emergency: Id, user: Clinician = "clinician", json: Json = False
) -> None:
    """As the clinician: end it before its time; the released keys are purged."""
    from healthchain.app.consortium import opened
    from healthchain.records.emergency import close as end

    output = Output(as_json=json)

    async def work() -> None:
        async with opened(folder) as consortium:
            await end(consortium.staff(org, user), patient, emergency)

    with failures(output):
        run_async(work())
        output.result({"closed": True}, "closed")


@app.command(
    epilog="Example: healthchain emergency reason --dir consortium --org health-agency --user health-officer"
    " --patient PSEUDONYM --id ID"
)
def reason(
    folder: Folder,
    org: Org,
    user: Annotated[str, typer.Option(help="Who asks; a patient by its pseudonym.")],
    patient: Patient,
    emergency: Id,
    json: Json = False,
) -> None:
    """Show why the glass was broken, to one of those to whom the reason is sealed."""
    from healthchain.app.consortium import opened
    from healthchain.records.emergency import reason_of

    output = Output(as_json=json)

    async def work() -> str:
        async with opened(folder) as consortium:
            return await reason_of(consortium.staff(org, user), patient, emergency)

    with failures(output):
        text = run_async(work())
        output.result({"reason": text}, text)


@app.command(
    epilog="Example: healthchain emergency review --dir consortium --org health-agency --user health-officer"
    " --patient PSEUDONYM --id ID --justified"
)
def review(
    folder: Folder,
    org: Org,
    user: Annotated[str, typer.Option(help="Who decides.")],
    patient: Patient,
    emergency: Id,
    justified: Annotated[bool, typer.Option("--justified/--unjustified", help="The decision.")],
    json: Json = False,
) -> None:
    """As the custodian or the agency: decide once whether it was justified; the released keys are purged."""
    from healthchain.app.consortium import opened
    from healthchain.records.emergency import review as decide

    output = Output(as_json=json)

    async def work() -> None:
        async with opened(folder) as consortium:
            await decide(consortium.staff(org, user), patient, emergency, justified=justified)

    with failures(output):
        run_async(work())
        output.result({"justified": justified}, "justified" if justified else "unjustified")


@app.command(epilog="Example: healthchain emergency queue --dir consortium --org health-agency --user health-officer")
def queue(folder: Folder, org: Org, user: Annotated[str, typer.Option(help="Who looks.")], json: Json = False) -> None:
    """As the agency: list the reviews that are pending, the longest overdue first."""
    from healthchain.app.consortium import opened
    from healthchain.records.emergency import queue as pending

    output = Output(as_json=json)

    async def work() -> list[ListedEmergency]:
        async with opened(folder) as consortium:
            return await pending(consortium.staff(org, user))

    with failures(output):
        _show(output, run_async(work()))


@app.command("list", epilog="Example: healthchain emergency list --dir consortium --patient PSEUDONYM")
def list_(
    folder: Folder,
    patient: Patient,
    org: Annotated[
        str | None, typer.Option("--org", help="As the custodian's administrator; default: as the patient.")
    ] = None,
    json: Json = False,
) -> None:
    """As the patient, or the custodian's administrator: list every time that the glass was broken."""
    from healthchain.app.consortium import ADMINISTRATOR, opened
    from healthchain.records.emergency import list_emergencies

    output = Output(as_json=json)

    async def work() -> list[ListedEmergency]:
        async with opened(folder) as consortium:
            actor = consortium.staff(org, ADMINISTRATOR) if org else consortium.patient(patient)
            return await list_emergencies(actor, patient)

    with failures(output):
        _show(output, run_async(work()))


def _show(output: Output, found: list[ListedEmergency]) -> None:
    import msgspec

    facts: list[Any] = [msgspec.to_builtins(one) for one in found]
    lines = [f"{_time(one.start_ms)}  {one.id}  {one.patient}  {one.user:40} {_verdict(one)}" for one in found]
    output.result({"emergencies": facts}, "\n".join(lines) if lines else "no emergencies")


def _verdict(one: ListedEmergency) -> str:
    if one.justified is not None:
        return "justified" if one.justified else "unjustified"
    return f"review {'overdue since' if one.overdue else 'due at'} {_time(one.due_ms)}"


def _time(time_ms: int) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).isoformat(timespec="seconds")
