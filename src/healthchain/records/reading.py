"""Reading a patient's records: one access session on the ledger, and all that it lets out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec

from healthchain.contract import records, sessions
from healthchain.contract.codes import Code
from healthchain.contract.ids import Purpose
from healthchain.contract.records import ListedHeader, RecordStatus
from healthchain.errors import BadInput, HealthChainError, Refused
from healthchain.records import keys
from healthchain.records.actor import Actor, now_ms
from healthchain.records.canonical import canonical_json
from healthchain.records.compartments import NAMES
from healthchain.records.keyring import random_id
from healthchain.records.keys import HeldKeys
from healthchain.records.sealing import Binding, SealBroken

SESSION_MS = 15 * 60 * 1000
PAGE = 1000
READ_AT_ONCE = 100


class Content(msgspec.Struct, frozen=True):
    """What is sealed in a body: the resource exactly as it was given, and the URL that others refer to it by."""

    fullUrl: str  # FHIR's spelling
    resource: msgspec.Raw


@dataclass(frozen=True, slots=True)
class ReadRecord:
    header: ListedHeader
    compartment: str  # its name
    full_url: str
    resource: bytes


@dataclass(frozen=True, slots=True)
class Session:
    """An open access session and the keys that come with it."""

    actor: Actor
    id: str
    patient: str
    keys: HeldKeys
    broken: list[ListedHeader] = field(default_factory=list)
    """Records that were handed out and are not what a reader can open, whoever's doing that is."""

    async def headers(self) -> list[ListedHeader]:
        """Of every record in scope, erased ones too."""
        found: list[ListedHeader] = []
        start: str | None = ""
        while start is not None:
            asked = records.List(session=self.id, patient=self.patient, start=start, limit=PAGE)
            page = await self.actor.ask("records:List", asked, records.Headers)
            found += page.records
            start = page.next
        return found

    async def read(self, headers: Sequence[ListedHeader]) -> list[ReadRecord]:
        """Open these records. One that does not open goes to `broken` and hides no other."""
        found: list[ReadRecord] = []
        for begin in range(0, len(headers), READ_AT_ONCE):
            found += await self._read_some([one.id for one in headers[begin : begin + READ_AT_ONCE]])
        return found

    async def _read_some(self, ids: Sequence[str]) -> list[ReadRecord]:
        """Large bodies may not fit into one answer: then half as many."""
        asked = records.Read(session=self.id, patient=self.patient, records=tuple(ids))
        try:
            answer = await self.actor.ask("records:Read", asked, records.Records)
        except Refused as refused:
            if refused.code != Code.BATCH_TOO_LARGE or len(ids) == 1:
                raise
            half = len(ids) // 2
            return [*await self._read_some(ids[:half]), *await self._read_some(ids[half:])]
        found = []
        for one in answer.records:
            try:
                found.append(self._open(one))
            except SealBroken:
                self.broken.append(one)
        return found

    def _open(self, record: records.Record) -> ReadRecord:
        sealer, index = self.keys.sealer(record.compartment, record.epoch), self.keys.index(record.compartment)
        if sealer is None or index is None:
            raise SealBroken
        binding = Binding(
            channel=self.actor.channel,
            patient=self.patient,
            record=record.id,
            version=record.version,
            compartment=record.compartment,
            epoch=record.epoch,
            custodian=record.custodian,
        )
        plain = sealer.open(binding, record.body)
        try:
            plain.decode()
            content = msgspec.json.decode(plain, type=Content)
            canonical_json(bytes(content.resource))
        except (UnicodeDecodeError, msgspec.DecodeError, RecursionError, BadInput):
            raise SealBroken from None  # sealed with the right key, by somebody who holds it, and no resource
        return ReadRecord(record, NAMES[index], content.fullUrl, bytes(content.resource))


@contextlib.asynccontextmanager
async def session(actor: Actor, patient: str, purpose: Purpose) -> AsyncIterator[Session]:
    """Opened on the ledger before anything is read, and closed there. Raises Refused."""
    session_id = random_id()
    opening = sessions.Open(id=session_id, patient=patient, purpose=purpose, end_ms=now_ms() + SESSION_MS)
    await actor.submit("sessions:Open", opening)
    closing = sessions.Close(id=session_id, patient=patient)
    try:
        yield Session(actor, session_id, patient, await keys.within_session(actor, patient, session_id))
    except BaseException:
        with contextlib.suppress(HealthChainError):  # what went wrong first is what the caller should learn
            await actor.submit("sessions:Close", closing)
        raise
    await actor.submit("sessions:Close", closing)


async def read_all(actor: Actor, patient: str, purpose: Purpose) -> list[ReadRecord]:
    """Everything that this user may read for this purpose, in the order in which it was written. Raises Refused."""
    async with session(actor, patient, purpose) as opened:
        live = [one for one in await opened.headers() if one.status is RecordStatus.ACTIVE]
        live.sort(key=lambda one: (one.time_ms, one.id))
        return await opened.read(live)


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
            name = "" if index is None else NAMES[index]
            listed.append(ListedRecord(one.id, one.version, one.status.value, name, one.author, one.time_ms))
        return listed


def as_bundle(found: Sequence[ReadRecord]) -> bytes:
    """A FHIR collection Bundle; every resource byte for byte as it was imported."""
    entries = [Content(one.full_url, msgspec.Raw(one.resource)) for one in found]
    return msgspec.json.encode({"resourceType": "Bundle", "type": "collection", "entry": entries})
