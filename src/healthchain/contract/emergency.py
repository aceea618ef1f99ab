"""Breaking the glass: a licensed clinician reads at once, with a reason, and somebody else reviews it by a due date.

An emergency is an access session of its own kind, under the same id. The custodian releases keys of single records
into it, never of compartments, so that what is written later stays closed and nothing needs a new key afterwards.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from msgspec.structs import asdict, replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import deciding, guardians, licences, messages, patients, sessions
from healthchain.contract.codes import Code, refusal
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import PERSONS, Arguments, Id, Kind, Milliseconds, Purpose, Result
from healthchain.contract.licences import Act
from healthchain.contract.members import Acting, acting
from healthchain.contract.patients import Patient, Use
from healthchain.contract.policies import Permission
from healthchain.contract.sessions import SESSIONS, Session, access, released_keys
from healthchain.contract.state import State, Table, emit


class Emergency(State, frozen=True):
    """Its session tells the rest. Until `justified` is set the review is pending, and due at due_ms."""

    user: str
    start_ms: int
    due_ms: int
    released_by: str | None = None
    released_ms: int | None = None
    justified: bool | None = None
    decided_by: str | None = None
    decided_ms: int | None = None


class PendingReview(State, frozen=True):
    due_ms: int


EMERGENCIES = Table("emergency", Emergency)  # patient, session
PENDING_REVIEWS = Table("pending-review", PendingReview)  # user, patient, session


class Open(Arguments, frozen=True):
    id: Id
    patient: Id
    end_ms: Milliseconds
    compartments: Annotated[tuple[Id, ...], Meta(max_length=100)] = ()


class Opened(Result, frozen=True):
    compartments: tuple[str, ...]
    due_ms: int


def open_emergency(stub: Stub, arguments: Open) -> Opened:
    """By a licensed clinician with no overdue review. Transient: the reason, see `reason_message`."""
    gate = acting(stub, Permission.BREAK_GLASS)
    licences.require(stub, Act.EMERGENCY)
    patient = patients.allowing(stub, arguments.patient, Use.READ)
    sessions.require_end(stub, arguments.end_ms, stub.timestamp_ms + gate.policies.break_glass_ms_max)
    patients.require_compartments(patient, arguments.compartments)
    sessions.require_new(stub, arguments.patient, arguments.id)
    if any(pending.due_ms <= stub.timestamp_ms for _, pending in PENDING_REVIEWS.scan(stub, gate.user)):
        raise refusal(Code.REVIEW_OVERDUE)
    permitted = deciding.emergency_compartments(stub, arguments.patient, patient)
    scope = tuple(sorted(permitted.intersection(arguments.compartments or permitted)))
    if not scope:
        raise refusal(Code.CONSENT_MISSING)
    messages.store(stub, {reason_message(arguments.patient, arguments.id)})
    session = Session(
        user=gate.user,
        role=gate.role,
        patient=arguments.patient,
        purpose=Purpose.ETREAT,
        compartments=scope,
        start_ms=stub.timestamp_ms,
        end_ms=arguments.end_ms,
        emergency=True,
    )
    due_ms = stub.timestamp_ms + gate.policies.break_glass_review_ms
    SESSIONS.put(stub, session, arguments.patient, arguments.id)
    EMERGENCIES.put(stub, Emergency(gate.user, stub.timestamp_ms, due_ms), arguments.patient, arguments.id)
    PENDING_REVIEWS.put(stub, PendingReview(due_ms), gate.user, arguments.patient, arguments.id)
    emit(stub, "emergency:Opened", arguments.patient, (arguments.id,))
    return Opened(scope, due_ms)


def reason_message(patient_id: str, session_id: str) -> str:
    """In MESSAGES: sealed to the custodian, the patient, the clinician's organisation and every agency."""
    return messages.message_key("emergency", patient_id, session_id, "reason")


class Release(Arguments, frozen=True):
    id: Id
    patient: Id


def release(stub: Stub, arguments: Release) -> None:
    """By the custodian's staff while the session runs; again for what was written since.

    Transient: the keys of records in scope, sealed to the clinician's organisation, see `sessions.released_keys`.
    """
    gate = acting(stub, Permission.RELEASE_KEYS)
    patient = patients.allowing(stub, arguments.patient, Use.READ)
    if gate.caller.msp_id != patient.custodian:
        raise refusal(Code.NOT_THE_CUSTODIAN)
    emergency, session = _emergency(stub, arguments.patient, arguments.id)
    if session.is_over(stub.timestamp_ms):
        raise refusal(Code.SESSION_ENDED)
    messages.store(stub, {released_keys(arguments.patient, arguments.id)})
    released = replace(emergency, released_by=gate.user, released_ms=stub.timestamp_ms)
    EMERGENCIES.put(stub, released, arguments.patient, arguments.id)
    emit(stub, "emergency:Released", arguments.patient, (arguments.id,))


