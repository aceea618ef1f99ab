"""Patients: registration by their custodian hospital, and who speaks for a patient.

A patient's identity counts only if the custodian's CA issued it: otherwise any member's CA could make one up.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from healthchain.chaincode.stub import Caller, Stub
from healthchain.contract import envelopes
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import (
    COMPARTMENTS,
    Arguments,
    Id,
    Limit,
    PublicKey,
    Result,
    Role,
    StartId,
)
from healthchain.contract.members import acting, user_of
from healthchain.contract.policies import STAFF, Permission
from healthchain.contract.state import State, Table, emit


class PatientStatus(StrEnum):
    ACTIVE = "active"
    ERASED = "erased"


class Patient(State, frozen=True):
    """Read by every write of a record: under 250 bytes, and changed by revocation and erasure only."""

    custodian: str
    status: PatientStatus
    compartments: dict[str, int]  # id -> epoch, by id
    rekey: tuple[str, ...] = ()  # compartments that need a new epoch before the next write, see `revocation`


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
    envelopes.store(stub, {envelopes.Address(one, to, 1) for one in compartments for to in recipients})
    patient = Patient(caller.msp_id, PatientStatus.ACTIVE, dict.fromkeys(compartments, 1))
    PATIENTS.put(stub, patient, arguments.patient)
    PATIENT_KEYS.put(stub, PatientKey(arguments.public_key), arguments.patient)
    CUSTODY.put(stub, Custody(user_of(caller), role, stub.timestamp_ms), caller.msp_id, arguments.patient)
    emit(stub, "patients:Registered", arguments.patient, ())


def take_compartments(stub: Stub, patient_id: str, ids: Sequence[str]) -> list[str]:
    """New ones for this patient, sorted.

    An id shared by two patients would let a revocation of one purge the envelopes of the other.
    """
    compartments = sorted(set(ids))
    if len(compartments) != len(ids):
        raise refusal(Code.COMPARTMENT_DUPLICATE)
    owners = stub.get_states([COMPARTMENT_OWNERS.key(one) for one in compartments])
    if any(owner is not None for owner in owners):
        raise refusal(Code.COMPARTMENT_EXISTS)
    for one in compartments:
        COMPARTMENT_OWNERS.put(stub, Compartment(patient_id), one)
    return compartments


class Get(Arguments, frozen=True):
    patient: Id


class RegisteredPatient(Result, frozen=True):
    patient: str
    custodian: str
    status: PatientStatus
    compartments: dict[str, int]
    public_key: bytes | None  # none any more once erased


def get(stub: Stub, arguments: Get) -> RegisteredPatient:
    """For every member; a patient's identity sees its own entry only."""
    role = acting(stub).role
    patient = registered(stub, arguments.patient)
    if role is Role.PATIENT:
        require_self(stub.caller, arguments.patient, patient)
    key = PATIENT_KEYS.get(stub, arguments.patient)
    public_key = key.public_key if key else None
    return RegisteredPatient(arguments.patient, patient.custodian, patient.status, patient.compartments, public_key)


class List(Arguments, frozen=True):
    start: StartId = ""
    limit: Limit = 100


class Patients(Result, frozen=True):
    patients: list[str]
    next: str | None


def list_patients(stub: Stub, arguments: List) -> Patients:
    """Of the caller's own hospital, by pseudonym; `next` is the start of the next page."""
    acting(stub, Permission.REGISTER_PATIENT)
    found: list[str] = []
    for (_, patient), _ in CUSTODY.scan_from(stub, (stub.caller.msp_id,), arguments.start):
        if len(found) == arguments.limit:
            return Patients(found, patient)
        found.append(patient)
    return Patients(found, None)


def registered(stub: Stub, patient_id: str) -> Patient:
    return _known(PATIENTS.get(stub, patient_id))


def active(stub: Stub, patient_id: str) -> Patient:
    return known_active(PATIENTS.get(stub, patient_id))


def known_active(patient: Patient | None) -> Patient:
    patient = _known(patient)
    if patient.status is not PatientStatus.ACTIVE:
        raise refusal(Code.PATIENT_ERASED)
    return patient


def _known(patient: Patient | None) -> Patient:
    if patient is None:
        raise refusal(Code.PATIENT_UNKNOWN)
    return patient


def require_self(caller: Caller, patient_id: str, patient: Patient) -> None:
    """The patient's own identity, issued by the custodian."""
    own = caller.role == Role.PATIENT and caller.patient == patient_id and caller.msp_id == patient.custodian
    if not own:
        raise refusal(Code.NOT_THE_PATIENT)


def require_custodian_or_self(
    caller: Caller, role: Role, patient_id: str, patient: Patient, staff: frozenset[Role] = STAFF
) -> None:
    if role is Role.PATIENT:
        require_self(caller, patient_id, patient)
    elif role not in staff or caller.msp_id != patient.custodian:
        raise refusal(Code.NOT_THE_CUSTODIAN)


def require_compartments(patient: Patient, compartments: Sequence[str]) -> None:
    if any(one not in patient.compartments for one in compartments):
        raise refusal(Code.COMPARTMENT_UNKNOWN)
