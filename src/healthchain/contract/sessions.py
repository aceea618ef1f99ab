"""Access sessions: nothing is read without one, and each read checks session and consent again.

Checks of a read: 1 the session exists, 2 it is this user's in this role, 3 neither it nor the one that it was delegated
from has ended, 4 the patient is active, 5 custody or consents permit its purpose now, or an emergency's rule does; what
is left of its compartments may be read.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import Meta
from msgspec.structs import replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import deciding, guardians, licences, messages, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import PERSONS, Action, Arguments, CommonName, Id, Milliseconds, Purpose, Result, Role
from healthchain.contract.licences import Act
from healthchain.contract.members import Acting, acting, user_of
from healthchain.contract.patients import Patient, Use
from healthchain.contract.policies import Permission
from healthchain.contract.state import State, Table, emit


class Session(State, frozen=True):
    """Ends at end_ms (exclusive) or when closed; `compartments` (sorted) were permitted at its start.

    A colleague's session has the one that it was delegated from, and ends with that. An emergency's has its id.
    """

    user: str
    role: Role
    patient: str
    purpose: Purpose
    compartments: tuple[str, ...]
    start_ms: int
    end_ms: int
    closed_ms: int | None = None
    renewals: int = 0
    delegated_from: str | None = None
    emergency: bool = False

    def is_over(self, now_ms: int) -> bool:
        return self.closed_ms is not None or now_ms >= self.end_ms


SESSIONS = Table("session", Session)


class Access(NamedTuple):
    """What one read may see: the session's compartments, and those of them that are permitted now."""

    session: Session
    patient: Patient
    permitted: frozenset[str]


class Open(Arguments, frozen=True):
    id: Id
    patient: Id
    purpose: Purpose
    end_ms: Milliseconds
    compartments: Annotated[tuple[Id, ...], Meta(max_length=100)] = ()


class Opened(Result, frozen=True):
    compartments: tuple[str, ...]


def open_session(stub: Stub, arguments: Open) -> Opened:
    """The scope is what is permitted, narrowed to the requested compartments if any are named."""
    gate = _reader(stub)
    role = gate.role
    patient = patients.allowing(stub, arguments.patient, Use.READ)
    require_end(stub, arguments.end_ms, stub.timestamp_ms + gate.policies.session_ms_max)
    patients.require_compartments(patient, arguments.compartments)
    require_new(stub, arguments.patient, arguments.id)
    permitted = _permitted(stub, role, arguments.patient, patient, arguments.purpose)
    scope = tuple(sorted(permitted.intersection(arguments.compartments or permitted)))
    if not scope:
        raise refusal(Code.CONSENT_MISSING)
    session = Session(
        user=user_of(stub.caller),
        role=role,
        patient=arguments.patient,
        purpose=arguments.purpose,
        compartments=scope,
        start_ms=stub.timestamp_ms,
        end_ms=arguments.end_ms,
    )
    SESSIONS.put(stub, session, arguments.patient, arguments.id)
    emit(stub, "sessions:Opened", arguments.patient, (arguments.id,))
    return Opened(scope)


class Renew(Arguments, frozen=True):
    id: Id
    patient: Id
    end_ms: Milliseconds


def renew(stub: Stub, arguments: Renew) -> None:
    """By its user, before its end; a delegated one lasts no longer than the one that it comes from."""
    gate = _reader(stub)
    session = _running(stub, gate.role, arguments.patient, arguments.id)
    if session.emergency:
        raise refusal(Code.SESSION_FIXED)
    latest_ms = stub.timestamp_ms + gate.policies.session_ms_max
    if origin := _origin(stub, session):
        latest_ms = min(latest_ms, origin.end_ms)
    require_end(stub, arguments.end_ms, latest_ms)
    renewed = replace(session, end_ms=arguments.end_ms, renewals=session.renewals + 1)
    SESSIONS.put(stub, renewed, arguments.patient, arguments.id)
    emit(stub, "sessions:Renewed", arguments.patient, (arguments.id,))


class Delegate(Arguments, frozen=True):
    id: Id
    patient: Id
    to: CommonName  # at the caller's organisation, and of the caller's role
    delegated: Id  # the new session
    end_ms: Milliseconds


