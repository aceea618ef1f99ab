"""Looking up patients: one's registration, and a custodian's patients by pseudonym."""

from __future__ import annotations

from healthchain.chaincode.membership import Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract import guardians, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import PERSONS, Arguments, Id, Kind, Limit, MspId, Result, StartId
from healthchain.contract.members import MEMBERS, acting
from healthchain.contract.patients import CUSTODY, PATIENT_KEYS, PatientStatus
from healthchain.contract.policies import Permission


class Get(Arguments, frozen=True):
    patient: Id


class RegisteredPatient(Result, frozen=True):
    patient: str
    custodian: str
    status: PatientStatus
    compartments: dict[str, int]
    rekey: tuple[str, ...]
    merged_into: str | None
    public_key: bytes | None  # none any more once erased


def get(stub: Stub, arguments: Get) -> RegisteredPatient:
    """For every member; patients and guardians see their own and their wards' entries only."""
    role = acting(stub).role
    patient = patients.registered(stub, arguments.patient)
    if role in PERSONS:
        guardians.require_speaker(stub, arguments.patient, patient)
    key = PATIENT_KEYS.get(stub, arguments.patient)
    return RegisteredPatient(
        patient=arguments.patient,
        custodian=patient.custodian,
        status=patient.status,
        compartments=patient.compartments,
        rekey=patient.rekey,
        merged_into=patient.merged_into,
        public_key=key.public_key if key else None,
    )


class List(Arguments, frozen=True):
    """`custodian` is for the agency."""

    custodian: MspId | None = None
    start: StartId = ""
    limit: Limit = 100


class Patients(Result, frozen=True):
    patients: list[str]
    next: str | None


def list_patients(stub: Stub, arguments: List) -> Patients:
    """Of the caller's hospital; for the agency, of one that is suspended or removed. `next` starts the next page."""
    custodian = _custodian(stub, arguments.custodian)
    found: list[str] = []
    for (_, patient), _ in CUSTODY.scan_from(stub, (custodian,), arguments.start):
        if len(found) == arguments.limit:
            return Patients(found, patient)
        found.append(patient)
    return Patients(found, None)


def _custodian(stub: Stub, named: str | None) -> str:
    if named is None:
        acting(stub, Permission.REGISTER_PATIENT)
        return stub.caller.msp_id
    gate = acting(stub, Permission.MOVE_PATIENT)
    if gate.member.kind is not Kind.AGENCY:
        raise refusal(Code.ROLE_FORBIDDEN)
    require_inactive(stub, named)
    return named


def require_inactive(stub: Stub, custodian: str) -> None:
    """Its patients are the agency's concern only once it takes part no longer."""
    member = MEMBERS.get(stub, custodian)
    if member is None or member.standing is Standing.ACTIVE:
        raise refusal(Code.CUSTODIAN_ACTIVE)
