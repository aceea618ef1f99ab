"""What a patient decides: to whom the compartments' keys are sealed, and when they are sealed anew without somebody."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from healthchain.contract import compartments as contract_compartments
from healthchain.contract import consents, explaining, rekeying, revocation
from healthchain.contract.codes import Code
from healthchain.contract.ids import COMPARTMENTS_MAX, Action, Kind, Purpose, Role
from healthchain.contract.rekeying import Rekey, Rekeys
from healthchain.contract.revocation import order_text
from healthchain.errors import BadInput
from healthchain.records import keys
from healthchain.records.actor import Actor, now_ms, repeated_on_conflict
from healthchain.records.compartments import NAMES, name_of
from healthchain.records.keyring import random_id
from healthchain.records.keys import CompartmentKey, HeldKeys
from healthchain.records.members import list_members
from healthchain.records.patients import registered
from healthchain.records.sealing import new_key

# Another grant or revocation came in between: now there are other keys to seal, or other recipients.
OTHER_ENVELOPES = (Code.ENVELOPE_MISSING, Code.ENVELOPE_UNEXPECTED)


@dataclass(frozen=True, slots=True)
class Decision:
    """What the patient permits or denies, see `consents.Grant`; no compartments mean all that there are."""

    grantee: str  # MSP id
    purposes: tuple[Purpose, ...]
    actions: tuple[Action, ...]
    end_ms: int
    compartments: tuple[str, ...] = ()  # names
    decision: consents.Decision = consents.Decision.PERMIT
    role: Role | None = None
    person: str | None = None
    exceptions: tuple[str, ...] = ()
    later_compartments: bool = False


async def grant(speaker: Actor, decision: Decision, patient: str | None = None) -> str:
    """By the patient, or a guardian of `patient`: seal the compartments' keys, of all epochs, to the grantee.

    A denial seals nothing. Answers with the consent's id. Raises Refused or BadInput.
    """
    patient = patient or speaker.recipient

    async def attempt() -> str:
        chosen = _chosen(await keys.for_handing(speaker, patient), decision.compartments)
        recipients = await keys.public_keys(speaker, patient)
        consent = consents.Grant(
            id=random_id(),
            patient=patient,
            grantee=decision.grantee,
            compartments=tuple(sorted({one.compartment for one in chosen})),
            purposes=decision.purposes,
            actions=decision.actions,
            start_ms=now_ms(),
            end_ms=decision.end_ms,
            decision=decision.decision,
            role=decision.role,
            person=decision.person,
            exceptions=decision.exceptions,
            later_compartments=decision.later_compartments,
        )
        sealed = decision.decision is consents.Decision.PERMIT and decision.grantee in recipients
        pairs = [(decision.grantee, one) for one in chosen] if sealed else []
        envelopes = keys.seal_for(speaker.channel, patient, recipients, pairs)
        await speaker.submit("consents:Grant", consent, envelopes)
        return consent.id

    return await repeated_on_conflict(attempt, *OTHER_ENVELOPES)


async def revoke(
    speaker: Actor,
    patient: str | None = None,
    *,
    grantee: str | None = None,
    consent_ids: Sequence[str] = (),
    everything: bool = False,
) -> int:
    """End consents: their envelopes are purged, and new keys go to those who stay. Answers with the block's number.

    By the patient, or a guardian of `patient`. Raises Refused.
    """
    patient = patient or speaker.recipient
    chosen = revocation.PreviewRevoke(patient, tuple(consent_ids), grantee, everything)

    async def attempt() -> int:
        plan = (await speaker.ask("consents:PreviewRevoke", chosen, Rekeys)).rekeys
        envelopes = await _new_keys(speaker, patient, plan)
        revoking = revocation.Revoke(patient, chosen.consents, grantee, everything, _epochs(plan))
        return (await speaker.submit("consents:Revoke", revoking, envelopes)).block

    return await repeated_on_conflict(attempt, Code.EPOCH_WRONG, *OTHER_ENVELOPES)


async def rotate(holder: Actor, patient: str, compartments: Sequence[str] = ()) -> int:
    """Start a new key epoch of these compartments, or of those that are due. Answers with the block's number.

    By the patient, a guardian or the custodian's clinician. Raises Refused.
    """
    chosen = rekeying.PreviewRotate(patient=patient, compartments=tuple(compartments))

    async def attempt() -> int:
        plan = (await holder.ask("keys:PreviewRotate", chosen, Rekeys)).rekeys
        envelopes = await _new_keys(holder, patient, plan)
        rotating = rekeying.Rotate(patient, chosen.compartments, _epochs(plan))
        return (await holder.submit("keys:Rotate", rotating, envelopes)).block

    return await repeated_on_conflict(attempt, Code.EPOCH_WRONG, *OTHER_ENVELOPES)


async def add_compartment(holder: Actor, patient: str) -> str:
    """A further compartment; those get its key whose consent is for later compartments too. Answers with its id.

    By the patient, a guardian or the custodian's clinician. Raises Refused.
    """
    adding = contract_compartments.AddCompartment(patient=patient, compartment=random_id())

    async def attempt() -> str:
        asked = await holder.ask("patients:PreviewAddCompartment", adding, contract_compartments.Recipients)
        recipients = await keys.public_keys(holder, patient)
        index = len((await registered(holder, patient)).compartments)
        fresh = CompartmentKey(adding.compartment, 1, new_key(), index)
        pairs = [(one, fresh) for one in asked.recipients]
        envelopes = keys.seal_for(holder.channel, patient, recipients, pairs, must_open=False)
        await holder.submit("patients:AddCompartment", adding, envelopes)
        return adding.compartment

    return await repeated_on_conflict(attempt, *OTHER_ENVELOPES)


async def order(
    officer: Actor,
    patient: str,
    text: str,
    *,
    grantee: str | None = None,
    consent_ids: Sequence[str] = (),
    everything: bool = False,
) -> str:
    """A court's order that ends consents, recorded by the agency; answers with its id. Raises Refused.

    Its text is sealed to those who may fetch it: the custodian, the patient, guardians, agencies.
    """
    ordering = revocation.Order(patient, tuple(consent_ids), grantee, everything, id=random_id())
    listed = await list_members(officer)
    custodian = (await registered(officer, patient)).custodian
    strangers = {one.msp_id for one in listed if one.kind is not Kind.AGENCY and one.msp_id != custodian}
    known = await keys.public_keys(officer, patient)
    audience = {recipient: key for recipient, key in known.items() if recipient not in strangers}
    place = order_text(patient, ordering.id)
    sealed = officer.seal(place, audience, text.encode())
    await repeated_on_conflict(lambda: officer.submit("consents:Order", ordering, sealed))
    return ordering.id


async def text_of_order(actor: Actor, patient: str, order_id: str) -> str:
    """For those to whom it is sealed. Raises Refused or SealBroken."""
    asked = revocation.OrderText(patient=patient, id=order_id)
    return (await actor.fetch("consents:OrderText", asked, order_text(patient, order_id))).decode(errors="replace")


async def explain(
    actor: Actor,
    patient: str,
    purpose: Purpose,
    action: Action = Action.READ,
    subjects: Sequence[explaining.Subject] = (),
) -> list[explaining.Explained]:
    """Who could use the patient's compartments so, and why. Raises Refused."""
    asked = explaining.Explain(patient, purpose, action, tuple(subjects))
    return (await actor.ask("consents:Explain", asked, explaining.Explanation)).subjects


