"""The sealed texts of claims: to the organisations concerned and the patient, under their key in the contract."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TypeVar

import msgspec

from healthchain.contract import claim_reading, claims
from healthchain.contract.claim_reading import ShownClaim
from healthchain.contract.claims import message
from healthchain.contract.guardians import Scope
from healthchain.records.actor import Actor, now_ms, repeated_on_conflict
from healthchain.records.guardians import list_guardians
from healthchain.records.members import list_members
from healthchain.records.patients import registered
from healthchain.records.sealing import SealBroken

_Text = TypeVar("_Text", bound=msgspec.Struct)


async def sealed_to_parties(
    actor: Actor,
    patient: str,
    organisations: Collection[str],
    place: str,
    text: msgspec.Struct | str,
    guardians: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Transient data: this message, to these organisations, the patient, and guardians if their keys are given."""
    plain = text.encode() if isinstance(text, str) else msgspec.json.encode(text)
    public_keys = await _public_keys(actor, patient, organisations) | dict(guardians or {})
    return actor.seal(place, public_keys, plain)


async def _public_keys(actor: Actor, patient: str, organisations: Collection[str]) -> dict[str, bytes]:
    """Recipient -> key. Custodian and patient know the guardians: they seal to those for claims too."""
    known = {one.msp_id: one.public_key for one in await list_members(actor) if one.msp_id in organisations}
    about = await registered(actor, patient)
    known |= {patient: about.public_key} if about.public_key else {}
    if actor.recipient in (about.custodian, patient):
        speaking = await list_guardians(actor, patient)
        known |= {one.id: one.public_key for one in speaking if Scope.CLAIMS in one.scopes and one.lasts(now_ms())}
    return known


async def take_step(
    actor: Actor, shown: ShownClaim, step: claims.Chosen, function: str, name: str, text: msgspec.Struct | str
) -> None:
    """A step of a claim with its sealed text. Raises Refused."""
    place = message(step.patient, shown.id, name)
    parties = (shown.hospital, shown.payer)
    sealed = await sealed_to_parties(actor, step.patient, parties, place, text, shown.guardians)
    await repeated_on_conflict(partial(actor.submit, function, step, sealed))


async def opened(actor: Actor, patient: str, claim_id: str, name: str, kind: type[_Text]) -> _Text:
    """Raises Refused or SealBroken."""
    try:
        return msgspec.json.decode(await fetched(actor, patient, claim_id, name), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SealBroken from None


async def fetched(actor: Actor, patient: str, claim_id: str, name: str) -> bytes:
    """The plain text. Raises Refused or SealBroken."""
    asked = claim_reading.Message(id=claim_id, patient=patient, name=name)
    return await actor.fetch("claims:Message", asked, message(patient, claim_id, name))
