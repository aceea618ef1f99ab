"""Importing a FHIR Bundle: one patient's resources become sealed records of their custodian.

1. The whole bundle was validated before anything is written (`bundle`). 2. The patient is registered, unless known:
pseudonym, record ids and compartment ids are keyed hashes of the source (docs/decisions/0005), so that a repeated
import finds what an earlier one wrote. 3. What is new is written, what changed is amended, what is equal left alone.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from healthchain.contract import patients, records
from healthchain.contract.codes import Code
from healthchain.contract.envelopes import Address
from healthchain.contract.ids import Purpose
from healthchain.contract.records import ListedHeader, RecordStatus, WrittenStatus
from healthchain.errors import Refused
from healthchain.records import keys
from healthchain.records.actor import Actor, repeated_on_conflict
from healthchain.records.bundle import Entry, ParsedBundle
from healthchain.records.canonical import canonical_json
from healthchain.records.compartments import NAMES, classify_bundle
from healthchain.records.keyring import Keyring
from healthchain.records.keys import CompartmentKey, HeldKeys
from healthchain.records.reading import Content, session
from healthchain.records.sealing import Binding, EnvelopeContext, new_key, seal_envelope

BATCH_RECORDS_MAX = 400
BATCH_BYTES_MAX = 8 << 20
BATCHES_IN_FLIGHT = 2

Progress = Callable[[int], None]
"""Called with the number of resources that were just committed, or found unchanged."""


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
    patient = custodian.keyring.opaque_id("patient", bundle.patient.full_url)
    known = await _register(custodian, patient)
    ids = {entry.full_url: custodian.keyring.opaque_id("record", patient, entry.full_url) for entry in bundle.entries}
    compartments = classify_bundle(bundle.entries)
    planned, unchanged = await _plan(custodian, patient, bundle, ids, compartments, known=known)
    progress(unchanged)
    await _write_all(custodian, patient, planned, progress)
    amended = sum(one.version > 1 for one in planned)
    return Imported(patient, len(bundle.entries), len(planned) - amended, amended, unchanged)


async def _register(custodian: Custodian, patient: str) -> bool:
    """Whether the patient was known before."""
    actor = custodian.actor
    try:
        await actor.ask("patients:Get", patients.Get(patient=patient), patients.RegisteredPatient)
        return True
    except Refused as refused:
        if refused.code != Code.PATIENT_UNKNOWN:
            raise
    own = custodian.keyring.enrol_patient(patient, datetime.datetime.now(datetime.UTC))
    recipients = {actor.recipient: actor.key.public_bytes, patient: own.public_bytes}
    compartments = [custodian.keyring.opaque_id("compartment", patient, name) for name in NAMES]
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
    await actor.submit("patients:Register", registering, envelopes)
    return False


async def _plan(
    custodian: Custodian,
    patient: str,
    bundle: ParsedBundle,
    ids: dict[str, str],
    compartments: Sequence[int],
    *,
    known: bool,
) -> tuple[list[_Planned], int]:
    """What to write, in the bundle's order, and how many resources are on the ledger already as they are."""
    existing = await _existing(custodian, patient, set(ids.values())) if known else {}
    planned = []
    for entry, compartment in zip(bundle.entries, compartments, strict=True):
        record = ids[entry.full_url]
        header, content = existing.get(record, (None, b""))
        if header is None:
            planned.append(_Planned(record, 1, entry, compartment))
        elif header.status is RecordStatus.ERASED or content == canonical_json(entry.raw):
            continue  # erased stays erased
        else:
            planned.append(_Planned(record, header.version + 1, entry, compartment))
    return planned, len(bundle.entries) - len(planned)


async def _existing(custodian: Custodian, patient: str, wanted: set[str]) -> dict[str, tuple[ListedHeader, bytes]]:
    """Header and canonical content of those records that are there; content is empty where erased."""
    async with session(custodian.actor, patient, Purpose.HOPERAT) as opened:
        headers = [one for one in await opened.headers() if one.id in wanted]
        live = [one for one in headers if one.status is not RecordStatus.ERASED]
        found = {one.id: (one, b"") for one in headers}
        for record in await opened.read(live):
            found[record.header.id] = (record.header, canonical_json(record.resource))
        return found


async def _write_all(custodian: Custodian, patient: str, planned: Sequence[_Planned], progress: Progress) -> None:
    """Batches by number and size, each all or nothing; a few on their way at once."""
    turn = asyncio.Semaphore(BATCHES_IN_FLIGHT)

    async def write(batch: Sequence[_Planned]) -> None:
        async with turn:
            await _write(custodian, patient, batch)
            progress(len(batch))

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
    """Keys are fetched for each attempt: a revocation in between starts a new epoch."""

    async def attempt() -> None:
        held = await keys.for_writing(custodian.actor, patient)
        writing, bodies = _sealed(custodian.actor, patient, held, batch)
        await custodian.actor.submit("records:Write", writing, bodies)

    try:
        await repeated_on_conflict(attempt)
    except Refused as refused:
        if refused.code != Code.EPOCH_STALE:
            raise
        await repeated_on_conflict(attempt)


def _sealed(
    actor: Actor, patient: str, held: HeldKeys, batch: Sequence[_Planned]
) -> tuple[records.Write, dict[str, bytes]]:
    newest: dict[int, CompartmentKey] = held.newest()
    writes, bodies = [], {}
    for one in batch:
        key = newest[one.compartment]
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
