"""Patients as the ledger knows them: registration, death, merge, and a hospital's own by pseudonym."""

from __future__ import annotations

from functools import partial

from healthchain.contract import death, merging, registry
from healthchain.records.actor import Actor, repeated_on_conflict

PAGE = 1000


async def registered(actor: Actor, patient: str) -> registry.RegisteredPatient:
    """Raises Refused."""
    return await actor.ask("patients:Get", registry.Get(patient=patient), registry.RegisteredPatient)


async def pseudonyms(actor: Actor, custodian: str | None = None) -> list[str]:
    """Of the actor's own hospital; for the agency, of a suspended or removed one by MSP id. Raises Refused."""
    found: list[str] = []
    start: str | None = ""
    while start is not None:
        asked = registry.List(custodian=custodian, start=start, limit=PAGE)
        page = await actor.ask("patients:List", asked, registry.Patients)
        found += page.patients
        start = page.next
    return found


async def record_death(custodian: Actor, patient: str) -> None:
    """Raises Refused."""
    await repeated_on_conflict(partial(custodian.submit, "patients:RecordDeath", death.RecordDeath(patient)))


async def revoke_death(custodian: Actor, patient: str) -> None:
    """Of one who lives. Raises Refused."""
    await repeated_on_conflict(partial(custodian.submit, "patients:RevokeDeath", death.RevokeDeath(patient)))


async def propose_merge(custodian: Actor, patient: str, into: str) -> None:
    """By the custodian of either. Raises Refused."""
    await repeated_on_conflict(partial(custodian.submit, "merging:Propose", merging.Propose(patient, into)))


async def confirm_merge(custodian: Actor, patient: str, into: str) -> None:
    """By the other custodian. Raises Refused."""
    await repeated_on_conflict(partial(custodian.submit, "merging:Confirm", merging.Confirm(patient, into)))


async def withdraw_merge(custodian: Actor, patient: str) -> None:
    """By either custodian. Raises Refused."""
    await repeated_on_conflict(partial(custodian.submit, "merging:Withdraw", merging.Withdraw(patient)))
