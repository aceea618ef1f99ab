"""Checking every peer's ledger of a folder from the first byte, and all against each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fabric_protos.common import common_pb2

from healthchain.app.consortium import NotEmbedded, stored_topology
from healthchain.config import Topology
from healthchain.errors import HealthChainError
from healthchain.fabric.nodes import is_fabric
from healthchain.ledger import fsck
from healthchain.ledger.channel import Channel
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.quorum import check_link
from healthchain.ledger.recovery import MARKER, close_ledger, open_ledger
from healthchain.network.catchup import catch_up
from healthchain.network.network import boot_id, folder_lock, peer_folder
from healthchain.network.provision import GENESIS, read_genesis_block

Progress = Callable[[str, int], None]
"""Called with the organisation and block number."""


@dataclass(frozen=True, slots=True)
class PeerFinding:
    """`peer` is the organisation, or "all peers" for what differs between them."""

    peer: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Verification:
    findings: tuple[PeerFinding, ...]
    height: int
    transactions: int
    seconds: float

    @property
    def clean(self) -> bool:
        return not self.findings


def verify(folder: Path, progress: Progress = lambda organisation, block: None) -> Verification:
    """Raises FolderInUse, GenesisMissing or NotEmbedded; everything else that is wrong is a finding."""
    if is_fabric(folder):
        raise NotEmbedded
    started = time.monotonic()
    topology = stored_topology(folder)
    with folder_lock(folder):
        genesis = read_genesis_block(folder)
        try:
            check_link(genesis, 0, b"")
            Channel(genesis)
        except HealthChainError as error:
            finding = PeerFinding("all peers", GENESIS, str(error))
            return Verification((finding,), 0, 0, time.monotonic() - started)
        findings = _recovered(folder, topology, genesis)
        results = {}
        for one in topology.organisations:
            result = fsck.check(peer_folder(folder, one.name), genesis, partial(progress, one.name), one.msp_id)
            findings += [PeerFinding(one.name, found.where, found.what) for found in result.findings]
            results[one.name] = result
        findings += [PeerFinding("all peers", found.where, found.what) for found in fsck.compare(results)]
    first = next(iter(results.values()))
    return Verification(tuple(findings), first.height, first.transactions, time.monotonic() - started)


def _recovered(folder: Path, topology: Topology, genesis: common_pb2.Block) -> list[PeerFinding]:
    """If one was not closed cleanly, all are first opened as usual: torn ends are completed or cut off.

    A process that was killed, or that met a full disk, may have left some with a block more than others.
    """
    ledgers: dict[str, Ledger] = {}
    findings: list[PeerFinding] = []
    if not any((peer_folder(folder, one.name) / MARKER).exists() for one in topology.organisations):
        return findings
    for one in topology.organisations:
        try:
            ledgers[one.msp_id] = open_ledger(peer_folder(folder, one.name), genesis, boot_id())
        except HealthChainError as error:
            findings.append(PeerFinding(one.name, "recovery", str(error)))
    try:
        if ledgers:
            catch_up(ledgers)
    except HealthChainError as error:
        findings.append(PeerFinding("all peers", "recovery", str(error)))
    finally:
        for ledger in ledgers.values():
            close_ledger(ledger)
    return findings
