"""Patients as the ledger knows them: one's registration, and a hospital's own by pseudonym."""

from __future__ import annotations

from healthchain.contract import registry
from healthchain.records.actor import Actor

PAGE = 1000


async def registered(actor: Actor, patient: str) -> registry.RegisteredPatient:
    """Raises Refused."""
    return await actor.ask("patients:Get", registry.Get(patient=patient), registry.RegisteredPatient)


async def pseudonyms(actor: Actor) -> list[str]:
    """Of the actor's own hospital. Raises Refused."""
    found: list[str] = []
    start: str | None = ""
    while start is not None:
        page = await actor.ask("patients:List", registry.List(start=start, limit=PAGE), registry.Patients)
        found += page.patients
        start = page.next
    return found
