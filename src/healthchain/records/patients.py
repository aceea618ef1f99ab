"""Patients as the ledger knows them: one's registration, and a hospital's own by pseudonym."""

from __future__ import annotations

from healthchain.contract import patients
from healthchain.records.actor import Actor

PAGE = 1000


async def registered(actor: Actor, patient: str) -> patients.RegisteredPatient:
    """Raises Refused."""
    return await actor.ask("patients:Get", patients.Get(patient=patient), patients.RegisteredPatient)


async def pseudonyms(actor: Actor) -> list[str]:
    """Of the actor's own hospital. Raises Refused."""
    found: list[str] = []
    start: str | None = ""
    while start is not None:
        page = await actor.ask("patients:List", patients.List(start=start, limit=PAGE), patients.Patients)
        found += page.patients
        start = page.next
    return found
