"""Patients: registration by their custodian hospital, what their status allows, and their own identity.

A patient's identity counts only if the custodian's CA issued it: otherwise any member's CA could make one up.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import envelopes
from healthchain.contract.codes import Code, refusal
from healthchain.contract.envelopes import Address
from healthchain.contract.ids import COMPARTMENTS, Arguments, Id, PublicKey, Role
from healthchain.contract.members import acting, user_of
from healthchain.contract.policies import STAFF, Permission
from healthchain.contract.state import State, Table, emit


class PatientStatus(StrEnum):
    ACTIVE = "active"
    DECEASED = "deceased"
    MERGED = "merged"  # into another pseudonym of the same person
    ERASED = "erased"


class Use(StrEnum):
    """What may be done with a patient's data as such, before it is asked who may do it."""

    ADD = "add"  # records, consents, compartments, guardians
    KEEP = "keep"  # end consents, renew keys, erase records, pass custody on
    READ = "read"
    OWN = "own"  # any of these by the patient's own identity


ALLOWED = {
    PatientStatus.ACTIVE: frozenset(Use),
    PatientStatus.DECEASED: frozenset((Use.ADD, Use.KEEP, Use.READ)),
    PatientStatus.MERGED: frozenset((Use.KEEP, Use.READ, Use.OWN)),
    PatientStatus.ERASED: frozenset((Use.OWN,)),
}
TRANSITIONS = {
    PatientStatus.ACTIVE: frozenset((PatientStatus.DECEASED, PatientStatus.MERGED, PatientStatus.ERASED)),
    PatientStatus.DECEASED: frozenset((PatientStatus.ACTIVE, PatientStatus.MERGED, PatientStatus.ERASED)),
    PatientStatus.MERGED: frozenset((PatientStatus.ERASED,)),
    PatientStatus.ERASED: frozenset(),
}
_REFUSED = {
    PatientStatus.DECEASED: Code.PATIENT_DECEASED,
    PatientStatus.MERGED: Code.PATIENT_MERGED,
    PatientStatus.ERASED: Code.PATIENT_ERASED,
}


class Patient(State, frozen=True, omit_defaults=True):
    """Read by every write of a record: under 250 bytes, and seldom changed."""

    custodian: str
    status: PatientStatus
    compartments: dict[str, int]  # id -> epoch, by id
    rekey: tuple[str, ...] = ()  # compartments that need a new epoch before the next write, see `rekeying`
    merged_into: str | None = None


class PatientKey(State, frozen=True):
    public_key: bytes


class Custody(State, frozen=True):
    """An entry of the custodian's index of its patients; also who registered the patient, and when."""

    by: str
    role: Role
    time_ms: int


class Compartment(State, frozen=True):
    patient: str


PATIENTS = Table("patient", Patient)
PATIENT_KEYS = Table("patient-key", PatientKey)
CUSTODY = Table("custody", Custody)
COMPARTMENT_OWNERS = Table("compartment", Compartment)


class Register(Arguments, frozen=True):
    patient: Id
    public_key: PublicKey
    compartments: Annotated[tuple[Id, ...], Meta(min_length=COMPARTMENTS, max_length=COMPARTMENTS)]


def register(stub: Stub, arguments: Register) -> None:
    """By a hospital's staff; becoming custodian. Transient: envelopes of epoch 1 to custodian and patient."""
    caller, _, role, _ = acting(stub, Permission.REGISTER_PATIENT)
    if PATIENTS.get(stub, arguments.patient) is not None:
        raise refusal(Code.PATIENT_EXISTS)
    compartments = take_compartments(stub, arguments.patient, arguments.compartments)
    recipients = (caller.msp_id, arguments.patient)
    envelopes.store(stub, {Address(one, to, 1) for one in compartments for to in recipients})
    patient = Patient(caller.msp_id, PatientStatus.ACTIVE, dict.fromkeys(compartments, 1))
    PATIENTS.put(stub, patient, arguments.patient)
    PATIENT_KEYS.put(stub, PatientKey(arguments.public_key), arguments.patient)
    CUSTODY.put(stub, Custody(user_of(caller), role, stub.timestamp_ms), caller.msp_id, arguments.patient)
    emit(stub, "patients:Registered", arguments.patient, ())


