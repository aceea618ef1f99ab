"""What a peer says of one committed transaction, from its own ledger alone (see `receipt`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from healthchain.errors import HealthChainError
from healthchain.identity.folders import SigningIdentity
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.membership import read_memberships
from healthchain.ledger.receipt import FORMAT, Evidence, Members, Statement
from healthchain.ledger.view import Value
from healthchain.wire.block import Metadata, transaction_codes

CLOCK_SKEW_MS_MAX = 5 * 60 * 1000


class AttestationRefused(HealthChainError):
    """This peer's ledger does not say what the statement says."""


def state_transaction(ledger: Ledger, tx_id: str, key: str, attesters: Sequence[bytes], now_ms: int) -> Statement:
    """About a transaction that is on this ledger. Raises AttestationRefused if it is not."""
    entry = ledger.transaction(tx_id)
    if entry is None:
        raise AttestationRefused("the ledger has no such transaction")
    block = ledger.block(entry.block)
    return Statement(
        format=FORMAT,
        key=key,
        index=entry.index,
        code=transaction_codes(block)[entry.index],
        attested_ms=now_ms,
        block=Evidence(
            number=entry.block,
            previous_hash=block.header.previous_hash,
            data_hash=block.header.data_hash,
            signatures=block.metadata.metadata[Metadata.SIGNATURES],
            envelope=block.data.data[entry.index],
        ),
        genesis=ledger.block(0).data.data[0],
        members_then=members_at(ledger, entry.block),
        members_now=members_at(ledger, ledger.height),
        attesters=tuple(attesters),
    )


def attest(ledger: Ledger, peer: SigningIdentity, tx_id: str, statement: Statement, now_ms: int) -> bytes:
    """The peer's signature of a statement, if its own ledger says the same. Raises AttestationRefused."""
    if abs(statement.attested_ms - now_ms) > CLOCK_SKEW_MS_MAX:
        raise AttestationRefused("the statement's time is more than five minutes from the peer's: set the clock")
    if state_transaction(ledger, tx_id, statement.key, statement.attesters, statement.attested_ms) != statement:
        raise AttestationRefused("this peer's ledger does not say the same: run `healthchain verify`")
    return peer.key.sign_digest(statement.digest())


def members_at(ledger: Ledger, height: int) -> Members:
    """The membership rows in force for block `height`: as the block before left them."""
    return read_memberships(_AsOf(ledger, height))


class _AsOf:
    """The state before block `height`, of keys that are never deleted."""

    def __init__(self, ledger: Ledger, height: int) -> None:
        self._ledger, self._height = ledger, height

    def range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Value]]:
        for key, _ in self._ledger.range(namespace, start, end):
            for version, _, _, value in self._ledger.history(namespace, key):
                if version.block < self._height:
                    if value is not None:
                        yield key, Value(value, version)
                    break