class Waiting(Arguments, frozen=True):
    pass


class WaitingEmergency(Result, frozen=True):
    """`recipient` is the clinician's organisation; it waits for keys of records in these compartments."""

    patient: str
    id: str
    recipient: str
    compartments: tuple[str, ...]


class WaitingEmergencies(Result, frozen=True):
    emergencies: list[WaitingEmergency]


def waiting(stub: Stub, arguments: Waiting) -> WaitingEmergencies:
    """Of the caller's own patients: sessions of other organisations that run and have no keys yet."""
    gate = acting(stub, Permission.RELEASE_KEYS)
    found = []
    for (user, patient_id, session_id), _ in PENDING_REVIEWS.scan(stub):
        recipient = user.split("/", 1)[0]
        custodian = patients.registered(stub, patient_id).custodian
        emergency, session = _emergency(stub, patient_id, session_id)
        wanted = emergency.released_ms is None and not session.is_over(stub.timestamp_ms)
        if wanted and custodian == gate.caller.msp_id and custodian != recipient:
            found.append(WaitingEmergency(patient_id, session_id, recipient, session.compartments))
    return WaitingEmergencies(found)


class Keys(Arguments, frozen=True):
    id: Id
    patient: Id


class Sealed(Result, frozen=True):
    ciphertext: bytes


def keys(stub: Stub, arguments: Keys) -> Sealed:
    """What the custodian released, for the session's user while it lasts; MESSAGE_UNKNOWN until then."""
    access(stub, arguments.patient, arguments.id)
    _emergency(stub, arguments.patient, arguments.id)
    return Sealed(messages.fetch(stub, released_keys(arguments.patient, arguments.id)))


class Reason(Arguments, frozen=True):
    id: Id
    patient: Id


def reason(stub: Stub, arguments: Reason) -> Sealed:
    """For those to whom it is sealed."""
    gate = acting(stub)
    patient = patients.registered(stub, arguments.patient)
    emergency, _ = _emergency(stub, arguments.patient, arguments.id)
    if gate.caller.msp_id != emergency.user.split("/", 1)[0] or gate.role in PERSONS:
        _require_audience(stub, gate, arguments.patient, patient)
    return Sealed(messages.fetch(stub, reason_message(arguments.patient, arguments.id)))


class Review(Arguments, frozen=True):
    id: Id
    patient: Id
    justified: bool


def review(stub: Stub, arguments: Review) -> None:
    """Once, by those who know the reason: the custodian or an agency, of another organisation than the clinician's.

    A session that still runs ends with it; the released keys are purged.
    """
    gate = acting(stub, Permission.REVIEW_BREAK_GLASS)
    patient = patients.registered(stub, arguments.patient)
    emergency, session = _emergency(stub, arguments.patient, arguments.id)
    _require_other(gate, patient, emergency)
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


def _require_other(gate: Acting, patient: Patient, emergency: Emergency) -> None:
    """Somebody who knows the reason, and is not of the clinician's own organisation."""
    knows = gate.member.kind is Kind.AGENCY or gate.caller.msp_id == patient.custodian
    if not knows or gate.caller.msp_id == emergency.user.split("/", 1)[0]:
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


def purge(stub: Stub, patient_id: str) -> None:
    """All that is sealed of this patient's emergencies."""
    ids = [session_id for (_, session_id), _ in EMERGENCIES.scan(stub, patient_id)]
    messages.purge(stub, [make(patient_id, one) for one in ids for make in (reason_message, released_keys)])


def _emergency(stub: Stub, patient_id: str, session_id: str) -> tuple[Emergency, Session]:
    emergency = EMERGENCIES.get(stub, patient_id, session_id)
    if emergency is None:
        raise refusal(Code.EMERGENCY_UNKNOWN)
    session = SESSIONS.get(stub, patient_id, session_id)
    assert session is not None, "both were opened at once"
    return emergency, session


def _listed(stub: Stub, patient_id: str, session_id: str) -> ListedEmergency:
    emergency, session = _emergency(stub, patient_id, session_id)
    return ListedEmergency(
        id=session_id,
        patient=patient_id,
        organisation=emergency.user.split("/", 1)[0],
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
