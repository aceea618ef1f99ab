"""The embedded network: every organisation's peer and orderer in one process, over one folder.

async with Network.opened(folder, topology, chaincodes, definitions) as network:
    gateway = network.gateway("general-hospital")
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from healthchain.config import Topology
from healthchain.errors import HealthChainError
from healthchain.ledger.channel import Channel
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.recovery import close_ledger, open_ledger
from healthchain.network.catchup import catch_up
from healthchain.network.clock import Clock
from healthchain.network.commits import Commits
from healthchain.network.committer import Committer
from healthchain.network.endorsement import Endorsing
from healthchain.network.endorser import Endorser
from healthchain.network.execution import Chaincode, Service
from healthchain.network.gateway import Gateway
from healthchain.network.lifecycle import Lifecycle
from healthchain.network.orderer import Orderer, OrderingService
from healthchain.network.peer import Peer
from healthchain.network.provision import organisation_folder, read_genesis_block
from healthchain.network.signer import Signer
from healthchain.network.verifier import Verifier
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition

LOCK = "lock"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
Progress = Callable[[str, int], None]
"""Called with the organisation and block number as a peer replays blocks after a crash."""


class FolderInUse(HealthChainError):
    """Another process has the folder open."""


class NetworkClosed(HealthChainError):
    """What somebody still waited for may come to pass when the network is opened again, or never."""


class Network:
    """Open with `opened`."""

    def __init__(
        self, topology: Topology, peers: Mapping[str, Peer], orderers: Sequence[Orderer], clock: Clock
    ) -> None:
        self.topology = topology
        self.peers = peers
        self.orderers = orderers
        self.commits = Commits()
        self.verifier = Verifier()
        self.signer = Signer()
        listed = list(peers.values())
        self._announced = self.channel
        self._committer = Committer(listed, self.verifier, self._committed)
        self._ordering = OrderingService(
            listed[0].ledger, orderers, self.verifier, self._committer.deliver, self.commits.drop, clock
        )
        self._gateways = {
            name: Gateway(peer, listed, self._ordering, self.commits, self.verifier, self.signer)
            for name, peer in peers.items()
        }
        self._endorsers = {
            name: Endorser(peer, Endorsing(peer, listed, self.signer), self.verifier) for name, peer in peers.items()
        }
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls,
        folder: Path,
        topology: Topology,
        chaincodes: Mapping[str, Chaincode | Service],
        definitions: Sequence[ChaincodeDefinition],
        *,
        clock_ms: Clock = lambda: time.time_ns() // 1_000_000,
        progress: Progress = lambda organisation, block: None,
    ) -> AsyncIterator[Network]:
        """Raises FolderInUse, GenesisMissing, CredentialsMissing, LogCorrupted."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(folder_lock(folder))
            ledgers = _open_ledgers(folder, topology, progress, stack)
            catch_up({topology.organisation(name).msp_id: one for name, one in ledgers.items()})
            first = next(iter(ledgers.values()))
            agreed = {**chaincodes, LIFECYCLE: Lifecycle(definitions, lambda: first.channel.msp_ids)}
            peers = {name: _peer(folder, topology, name, one, agreed, clock_ms) for name, one in ledgers.items()}
            network = cls(topology, peers, _orderers(folder, topology, next(iter(ledgers.values()))), clock_ms)
            network._start()
            try:
                yield network
            finally:
                await network._stop()

    def gateway(self, organisation: str) -> Gateway:
        self.topology.organisation(organisation)  # the error that names those there are
        return self._gateways[organisation]

    def endorser(self, organisation: str) -> Endorser:
        """For clients that gather endorsements themselves."""
        return self._endorsers[organisation]

    @property
    def ordering(self) -> OrderingService:
        """For clients that send their envelopes themselves."""
        return self._ordering

    @property
    def channel(self) -> Channel:
        """What is in force for the next block, on every peer alike."""
        return next(iter(self.peers.values())).ledger.channel

    @property
    def height(self) -> int:
        return next(iter(self.peers.values())).ledger.height

    def _committed(self, block: int, fates: Mapping[str, int]) -> None:
        self.commits.committed(block, fates)
        if self._announced is not self.channel:
            self._announced = self.channel
            self.commits.members_changed()

    def _start(self) -> None:
        for run in (self._ordering.run, self._committer.run):
            task = asyncio.get_running_loop().create_task(run())
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """If one stage fails, the others stop too, and whoever waits for a commit learns why."""
        if task.cancelled():
            return
        failure = task.exception()
        assert failure is not None
        self._ordering.fail(failure)
        self.commits.failed(failure)
        for one in self._tasks:
            one.cancel()

    async def _stop(self) -> None:
        closed = NetworkClosed("the network was closed: open it again and ask for the transaction's status")
        self._ordering.fail(closed)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.commits.failed(closed)
        self._committer.close()
        await self.verifier.close()
        await self.signer.close()


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """One process at a time; the kernel frees the lock when the process ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse("another process has this network's folder open: wait for it, or end it") from None
        yield
    finally:
        os.close(file)


def _open_ledgers(
    folder: Path, topology: Topology, progress: Progress, stack: contextlib.ExitStack
) -> dict[str, Ledger]:
    genesis = read_genesis_block(folder)
    ledgers = {}
    for one in topology.organisations:
        name = one.name
        ledger = open_ledger(peer_folder(folder, name), genesis, boot_id(), partial(progress, name))
        stack.callback(close_ledger, ledger)
        ledgers[name] = ledger
    return ledgers


def boot_id() -> str:
    """Of this run of the operating system; never twice the same where there is none."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else f"unknown {time.time_ns()}"


def peer_folder(folder: Path, organisation: str) -> Path:
    return folder / "peers" / organisation


def _peer(
    folder: Path,
    topology: Topology,
    name: str,
    ledger: Ledger,
    chaincodes: Mapping[str, Chaincode | Service],
    clock: Clock,
) -> Peer:
    credentials = organisation_folder(folder, topology, name)
    identity = credentials.signing_identity(credentials.peer)
    return Peer(credentials.peer.name, ledger, identity, chaincodes, clock)


def _orderers(folder: Path, topology: Topology, ledger: Ledger) -> list[Orderer]:
    orderers = []
    for organisation in topology.organisations:
        credentials = organisation_folder(folder, topology, organisation.name)
        identity = credentials.signing_identity(credentials.orderer)
        orderers.append(Orderer(organisation.name, identity, ledger.height, ledger.tip_hash))
    return orderers
