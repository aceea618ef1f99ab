"""Importing a FHIR Bundle: one patient's resources become sealed records of their custodian.

1. The whole bundle was validated before anything is written (`bundle`). 2. The patient is registered, unless known:
pseudonym, record ids and compartment ids are keyed hashes of the source (docs/decisions/0005), so that a repeated
import finds what an earlier one wrote. 3. What is new is written, what changed is amended, what is equal left alone.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import msgspec

from healthchain.client.errors import CommitFailed
from healthchain.contract import patients, records
from healthchain.contract.codes import Code
from healthchain.contract.envelopes import Address
from healthchain.contract.ids import Purpose
from healthchain.contract.records import RecordStatus, WrittenStatus
from healthchain.errors import HealthChainError, Refused
from healthchain.records import consenting, keys
from healthchain.records.actor import Actor, repeated_on_conflict
from healthchain.records.bundle import Entry, ParsedBundle
from healthchain.records.canonical import canonical_json
from healthchain.records.compartments import NAMES, classify_bundle
from healthchain.records.keyring import Keyring
from healthchain.records.keys import HeldKeys
from healthchain.records.patients import registered
from healthchain.records.reading import Content, ReadRecord, session
from healthchain.records.sealing import Binding, EnvelopeContext, new_key, seal_envelope

BATCH_RECORDS_MAX = 400
BATCH_BYTES_MAX = 8 << 20
BATCHES_IN_FLIGHT = 2

Progress = Callable[[int], None]
"""Called with the number of resources that were just committed, or found unchanged."""


class NotOurPatient(HealthChainError):
    """The pseudonym on the ledger is not the one that this hospital registered."""


class KeyMissing(HealthChainError):
    """An envelope that this hospital was given does not open."""


@dataclass(frozen=True, slots=True)
class Imported:
    """All resources of the bundle are on the ledger now; these many were new, changed, equal."""

    patient: str
    resources: int
    written: int
    amended: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Custodian:
    """A hospital that imports: its clinician acts, its keyring knows its patients."""

    actor: Actor
    keyring: Keyring


@dataclass(frozen=True, slots=True)
class _Planned:
    record: str
    version: int
    entry: Entry
    compartment: int


async def import_bundle(
    custodian: Custodian, bundle: ParsedBundle, progress: Progress = lambda resources: None
) -> Imported:
    """A bundle that `parse_bundle` found valid. Raises Refused."""
    patient = custodian.keyring.pseudonym(bundle.patient.full_url)
    known = await _register(custodian, patient)
    earlier, own_id = await _earlier(custodian, patient), custodian.keyring.opaque_id
    wanted = [
        _Planned(earlier.get(entry.full_url) or own_id("record", patient, entry.full_url), 1, entry, compartment)
        for entry, compartment in zip(bundle.entries, classify_bundle(bundle.entries), strict=True)
    ]
    written: list[_Planned] = []
    reported = 0

    def committed(batch: Sequence[_Planned]) -> None:
        written.extend(batch)
        advance(len(batch))

    def advance(resources: int) -> None:
        nonlocal reported
        reported += resources
        progress(resources)

    async def attempt() -> None:
        nonlocal known
        existing = await _existing(custodian, patient, {one.record for one in wanted}) if known else {}
        known = True
        planned = _plan(wanted, existing)
        advance(len(wanted) - len(planned) - reported)
        await _write_all(custodian, patient, planned, committed)

    await repeated_on_conflict(attempt, Code.VERSION_CONFLICT, Code.RECORD_ERASED)
    amended = sum(one.version > 1 for one in written)
    return Imported(patient, len(wanted), len(written) - amended, amended, len(wanted) - len(written))


async def _register(custodian: Custodian, patient: str) -> bool:
    """Whether the patient was known before, if only because another import registered the same one just now."""
    actor = custodian.actor
    try:
        await _require_own(custodian, patient)
        return True
    except Refused as refused:
        if refused.code != Code.PATIENT_UNKNOWN:
            raise
    own = custodian.keyring.enrol_patient(patient, datetime.datetime.now(datetime.UTC))
    recipients = {actor.recipient: actor.key.public_bytes, patient: own.public_bytes}
    compartments = compartments_of(custodian, patient)
    envelopes = {}
    for index, compartment in enumerate(compartments):
        key = new_key()
        for recipient, public_key in recipients.items():
            context = EnvelopeContext(actor.channel, patient, compartment, 1, recipient)
            address = Address(compartment, recipient, 1)
            envelopes[address.key] = seal_envelope(public_key, context, key, index)
    registering = patients.Register(
        patient=patient, public_key=own.public_bytes, compartments=tuple(sorted(compartments))
    )
    try:
        await actor.submit("patients:Register", registering, envelopes)
        return False
    except Refused as refused:
        if refused.code != Code.PATIENT_EXISTS:
            raise
    except CommitFailed as failed:
        if not failed.is_conflict:
            raise
    await _require_own(custodian, patient)
    return True


async def _require_own(custodian: Custodian, patient: str) -> None:
    """Another member may have taken the pseudonym: records sealed there would be for its eyes. Raises NotOurPatient."""
    found = await registered(custodian.actor, patient)
    own = set(compartments_of(custodian, patient))
    if found.custodian != custodian.actor.recipient or not own <= set(found.compartments):
        raise NotOurPatient(
            "another member is this patient's custodian: nothing was written; unless custody passed on, tell the agency"
        )


def compartments_of(custodian: Custodian, patient: str) -> list[str]:
    """Their ids, in the order of NAMES."""
    if adopted := custodian.keyring.adopted(patient):
        return list(adopted.compartments)
    return [custodian.keyring.opaque_id("compartment", patient, name) for name in NAMES]


async def _earlier(custodian: Custodian, patient: str) -> dict[str, str]:
    """Full URL -> id, of what was written before the patient came from another hospital, which chose these ids."""
    if custodian.keyring.adopted(patient) is None:
        return {}
    async with session(custodian.actor, patient, Purpose.HOPERAT) as opened:
        return {one.full_url: one.header.id for one in await opened.read_all()}


def _plan(wanted: Sequence[_Planned], existing: Mapping[str, ReadRecord | None]) -> list[_Planned]:
    """What to write, in the bundle's order. Erased stays erased.

    A record whose bundle now refers to something sensitive moves with it. None moves out of a sensitive compartment:
    a bundle may hold only a part of what an earlier one held, and so not show why the record is there.
    """
    planned = []
    for one in wanted:
        if one.record not in existing:
            planned.append(one)
            continue
        found = existing[one.record]
        if found is None:
            continue
        place = NAMES.index(found.compartment)
        compartment = max(one.compartment, place)
        if compartment != place or canonical_json(found.resource) != canonical_json(one.entry.raw):
            planned.append(_Planned(one.record, found.header.version + 1, one.entry, compartment))
    return planned


async def _existing(custodian: Custodian, patient: str, wanted: Set[str]) -> dict[str, ReadRecord | None]:
    """Those records that are there, None where erased."""
    async with session(custodian.actor, patient, Purpose.HOPERAT) as opened:
        headers = [one for one in await opened.headers() if one.id in wanted]
        found: dict[str, ReadRecord | None] = {one.id: None for one in headers}
        live = [one for one in headers if one.status is not RecordStatus.ERASED]
        found.update({one.header.id: one for one in await opened.read(live)})
        # What nobody can open is not what the bundle says: it is written again.
        found.update({one.id: ReadRecord(one, NAMES[0], "", b"null") for one in opened.broken})
        return found


async def _write_all(
    custodian: Custodian, patient: str, planned: Sequence[_Planned], committed: Callable[[Sequence[_Planned]], None]
) -> None:
    """Batches by number and size, each all or nothing; a few on their way at once."""
    turn = asyncio.Semaphore(BATCHES_IN_FLIGHT)

    async def write(batch: Sequence[_Planned]) -> None:
        async with turn:
            await _write(custodian, patient, batch)
            committed(batch)

    try:
        async with asyncio.TaskGroup() as group:
            for batch in _batches(planned):
                group.create_task(write(batch))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


def _batches(planned: Iterable[_Planned]) -> Iterator[list[_Planned]]:
    batch: list[_Planned] = []
    size = 0
    for one in planned:
        if batch and (len(batch) == BATCH_RECORDS_MAX or size + len(one.entry.raw) > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += len(one.entry.raw)
    if batch:
        yield batch


async def _write(custodian: Custodian, patient: str, batch: Sequence[_Planned]) -> None:
    """Keys are fetched for each attempt: a revocation in between starts a new epoch. One that is due starts here."""

    async def attempt() -> None:
        held = await keys.for_writing(custodian.actor, patient)
        writing, bodies = _sealed(custodian, patient, held, batch)
        try:
            await custodian.actor.submit("records:Write", writing, bodies)
        except Refused as refused:
            if refused.code == Code.REKEY_DUE:
                await consenting.rotate(custodian.actor, patient)
            raise

    await repeated_on_conflict(attempt, Code.EPOCH_STALE, Code.REKEY_DUE, Code.REKEY_NOT_DUE)


def _sealed(
    custodian: Custodian, patient: str, held: HeldKeys, batch: Sequence[_Planned]
) -> tuple[records.Write, dict[str, bytes]]:
    """Under the keys of the hospital's own compartment ids, whatever name an envelope gives them."""
    actor, newest, ids = custodian.actor, held.newest(), compartments_of(custodian, patient)
    writes, bodies = [], {}
    for one in batch:
        key = newest.get(ids[one.compartment])
        if key is None:
            raise KeyMissing(
                "the hospital cannot open its key of a compartment: the patient's next revocation renews it"
            )
        sealer = held.sealer(key.compartment, key.epoch)
        assert sealer is not None
        binding = Binding(
            channel=actor.channel,
            patient=patient,
            record=one.record,
            version=one.version,
            compartment=key.compartment,
            epoch=key.epoch,
            custodian=actor.recipient,
        )
        content = msgspec.json.encode(Content(one.entry.full_url, msgspec.Raw(one.entry.raw)))
        bodies[f"{one.record}/{one.version}"] = sealer.seal(binding, content)
        writes.append(
            records.RecordWrite(
                id=one.record,
                version=one.version,
                compartment=key.compartment,
                epoch=key.epoch,
                status=WrittenStatus.ACTIVE,
            )
        )
    return records.Write(patient=patient, records=tuple(writes)), bodies
