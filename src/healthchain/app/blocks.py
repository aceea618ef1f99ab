"""What a person may want to see of the newest blocks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from healthchain.network.network import Network
from healthchain.wire.block import Block, header_hash, transaction_codes
from healthchain.wire.codes import Code


@dataclass(frozen=True, slots=True)
class BlockSummary:
    number: int
    hash: str
    previous_hash: str
    transactions: int
    codes: str
    """Validation codes and how often, as in "VALID 12, MVCC_READ_CONFLICT 1"."""


def summaries(network: Network, last: int) -> list[BlockSummary]:
    """The newest blocks of the first peer, newest first."""
    ledger = next(iter(network.peers.values())).ledger
    first = max(0, ledger.height - last)
    return [_summary(ledger.block(number)) for number in range(ledger.height - 1, first - 1, -1)]


def _summary(block: Block) -> BlockSummary:
    counted = Counter(Code.Name(code) for code in transaction_codes(block))
    return BlockSummary(
        number=block.header.number,
        hash=header_hash(block).hex(),
        previous_hash=block.header.previous_hash.hex(),
        transactions=len(block.data.data),
        codes=", ".join(f"{name} {count}" for name, count in counted.most_common()),
    )
