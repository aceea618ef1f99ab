"""Checking every peer's ledger of a folder from the first byte, and all against each other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from healthchain.app.consortium import stored_topology
from healthchain.errors import HealthChainError
from healthchain.ledger import fsck
from healthchain.ledger.recovery import MARKER, close_ledger, open_ledger
from healthchain.network.network import boot_id, folder_lock, peer_folder
from healthchain.network.provision import read_genesis_block

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
    """Raises FolderInUse or GenesisMissing; everything else that is wrong is a finding."""
    started = time.monotonic()
    with folder_lock(folder):
        topology = stored_topology(folder)
        genesis = read_genesis_block(folder)
        findings: list[PeerFinding] = []
        results = {}
        for one in topology.organisations:
            peer = peer_folder(folder, one.name)
            findings += _recovered(peer, one.name)
            result = fsck.check(peer, genesis, partial(progress, one.name))
            findings += [PeerFinding(one.name, found.where, found.what) for found in result.findings]
            results[one.name] = result
        findings += [PeerFinding("all peers", found.where, found.what) for found in fsck.compare(results)]
    first = next(iter(results.values()))
    return Verification(tuple(findings), first.height, first.transactions, time.monotonic() - started)


def _recovered(peer: Path, name: str) -> list[PeerFinding]:
    """A ledger that was not closed cleanly is first opened as usual, which completes or cuts off its torn end."""
    if not (peer / MARKER).exists():
        return []
    try:
        close_ledger(open_ledger(peer, read_genesis_block(peer.parents[1]), boot_id()))
    except HealthChainError as error:
        return [PeerFinding(name, "recovery", str(error))]
    return []
