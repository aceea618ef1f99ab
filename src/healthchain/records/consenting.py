"""What a patient decides: to whom the compartments' keys are sealed, and when they are sealed anew without somebody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from healthchain.contract import consents, revocation
from healthchain.contract.codes import Code
from healthchain.contract.ids import Action, Purpose
from healthchain.contract.revocation import Rekeys
from healthchain.errors import BadInput
from healthchain.records import keys
from healthchain.records.actor import Actor, now_ms, repeated_on_conflict
from healthchain.records.compartments import NAMES
from healthchain.records.keyring import random_id
from healthchain.records.keys import CompartmentKey, HeldKeys
from healthchain.records.reading import session
from healthchain.records.sealing import new_key

# Another grant or revocation came in between: now there are other keys to seal, or other recipients.
OTHER_ENVELOPES = (Code.ENVELOPE_MISSING, Code.ENVELOPE_UNEXPECTED)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the patient permits; no compartments mean all."""

    grantee: str  # MSP id
    purposes: tuple[Purpose, ...]
    actions: tuple[Action, ...]
    end_ms: int
    compartments: tuple[str, ...] = ()  # names


async def grant(patient_actor: Actor, decision: Decision) -> str:
    """Seal the compartments' keys, of all epochs, to the grantee; answers with the consent's id. Raises Refused."""
    patient = patient_actor.recipient
    unknown = set(decision.compartments) - set(NAMES)
    if unknown:
        raise BadInput(f"there is no such compartment: choose from {', '.join(NAMES)}")
    wanted = {NAMES.index(name) for name in decision.compartments} or set(range(len(NAMES)))

    async def attempt() -> str:
        chosen = [one for one in await _own_keys(patient_actor) if one.index in wanted]
        recipients = await keys.public_keys(patient_actor, patient)
        consent = consents.Grant(
            id=random_id(),
            patient=patient,
            grantee=decision.grantee,
            compartments=tuple(sorted({one.compartment for one in chosen})),
            purposes=decision.purposes,
            actions=decision.actions,
            start_ms=now_ms(),
            end_ms=decision.end_ms,
        )
        pairs = [(decision.grantee, one) for one in chosen] if decision.grantee in recipients else []
        envelopes = keys.seal_for(patient_actor.channel, patient, recipients, pairs)
        await patient_actor.submit("consents:Grant", consent, envelopes)
        return consent.id

    return await repeated_on_conflict(attempt, *OTHER_ENVELOPES)


async def revoke(patient_actor: Actor, *, grantee: str | None = None, consent_ids: Sequence[str] = ()) -> int:
    """End consents: their envelopes are purged, and new keys go to those who stay. Answers with the block's number."""
    patient = patient_actor.recipient
    chosen = revocation.PreviewRevoke(patient=patient, consents=tuple(consent_ids), grantee=grantee)

    async def attempt() -> int:
        plan = await patient_actor.ask("consents:PreviewRevoke", chosen, Rekeys)
        recipients = await keys.public_keys(patient_actor, patient)
        index = (await _own_keys(patient_actor)).index if plan.rekeys else (lambda compartment: None)
        pairs = []
        for one in plan.rekeys:
            number = index(one.compartment)
            assert number is not None, "a patient holds the key of every compartment of hers"
            fresh = CompartmentKey(one.compartment, one.epoch, new_key(), number)
            pairs += [(recipient, fresh) for recipient in one.recipients]
        envelopes = keys.seal_for(patient_actor.channel, patient, recipients, pairs, must_open=False)
        revoking = revocation.Revoke(
            patient=patient,
            consents=tuple(consent_ids),
            grantee=grantee,
            new_epochs={one.compartment: one.epoch for one in plan.rekeys},
        )
        return (await patient_actor.submit("consents:Revoke", revoking, envelopes)).block

    return await repeated_on_conflict(attempt, Code.EPOCH_WRONG, *OTHER_ENVELOPES)


async def list_consents(actor: Actor, patient: str) -> list[consents.Consent]:
    return (await actor.ask("consents:List", consents.List(patient=patient), consents.Consents)).consents


async def _own_keys(patient_actor: Actor) -> HeldKeys:
    async with session(patient_actor, patient_actor.recipient, Purpose.PATRQT) as opened:
        return opened.keys
