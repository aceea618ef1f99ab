"""One load, whichever network it is for: what a transaction does, how many at once, and what comes out.

A transaction is counted when every peer that can be reached has it. Every signature is made and checked, and every peer
commits on its own.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from statistics import quantiles

from healthchain.app.bench.put import PUT_DEFINITION
from healthchain.app.bench.watching import Processes, Watch
from healthchain.app.consortium import CLINICIAN, Consortium
from healthchain.app.input import read_file
from healthchain.app.scenarios.records import sample_files
from healthchain.config import Organisation, Topology
from healthchain.contract import patients, records
from healthchain.contract.ids import COMPARTMENTS
from healthchain.contract.records import WrittenStatus
from healthchain.identity.keys import SigningKey, signature_holds
from healthchain.records.actor import Actor
from healthchain.records.bundle import parse_bundle
from healthchain.records.importing import import_bundle
from healthchain.records.keyring import random_id
from healthchain.records.sealing import Binding, BodySealer, new_key

BODY_BYTES = 1000
PATIENTS = 50
PRELOAD_BATCH = 500
RECORDS_OF_BATCH = 100
KINDS = ("hospital", "agency", "insurer")

Advance = Callable[[int], None]


class Workload(StrEnum):
    """What one transaction does."""

    PUT = "put"  # a key of the contract's smallest state, no private data
    RECORD = "record"  # one record of 1,000 B: the contract's rules, sealing, private data
    BATCH = "batch"  # 100 such records, of one patient
    IMPORT = "import"  # a sample patient's whole Bundle


@dataclass(frozen=True, slots=True)
class Load:
    workload: Workload
    organisations: int
    in_flight: int
    seconds: float
    records_before: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """`sign_per_second` and `verify_per_second` are one core's; memory is the peak of all processes together.

    `cpu_ms_per_transaction` is processor time by kind of process; `restart_seconds`, until a stopped network answers.
    """

    workload: str
    organisations: int
    in_flight: int
    records_before: int
    seconds: float
    transactions_per_second: float
    records_per_second: float
    latency_ms_p50: float
    latency_ms_p99: float
    sign_per_second: int
    verify_per_second: int
    memory_mib: int
    cpu_ms_per_transaction: Mapping[str, float]
    restart_seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    transactions: int
    records: int
    seconds: float
    latencies_ms: list[float]
    cpu_seconds: Mapping[str, float]
    memory_mib: int


def figures(load: Load, measured: Measured, restart_seconds: float, rates: tuple[int, int]) -> Figures:
    """`rates` are those of `signature_rates`, taken before."""
    latencies = measured.latencies_ms if len(measured.latencies_ms) > 1 else measured.latencies_ms * 2
    cuts, count = quantiles(latencies, n=100), measured.transactions
    return Figures(
        workload=load.workload.value,
        organisations=load.organisations,
        in_flight=load.in_flight,
        records_before=load.records_before,
        seconds=round(measured.seconds, 2),
        transactions_per_second=round(count / measured.seconds, 1),
        records_per_second=round(measured.records / measured.seconds, 1),
        latency_ms_p50=round(cuts[49], 2),
        latency_ms_p99=round(cuts[98], 2),
        sign_per_second=rates[0],
        verify_per_second=rates[1],
        memory_mib=measured.memory_mib,
        cpu_ms_per_transaction={kind: round(one * 1000 / count, 2) for kind, one in measured.cpu_seconds.items()},
        restart_seconds=round(restart_seconds, 2),
    )


def topology(organisations: int) -> Topology:
    """Hospitals, insurers and agencies in turn; the first is the hospital that writes."""
    return Topology(
        organisations=tuple(
            Organisation(f"member-{index + 1}", KINDS[index % len(KINDS)])  # type: ignore[arg-type]
            for index in range(organisations)
        )
    )


def signature_rates(count: int = 2000) -> tuple[int, int]:
    """P-256 signatures and verifications a second, one after another on this thread."""
    key, digest = SigningKey.generate(), sha256(b"bench").digest()
    started = time.perf_counter()
    for _ in range(count):
        signature = key.sign_digest(digest)
    signed = time.perf_counter()
    for _ in range(count):
        assert signature_holds(key.public, digest, signature)
    return round(count / (signed - started)), round(count / (time.perf_counter() - signed))


class Work:
    """A hospital's clinician at work, for patients made for it; `prepare` first. `putting` is where `put` is served."""

    def __init__(self, consortium: Consortium, putting: str = PUT_DEFINITION.name) -> None:
        self._consortium = consortium
        self._organisation = consortium.topology.organisations[0].name
        self._writer: Actor = consortium.staff(self._organisation, CLINICIAN)
        self._patients: list[tuple[str, str]] = []
        self._sealer = BodySealer(new_key())
        self._putter = consortium.connection(self._organisation, CLINICIAN, putting)
        self._value = secrets.token_bytes(BODY_BYTES)
        self._body = secrets.token_bytes(BODY_BYTES)

    async def prepare(self, records_before: int = 0) -> None:
        self._patients = await asyncio.gather(*[self._registered() for _ in range(PATIENTS)])
        await self._preload(records_before)

    async def _registered(self) -> tuple[str, str]:
        """A patient and a compartment; the envelopes are of the right size and of no use."""
        envelope = secrets.token_bytes(1169)
        patient, compartments = random_id(), sorted(random_id() for _ in range(COMPARTMENTS))
        transient = {
            f"{one}/1/{recipient}": envelope for one in compartments for recipient in (self._writer.recipient, patient)
        }
        registering = patients.Register(patient, self._writer.key.public_bytes, tuple(compartments))
        await self._writer.submit("patients:Register", registering, transient)
        return patient, compartments[0]

    async def _preload(self, count: int) -> None:
        turn = asyncio.Semaphore(2)

        async def batch(index: int, size: int) -> None:
            async with turn:
                await self._write(index, size)

        sizes = [min(PRELOAD_BATCH, count - begin) for begin in range(0, count, PRELOAD_BATCH)]
        await asyncio.gather(*[batch(index, size) for index, size in enumerate(sizes)])

    async def measured(
        self, load: Load, processes: Processes, advance: Advance = lambda transactions: None
    ) -> Measured:
        """`advance` is told of transactions that are committed."""
        watch = Watch(processes)
        watch.begin()
        started = time.perf_counter()
        records, latencies = await (
            self._imports(load) if load.workload is Workload.IMPORT else self._repeat(load, advance)
        )
        seconds = time.perf_counter() - started
        return Measured(len(latencies), records, seconds, latencies, watch.end(), watch.memory_mib)

    async def _repeat(self, load: Load, advance: Advance) -> tuple[int, list[float]]:
        """Records written, and each transaction's milliseconds."""
        latencies: list[float] = []
        batch = RECORDS_OF_BATCH if load.workload is Workload.BATCH else 1
        end = time.perf_counter() + load.seconds

        async def worker(index: int) -> None:
            while time.perf_counter() < end:
                started = time.perf_counter()
                if load.workload is Workload.PUT:
                    await self._put()
                else:
                    await self._write(index + len(latencies), batch)
                latencies.append((time.perf_counter() - started) * 1000)
                advance(1)

        await asyncio.gather(*[worker(index) for index in range(load.in_flight)])
        return len(latencies) * batch, latencies

    async def _imports(self, load: Load) -> tuple[int, list[float]]:
        """Sample patients, one after another, until the time is over; the same again are new patients' records."""
        contents = [read_file(path) for path in sample_files()]
        custodian = self._consortium.custodian(self._organisation)
        latencies: list[float] = []
        resources, end = 0, time.perf_counter() + load.seconds
        while len(latencies) < len(contents) or time.perf_counter() < end:
            generation, index = divmod(len(latencies), len(contents))
            begun = time.perf_counter()
            bundle = parse_bundle(_renamed(contents[index], generation))
            resources += (await import_bundle(custodian, bundle)).written
            latencies.append((time.perf_counter() - begun) * 1000)
        return resources, latencies

    async def _write(self, index: int, count: int) -> None:
        patient, compartment = self._patients[index % len(self._patients)]
        writes, bodies = [], {}
        for _ in range(count):
            record = random_id()
            binding = Binding(self._writer.channel, patient, record, 1, compartment, 1, self._writer.recipient)
            bodies[f"{record}/1"] = self._sealer.seal(binding, self._body)
            writes.append(records.RecordWrite(record, 1, compartment, 1, WrittenStatus.ACTIVE))
        await self._writer.submit("records:Write", records.Write(patient, tuple(writes)), bodies)

    async def _put(self) -> None:
        await self._putter.submit("Put", random_id().encode(), self._value)


def _renamed(content: bytes, generation: int) -> bytes:
    """The same patient as another one: every URL of the file with other first digits."""
    return re.sub(rb"urn:uuid:[0-9a-f]{4}", b"urn:uuid:%04x" % generation, content) if generation else content