def delegate(stub: Stub, arguments: Delegate) -> None:
    """By the session's user, to a colleague: never wider or longer than it, nor past its close. Goes no further."""
    gate = acting(stub, Permission.READ_RECORD)
    session = _running(stub, gate.role, arguments.patient, arguments.id)
    if session.emergency or session.delegated_from is not None:
        raise refusal(Code.SESSION_FIXED)
    if arguments.to == stub.caller.common_name:
        raise refusal(Code.ARGUMENTS_INVALID)
    require_end(stub, arguments.end_ms, session.end_ms)
    require_new(stub, arguments.patient, arguments.delegated)
    delegated = replace(
        session,
        user=f"{stub.caller.msp_id}/{arguments.to}",
        start_ms=stub.timestamp_ms,
        end_ms=arguments.end_ms,
        renewals=0,
        delegated_from=arguments.id,
    )
    SESSIONS.put(stub, delegated, arguments.patient, arguments.delegated)
    emit(stub, "sessions:Delegated", arguments.patient, (arguments.id, arguments.delegated))


class Close(Arguments, frozen=True):
    id: Id
    patient: Id


def close(stub: Stub, arguments: Close) -> None:
    """By its user, before its end."""
    role = acting(stub).role
    session = _running(stub, role, arguments.patient, arguments.id)
    end(stub, session, arguments.id)
    emit(stub, "sessions:Closed", arguments.patient, (arguments.id,))


def end(stub: Stub, session: Session, session_id: str) -> None:
    """With it go the keys that were released into an emergency's session."""
    SESSIONS.put(stub, replace(session, closed_ms=stub.timestamp_ms), session.patient, session_id)
    if session.emergency:
        messages.purge(stub, [released_keys(session.patient, session_id)])


def released_keys(patient_id: str, session_id: str) -> str:
    """In MESSAGES: the keys of records that the custodian released, see `emergency`."""
    return messages.message_key("emergency", patient_id, session_id, "keys")


def require_end(stub: Stub, end_ms: int, latest_ms: int) -> None:
    if not stub.timestamp_ms < end_ms <= latest_ms:
        raise refusal(Code.PERIOD_INVALID)


def require_new(stub: Stub, patient_id: str, session_id: str) -> None:
    if SESSIONS.get(stub, patient_id, session_id) is not None:
        raise refusal(Code.SESSION_EXISTS)


def access(stub: Stub, patient_id: str, session_id: str) -> Access:
    """The one gate of every read."""
    role = _reader(stub).role
    session = _running(stub, role, patient_id, session_id)
    patient = patients.allowing(stub, patient_id, Use.READ)
    if session.emergency:
        licences.require(stub, Act.EMERGENCY)
        permitted = deciding.emergency_compartments(stub, patient_id, patient)
    else:
        permitted = _permitted(stub, role, patient_id, patient, session.purpose)
    permitted = permitted.intersection(session.compartments)
    if not permitted:
        raise refusal(Code.CONSENT_MISSING)
    return Access(session, patient, permitted)


def _reader(stub: Stub) -> Acting:
    """A patient or guardian, or staff that may read."""
    is_person = stub.caller.role in PERSONS
    return acting(stub, None if is_person else Permission.READ_RECORD)


def _running(stub: Stub, role: Role, patient_id: str, session_id: str) -> Session:
    session = SESSIONS.require(stub, Code.SESSION_UNKNOWN, patient_id, session_id)
    if session.user != user_of(stub.caller) or session.role is not role:
        raise refusal(Code.SESSION_OF_ANOTHER_USER)
    origin = _origin(stub, session)
    if session.is_over(stub.timestamp_ms) or (origin is not None and origin.is_over(stub.timestamp_ms)):
        raise refusal(Code.SESSION_ENDED)
    return session


def _origin(stub: Stub, session: Session) -> Session | None:
    if session.delegated_from is None:
        return None
    origin = SESSIONS.get(stub, session.patient, session.delegated_from)
    assert origin is not None, "sessions are never deleted"
    return origin


def _permitted(stub: Stub, role: Role, patient_id: str, patient: Patient, purpose: Purpose) -> frozenset[str]:
    """The patient and guardians read all; for others the rule of `deciding`."""
    if role in PERSONS:
        guardians.require_speaker(stub, patient_id, patient, Scope.READ)
    if (role in PERSONS) != (purpose is Purpose.PATRQT):
        raise refusal(Code.PURPOSE_FORBIDDEN)
    if role in PERSONS:
        return frozenset(patient.compartments)
    return deciding.permitted(stub, patient_id, patient, Action.READ, purpose)
