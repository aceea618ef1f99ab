"""Claims at the payer: checked, asked about, decided line by line, paid; and commitments opened in a dispute."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from healthchain.contract import claim_reading, claims, claims_due, commitments
from healthchain.contract.claim_states import Outcome
from healthchain.contract.codes import Code
from healthchain.contract.commitments import Part
from healthchain.errors import BadInput, Refused
from healthchain.records.actor import Actor
from healthchain.records.claim_sealing import take_step
from healthchain.records.claim_texts import ExplainedLine, Explanation, Opening, Payment, new_opening, new_salt
from healthchain.records.claiming import body_of, explanation_of, get
from healthchain.records.fhir_claims import CARC, ItemDecision, Money, explanation
from healthchain.records.reading import Content
from healthchain.records.sealing import Binding, SealBroken, open_record


async def attached_records(payer: Actor, patient: str, claim_id: str, line: int) -> list[Content]:
    """The records of this line that were not erased since. Raises Refused, SealBroken or ClaimFalse."""
    (body_line,) = [one for one in (await body_of(payer, patient, claim_id)).lines if one.number == line]
    record_keys = {(one.record, one.version): one for one in body_line.keys}
    asked = claim_reading.Records(id=claim_id, patient=patient, line=line)
    found = (await payer.ask("claims:Records", asked, claim_reading.AttachedRecords)).records
    opened = []
    for one in found:
        if one.body is not None:
            key = record_keys.get((one.record, one.version))
            if key is None:
                raise SealBroken
            place = (one.record, one.version, key.compartment, key.epoch, key.custodian)
            opened.append(_content(open_record(key.key, Binding(payer.channel, patient, *place), one.body)))
    return opened


async def request_information(payer: Actor, patient: str, claim_id: str, question: str) -> None:
    shown = await get(payer, patient, claim_id)
    step = claims.RequestInformation(id=claim_id, patient=patient)
    await take_step(payer, shown, step, "claims:RequestInformation", f"request-{shown.requests + 1}", question)


async def adjudicate(payer: Actor, patient: str, claim_id: str, decisions: Sequence[ItemDecision]) -> None:
    """Every line: what is paid of it, and why no more. Raises Refused, ClaimFalse or BadInput."""
    shown = await get(payer, patient, claim_id)
    body = await body_of(payer, patient, claim_id)
    billed = {one.number: one.billed.amount for one in body.lines}
    if sorted(one.number for one in decisions) != sorted(billed):
        raise BadInput("decide on every line of the claim, once")
    decided, explained = [], []
    for one in decisions:
        outcome = _outcome(billed[one.number], one)
        paid = None if outcome is Outcome.DENIED else new_opening(one.paid)
        line = ExplainedLine(one.number, paid, one.carc, new_salt())
        explained.append(line)
        amount = paid.commitment(patient, claim_id, Part.PAID, one.number) if paid else None
        reason = commitments.reason(patient, claim_id, one.number, one.carc, line.salt) if one.carc else None
        decided.append(claims.Decided(line=one.number, outcome=outcome, amount=amount, reason=reason))
    text = Explanation(explanation(body.resource, decisions), tuple(explained))
    step = claims.Adjudicate(id=claim_id, patient=patient, decisions=tuple(decided))
    await take_step(payer, shown, step, "claims:Adjudicate", f"explanation-{shown.adjudications + 1}", text)


async def settle(payer: Actor, patient: str, claim_id: str) -> Money:
    """Pay what the last explanation says; answers with it. Raises Refused."""
    shown = await get(payer, patient, claim_id)
    lines = (await explanation_of(payer, patient, claim_id)).lines if shown.adjudications else ()
    paid = [one.paid.amount for one in lines if one.paid is not None]
    if not paid:
        raise Refused(Code.CLAIM_STATE, Code.CLAIM_STATE.meaning)
    amount = Money(sum(one.minor for one in paid), paid[0].currency)
    opening = new_opening(amount)
    step = claims.Settle(id=claim_id, patient=patient, amount=opening.commitment(patient, claim_id, Part.SETTLED))
    await take_step(payer, shown, step, "claims:Settle", f"settlement-{shown.adjudications}", Payment(opening))
    return amount


async def due(actor: Actor) -> list[claims_due.ListedDue]:
    """What waits for this payer, or for any payer as the agency sees it; the longest overdue first."""
    return (await actor.ask("claims:Due", claims_due.Due(), claims_due.Listed)).due


async def holds(
    actor: Actor, patient: str, claim_id: str, part: Part, opening: Opening, line: int | None = None
) -> bool:
    """Whether the ledger has a commitment to this amount. By a party, or the agency that settles their dispute."""
    asked = claim_reading.OpenAmount(
        id=claim_id,
        patient=patient,
        part=part,
        amount=opening.minor,
        currency=opening.currency,
        salt=opening.salt,
        line=line,
    )
    return (await actor.ask("claims:OpenAmount", asked, claim_reading.Opened)).holds


def _outcome(billed: Money, decision: ItemDecision) -> Outcome:
    if decision.paid.currency != billed.currency or decision.paid.minor > billed.minor:
        raise BadInput("a line is paid in the currency it was billed in, and not more than that")
    if decision.paid.minor < billed.minor and not CARC.fullmatch(decision.carc):
        raise BadInput("what is not paid in full has a reason: a CARC like 45")
    if decision.paid.minor == billed.minor:
        if decision.carc:
            raise BadInput("what is paid in full needs no reason")
        return Outcome.APPROVED
    return Outcome.REDUCED if decision.paid.minor else Outcome.DENIED


def _content(plain: bytes) -> Content:
    try:
        return msgspec.json.decode(plain, type=Content)
    except (UnicodeDecodeError, msgspec.DecodeError):
        raise SealBroken from None
