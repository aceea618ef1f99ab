"""Breaking the glass: a licensed clinician reads at once, with a reason, and a review falls due (`reviews`).

An emergency is an access session of its own kind, under the same id. The custodian releases keys of single records
into it, never of compartments, so that what is written later stays closed and nothing needs a new key afterwards.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from healthchain.chaincode.membership import Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract import deciding, licences, messages, patients, sessions
from healthchain.contract.codes import Code, refusal
from healthchain.contract.guardians import GUARDIANS, Scope
from healthchain.contract.ids import Arguments, Id, Kind, Milliseconds, Purpose, Result
from healthchain.contract.licences import Act
from healthchain.contract.members import MEMBER_KEYS, MEMBERS, acting, organisation_of
from healthchain.contract.patients import ALLOWED, PATIENT_KEYS, Use
from healthchain.contract.policies import Permission
from healthchain.contract.sessions import SESSIONS, Session, access, released_keys
from healthchain.contract.state import State, Table, emit


class Emergency(State, frozen=True):
    """Its session tells the rest. Until `justified` is set the review is pending, and due at due_ms."""

    user: str
    custodian: str  # at the opening, who knows the reason
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
    opened = Emergency(gate.user, patient.custodian, stub.timestamp_ms, due_ms)
    EMERGENCIES.put(stub, opened, arguments.patient, arguments.id)
    PENDING_REVIEWS.put(stub, PendingReview(due_ms), gate.user, arguments.patient, arguments.id)
    emit(stub, "emergency:Opened", arguments.patient, (arguments.id,))
    return Opened(scope, due_ms)


def reason_message(patient_id: str, session_id: str) -> str:
    """In MESSAGES: sealed to its `audience`."""
    return messages.message_key("emergency", patient_id, session_id, "reason")


class Audience(Arguments, frozen=True):
    patient: Id


class Recipients(Result, frozen=True):
    public_keys: dict[str, bytes]


def audience(stub: Stub, arguments: Audience) -> Recipients:
    """To whom the caller's reason is sealed: patient, guardians who read, custodian, own organisation, agencies."""
    gate = acting(stub, Permission.BREAK_GLASS)
    patient = patients.allowing(stub, arguments.patient, Use.READ)
    found = {}
    for (msp_id,), member in MEMBERS.scan(stub):
        concerned = member.kind is Kind.AGENCY or msp_id in (patient.custodian, gate.caller.msp_id)
        key = MEMBER_KEYS.get(stub, msp_id)
        if concerned and member.standing is not Standing.REMOVED and key is not None:
            found[msp_id] = key.public_key
    for (_, guardian), one in GUARDIANS.scan(stub, arguments.patient):
        if Scope.READ in one.scopes and one.in_force(stub.timestamp_ms):
            found[guardian] = one.public_key
    if own := PATIENT_KEYS.get(stub, arguments.patient):
        found[arguments.patient] = own.public_key
    return Recipients(found)


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
    emergency, session = found_emergency(stub, arguments.patient, arguments.id)
    if session.is_over(stub.timestamp_ms) or emergency.justified is not None:
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
        recipient = organisation_of(user)
        patient = patients.registered(stub, patient_id)
        emergency, session = found_emergency(stub, patient_id, session_id)
        runs = Use.READ in ALLOWED[patient.status] and not session.is_over(stub.timestamp_ms)
        wanted = runs and emergency.released_ms is None
        if wanted and patient.custodian == gate.caller.msp_id and patient.custodian != recipient:
            found.append(WaitingEmergency(patient_id, session_id, recipient, session.compartments))
    return WaitingEmergencies(found)


class Keys(Arguments, frozen=True):
    id: Id
    patient: Id


def keys(stub: Stub, arguments: Keys) -> messages.Sealed:
    """What the custodian released, for the session's user while it lasts; MESSAGE_UNKNOWN until then."""
    access(stub, arguments.patient, arguments.id)
    found_emergency(stub, arguments.patient, arguments.id)
    return messages.fetch(stub, released_keys(arguments.patient, arguments.id))


def purge(stub: Stub, patient_id: str) -> None:
    """All that is sealed of this patient's emergencies."""
    ids = [session_id for (_, session_id), _ in EMERGENCIES.scan(stub, patient_id)]
    messages.purge(stub, [make(patient_id, one) for one in ids for make in (reason_message, released_keys)])


def found_emergency(stub: Stub, patient_id: str, session_id: str) -> tuple[Emergency, Session]:
    emergency = EMERGENCIES.require(stub, Code.EMERGENCY_UNKNOWN, patient_id, session_id)
    session = SESSIONS.get(stub, patient_id, session_id)
    assert session is not None, "both were opened at once"
    return emergency, session
