"""Coverages and prior authorisations: what a payer agreed to before a claim, sealed to those concerned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from healthchain.contract import authorisations, coverage
from healthchain.contract.codes import Code
from healthchain.errors import Refused
from healthchain.records.actor import Actor, repeated_on_conflict
from healthchain.records.claim_sealing import sealed_to_parties
from healthchain.records.keyring import random_id
from healthchain.records.patients import registered


@dataclass(frozen=True, slots=True)
class Period:
    """From start_ms (inclusive) to end_ms (exclusive)."""

    start_ms: int
    end_ms: int


async def enrol(payer: Actor, patient: str, plan: str, period: Period, rank: int = 1) -> str:
    """Cover a patient; `plan` is sealed to payer, custodian and patient. Answers with the coverage's id."""
    enrolling = coverage.Enrol(
        id=random_id(), patient=patient, start_ms=period.start_ms, end_ms=period.end_ms, rank=rank
    )
    place = coverage.body_message(patient, enrolling.id)
    parties = (payer.recipient, (await registered(payer, patient)).custodian)
    sealed = await sealed_to_parties(payer, patient, parties, place, plan)
    await repeated_on_conflict(partial(payer.submit, "coverage:Enrol", enrolling, sealed))
    return enrolling.id


async def coverages(actor: Actor, patient: str) -> list[coverage.ListedCoverage]:
    """By rank, as far as the actor sees them."""
    return (await actor.ask("coverage:List", coverage.List(patient=patient), coverage.Coverages)).coverages


async def payer_of(hospital: Actor, patient: str, coverage_id: str) -> str:
    found = [one.payer for one in await coverages(hospital, patient) if one.id == coverage_id]
    if not found:
        raise Refused(Code.COVERAGE_UNKNOWN, Code.COVERAGE_UNKNOWN.meaning)
    return found[0]


async def ask_authorisation(hospital: Actor, patient: str, coverage_id: str, what: str) -> str:
    """Before treating; answers with the authorisation's id."""
    asking = authorisations.Request(id=random_id(), patient=patient, coverage=coverage_id)
    payer = await payer_of(hospital, patient, coverage_id)
    place = authorisations.message(patient, asking.id, authorisations.Text.REQUEST)
    sealed = await sealed_to_parties(hospital, patient, (hospital.recipient, payer), place, what)
    await repeated_on_conflict(partial(hospital.submit, "authorisations:Request", asking, sealed))
    return asking.id


async def answer_authorisation(payer: Actor, patient: str, asked: str, text: str, granted: Period | None) -> None:
    """Granted for services of a period, or refused."""
    start_ms, end_ms = (granted.start_ms, granted.end_ms) if granted else (0, 0)
    answering = authorisations.Answer(
        id=asked, patient=patient, granted=granted is not None, start_ms=start_ms, end_ms=end_ms
    )
    listing = authorisations.List(patient=patient)
    known = await payer.ask("authorisations:List", listing, authorisations.Authorisations)
    hospital = next((one.hospital for one in known.authorisations if one.id == asked), payer.recipient)
    place = authorisations.message(patient, asked, authorisations.Text.ANSWER)
    sealed = await sealed_to_parties(payer, patient, (payer.recipient, hospital), place, text)
    await repeated_on_conflict(partial(payer.submit, "authorisations:Answer", answering, sealed))
