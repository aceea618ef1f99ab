"""What the users and patients of one organisation submitted, out of the blocks that its own peer has.

So nothing is written for it: each envelope says who made it. Refused calls are in no block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from healthchain.identity.msp import claimed_name
from healthchain.ledger.ledger import Ledger
from healthchain.wire.block import transaction_codes
from healthchain.wire.codes import Code
from healthchain.wire.transaction import TransactionInvalid, called_function, decode_header


@dataclass(frozen=True, slots=True)
class Act:
    """`user` is MSP/CN, `code` Fabric's: what is not VALID changed nothing."""

    time_ms: int
    block: int
    tx_id: str
    user: str
    function: str
    code: str


def own_acts(ledger: Ledger, msp_id: str, last: int) -> Iterator[Act]:
    """Of the newest `last` blocks, in their order; without what only claims to be the organisation's."""
    for number in range(max(1, ledger.height - last), ledger.height):
        block = ledger.block(number)
        for envelope, code in zip(block.data.data, transaction_codes(block), strict=True):
            if code == Code.BAD_CREATOR_SIGNATURE:
                continue
            try:
                header = decode_header(envelope)
                function = called_function(header)
            except TransactionInvalid:
                continue
            owner, common_name = claimed_name(header.creator)
            if owner == msp_id:
                time_ms = header.timestamp_ns // 1_000_000
                yield Act(time_ms, number, header.tx_id, f"{owner}/{common_name}", function, Code.Name(code))
