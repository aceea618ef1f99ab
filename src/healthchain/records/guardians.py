"""Guardians of a patient: appointed with the keys that their scope needs, ended with new keys for all who stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from healthchain.contract import guardians
from healthchain.contract.guardians import KEYED, ListedGuardian, Scope
from healthchain.records import keys
from healthchain.records.actor import Actor, now_ms, repeated_on_conflict
from healthchain.records.consenting import OTHER_ENVELOPES, rotate
from healthchain.records.patients import registered


@dataclass(frozen=True, slots=True)
class Office:
    """Who shall be a guardian, with its public key, what for, and until when."""

    guardian: str
    public_key: bytes
    scopes: Sequence[Scope]
    end_ms: int


async def appoint(custodian: Actor, patient: str, office: Office) -> None:
    """From now on. Raises Refused."""

    async def attempt() -> None:
        held = await keys.for_handing(custodian, patient) if KEYED.intersection(office.scopes) else ()
        recipients = {office.guardian: office.public_key}
        pairs = [(office.guardian, one) for one in held]
        envelopes = keys.seal_for(custodian.channel, patient, recipients, pairs)
        appointing = guardians.Appoint(
            patient=patient,
            guardian=office.guardian,
            scopes=tuple(office.scopes),
            start_ms=now_ms(),
            end_ms=office.end_ms,
            public_key=office.public_key,
        )
        await custodian.submit("guardians:Appoint", appointing, envelopes)

    await repeated_on_conflict(attempt, *OTHER_ENVELOPES)


async def end(actor: Actor, patient: str, guardian: str) -> None:
    """By the custodian's staff or the patient; new keys for what it opened follow at once. Raises Refused."""
    ending = guardians.End(patient=patient, guardian=guardian)
    await repeated_on_conflict(partial(actor.submit, "guardians:End", ending))
    if (await registered(actor, patient)).rekey:
        await rotate(actor, patient)


async def list_guardians(actor: Actor, patient: str) -> list[ListedGuardian]:
    """By id, former ones too. Raises Refused."""
    return (await actor.ask("guardians:List", guardians.List(patient=patient), guardians.Guardians)).guardians
