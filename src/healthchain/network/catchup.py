"""Peers that missed blocks get them from the one that has most, and check them as if they came from the orderers.

A process that hosts all peers can be killed after one peer has made a block durable and before another has.
"""

from __future__ import annotations

from collections.abc import Sequence

from healthchain.identity.keys import signature_holds
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.quorum import check_block
from healthchain.ledger.validate import SignatureCheck, decode_transactions, preliminary_codes
from healthchain.wire.block import orderer_part


def catch_up(ledgers: Sequence[Ledger]) -> int:
    """Bring all to the height of the highest; returns how many blocks were missing. Raises BlockRefused, OSError."""
    source = max(ledgers, key=lambda one: one.height)
    missing = 0
    for ledger in ledgers:
        while ledger.height < source.height:
            _copy_block(source, ledger)
            missing += 1
    return missing


def _copy_block(source: Ledger, ledger: Ledger) -> None:
    number = ledger.height
    block = orderer_part(source.block(number))
    check_block(block, number, ledger.tip_hash, ledger.channel, _holds)
    decoded = decode_transactions(block.data.data, ledger.channel)
    codes = preliminary_codes(
        decoded, _holds, ledger.channel, ledger.definitions, lambda tx_id: ledger.transaction(tx_id) is not None
    )
    # Whatever the other peer hands over is taken only where the block's hashes confirm it.
    commit = ledger.prepare(block, decoded, codes, source.private_bodies(number))
    commit.write()
    ledger.apply(commit)


def _holds(check: SignatureCheck) -> bool:
    return signature_holds(check.identity.public_key, check.digest, check.signature)
