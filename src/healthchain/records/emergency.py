"""Breaking the glass: a clinician opens and reads, the custodian releases the keys, somebody else reviews.

The custodian's service would follow the ledger's events; `release_waiting` is what it would do at each.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import msgspec

from healthchain.contract import emergency, reviews, sessions
from healthchain.contract.codes import Code
from healthchain.contract.emergency import WaitingEmergency, reason_message
from healthchain.contract.ids import Purpose
from healthchain.contract.policies import HOUR_MS
from healthchain.contract.records import RecordStatus
from healthchain.contract.reviews import Emergencies, ListedEmergency
from healthchain.contract.sessions import released_keys
from healthchain.errors import BadInput, HealthChainError, Refused
from healthchain.records import keys
from healthchain.records.actor import Actor, now_ms, repeated_on_conflict
from healthchain.records.keyring import random_id
from healthchain.records.reading import Session, record_place, session
from healthchain.records.sealing import KEY_BYTES, MessageContext, SealBroken, seal_message

EMERGENCY_MS = HOUR_MS

# It was closed, or the patient erased or taken elsewhere, in the meantime; or the patient denies this to the custodian.
NOTHING_TO_RELEASE = (Code.SESSION_ENDED, Code.PATIENT_ERASED, Code.NOT_THE_CUSTODIAN, Code.CONSENT_MISSING)

RecordKeys = dict[str, Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]]
"""What is sealed when keys are released: `reading.record_place` -> key."""


@dataclass(frozen=True, slots=True)
class BrokenGlass:
    """An emergency that was opened; its review is due at due_ms."""

    id: str
    due_ms: int


async def break_glass(clinician: Actor, patient: str, reason: str, lasts_ms: int = EMERGENCY_MS) -> BrokenGlass:
    """The reason is sealed to those who may judge it. Raises Refused."""
    opening = emergency.Open(id=random_id(), patient=patient, end_ms=now_ms() + lasts_ms)
    place = reason_message(patient, opening.id)
    context = MessageContext(clinician.channel, place)
    asked = emergency.Audience(patient=patient)
    audience = await clinician.ask("emergency:Audience", asked, emergency.Recipients)
    sealed = clinician.seal(place, _usable(audience.public_keys, context), reason.encode())
    committed = await repeated_on_conflict(partial(clinician.submit, "emergency:Open", opening, sealed))
    opened = msgspec.json.decode(committed.result, type=emergency.Opened)
    return BrokenGlass(opening.id, opened.due_ms)


async def enter(clinician: Actor, patient: str, emergency_id: str) -> Session:
    """The session of an emergency, with what the custodian has released until now. Raises Refused or SealBroken."""
    held = await keys.within_session(clinician, patient, emergency_id)
    released = await _released(clinician, patient, emergency_id)
    return Session(clinician, emergency_id, patient, Purpose.ETREAT, held, released)


async def close(clinician: Actor, patient: str, emergency_id: str) -> None:
    """The released keys are purged. Raises Refused."""
    await clinician.submit("sessions:Close", sessions.Close(id=emergency_id, patient=patient))


async def release_waiting(custodian: Actor) -> list[str]:
    """Release keys into every emergency that waits for them at this custodian; answers with their ids.

    What goes wrong with one, a clinician's organisation without a usable key say, is raised once all have had theirs.
    """
    found = await custodian.ask("emergency:Waiting", emergency.Waiting(), emergency.WaitingEmergencies)
    done, failed = [], []
    for one in found.emergencies:
        try:
            await _release(custodian, one)
        except HealthChainError as error:
            if not (isinstance(error, Refused) and error.code in NOTHING_TO_RELEASE):
                failed.append(error)
        else:
            done.append(one.id)
    if failed:
        raise failed[0]
    return done


async def review(reviewer: Actor, patient: str, emergency_id: str, *, justified: bool) -> None:
    """Raises Refused."""
    reviewing = reviews.Review(id=emergency_id, patient=patient, justified=justified)
    await repeated_on_conflict(partial(reviewer.submit, "emergency:Review", reviewing))


async def reason_of(actor: Actor, patient: str, emergency_id: str) -> str:
    """By one to whom it was sealed. Raises Refused or SealBroken."""
    asked = reviews.Reason(id=emergency_id, patient=patient)
    place = reason_message(patient, emergency_id)
    return (await actor.fetch("emergency:Reason", asked, place)).decode(errors="replace")


async def list_emergencies(actor: Actor, patient: str) -> list[ListedEmergency]:
    return (await actor.ask("emergency:List", reviews.List(patient=patient), Emergencies)).emergencies


async def queue(officer: Actor) -> list[ListedEmergency]:
    """Every pending review, the longest overdue first."""
    return (await officer.ask("emergency:Queue", reviews.Queue(), Emergencies)).emergencies


def _usable(public_keys: Mapping[str, bytes], context: MessageContext) -> dict[str, bytes]:
    """Without those that nothing can be sealed to: somebody else's bad key keeps nobody from help."""
    found = {}
    for recipient, key in public_keys.items():
        with contextlib.suppress(BadInput):
            seal_message({recipient: key}, context, b"")
            found[recipient] = key
    return found


async def _release(custodian: Actor, waiting: WaitingEmergency) -> None:
    """The keys of the current versions in scope, to the clinician's organisation."""
    async with session(custodian, waiting.patient, Purpose.HOPERAT) as opened:
        record_keys: RecordKeys = {}
        for one in await opened.headers():
            sealer = opened.keys.sealer(one.compartment, one.epoch)
            if one.status is not RecordStatus.ERASED and one.compartment in waiting.compartments and sealer:
                record_keys[record_place(one.id, one.version)] = sealer.record_key(one.id, one.version)
    place = released_keys(waiting.patient, waiting.id)
    public_keys = await keys.public_keys(custodian, waiting.patient)
    recipient = {waiting.recipient: public_keys[waiting.recipient]}
    sealed = custodian.seal(place, recipient, msgspec.json.encode(record_keys))
    releasing = emergency.Release(id=waiting.id, patient=waiting.patient)
    await repeated_on_conflict(partial(custodian.submit, "emergency:Release", releasing, sealed))


async def _released(clinician: Actor, patient: str, emergency_id: str) -> RecordKeys:
    asked = emergency.Keys(id=emergency_id, patient=patient)
    try:
        opened = await clinician.fetch("emergency:Keys", asked, released_keys(patient, emergency_id))
    except Refused as refused:
        if refused.code != Code.MESSAGE_UNKNOWN:
            raise
        return {}
    try:
        return msgspec.json.decode(opened, type=RecordKeys)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SealBroken from None
