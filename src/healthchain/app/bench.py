"""Measuring this machine: how many transactions a second, how long each takes, in how much memory.

The machine's own signature rates are measured beside, since each transaction costs five signatures and five
verifications: proposal, two or more endorsements, envelope, and the question for the commit's status.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from statistics import quantiles

from healthchain.app.consortium import CLINICIAN, Consortium, initialise, opened
from healthchain.app.input import read_file
from healthchain.app.scenarios.records import sample_files
from healthchain.chaincode.dispatch import Response
from healthchain.chaincode.stub import Stub
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
from healthchain.wire.lifecycle import ChaincodeDefinition

BODY_BYTES = 1000
PATIENTS = 50
PRELOAD_BATCH = 500
KINDS = ("hospital", "agency", "insurer")
PUT_DEFINITION = ChaincodeDefinition("put", "1", 1, ())

Advance = Callable[[int], None]


class Workload(StrEnum):
    """What one transaction does."""

    PUT = "put"  # a key of the contract's smallest state, no private data
    RECORD = "record"  # one record of 1,000 B: the contract's rules, sealing, private data
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
    """`sign_per_second` and `verify_per_second` are one core's; memory is the peak of both processes together."""

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
    restart_seconds: float


@dataclass(slots=True)
class _Measured:
    transactions: int
    records: int
    seconds: float
    latencies_ms: list[float]


async def run(folder: Path, load: Load, advance: Advance = lambda transactions: None) -> Figures:
    """In a folder without a network; raises FolderTaken otherwise."""
    sign, verify = signature_rates()
    await initialise(folder, topology(load.organisations))
    async with opened(folder, extra=[(PUT_DEFINITION, _Put())]) as consortium:
        await consortium.define(PUT_DEFINITION)
        memory = _Memory()
        watching = asyncio.create_task(memory.watch())
        bench = _Bench(consortium)
        await bench.prepare()
        if load.records_before:
            await bench.preload(load.records_before)
        measured = await (bench.imports(load) if load.workload is Workload.IMPORT else bench.repeat(load, advance))
        memory.look()
        watching.cancel()
    started = time.perf_counter()
    async with opened(folder):
        restart = time.perf_counter() - started
    latencies = measured.latencies_ms if len(measured.latencies_ms) > 1 else measured.latencies_ms * 2
    cuts = quantiles(latencies, n=100)
    return Figures(
        workload=load.workload.value,
        organisations=load.organisations,
        in_flight=load.in_flight,
        records_before=load.records_before,
        seconds=round(measured.seconds, 2),
        transactions_per_second=round(measured.transactions / measured.seconds, 1),
        records_per_second=round(measured.records / measured.seconds, 1),
        latency_ms_p50=round(cuts[49], 2),
        latency_ms_p99=round(cuts[98], 2),
        sign_per_second=sign,
        verify_per_second=verify,
        memory_mib=memory.peak_mib,
        restart_seconds=round(restart, 2),
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


class _Bench:
    def __init__(self, consortium: Consortium) -> None:
        self._consortium = consortium
        self._organisation = consortium.topology.organisations[0].name
        self._writer: Actor = consortium.staff(self._organisation, CLINICIAN)
        self._patients: list[tuple[str, str]] = []
        self._sealer = BodySealer(new_key())
        self._putter = consortium.connection(self._organisation, CLINICIAN, PUT_DEFINITION.name)
        self._value = secrets.token_bytes(BODY_BYTES)
        self._body = secrets.token_bytes(BODY_BYTES)

    async def prepare(self) -> None:
        """Patients to write for; their envelopes are of the right size and of no use."""
        envelope = secrets.token_bytes(1169)
        for _ in range(PATIENTS):
            patient, compartments = random_id(), sorted(random_id() for _ in range(COMPARTMENTS))
            transient = {
                f"{one}/1/{recipient}": envelope
                for one in compartments
                for recipient in (self._writer.recipient, patient)
            }
            public_key = self._writer.key.public_bytes
            registering = patients.Register(patient, public_key, tuple(compartments))
            await self._writer.submit("patients:Register", registering, transient)
            self._patients.append((patient, compartments[0]))

    async def preload(self, count: int) -> None:
        turn = asyncio.Semaphore(2)

        async def batch(index: int, size: int) -> None:
            async with turn:
                await self._write(index, size)

        sizes = [min(PRELOAD_BATCH, count - begin) for begin in range(0, count, PRELOAD_BATCH)]
        await asyncio.gather(*[batch(index, size) for index, size in enumerate(sizes)])

    async def repeat(self, load: Load, advance: Advance) -> _Measured:
        latencies: list[float] = []
        one = self._put if load.workload is Workload.PUT else self._record
        end = time.perf_counter() + load.seconds

        async def worker(index: int) -> None:
            while time.perf_counter() < end:
                started = time.perf_counter()
                await one(index + len(latencies))
                latencies.append((time.perf_counter() - started) * 1000)
                advance(1)

        started = time.perf_counter()
        await asyncio.gather(*[worker(index) for index in range(load.in_flight)])
        done = len(latencies)
        return _Measured(done, done, time.perf_counter() - started, latencies)

    async def imports(self, load: Load) -> _Measured:
        """Sample patients, one after another, until the time is over; the same again are new patients' records."""
        contents = [read_file(path) for path in sample_files()]
        custodian = self._consortium.custodian(self._organisation)
        latencies, resources, turn = [], 0, 0
        started = time.perf_counter()
        while turn < len(contents) or time.perf_counter() - started < load.seconds:
            begun = time.perf_counter()
            bundle = parse_bundle(_renamed(contents[turn % len(contents)], turn // len(contents)))
            resources += (await import_bundle(custodian, bundle)).written
            latencies.append((time.perf_counter() - begun) * 1000)
            turn += 1
        return _Measured(turn, resources, time.perf_counter() - started, latencies)

    async def _record(self, index: int) -> None:
        await self._write(index, 1)

    async def _write(self, index: int, count: int) -> None:
        patient, compartment = self._patients[index % len(self._patients)]
        writes, bodies = [], {}
        for _ in range(count):
            record = random_id()
            binding = Binding(self._writer.channel, patient, record, 1, compartment, 1, self._writer.recipient)
            bodies[f"{record}/1"] = self._sealer.seal(binding, self._body)
            writes.append(records.RecordWrite(record, 1, compartment, 1, WrittenStatus.ACTIVE))
        await self._writer.submit("records:Write", records.Write(patient, tuple(writes)), bodies)

    async def _put(self, index: int) -> None:
        await self._putter.submit("Put", random_id().encode(), self._value)


class _Put:
    """A contract without rules, to compare with: one key, one value."""

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return False

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        _, key, value = args
        stub.put_state(key.decode(), value)
        return Response(200, "", b"")


def _renamed(content: bytes, generation: int) -> bytes:
    """The same patient as another one: every URL of the file with other first digits."""
    return re.sub(rb"urn:uuid:[0-9a-f]{4}", b"urn:uuid:%04x" % generation, content) if generation else content


class _Memory:
    """The peak of proportional set sizes, this process and the one that verifies signatures, looked at each second.

    Proportional: a page that both map, as those of shared libraries, counts once.
    """

    def __init__(self) -> None:
        self.peak_mib = 0

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(1)

    def look(self) -> None:
        self.peak_mib = max(self.peak_mib, round(sum(_proportional_kib(pid) for pid in ("self", *_children())) / 1024))


def _children() -> Sequence[str]:
    try:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    except OSError:
        return ()


def _proportional_kib(pid: str) -> int:
    """Where the system does not tell, the peak resident size of this process."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if pid == "self" else 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
