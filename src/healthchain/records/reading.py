"""Reading a patient's records: one access session on the ledger, what it discloses, and all that it lets out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from healthchain.contract import reading, sessions
from healthchain.contract.codes import Code
from healthchain.contract.ids import Purpose
from healthchain.contract.reading import READ_RECORDS_MAX, ListedHeader
from healthchain.contract.records import RecordStatus
from healthchain.errors import BadInput, HealthChainError, Refused
from healthchain.records import keys
from healthchain.records.actor import Actor, now_ms, repeated_on_conflict
from healthchain.records.canonical import canonical_json
from healthchain.records.compartments import name_of
from healthchain.records.keyring import random_id
from healthchain.records.keys import HeldKeys
from healthchain.records.sealing import Binding, SealBroken, open_record

SESSION_MS = 15 * 60 * 1000
PAGE = 1000
READ_AT_ONCE = 100
# A record was amended or erased between being listed and being read.
MOVED = (Code.VERSION_STALE, Code.DISCLOSURE_MISSING, Code.RECORD_ERASED)


class Content(msgspec.Struct, frozen=True):
    """What is sealed in a body: the resource exactly as it was given, and the URL that others refer to it by."""

    fullUrl: str  # FHIR's spelling
    resource: msgspec.Raw


@dataclass(frozen=True, slots=True)
class ReadRecord:
    header: ListedHeader
    compartment: str  # its name; "" for who was given the record's key alone
    full_url: str
    resource: bytes


@dataclass(frozen=True, slots=True)
class Session:
    """An open access session and the keys that come with it: of compartments, or of records under `record_place`."""

    actor: Actor
    id: str
    patient: str
    purpose: Purpose
    keys: HeldKeys
    record_keys: Mapping[str, bytes] = field(default_factory=dict)
    broken: list[ListedHeader] = field(default_factory=list)
    """Records in scope that this reader cannot open, whoever's doing that is."""

    async def headers(self) -> list[ListedHeader]:
        """Of every record in scope, erased ones too."""
        found: list[ListedHeader] = []
        start: str | None = ""
        while start is not None:
            asked = reading.List(session=self.id, patient=self.patient, start=start, limit=PAGE)
            page = await self.actor.ask("records:List", asked, reading.Headers)
            found += page.records
            start = page.next
        return found

    async def read_all(self) -> list[ReadRecord]:
        """Every active record in scope, in the order in which they were written."""
        live = [one for one in await self.headers() if one.status is RecordStatus.ACTIVE]
        live.sort(key=lambda one: (one.time_ms, one.id))
        return await self.read(live)

    async def read(self, headers: Sequence[ListedHeader]) -> list[ReadRecord]:
        """Disclose and open these records. One that does not open goes to `broken` and hides no other."""
        found: list[ReadRecord] = []
        self.broken.extend(one for one in headers if not self._holds_key(one))
        openable = [one for one in headers if self._holds_key(one)]
        for begin in range(0, len(openable), READ_RECORDS_MAX):
            for one in await self._disclosed(openable[begin : begin + READ_RECORDS_MAX]):
                try:
                    found.append(self._open(one))
                except SealBroken:
                    self.broken.append(one)
        return found

    async def _disclosed(self, headers: Sequence[ListedHeader]) -> list[reading.Record]:
        """In one transaction, and then fetched; again with the versions of now where one has moved in between."""
        wanted = list(headers)
        first = True

        async def attempt() -> list[reading.Record]:
            nonlocal wanted, first
            if not first:
                live = {one.id: one for one in await self.headers() if one.status is not RecordStatus.ERASED}
                wanted = [live[one.id] for one in wanted if one.id in live]
            first = False
            if wanted and self.purpose is not Purpose.PATRQT:
                told = tuple(reading.ToDisclose(one.id, one.version) for one in wanted)
                disclosing = reading.Disclose(session=self.id, patient=self.patient, records=told)
                await self.actor.submit("records:Disclose", disclosing)
            ids = [one.id for one in wanted]
            some = [ids[begin : begin + READ_AT_ONCE] for begin in range(0, len(ids), READ_AT_ONCE)]
            return [record for each in some for record in await self._fetched(each)]

        return await repeated_on_conflict(attempt, *MOVED)

    async def _fetched(self, ids: Sequence[str]) -> list[reading.Record]:
        """Large bodies may not fit into one answer: then half as many."""
        asked = reading.Read(session=self.id, patient=self.patient, records=tuple(ids))
        try:
            return (await self.actor.ask("records:Read", asked, reading.Records)).records
        except Refused as refused:
            if refused.code != Code.BATCH_TOO_LARGE or len(ids) == 1:
                raise
            half = len(ids) // 2
            return [*await self._fetched(ids[:half]), *await self._fetched(ids[half:])]

    def _open(self, record: reading.Record) -> ReadRecord:
        binding = Binding(
            channel=self.actor.channel,
            patient=self.patient,
            record=record.id,
            version=record.version,
            compartment=record.compartment,
            epoch=record.epoch,
            custodian=record.custodian,
        )
        plain = self._opened(binding, record.body)
        try:
            plain.decode()
            content = msgspec.json.decode(plain, type=Content)
            canonical_json(bytes(content.resource))
        except (UnicodeDecodeError, msgspec.DecodeError, RecursionError, BadInput):
            raise SealBroken from None  # sealed with the right key, by somebody who holds it, and no resource
        index = self.keys.index(record.compartment)
        name = "" if index is None else name_of(index)
        return ReadRecord(record, name, content.fullUrl, bytes(content.resource))

    def _holds_key(self, one: ListedHeader) -> bool:
        whole = self.keys.sealer(one.compartment, one.epoch) is not None
        return whole or record_place(one.id, one.version) in self.record_keys

    def _opened(self, binding: Binding, body: bytes) -> bytes:
        if sealer := self.keys.sealer(binding.compartment, binding.epoch):
            return sealer.open(binding, body)
        record_key = self.record_keys.get(record_place(binding.record, binding.version))
        if record_key is None:
            raise SealBroken
        return open_record(record_key, binding, body)


