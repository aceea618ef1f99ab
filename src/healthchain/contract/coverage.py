"""Coverages: who pays for a patient, when, and in which order. Plan and subscriber are sealed."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from msgspec.structs import asdict, replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import deciding, guardians, messages, parties, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import PERSONS, Action, Arguments, Id, Kind, Milliseconds, Purpose, Result
from healthchain.contract.members import Acting, acting
from healthchain.contract.patients import Patient
from healthchain.contract.policies import Permission
from healthchain.contract.state import State, Table, emit

Rank = Annotated[int, Meta(ge=1, le=9)]


class Coverage(State, frozen=True):
    """From start_ms (inclusive) to end_ms (exclusive). Rank 1 pays first, 2 pays of what is left, and so on."""

    payer: str
    rank: int
    start_ms: int
    end_ms: int
    by: str
    time_ms: int
    ended_by: str | None = None

    def covers(self, time_ms: int) -> bool:
        return self.start_ms <= time_ms < self.end_ms


COVERAGES = Table("coverage", Coverage)  # patient, coverage


class Enrol(Arguments, frozen=True):
    id: Id
    patient: Id
    start_ms: Milliseconds
    end_ms: Milliseconds
    rank: Rank = 1


def enrol(stub: Stub, arguments: Enrol) -> None:
    """By the payer. Transient: plan and subscriber, see `body_message`."""
    gate = acting(stub, Permission.COVER)
    patients.active(stub, arguments.patient)
    if not max(arguments.start_ms, stub.timestamp_ms) < arguments.end_ms:
        raise refusal(Code.PERIOD_INVALID)
    if COVERAGES.get(stub, arguments.patient, arguments.id) is not None:
        raise refusal(Code.COVERAGE_EXISTS)
    messages.store(stub, {body_message(arguments.patient, arguments.id)})
    coverage = Coverage(
        payer=gate.caller.msp_id,
        rank=arguments.rank,
        start_ms=arguments.start_ms,
        end_ms=arguments.end_ms,
        by=gate.user,
        time_ms=stub.timestamp_ms,
    )
    COVERAGES.put(stub, coverage, arguments.patient, arguments.id)
    emit(stub, "coverage:Enrolled", arguments.patient, (arguments.id,))


def body_message(patient_id: str, coverage_id: str) -> str:
    """In MESSAGES: sealed to the payer, the custodian and the patient."""
    return messages.message_key("coverage", patient_id, coverage_id, "body")


class End(Arguments, frozen=True):
    id: Id
    patient: Id


def end(stub: Stub, arguments: End) -> None:
    """By the payer, at once; what was treated before stays covered."""
    gate = acting(stub, Permission.COVER)
    coverage = known(stub, arguments.patient, arguments.id)
    parties.require_member(gate, coverage.payer)
    if stub.timestamp_ms >= coverage.end_ms:
        raise refusal(Code.COVERAGE_OVER)
    ended = replace(coverage, end_ms=max(coverage.start_ms, stub.timestamp_ms), ended_by=gate.user)
    COVERAGES.put(stub, ended, arguments.patient, arguments.id)
    emit(stub, "coverage:Ended", arguments.patient, (arguments.id,))


def known(stub: Stub, patient_id: str, coverage_id: str) -> Coverage:
    return COVERAGES.require(stub, Code.COVERAGE_UNKNOWN, patient_id, coverage_id)


def purge(stub: Stub, patient_id: str) -> None:
    """All bodies, when the patient is erased. Claims keep theirs until the payer is done and the time is over."""
    messages.purge(stub, [body_message(patient_id, one) for (_, one), _ in COVERAGES.scan(stub, patient_id)])


class List(Arguments, frozen=True):
    patient: Id


class ListedCoverage(Coverage, frozen=True, kw_only=True):
    id: str


class Coverages(Result, frozen=True):
    coverages: list[ListedCoverage]


def list_coverages(stub: Stub, arguments: List) -> Coverages:
    """By rank: all for the patient, guardians and a hospital that treats; a payer sees its own."""
    gate = acting(stub)
    patient = patients.registered(stub, arguments.patient)
    is_payer = gate.member.kind is Kind.INSURER
    if not is_payer:
        _require_treating(stub, gate, arguments.patient, patient)
    found = [
        ListedCoverage(id=coverage, **asdict(one))
        for (_, coverage), one in COVERAGES.scan(stub, arguments.patient)
        if not is_payer or one.payer == gate.caller.msp_id
    ]
    return Coverages(sorted(found, key=lambda one: (one.rank, one.id)))


def _require_treating(stub: Stub, gate: Acting, patient_id: str, patient: Patient) -> None:
    """The custodian, or a hospital that a consent lets read for payment."""
    if gate.role in PERSONS:
        guardians.require_speaker(stub, patient_id, patient, Scope.CLAIMS)
    elif gate.caller.msp_id != patient.custodian and (
        gate.member.kind is not Kind.HOSPITAL
        or not deciding.permitted(stub, patient_id, patient, Action.READ, Purpose.HPAYMT)
    ):
        raise refusal(Code.CLAIM_PARTY)


class Body(Arguments, frozen=True):
    id: Id
    patient: Id


def body(stub: Stub, arguments: Body) -> messages.Sealed:
    """For those to whom it is sealed."""
    gate = acting(stub)
    patient = patients.registered(stub, arguments.patient)
    coverage = known(stub, arguments.patient, arguments.id)
    parties.require(stub, gate, arguments.patient, patient.custodian, coverage.payer)
    return messages.fetch(stub, body_message(arguments.patient, arguments.id))
