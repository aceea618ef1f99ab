"""Claims at the hospital and the patient: submitted, looked at, answered, withdrawn, appealed.

A claim's body, explanations and texts are sealed to the hospital, the payer and the patient. See `claim_payer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from healthchain.contract import billing, claim_reading, claims, commitments
from healthchain.contract.claim_reading import ListedClaim, ShownClaim
from healthchain.contract.claims import message
from healthchain.contract.codes import Code
from healthchain.contract.commitments import Part
from healthchain.contract.ids import Purpose
from healthchain.errors import BadInput, Refused
from healthchain.records.actor import Actor, repeated_on_conflict
from healthchain.records.claim_sealing import fetched, opened, sealed_to_parties, take_step
from healthchain.records.claim_texts import (
    Body,
    BodyLine,
    Explanation,
    RecordKey,
    check,
    check_explanation,
    new_opening,
    token,
)
from healthchain.records.coverage import payer_of
from healthchain.records.fhir_claims import ClaimItem, ParsedClaim
from healthchain.records.importing import Custodian
from healthchain.records.keyring import random_id
from healthchain.records.reading import session


@dataclass(frozen=True, slots=True)
class ClaimOptions:
    """`attached` are further records, by the URLs that they were imported under: they go with the first line."""

    coverage: str
    authorisation: str | None = None
    primary: str | None = None
    attached: tuple[str, ...] = ()


async def submit(hospital: Custodian, patient: str, claim: ParsedClaim, options: ClaimOptions) -> str:
    """Bill these items of encounters that this hospital imported; answers with the claim's id.

    Each line has the encounter's own record attached. Raises Refused, or BadInput for a record that is not there.
    """
    actor, claim_id = hospital.actor, random_id()
    attached = await _attachable(hospital, patient, claim.items, options.attached)
    occurrences: Counter[tuple[str, str]] = Counter()
    lines, body_lines = [], []
    for index, item in enumerate(claim.items):
        record = _record_id(hospital, patient, item.encounter)
        await _bind(hospital, patient, record)
        occurrences[record, item.service] += 1
        urls = (item.encounter, *(options.attached if index == 0 else ()))
        body_line = BodyLine(
            number=item.number,
            service=item.service,
            occurrence=occurrences[record, item.service],
            secret=hospital.keyring.encounter_secret(patient, record),
            billed=new_opening(item.billed),
            keys=tuple(attached[url] for url in dict.fromkeys(urls)),
        )
        body_lines.append(body_line)
        lines.append(_line(patient, claim_id, record, body_line, options.authorisation))
    total = new_opening(claim.total)
    submitting = claims.Submit(
        id=claim_id,
        patient=patient,
        coverage=options.coverage,
        lines=tuple(lines),
        total=total.commitment(patient, claim_id, Part.TOTAL),
        primary=options.primary,
    )
    payer = await payer_of(actor, patient, options.coverage)
    body = Body(claim.resource, tuple(body_lines), total)
    place = message(patient, claim_id, "body")
    sealed = await sealed_to_parties(actor, patient, (actor.recipient, payer), place, body)
    await repeated_on_conflict(partial(actor.submit, "claims:Submit", submitting, sealed))
    return claim_id


async def get(actor: Actor, patient: str, claim_id: str) -> ShownClaim:
    return await actor.ask("claims:Get", claim_reading.Get(id=claim_id, patient=patient), ShownClaim)


async def list_claims(actor: Actor, patient: str) -> list[ListedClaim]:
    return (await actor.ask("claims:List", claim_reading.List(patient=patient), claim_reading.Claims)).claims


async def body_of(actor: Actor, patient: str, claim_id: str) -> Body:
    """By one of its parties, checked against the ledger. Raises Refused, SealBroken or ClaimFalse."""
    shown = await get(actor, patient, claim_id)
    body = await opened(actor, patient, claim_id, "body", Body)
    check(patient, shown, body)
    return body


async def explanation_of(actor: Actor, patient: str, claim_id: str) -> Explanation:
    """The last one, checked against the ledger. Raises Refused, SealBroken or ClaimFalse."""
    shown = await get(actor, patient, claim_id)
    explained = await opened(actor, patient, claim_id, f"explanation-{shown.adjudications}", Explanation)
    check_explanation(patient, shown, explained)
    return explained


async def text_of(actor: Actor, patient: str, claim_id: str, name: str) -> str:
    """A question, an answer or an appeal, as `request-1`. Raises Refused or SealBroken."""
    return (await fetched(actor, patient, claim_id, name)).decode(errors="replace")


async def answer(hospital: Actor, patient: str, claim_id: str, text: str) -> None:
    shown = await get(hospital, patient, claim_id)
    step = claims.Answer(id=claim_id, patient=patient)
    await take_step(hospital, shown, step, "claims:Answer", f"answer-{shown.requests}", text)


async def withdraw(hospital: Actor, patient: str, claim_id: str) -> None:
    step = claims.Withdraw(id=claim_id, patient=patient)
    await repeated_on_conflict(partial(hospital.submit, "claims:Withdraw", step))


async def appeal(claimant: Actor, patient: str, claim_id: str, why: str) -> None:
    """By the hospital or the patient."""
    shown = await get(claimant, patient, claim_id)
    await take_step(claimant, shown, claims.Appeal(id=claim_id, patient=patient), "claims:Appeal", "appeal-1", why)


def _record_id(hospital: Custodian, patient: str, url: str) -> str:
    return hospital.keyring.opaque_id("record", patient, url)


async def _attachable(
    hospital: Custodian, patient: str, items: Sequence[ClaimItem], further: Sequence[str]
) -> Mapping[str, RecordKey]:
    """URL -> the key of that record's current version alone."""
    urls = {*(one.encounter for one in items), *further}
    found = {}
    async with session(hospital.actor, patient, Purpose.HOPERAT) as reading:
        headers = {one.id: one for one in await reading.headers()}
        for url in sorted(urls):
            header = headers.get(_record_id(hospital, patient, url))
            sealer = reading.keys.sealer(header.compartment, header.epoch) if header else None
            if header is None or sealer is None:
                raise BadInput("the claim refers to an encounter or record that this hospital has not imported")
            place = (header.id, header.version, header.compartment, header.epoch, header.custodian)
            found[url] = RecordKey(*place, sealer.record_key(header.id, header.version))
    return found


async def _bind(hospital: Custodian, patient: str, record: str) -> None:
    """Commit to the encounter's secret, unless that was done."""
    commitment = commitments.secret(patient, record, hospital.keyring.encounter_secret(patient, record))
    binding = billing.BindEncounter(patient=patient, record=record, commitment=commitment)
    try:
        await repeated_on_conflict(partial(hospital.actor.submit, "claims:BindEncounter", binding))
    except Refused as refused:
        if refused.code != Code.ENCOUNTER_BOUND:
            raise


def _line(patient: str, claim_id: str, record: str, line: BodyLine, authorisation: str | None) -> claims.ClaimedLine:
    return claims.ClaimedLine(
        number=line.number,
        token=token(line.secret, line.service, line.occurrence),
        amount=line.billed.commitment(patient, claim_id, Part.BILLED, line.number),
        encounter=record,
        records=tuple(claims.Attached(record=one.record, version=one.version) for one in line.keys),
        authorisation=authorisation,
    )
