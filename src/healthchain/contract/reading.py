"""Reading within a session: headers are listed; bodies leave once the ledger says which versions are to be read.

The patient and guardians need no disclosure: it is to them that others' are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta
from msgspec.structs import asdict

from healthchain.chaincode.stub import Stub
from healthchain.contract import disclosures
from healthchain.contract.codes import Code, refusal
from healthchain.contract.disclosures import DISCLOSURES, DisclosedRecord, Disclosure
from healthchain.contract.ids import BODIES, PERSONS, Arguments, Counter, Id, Limit, Result, StartId, body_key
from healthchain.contract.records import HEADERS, Header, RecordStatus
from healthchain.contract.sessions import Access, access
from healthchain.contract.state import emit

READ_RECORDS_MAX = 200  # by one call
ANSWER_BYTES_MAX = 48 << 20  # base64 makes a third more of it; gRPC takes 100 MiB


class ToDisclose(Arguments, frozen=True):
    id: Id
    version: Counter


class Disclose(Arguments, frozen=True):
    session: Id
    patient: Id
    records: Annotated[tuple[ToDisclose, ...], Meta(min_length=1, max_length=READ_RECORDS_MAX)]


def disclose(stub: Stub, arguments: Disclose) -> None:
    """Of current versions, with every check of a read; all or nothing."""
    granted = access(stub, arguments.patient, arguments.session)
    ids = [one.id for one in arguments.records]
    if len(set(ids)) != len(ids):
        raise refusal(Code.RECORD_DUPLICATE)
    headers = _readable(stub, granted, arguments.patient, ids)
    if any(one.version != header.version for one, header in zip(arguments.records, headers, strict=True)):
        raise refusal(Code.VERSION_STALE)
    disclosure = Disclosure(
        records=tuple(sorted(DisclosedRecord(one.id, one.version) for one in arguments.records)),
        time_ms=stub.timestamp_ms,
        outside=stub.caller.msp_id != granted.patient.custodian,
    )
    DISCLOSURES.put(stub, disclosure, arguments.patient, arguments.session, stub.tx_id)
    emit(stub, "records:Disclosed", arguments.patient, (arguments.session, *sorted(ids)))


class Read(Arguments, frozen=True):
    session: Id
    patient: Id
    records: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=READ_RECORDS_MAX)]


class ListedHeader(Header, frozen=True, kw_only=True, array_like=False):
    id: str


class Record(ListedHeader, frozen=True, kw_only=True, array_like=False):
    body: bytes


class Records(Result, frozen=True):
    records: list[Record]


def read(stub: Stub, arguments: Read) -> Records:
    """The current versions, in the order asked for, each disclosed before; all or nothing."""
    granted = access(stub, arguments.patient, arguments.session)
    headers = _readable(stub, granted, arguments.patient, arguments.records)
    _require_disclosed(stub, granted, arguments, headers)
    found: list[Record] = []
    total = 0
    for record, header in zip(arguments.records, headers, strict=True):
        body = stub.get_private(BODIES, body_key(arguments.patient, record, header.version))
        assert body is not None, "a header that is not erased has a body"
        total += len(body)
        if total > ANSWER_BYTES_MAX:
            raise refusal(Code.BATCH_TOO_LARGE)
        found.append(Record(id=record, body=body, **asdict(header)))
    return Records(found)


def _readable(stub: Stub, granted: Access, patient_id: str, ids: Sequence[str]) -> list[Header]:
    """The headers of these records, if every one may be read."""
    found = []
    for header in HEADERS.get_many(stub, patient_id, ids):
        if header is None:
            raise refusal(Code.RECORD_UNKNOWN)
        if header.compartment not in granted.session.compartments:
            raise refusal(Code.SESSION_SCOPE)
        if header.compartment not in granted.permitted:
            raise refusal(Code.CONSENT_MISSING)
        if header.status is RecordStatus.ERASED:
            raise refusal(Code.RECORD_ERASED)
        found.append(header)
    return found


def _require_disclosed(stub: Stub, granted: Access, arguments: Read, headers: Sequence[Header]) -> None:
    if granted.session.role in PERSONS:
        return
    known = set(disclosures.disclosed(stub, arguments.patient, arguments.session))
    wanted = zip(arguments.records, headers, strict=True)
    if not all(DisclosedRecord(record, header.version) in known for record, header in wanted):
        raise refusal(Code.DISCLOSURE_MISSING)


class List(Arguments, frozen=True):
    session: Id
    patient: Id
    start: StartId = ""
    limit: Limit = 100


class Headers(Result, frozen=True):
    records: list[ListedHeader]
    next: str | None


def list_records(stub: Stub, arguments: List) -> Headers:
    """Headers by record id, erased ones too; `next` is the start of the next page."""
    granted = access(stub, arguments.patient, arguments.session)
    found: list[ListedHeader] = []
    for (_, record), header in HEADERS.scan_from(stub, (arguments.patient,), arguments.start):
        if header.compartment not in granted.permitted:
            continue
        if len(found) == arguments.limit:
            return Headers(found, record)
        found.append(ListedHeader(id=record, **asdict(header)))
    return Headers(found, None)
