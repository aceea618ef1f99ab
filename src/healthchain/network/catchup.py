"""Peers that missed blocks get them from the one that has most, and check them as if they came from the orderers.

Private values come from whichever peer still holds them, and only to those whose organisation is in the collection by
its newest definition: a member that came later gets what was written before, as in Fabric's reconciliation. A process
that hosts all peers can be killed after one peer has made a block durable and before another has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from healthchain.ledger.ledger import Ledger
from healthchain.ledger.private import decode_body
from healthchain.ledger.quorum import check_block
from healthchain.ledger.validate import SignatureCheck, decode_transactions, preliminary_codes
from healthchain.network.execution import entitled_collections
from healthchain.wire.block import orderer_part

LABEL_END = -33
"""A hashed key is namespace 00 collection, 00, and the SHA-256 of the key."""


def catch_up(ledgers: Mapping[str, Ledger]) -> int:
    """Bring all, by MSP id, to the height of the highest; returns how many blocks were missing.

    Raises BlockRefused, LogCorrupted or OSError.
    """
    source = max(ledgers.values(), key=lambda one: one.height)
    missing = 0
    for msp_id, ledger in ledgers.items():
        while ledger.height < source.height:
            _copy_block(source, list(ledgers.values()), ledger, msp_id)
            missing += 1
    return missing


def _copy_block(source: Ledger, holders: Sequence[Ledger], ledger: Ledger, msp_id: str) -> None:
    number = ledger.height
    block = orderer_part(source.block(number))
    check_block(block, number, ledger.tip_hash, ledger.channel, SignatureCheck.holds)
    decoded = decode_transactions(block.data.data, ledger.channel)
    codes = preliminary_codes(
        decoded,
        SignatureCheck.holds,
        ledger.channel,
        ledger.definitions,
        lambda tx_id: ledger.transaction(tx_id) is not None,
        ledger,
    )
    # Whatever other peers hand over is taken only where the block's hashes confirm it.
    commit = ledger.prepare(block, decoded, codes, _handed(source, holders, ledger.height, msp_id))
    commit.write()
    ledger.apply(commit)


def _handed(source: Ledger, holders: Sequence[Ledger], number: int, msp_id: str) -> dict[bytes, bytes]:
    """The private values of a block that the organisation is entitled to today."""
    entitled = {
        f"{definition.name}\x00{collection}".encode()
        for definition in source.definitions.values()
        for collection in entitled_collections(definition, msp_id)
    }
    return {
        key: body
        for holder in holders
        if holder.height > number
        for key, body in holder.private_bodies(number).items()
        if decode_body(body).hashed_key[:LABEL_END] in entitled
    }
