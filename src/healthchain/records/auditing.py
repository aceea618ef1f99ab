"""Who touched a patient's records, page by page; and what the agency oversees."""

from __future__ import annotations

from healthchain.contract import audit
from healthchain.contract.overseeing import Oversee, Oversight
from healthchain.contract.trail import Entry
from healthchain.records.actor import Actor

PAGE = 1000


async def trail(actor: Actor, patient: str) -> list[Entry]:
    """For the patient, guardians and the custodian's administrator, in order of time. Raises Refused."""
    entries: list[Entry] = []
    start: int | None = 0
    while start is not None:
        asked = audit.List(patient=patient, start=start, limit=PAGE)
        page = await actor.ask("audit:List", asked, audit.Trail)
        entries += page.entries
        start = page.next
    return entries


async def oversee(actor: Actor) -> Oversight:
    """For the agency. Raises Refused."""
    return await actor.ask("audit:Oversee", Oversee(), Oversight)
