"""Checks a closed peer's folder: everything is computed again from the blocks, nothing on the disk is trusted.

1. every byte of the two logs; 2. number, hash link, data hash and orderers' signatures of each block; 3. the code of
each transaction and the chained commit hash; 4. each private value against its committed hash, and that purged ones are
gone; 5. the tables, row for row. It only reads, and says what it finds in words that hold no payload, key or name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fabric_protos.common import common_pb2

from healthchain.ledger.channel import Channel
from healthchain.ledger.fsck_chain import BLOCK_LOG, rebuild
from healthchain.ledger.fsck_log import Finding, Findings, read_log
from healthchain.ledger.fsck_private import PRIVATE_LOG, PrivateLog
from healthchain.ledger.fsck_tables import compare_tables
from healthchain.ledger.recovery import MARKER

__all__ = ["Finding", "Report", "check", "compare"]

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What one peer's folder holds. `commit_hashes` has one for each block; `state_hash` covers the stored tables."""

    findings: list[Finding]
    height: int
    transactions: int
    tip_hash: bytes
    commit_hashes: list[bytes]
    state_hash: bytes


def check(
    folder: Path, genesis: common_pb2.Block, progress: Progress = lambda number: None, msp_id: str | None = None
) -> Report:
    """`progress` gets each block's number; `msp_id` is the peer's organisation, if it is not in all collections.

    Whatever the folder holds, this returns. Raises ChannelMalformed for a bad `genesis`, which the caller vouches for.
    """
    findings = Findings()
    if (folder / MARKER).exists():
        findings.add("folder", "the peer is running or was not stopped cleanly: start and stop it, then check again")
    private = PrivateLog(read_log(folder / "private", PRIVATE_LOG, findings), findings)
    blocks = read_log(folder / "blocks", BLOCK_LOG, findings)
    rebuilt = rebuild(blocks, genesis, Channel(genesis), private, findings, progress)
    for _ in blocks:  # beyond a broken block the frames are checked all the same
        pass
    state_hash = b""
    if rebuilt.whole:
        private.finish(rebuilt.definitions, msp_id)
        state_hash = compare_tables(folder, rebuilt, private, findings)
    return Report(
        findings.found,
        len(rebuilt.blocks),
        rebuilt.transaction_count,
        rebuilt.tip_hash,
        rebuilt.commit_hashes,
        state_hash,
    )


def compare(reports: Mapping[str, Report]) -> list[Finding]:
    """Whether peers agree, by name; each was checked on its own before."""
    findings = Findings()
    if not reports:
        return findings.found
    best = max(reports, key=lambda name: reports[name].height)
    for name, report in reports.items():
        _compare(name, report, best, reports[best], findings)
    return findings.found


def _compare(name: str, report: Report, other: str, best: Report, findings: Findings) -> None:
    if report.height < best.height:
        findings.add(name, f"is at height {report.height}, {other} at {best.height}: let it catch up")
    pairs = zip(report.commit_hashes, best.commit_hashes, strict=False)
    apart = next((number for number, (one, two) in enumerate(pairs) if one != two), None)
    if apart is not None:
        findings.add(name, f"differs from {other} from block {apart} on")
    elif report.height == best.height and report.tip_hash != best.tip_hash:
        findings.add(name, f"has another last block than {other}")
    elif report.height == best.height and report.state_hash != best.state_hash:
        findings.add(name, f"has another state than {other}, though their blocks agree")
