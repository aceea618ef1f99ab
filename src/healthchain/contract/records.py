"""Records: versioned headers on the public ledger, bodies as ciphertext in a private collection.

A write of one record is the most frequent transaction: for the custodian it reads member, policies, patient, two
licences and the header, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from healthchain.chaincode.stub import Caller, Stub
from healthchain.contract import deciding, licences, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import BODIES, Action, Arguments, Counter, Id, body_key
from healthchain.contract.licences import Act
from healthchain.contract.members import MEMBERS, admitted, organisation_of
from healthchain.contract.patients import PATIENTS, Patient
from healthchain.contract.policies import BATCH_RECORDS_LIMIT, IN_FORCE, POLICIES, RECORD_BYTES_LIMIT, Permission
from healthchain.contract.state import State, Table, emit

BODY_BYTES_MAX = RECORD_BYTES_LIMIT


class RecordStatus(StrEnum):
    ACTIVE = "active"
    ENTERED_IN_ERROR = "entered-in-error"
    ERASED = "erased"


class WrittenStatus(StrEnum):
    """What a write may say; only an erasure erases."""

    ACTIVE = "active"
    ENTERED_IN_ERROR = "entered-in-error"


class Header(State, frozen=True, array_like=True):
    """Of the current version. An erased record keeps its last header, so that its id is never used again.

    On the ledger it is an array, in this order: there are as many headers as records, and names would double them.
    """

    version: int
    status: RecordStatus
    compartment: str
    epoch: int
    author: str  # MSP/CN
    custodian: str
    time_ms: int


HEADERS = Table("record", Header)


class RecordWrite(Arguments, frozen=True):
    id: Id
    version: Counter  # the one that this write makes
    compartment: Id
    epoch: Counter
    status: WrittenStatus


class Write(Arguments, frozen=True):
    patient: Id
    records: Annotated[tuple[RecordWrite, ...], Meta(min_length=1, max_length=BATCH_RECORDS_LIMIT)]


def write(stub: Stub, arguments: Write) -> None:
    """All or nothing. Transient: `<id>/<version>` -> ciphertext, for each record."""
    caller, patient_id = stub.caller, arguments.patient
    records = sorted(arguments.records, key=lambda one: one.id)
    if len({one.id for one in records}) != len(records):
        raise refusal(Code.RECORD_DUPLICATE)
    keys = [HEADERS.key(patient_id, one.id) for one in records]
    first = [MEMBERS.key(caller.msp_id), POLICIES.key(IN_FORCE), PATIENTS.key(patient_id), *licences.keys_of(caller)]
    member, policies, found, hospitals, authors, *headers = stub.get_states([*first, *keys])
    gate = admitted(caller, MEMBERS.decode(member), POLICIES.decode(policies), Permission.WRITE_RECORD)
    licences.require_found(stub, Act.RECORD, (hospitals, authors))
    patient = patients.known_active(PATIENTS.decode(found))
    if len(records) > gate.policies.batch_records_max:
        raise refusal(Code.BATCH_TOO_LARGE)
    writable = writable_compartments(stub, patient_id, patient)
    for record, header in zip(records, headers, strict=True):
        current = HEADERS.decode(header)
        _check(record, current, patient, writable)
        _check_author(caller, current, patient)
    bodies = _bodies(stub, records, gate.policies.record_bytes_max)
    author = gate.user
    for record, body in zip(records, bodies, strict=True):
        HEADERS.put(stub, _header(stub, record, author, patient), patient_id, record.id)
        stub.put_private(BODIES, body_key(patient_id, record.id, record.version), body)
    emit(stub, "records:Written", patient_id, [one.id for one in records])


def writable_compartments(stub: Stub, patient_id: str, patient: Patient) -> frozenset[str]:
    """All for the custodian; for another member those with a consent in force to contribute."""
    if stub.caller.msp_id == patient.custodian:
        return frozenset(patient.compartments)
    return deciding.permitted(stub, patient_id, patient, Action.CONTRIBUTE)


def _check(record: RecordWrite, current: Header | None, patient: Patient, writable: frozenset[str]) -> None:
    """A record may move to another compartment, by somebody who may write in both."""
    if record.compartment not in patient.compartments:
        raise refusal(Code.COMPARTMENT_UNKNOWN)
    if record.compartment not in writable or (current is not None and current.compartment not in writable):
        raise refusal(Code.CONSENT_MISSING)
    if record.epoch != patient.compartments[record.compartment]:
        raise refusal(Code.EPOCH_STALE)
    if record.compartment in patient.rekey:
        raise refusal(Code.REKEY_DUE)
    if current is not None and current.status is RecordStatus.ERASED:
        raise refusal(Code.RECORD_ERASED)
    if record.version != (1 if current is None else current.version + 1):
        raise refusal(Code.VERSION_CONFLICT)


def _check_author(caller: Caller, current: Header | None, patient: Patient) -> None:
    """A contributor amends what its own organisation wrote last; the custodian keeps the record and amends all."""
    if current is None or caller.msp_id == patient.custodian:
        return
    if organisation_of(current.author) != caller.msp_id:
        raise refusal(Code.RECORD_OF_ANOTHER)


def _bodies(stub: Stub, records: Sequence[RecordWrite], bytes_max: int) -> list[bytes]:
    transient = stub.transient
    bodies = [transient.get(f"{one.id}/{one.version}", b"") for one in records]
    if not all(bodies):
        raise refusal(Code.BODY_MISSING)
    if len(transient) != len(records):
        raise refusal(Code.BODY_UNEXPECTED)
    if any(len(body) > bytes_max for body in bodies):
        raise refusal(Code.BODY_TOO_LARGE)
    return bodies


def _header(stub: Stub, record: RecordWrite, author: str, patient: Patient) -> Header:
    return Header(
        version=record.version,
        status=RecordStatus(record.status.value),
        compartment=record.compartment,
        epoch=record.epoch,
        author=author,
        custodian=patient.custodian,
        time_ms=stub.timestamp_ms,
    )