def record_place(record: str, version: int) -> str:
    """How a key of this one version is named."""
    return f"{record}/{version}"


@contextlib.asynccontextmanager
async def session(actor: Actor, patient: str, purpose: Purpose) -> AsyncIterator[Session]:
    """Opened on the ledger before anything is read, and closed there. Raises Refused."""
    session_id = random_id()
    opening = sessions.Open(id=session_id, patient=patient, purpose=purpose, end_ms=now_ms() + SESSION_MS)
    await actor.submit("sessions:Open", opening)
    closing = sessions.Close(id=session_id, patient=patient)
    try:
        yield Session(actor, session_id, patient, purpose, await keys.within_session(actor, patient, session_id))
    except BaseException:
        with contextlib.suppress(HealthChainError):  # what went wrong first is what the caller should learn
            await actor.submit("sessions:Close", closing)
        raise
    await actor.submit("sessions:Close", closing)


async def read_all(actor: Actor, patient: str, purpose: Purpose) -> list[ReadRecord]:
    """Everything that this user may read for this purpose, in the order in which it was written. Raises Refused."""
    async with session(actor, patient, purpose) as opened:
        return await opened.read_all()


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """A header with its compartment's name, which only holders of the key know."""

    id: str
    version: int
    status: str
    compartment: str
    author: str
    time_ms: int


async def list_all(actor: Actor, patient: str, purpose: Purpose) -> list[ListedRecord]:
    """Headers of all that this user may read, erased records too. Raises Refused."""
    async with session(actor, patient, purpose) as opened:
        listed = []
        for one in await opened.headers():
            index = opened.keys.index(one.compartment)
            name = "" if index is None else name_of(index)
            listed.append(ListedRecord(one.id, one.version, one.status.value, name, one.author, one.time_ms))
        return listed


def as_bundle(found: Sequence[ReadRecord]) -> bytes:
    """A FHIR collection Bundle; every resource byte for byte as it was imported."""
    entries = [Content(one.full_url, msgspec.Raw(one.resource)) for one in found]
    return msgspec.json.encode({"resourceType": "Bundle", "type": "collection", "entry": entries})
