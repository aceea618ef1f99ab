"""The audit trail of one patient, put together from what the other areas keep: who, what, when, what for."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from healthchain.chaincode.stub import Stub
from healthchain.contract import patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.consents import CONSENTS
from healthchain.contract.erasure import ERASURES
from healthchain.contract.ids import Arguments, Id, Limit, Purpose, Result, Role
from healthchain.contract.members import acting
from healthchain.contract.patients import CUSTODY, Patient
from healthchain.contract.records import HEADERS, Header, RecordStatus
from healthchain.contract.sessions import SESSIONS


class Happening(StrEnum):
    """In the order that entries of the same millisecond are listed in."""

    REGISTERED = "registered"
    WRITTEN = "written"
    GRANTED = "granted"
    SESSION_OPENED = "session-opened"
    SESSION_CLOSED = "session-closed"
    REVOKED = "revoked"
    ERASED = "erased"
    PATIENT_ERASED = "patient-erased"


ORDER = {happening: place for place, happening in enumerate(Happening)}


class Entry(Result, frozen=True):
    """`ids` are of the records, consent or session concerned; `version` goes with a written record."""

    time_ms: int
    happening: Happening
    user: str  # MSP/CN
    ids: tuple[str, ...] = ()
    version: int | None = None
    role: Role | None = None
    purpose: Purpose | None = None
    organisation: str = ""


class List(Arguments, frozen=True):
    patient: Id
    start: Annotated[int, Meta(ge=0, lt=2**53)] = 0
    limit: Limit = 100


class Trail(Result, frozen=True):
    entries: list[Entry]
    next: int | None


def list_entries(stub: Stub, arguments: List) -> Trail:
    """In order of time (the clients' clocks); `start` and `next` count entries."""
    role = acting(stub).role
    patient = patients.registered(stub, arguments.patient)
    _require_auditor(stub, role, arguments.patient, patient)
    entries = sorted(_entries(stub, arguments.patient, patient), key=_order)
    end = arguments.start + arguments.limit
    return Trail(entries[arguments.start : end], end if end < len(entries) else None)


def _require_auditor(stub: Stub, role: Role, patient_id: str, patient: Patient) -> None:
    at_custodian = stub.caller.msp_id == patient.custodian
    itself = role is Role.PATIENT and stub.caller.patient == patient_id
    if not at_custodian or not (itself or role is Role.ADMINISTRATOR):
        raise refusal(Code.AUDIT_FORBIDDEN)


def _order(entry: Entry) -> tuple[int, int, tuple[str, ...], int]:
    return entry.time_ms, ORDER[entry.happening], entry.ids, entry.version or 0


def _entry(
    time_ms: int,
    happening: Happening,
    user: str,
    ids: tuple[str, ...] = (),
    version: int | None = None,
    role: Role | None = None,
    purpose: Purpose | None = None,
) -> Entry:
    return Entry(time_ms, happening, user, ids, version, role, purpose, user.split("/", 1)[0])


def _entries(stub: Stub, patient_id: str, patient: Patient) -> Iterator[Entry]:
    custody = CUSTODY.get(stub, patient.custodian, patient_id)
    assert custody is not None
    yield _entry(custody.time_ms, Happening.REGISTERED, custody.by, role=custody.role)
    for (_, record), header in HEADERS.scan(stub, patient_id):
        for written in _versions(stub, patient_id, record, header):
            yield _entry(written.time_ms, Happening.WRITTEN, written.author, (record,), written.version)
    yield from _consents(stub, patient_id)
    for (_, session_id), session in SESSIONS.scan(stub, patient_id):
        about = ((session_id,), None, session.role, session.purpose)
        yield _entry(session.start_ms, Happening.SESSION_OPENED, session.user, *about)
        if session.closed_ms is not None:
            yield _entry(session.closed_ms, Happening.SESSION_CLOSED, session.user, *about)
    for _, erasure in ERASURES.scan(stub, patient_id):
        happening = Happening.PATIENT_ERASED if erasure.whole_patient else Happening.ERASED
        ids = tuple(one.id for one in erasure.records)
        yield _entry(erasure.time_ms, happening, erasure.by, ids, role=erasure.role)


def _versions(stub: Stub, patient_id: str, record: str, header: Header) -> list[Header]:
    """All headers that writes made. A record that was never amended needs no look into its history."""
    if header.version == 1:
        return [header]
    found = [HEADERS.decode(one.value) for one in stub.history(HEADERS.key(patient_id, record))]
    return [one for one in found if one is not None and one.status is not RecordStatus.ERASED]


def _consents(stub: Stub, patient_id: str) -> Iterator[Entry]:
    for _, consent in CONSENTS.scan(stub, patient_id):
        yield _entry(consent.granted_ms, Happening.GRANTED, consent.granted_by, (consent.id,), role=Role.PATIENT)
        if consent.ended_ms is not None and consent.ended_by is not None:
            yield _entry(consent.ended_ms, Happening.REVOKED, consent.ended_by, (consent.id,))
