"""`healthchain sessions`: who read what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from healthchain.cli.groups import group
from healthchain.cli.options import Folder, Json, Patient
from healthchain.cli.output import Output, failures, run_async

if TYPE_CHECKING:
    from healthchain.contract.disclosures import ListedSession

app = group("Access sessions: who read what.")


@app.callback()
def _group() -> None:
    """A group, with one command or with several."""


@app.command("list", epilog="Example: healthchain sessions list --dir consortium --patient PSEUDONYM")
def list_(folder: Folder, patient: Patient, json: Json = False) -> None:
    """As the patient: list every session with person, role, purpose, time, and what was read in it."""
    import msgspec

    from healthchain.app.consortium import opened
    from healthchain.records.sessions import list_sessions

    output = Output(as_json=json)

    async def work() -> list[ListedSession]:
        async with opened(folder) as consortium:
            return await list_sessions(consortium.patient(patient), patient)

    with failures(output):
        found = run_async(work())
        lines = [_line(one) for one in found]
        facts = {"sessions": [msgspec.to_builtins(one) for one in found]}
        output.result(facts, "\n".join(lines) if lines else "no sessions")


def _line(one: ListedSession) -> str:
    import datetime

    start, end = (
        datetime.datetime.fromtimestamp(time / 1000, datetime.UTC).isoformat(timespec="seconds")
        for time in (one.start_ms, one.end_ms if one.closed_ms is None else one.closed_ms)
    )
    how = "emergency" if one.emergency else "delegated" if one.delegated_from else ""
    return f"{one.id}  {start}  {end}  {one.user:40} {one.role:14} {one.purpose:8} {one.reads:6} reads  {how}".rstrip()
