"""Guardians and proxies: who else speaks for a patient, for what, and how long. And the patient itself.

A guardian is known by an id, which is the common name in its certificate, and is appointed for each patient alone. Its
identity counts only if the patient's custodian issued it: otherwise any member's CA could make one up.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta
from msgspec.structs import asdict, replace

from healthchain.chaincode.stub import Caller, Stub
from healthchain.contract import envelopes, life_events, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.envelopes import Address
from healthchain.contract.ids import PERSONS, Arguments, Id, Kind, Milliseconds, PublicKey, Result, Role
from healthchain.contract.life_events import Happening
from healthchain.contract.members import acting
from healthchain.contract.patients import PATIENTS, Patient, Use
from healthchain.contract.policies import Permission
from healthchain.contract.state import State, Table, emit


class Scope(StrEnum):
    """What a guardian may do in the patient's place. Erasing is never among it: it cannot be undone."""

    READ = "read"
    CONSENT = "consent"  # grant and revoke
    CLAIMS = "claims"  # follow, appeal


KEYED = frozenset((Scope.READ, Scope.CONSENT))  # whoever consents seals keys to others


class Guardian(State, frozen=True):
    """From start_ms (inclusive) to end_ms (exclusive), unless ended before. The key is what envelopes are sealed to."""

    scopes: tuple[Scope, ...]
    start_ms: int
    end_ms: int
    public_key: bytes
    by: str
    time_ms: int
    ended_ms: int | None = None
    ended_by: str | None = None

    def lasts(self, now_ms: int) -> bool:
        """Neither ended nor over; it may still lie ahead."""
        return self.ended_ms is None and now_ms < self.end_ms

    def in_force(self, now_ms: int) -> bool:
        return self.lasts(now_ms) and self.start_ms <= now_ms


GUARDIANS = Table("guardian", Guardian)  # patient, the guardian's id


def require_speaker(stub: Stub, patient_id: str, patient: Patient, scope: Scope | None = None) -> None:
    """The patient, or a guardian of theirs with this scope now; without a scope, whatever theirs is.

    Refuses with NOT_THE_PATIENT or PATIENT_DECEASED, or GUARDIAN_SCOPE to a guardian. A guardian goes on after the
    patient's death, as its personal representative.
    """
    caller = stub.caller
    if caller.role != Role.GUARDIAN:
        patients.require_self(stub, patient_id, patient)
        return
    guardian = GUARDIANS.get(stub, patient_id, caller.common_name) if caller.msp_id == patient.custodian else None
    if guardian is None or not guardian.in_force(stub.timestamp_ms) or scope not in (None, *guardian.scopes):
        raise refusal(Code.GUARDIAN_SCOPE)


def key_holders(stub: Stub, patient_id: str) -> list[str]:
    """Guardians who hold, or will hold, the patient's keys: those who read or consent, until their office ends."""
    return [
        guardian
        for (_, guardian), one in GUARDIANS.scan(stub, patient_id)
        if one.lasts(stub.timestamp_ms) and KEYED.intersection(one.scopes)
    ]


def recipient_of(caller: Caller, patient_id: str) -> str:
    """How envelopes name the caller: its organisation, the patient itself, or the guardian's id."""
    if caller.role == Role.PATIENT:
        return patient_id
    return caller.common_name if caller.role == Role.GUARDIAN else caller.msp_id


class Appoint(Arguments, frozen=True):
    patient: Id
    guardian: Id
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=len(Scope))]
    start_ms: Milliseconds
    end_ms: Milliseconds
    public_key: PublicKey


def appoint(stub: Stub, arguments: Appoint) -> None:
    """By the custodian's staff. Transient: for a guardian who reads or consents, envelopes of every epoch to it."""
    gate = acting(stub, Permission.APPOINT_GUARDIAN)
    patient = patients.active(stub, arguments.patient)
    patients.require_custodian(stub, patient)
    if arguments.guardian == arguments.patient:  # both name recipients of the same compartments
        raise refusal(Code.ARGUMENTS_INVALID)
    if not max(arguments.start_ms, stub.timestamp_ms) < arguments.end_ms:
        raise refusal(Code.PERIOD_INVALID)
    before = GUARDIANS.get(stub, arguments.patient, arguments.guardian)
    if before is not None and before.lasts(stub.timestamp_ms):
        raise refusal(Code.GUARDIAN_EXISTS)
    keyed = KEYED.intersection(arguments.scopes)
    envelopes.store(stub, patients.all_keys(patient, arguments.guardian) if keyed else set[Address]())
    guardian = Guardian(
        scopes=tuple(sorted(set(arguments.scopes))),
        start_ms=arguments.start_ms,
        end_ms=arguments.end_ms,
        public_key=arguments.public_key,
        by=gate.user,
        time_ms=stub.timestamp_ms,
    )
    GUARDIANS.put(stub, guardian, arguments.patient, arguments.guardian)
    life_events.note(stub, gate, arguments.patient, Happening.GUARDIAN_APPOINTED, arguments.guardian)
    emit(stub, "guardians:Appointed", arguments.patient, (arguments.guardian,))


class End(Arguments, frozen=True):
    patient: Id
    guardian: Id


def end(stub: Stub, arguments: End) -> None:
    """By the custodian's staff or the patient. Its envelopes are purged, and what they opened is due for new keys."""
    is_person = stub.caller.role in PERSONS
    gate = acting(stub, None if is_person else Permission.APPOINT_GUARDIAN)
    patient = patients.allowing(stub, arguments.patient, Use.KEEP)
    patients.require_custodian_or_self(stub, gate.role, arguments.patient, patient)
    guardian = GUARDIANS.get(stub, arguments.patient, arguments.guardian)
    if guardian is None or not guardian.lasts(stub.timestamp_ms):
        raise refusal(Code.GUARDIAN_UNKNOWN)
    ended = replace(guardian, ended_ms=stub.timestamp_ms, ended_by=gate.user)
    GUARDIANS.put(stub, ended, arguments.patient, arguments.guardian)
    left = patients.without(stub, patient, arguments.guardian)
    if left != patient:
        PATIENTS.put(stub, left, arguments.patient)
    life_events.note(stub, gate, arguments.patient, Happening.GUARDIAN_ENDED, arguments.guardian)
    emit(stub, "guardians:Ended", arguments.patient, (arguments.guardian,))


class List(Arguments, frozen=True):
    patient: Id


class ListedGuardian(Guardian, frozen=True, kw_only=True):
    id: str


class Guardians(Result, frozen=True):
    guardians: list[ListedGuardian]


def list_guardians(stub: Stub, arguments: List) -> Guardians:
    """By id, former ones too: to the patient, its guardians, the custodian's staff and agencies."""
    gate = acting(stub)
    patient = patients.registered(stub, arguments.patient)
    if gate.role in PERSONS:
        require_speaker(stub, arguments.patient, patient)
    elif gate.member.kind is not Kind.AGENCY:
        patients.require_custodian(stub, patient)
    found = GUARDIANS.scan(stub, arguments.patient)
    return Guardians([ListedGuardian(id=guardian, **asdict(one)) for (_, guardian), one in found])
