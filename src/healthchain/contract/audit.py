"""The audit trail of one patient (`trail`), and who may see it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from healthchain.chaincode.stub import Stub
from healthchain.contract import guardians, patients, trail
from healthchain.contract.codes import Code, refusal
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import PERSONS, Arguments, Id, Limit, Result
from healthchain.contract.members import acting
from healthchain.contract.patients import Patient
from healthchain.contract.policies import Permission
from healthchain.contract.trail import Entry


class List(Arguments, frozen=True):
    patient: Id
    start: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    limit: Limit = 100


class Trail(Result, frozen=True):
    entries: list[Entry]
    next: int | None


def list_entries(stub: Stub, arguments: List) -> Trail:
    """In order of time (the clients' clocks); `start` and `next` count entries.

    For the patient, guardians who may read, and the custodian's administrator.
    """
    patient = _audited(stub, arguments.patient)
    entries = trail.entries(stub, arguments.patient, patient)
    end = arguments.start + arguments.limit
    return Trail(entries[arguments.start : end], end if end < len(entries) else None)


def _audited(stub: Stub, patient_id: str) -> Patient:
    is_person = stub.caller.role in PERSONS
    acting(stub, None if is_person else Permission.AUDIT)
    patient = patients.registered(stub, patient_id)
    if is_person:
        guardians.require_speaker(stub, patient_id, patient, Scope.READ)
    elif stub.caller.msp_id != patient.custodian:
        raise refusal(Code.AUDIT_FORBIDDEN)
    return patient