async def names_of_compartments(holder: Actor, patient: str) -> dict[str, str]:
    """Id -> name, which only holders of the keys know. Raises Refused."""
    held = sorted(await keys.for_handing(holder, patient), key=lambda one: one.index)
    return {one.compartment: name_of(one.index) for one in held}


async def list_consents(actor: Actor, patient: str) -> list[consents.Consent]:
    return (await actor.ask("consents:List", consents.List(patient=patient), consents.Consents)).consents


def _chosen(held: HeldKeys, names: Collection[str]) -> list[CompartmentKey]:
    """Of the compartments of these names, or of all. Raises BadInput."""
    known = [name_of(index) for index in sorted({one.index for one in held})]
    if not set(names) <= set(known):
        raise BadInput(f"there is no such compartment: choose from {', '.join(known)}")
    return [one for one in held if not names or name_of(one.index) in names]


async def _new_keys(holder: Actor, patient: str, plan: Collection[Rekey]) -> dict[str, bytes]:
    """Fresh keys of the next epochs, sealed to those who stay. Raises BadInput, see `_unknown_name`."""
    if not plan:
        return {}
    held = await keys.for_handing(holder, patient)
    recipients = await keys.public_keys(holder, patient)
    used = {one.index for one in held}
    pairs = []
    for one in plan:
        number = held.index(one.compartment)
        if number is None:
            number = _unknown_name(holder, used)
            used.add(number)
        fresh = CompartmentKey(one.compartment, one.epoch, new_key(), number)
        pairs += [(recipient, fresh) for recipient in one.recipients]
    return keys.seal_for(holder.channel, patient, recipients, pairs, must_open=False)


def _unknown_name(holder: Actor, used: Collection[int]) -> int:
    """For a compartment of which the holder can open no key: whoever sealed it badly must not stop a revocation.

    One of the further names, which classify nothing. A custodian would put records under it: it has to wait.
    """
    if holder.is_staff:
        raise BadInput("the hospital cannot open any key of a compartment: let the patient hand it over before")
    further_first: list[int] = [*range(len(NAMES), COMPARTMENTS_MAX), *range(len(NAMES))]
    return next(number for number in further_first if number not in used)


def _epochs(plan: Collection[Rekey]) -> dict[str, int]:
    return {one.compartment: one.epoch for one in plan}
