"""Erasure: bodies and envelopes are purged on every peer; a receipt, and the hashes in the blocks, remain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import (
    authorisations,
    claims,
    consents,
    coverage,
    custody,
    emergency,
    envelopes,
    patients,
    revocation,
)
from healthchain.contract.codes import Code, refusal
from healthchain.contract.consents import CONSENTS, ConsentStatus
from healthchain.contract.ids import BODIES, PERSONS, Arguments, Id, Result, Role, body_key
from healthchain.contract.members import acting, user_of
from healthchain.contract.patients import PATIENT_KEYS, PATIENTS, Patient, PatientStatus, Use
from healthchain.contract.policies import Permission
from healthchain.contract.records import HEADERS, Header, RecordStatus
from healthchain.contract.state import State, Table, emit

BODIES_MAX = 2000  # purged by one call


class ErasedRecord(State, frozen=True):
    """Versions 1 to `versions` were purged."""

    id: str
    versions: int


class Erasure(State, frozen=True):
    """The receipt. The block that holds it proves when; the private hashes in earlier blocks, what."""

    by: str
    role: Role
    time_ms: int
    whole_patient: bool
    records: tuple[ErasedRecord, ...]


ERASURES = Table("erasure", Erasure)


class EraseRecords(Arguments, frozen=True):
    patient: Id
    records: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=500)]


def erase_records(stub: Stub, arguments: EraseRecords) -> None:
    """Every version of these records, at most 2,000 bodies. By the custodian's staff or the patient."""
    role = _erasing(stub)
    patient = patients.allowing(stub, arguments.patient, Use.KEEP)
    patients.require_custodian_or_self(stub, role, arguments.patient, patient)
    ids = sorted(set(arguments.records))
    if len(ids) != len(arguments.records):
        raise refusal(Code.RECORD_DUPLICATE)
    chosen: list[tuple[str, Header]] = []
    for one, header in zip(ids, HEADERS.get_many(stub, arguments.patient, ids), strict=True):
        if header is None:
            raise refusal(Code.RECORD_UNKNOWN)
        if header.status is RecordStatus.ERASED:
            raise refusal(Code.RECORD_ERASED)
        chosen.append((one, header))
    if len(chosen) > 1 and sum(header.version for _, header in chosen) > BODIES_MAX:
        raise refusal(Code.BATCH_TOO_LARGE)
    _erase(stub, arguments.patient, role, chosen, whole_patient=False)
    emit(stub, "records:Erased", arguments.patient, ids)


class ErasePatient(Arguments, frozen=True):
    """`only_access`: end it and purge the keys; bodies and texts go with the next call.

    It looks at nothing that others may go on writing, so that nobody can keep it from coming by writing all the time.
    """

    patient: Id
    only_access: bool = False


class Erased(Result, frozen=True):
    """`remaining` records still have bodies: repeat the call until it is 0. With `only_access` nobody has counted."""

    remaining: int | None


def erase_patient(stub: Stub, arguments: ErasePatient) -> Erased:
    """The first call ends all access; each purges up to 2,000 bodies. By custodian's staff or patient."""
    role = _erasing(stub)
    patient = patients.registered(stub, arguments.patient)
    patients.require_custodian_or_self(stub, role, arguments.patient, patient)
    is_erased = patient.status is PatientStatus.ERASED
    if not is_erased:
        _end_access(stub, arguments.patient, patient)
    if arguments.only_access:
        if is_erased:
            raise refusal(Code.PATIENT_ERASED)
        emit(stub, "patients:Erased", arguments.patient, ())
        return Erased(None)
    left = [
        (record, header)
        for (_, record), header in HEADERS.scan(stub, arguments.patient)
        if header.status is not RecordStatus.ERASED
    ]
    if not any(receipt.whole_patient for _, receipt in ERASURES.scan(stub, arguments.patient)):
        _purge_texts(stub, arguments.patient)
    elif not left:
        raise refusal(Code.PATIENT_ERASED)
    chosen = left[: _fitting(header.version for _, header in left)]
    _erase(stub, arguments.patient, role, chosen, whole_patient=True)
    emit(stub, "patients:Erased", arguments.patient, [record for record, _ in chosen])
    return Erased(len(left) - len(chosen))


def _erasing(stub: Stub) -> Role:
    """The role of a person, or of staff that may erase."""
    is_person = stub.caller.role in PERSONS
    return acting(stub, None if is_person else Permission.ERASE_RECORD).role


def _fitting(versions: Iterable[int]) -> int:
    """How many of the first records have at most BODIES_MAX bodies; at least one, so that calls get on."""
    count = total = 0
    for one in versions:
        total += one
        if count and total > BODIES_MAX:
            break
        count += 1
    return count


def _end_access(stub: Stub, patient_id: str, patient: Patient) -> None:
    for compartment in sorted(patient.compartments):
        envelopes.purge(stub, envelopes.held(stub, compartment))
    for _, consent in CONSENTS.scan(stub, patient_id):
        if consent.status is ConsentStatus.ACTIVE:
            consents.end(stub, patient_id, consent)
    PATIENT_KEYS.delete(stub, patient_id)
    PATIENTS.put(stub, patients.with_status(patient, PatientStatus.ERASED), patient_id)


def _purge_texts(stub: Stub, patient_id: str) -> None:
    """But those of claims that must still be kept, see `coverage.purge`."""
    emergency.purge(stub, patient_id)
    coverage.purge(stub, patient_id)
    authorisations.purge(stub, patient_id)
    claims.purge_ended(stub, patient_id)
    custody.purge(stub, patient_id)
    revocation.purge(stub, patient_id)


def _erase(stub: Stub, patient_id: str, role: Role, chosen: list[tuple[str, Header]], *, whole_patient: bool) -> None:
    for record, header in chosen:
        for version in range(1, header.version + 1):
            stub.purge_private(BODIES, body_key(patient_id, record, version))
        HEADERS.put(stub, replace(header, status=RecordStatus.ERASED), patient_id, record)
    receipt = Erasure(
        by=user_of(stub.caller),
        role=role,
        time_ms=stub.timestamp_ms,
        whole_patient=whole_patient,
        records=tuple(ErasedRecord(record, header.version) for record, header in chosen),
    )
    ERASURES.put(stub, receipt, patient_id, stub.tx_id)
