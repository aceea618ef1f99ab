"""Case reports: a hospital files, follows up, withdraws; an agency opens, confirms, asks, and sees what is late.

What the agency makes of them is in `publishing`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import msgspec

from healthchain.contract import report_reading, reports
from healthchain.contract.policies import HOUR_MS
from healthchain.contract.report_reading import ListedReport, Overview, Part, ShownReport
from healthchain.records.actor import Actor, repeated_on_conflict
from healthchain.records.fhir_cases import Case
from healthchain.records.keyring import random_id
from healthchain.records.members import list_members
from healthchain.records.sealing import SealBroken


async def file(hospital: Actor, agency: str, case: Case, known_ms: int) -> str:
    """To the agency of this MSP id; answers with the report's id.

    `known_ms` is when the hospital knew of the case. Only the hour of it becomes public. Raises Refused.
    """
    filing = reports.File(id=random_id(), agency=agency, known_ms=known_ms // HOUR_MS * HOUR_MS)
    place = reports.body_message(filing.id)
    sealed = await _sealed(hospital, {agency}, place, msgspec.json.encode(case))
    await repeated_on_conflict(partial(hospital.submit, "reports:File", filing, sealed))
    return filing.id


async def follow_up(hospital: Actor, report: str, text: str, request: str | None = None) -> str:
    """What became known since, or the answer to a request; answers with the follow-up's id. Raises Refused."""
    adding = reports.AddFollowUp(id=random_id(), report=report, request=request)
    agency = (await get(hospital, report)).report.agency
    sealed = await _sealed(hospital, {agency}, reports.follow_up_message(report, adding.id), text.encode())
    await repeated_on_conflict(partial(hospital.submit, "reports:FollowUp", adding, sealed))
    return adding.id


async def withdraw(hospital: Actor, report: str, why: str) -> None:
    """Raises Refused."""
    agency = (await get(hospital, report)).report.agency
    sealed = await _sealed(hospital, {agency}, reports.withdrawal_message(report), why.encode())
    await repeated_on_conflict(partial(hospital.submit, "reports:Withdraw", reports.Withdraw(id=report), sealed))


async def acknowledge(officer: Actor, report: str) -> None:
    """Raises Refused."""
    await repeated_on_conflict(partial(officer.submit, "reports:Acknowledge", reports.Acknowledge(id=report)))


async def ask(officer: Actor, report: str, question: str, due_ms: int) -> str:
    """Answers with the request's id. Raises Refused."""
    asking = reports.Ask(id=random_id(), report=report, due_ms=due_ms)
    parties = {(await get(officer, report)).report.hospital, officer.recipient}
    sealed = await _sealed(officer, parties, reports.request_message(report, asking.id), question.encode())
    await repeated_on_conflict(partial(officer.submit, "reports:Request", asking, sealed))
    return asking.id


async def get(actor: Actor, report: str) -> ShownReport:
    return await actor.ask("reports:Get", report_reading.Get(id=report), ShownReport)


async def list_reports(actor: Actor) -> list[ListedReport]:
    """All that the actor's hospital filed, or that are addressed to its agency; in order of time."""
    found: list[ListedReport] = []
    start = ""
    while True:
        page = await actor.ask("reports:List", report_reading.List(start=start), report_reading.Reports)
        found += page.reports
        if not page.next:
            return sorted(found, key=lambda one: (one.time_ms, one.id))
        start = page.next


async def overdue(officer: Actor) -> Overview:
    return await officer.ask("reports:Overdue", report_reading.Overdue(), Overview)


async def case_of(officer: Actor, report: str) -> Case:
    """Raises Refused or SealBroken."""
    try:
        return msgspec.json.decode(await _opened(officer, report, Part.BODY, reports.body_message(report)), type=Case)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SealBroken from None


async def follow_up_of(officer: Actor, report: str, follow_up_id: str) -> str:
    """Raises Refused or SealBroken."""
    place = reports.follow_up_message(report, follow_up_id)
    return (await _opened(officer, report, Part.FOLLOW_UP, place, follow_up_id)).decode(errors="replace")


async def withdrawal_of(officer: Actor, report: str) -> str:
    """Why. Raises Refused or SealBroken."""
    place = reports.withdrawal_message(report)
    return (await _opened(officer, report, Part.WITHDRAWAL, place)).decode(errors="replace")


async def question_of(actor: Actor, report: str, request: str) -> str:
    """By the hospital or the agency. Raises Refused or SealBroken."""
    place = reports.request_message(report, request)
    return (await _opened(actor, report, Part.REQUEST, place, request)).decode(errors="replace")


async def _opened(actor: Actor, report: str, part: Part, place: str, part_id: str | None = None) -> bytes:
    asked = report_reading.Message(id=report, part=part, part_id=part_id)
    return await actor.fetch("reports:Message", asked, place)


async def _sealed(actor: Actor, organisations: Collection[str], place: str, text: bytes) -> dict[str, bytes]:
    """Transient data; an organisation that is none is left for the contract to refuse. Raises BadInput."""
    listed = await list_members(actor)
    return actor.seal(place, {one.msp_id: one.public_key for one in listed if one.msp_id in organisations}, text)