def take_compartments(stub: Stub, patient_id: str, ids: Sequence[str]) -> list[str]:
    """New ones for this patient, sorted. If two shared one, a revocation of one would purge the other's envelopes."""
    compartments = sorted(set(ids))
    if len(compartments) != len(ids):
        raise refusal(Code.COMPARTMENT_DUPLICATE)
    owners = stub.get_states([COMPARTMENT_OWNERS.key(one) for one in compartments])
    if any(owner is not None for owner in owners):
        raise refusal(Code.COMPARTMENT_EXISTS)
    for one in compartments:
        COMPARTMENT_OWNERS.put(stub, Compartment(patient_id), one)
    return compartments


def registered(stub: Stub, patient_id: str) -> Patient:
    return _known(PATIENTS.get(stub, patient_id))


def active(stub: Stub, patient_id: str) -> Patient:
    """For what adds to the patient's data."""
    return known_active(PATIENTS.get(stub, patient_id))


def known_active(patient: Patient | None) -> Patient:
    return _allowing(_known(patient), Use.ADD)


def allowing(stub: Stub, patient_id: str, use: Use) -> Patient:
    """Refuses with PATIENT_UNKNOWN, PATIENT_MERGED or PATIENT_ERASED."""
    return _allowing(registered(stub, patient_id), use)


def _allowing(patient: Patient, use: Use) -> Patient:
    if use not in ALLOWED[patient.status]:
        raise refusal(_REFUSED[patient.status])
    return patient


def _known(patient: Patient | None) -> Patient:
    if patient is None:
        raise refusal(Code.PATIENT_UNKNOWN)
    return patient


def with_status(patient: Patient, status: PatientStatus) -> Patient:
    if status not in TRANSITIONS[patient.status]:
        raise refusal(Code.PATIENT_STATUS)
    return replace(patient, status=status)


def without(stub: Stub, patient: Patient, recipient: str) -> Patient:
    """Purges this recipient's envelopes; the compartments that they opened are due for a new key. Does not put it."""
    held = [address for one in sorted(patient.compartments) for address in envelopes.held(stub, one, recipient)]
    envelopes.purge(stub, held)
    return replace(patient, rekey=tuple(sorted({*patient.rekey, *(one.compartment for one in held)})))


def all_keys(patient: Patient, recipient: str) -> set[Address]:
    """The envelopes of one who holds every key of the patient: of all compartments and epochs."""
    return {
        Address(compartment, recipient, epoch)
        for compartment, latest in patient.compartments.items()
        for epoch in range(1, latest + 1)
    }


def require_self(stub: Stub, patient_id: str, patient: Patient) -> None:
    """The own identity of the patient, or of the one whom it was merged into, each issued by its custodian.

    Refuses with NOT_THE_PATIENT, or PATIENT_DECEASED.
    """
    caller = stub.caller
    line = _line(stub, patient_id, patient)
    issued = [(one, its.custodian) for one, its in line]
    if caller.role != Role.PATIENT or (caller.patient, caller.msp_id) not in issued:
        raise refusal(Code.NOT_THE_PATIENT)
    _allowing(line[-1][1], Use.OWN)


def _line(stub: Stub, patient_id: str, patient: Patient) -> list[tuple[str, Patient]]:
    """The patient and whom it was merged into, up to the one that was merged into no other."""
    line = [(patient_id, patient)]
    while (successor := line[-1][1].merged_into) is not None:
        line.append((successor, registered(stub, successor)))
    return line


def require_custodian_or_self(
    stub: Stub, role: Role, patient_id: str, patient: Patient, staff: frozenset[Role] = STAFF
) -> None:
    if role is Role.PATIENT:
        require_self(stub, patient_id, patient)
    elif role not in staff:
        raise refusal(Code.NOT_THE_CUSTODIAN)
    else:
        require_custodian(stub, patient)


def require_custodian(stub: Stub, patient: Patient) -> None:
    """Whatever role its permission was for."""
    if stub.caller.msp_id != patient.custodian:
        raise refusal(Code.NOT_THE_CUSTODIAN)


def require_compartments(patient: Patient, compartments: Sequence[str]) -> None:
    if any(one not in patient.compartments for one in compartments):
        raise refusal(Code.COMPARTMENT_UNKNOWN)
