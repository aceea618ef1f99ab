"""What becomes of a broken glass: its reason read, its review decided, all of them listed.

Whoever cannot read the reason cannot judge it, and nobody judges their own colleague.
"""

from __future__ import annotations

from msgspec.structs import asdict, replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import guardians, messages, patients, sessions
from healthchain.contract.codes import Code, refusal
from healthchain.contract.emergency import (
    EMERGENCIES,
    PENDING_REVIEWS,
    Emergency,
    found_emergency,
    reason_message,
)
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import PERSONS, Arguments, Id, Kind, Result
from healthchain.contract.members import Acting, acting, organisation_of
from healthchain.contract.patients import Patient
from healthchain.contract.policies import Permission
from healthchain.contract.sessions import released_keys
from healthchain.contract.state import emit


class Reason(Arguments, frozen=True):
    id: Id
    patient: Id


def reason(stub: Stub, arguments: Reason) -> messages.Sealed:
    """For those to whom it is sealed."""
    gate = acting(stub)
    patient = patients.registered(stub, arguments.patient)
    emergency, _ = found_emergency(stub, arguments.patient, arguments.id)
    knowing = (organisation_of(emergency.user), emergency.custodian)
    if gate.role in PERSONS:
        guardians.require_speaker(stub, arguments.patient, patient, Scope.READ)
    elif gate.member.kind is not Kind.AGENCY and gate.caller.msp_id not in knowing:
        raise refusal(Code.EMERGENCY_FORBIDDEN)
    return messages.fetch(stub, reason_message(arguments.patient, arguments.id))


class Review(Arguments, frozen=True):
    id: Id
    patient: Id
    justified: bool


def review(stub: Stub, arguments: Review) -> None:
    """Once, by an agency or who was custodian at the opening, if the clinician is of another organisation.

    A session that still runs ends with it; the released keys are purged.
    """
    gate = acting(stub, Permission.REVIEW_BREAK_GLASS)
    emergency, session = found_emergency(stub, arguments.patient, arguments.id)
    _require_other(gate, emergency)
    if emergency.justified is not None:
        raise refusal(Code.REVIEW_DECIDED)
    if session.is_over(stub.timestamp_ms):
        messages.purge(stub, [released_keys(arguments.patient, arguments.id)])
    else:
        sessions.end(stub, session, arguments.id)
    decided = replace(emergency, justified=arguments.justified, decided_by=gate.user, decided_ms=stub.timestamp_ms)
    EMERGENCIES.put(stub, decided, arguments.patient, arguments.id)
    PENDING_REVIEWS.delete(stub, emergency.user, arguments.patient, arguments.id)
    emit(stub, "emergency:Reviewed", arguments.patient, (arguments.id,))


def _require_other(gate: Acting, emergency: Emergency) -> None:
    """Somebody who knows the reason, and is not of the clinician's own organisation."""
    knows = gate.member.kind is Kind.AGENCY or gate.caller.msp_id == emergency.custodian
    if not knows or gate.caller.msp_id == organisation_of(emergency.user):
        raise refusal(Code.REVIEW_FORBIDDEN)


class List(Arguments, frozen=True):
    patient: Id


class ListedEmergency(Emergency, frozen=True, kw_only=True):
    id: str
    patient: str
    organisation: str
    end_ms: int
    closed_ms: int | None
    overdue: bool


class Emergencies(Result, frozen=True):
    emergencies: list[ListedEmergency]


def list_emergencies(stub: Stub, arguments: List) -> Emergencies:
    """For the patient, guardians, the custodian and agencies; in order of time."""
    gate = acting(stub)
    patient = patients.registered(stub, arguments.patient)
    _require_audience(stub, gate, arguments.patient, patient)
    found = [_listed(stub, patient_id, one) for (patient_id, one), _ in EMERGENCIES.scan(stub, arguments.patient)]
    return Emergencies(sorted(found, key=lambda one: (one.start_ms, one.id)))


class Queue(Arguments, frozen=True):
    pass


def queue(stub: Stub, arguments: Queue) -> Emergencies:
    """For the agency: every pending review, the longest overdue first."""
    acting(stub, Permission.OVERSEE)
    found = [_listed(stub, patient_id, one) for (_, patient_id, one), _ in PENDING_REVIEWS.scan(stub)]
    return Emergencies(sorted(found, key=lambda one: (one.due_ms, one.patient, one.id)))


def _listed(stub: Stub, patient_id: str, session_id: str) -> ListedEmergency:
    emergency, session = found_emergency(stub, patient_id, session_id)
    return ListedEmergency(
        id=session_id,
        patient=patient_id,
        organisation=organisation_of(emergency.user),
        end_ms=session.end_ms,
        closed_ms=session.closed_ms,
        overdue=emergency.justified is None and emergency.due_ms <= stub.timestamp_ms,
        **asdict(emergency),
    )


def _require_audience(stub: Stub, gate: Acting, patient_id: str, patient: Patient) -> None:
    if gate.role in PERSONS:
        guardians.require_speaker(stub, patient_id, patient, Scope.READ)
    elif gate.member.kind is not Kind.AGENCY and gate.caller.msp_id != patient.custodian:
        raise refusal(Code.EMERGENCY_FORBIDDEN)
