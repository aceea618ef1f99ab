"""Who touched a patient's records: the trail, page by page."""

from __future__ import annotations

from healthchain.contract import audit
from healthchain.records.actor import Actor

PAGE = 1000


async def trail(actor: Actor, patient: str) -> list[audit.Entry]:
    """For the patient and the custodian's administrator, in order of time. Raises Refused."""
    entries: list[audit.Entry] = []
    start: int | None = 0
    while start is not None:
        asked = audit.List(patient=patient, start=start, limit=PAGE)
        page = await actor.ask("audit:List", asked, audit.Trail)
        entries += page.entries
        start = page.next
    return entries
