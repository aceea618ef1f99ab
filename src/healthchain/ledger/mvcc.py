"""Multi-version concurrency control: which endorsed transactions of a block still hold against committed state.

Source: Fabric core/ledger/kvledger/txmgmt/validation/{validator,rangequery_validator}.go. Transactions are taken in
block order; any touch of a key that an earlier valid transaction of the block wrote is a conflict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from healthchain.ledger.state import TX_BITS, hashed_key, pack_version, state_key, unpack_version
from healthchain.wire.rwset import RANGE_MERKLE_DEGREE, Version, range_summary
from healthchain.wire.transaction import Action, Code, NamespaceAction, RangeRead


class Reads(NamedTuple):
    """What one namespace of a transaction read, in the state database's keys and packed versions."""

    public: tuple[tuple[bytes, int | None], ...]
    ranges: tuple[tuple[bytes, RangeRead], ...]
    hashed: tuple[tuple[bytes, int | None], ...]


class PrivateHashWrite(NamedTuple):
    value_hash: bytes | None
    purge: bool


class Effects(NamedTuple):
    """A transaction as the state database sees it; the same for every peer, so prepared once in a process."""

    reads: tuple[Reads, ...]
    writes: tuple[tuple[bytes, bytes | None], ...]
    hashed_writes: tuple[tuple[bytes, PrivateHashWrite], ...]


class CommittedVersions(Protocol):
    """One peer's committed state, as far as MVCC asks for it."""

    def version(self, key: bytes) -> int | None: ...
    def hashed_version(self, key: bytes) -> int | None: ...
    def range_versions(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, int]]: ...


@dataclass(slots=True)
class Outcome:
    """The block's codes, and the last write of each key by its valid transactions: key -> (packed version, write)."""

    codes: list[int] = field(default_factory=list)
    state: dict[bytes, tuple[int, bytes | None]] = field(default_factory=dict)
    hashed: dict[bytes, tuple[int, PrivateHashWrite]] = field(default_factory=dict)
    committed: dict[bytes, int | None] = field(default_factory=dict)  # versions looked up, before the block


def effects(action: Action) -> Effects:
    reads, writes, hashed_writes = [], [], []
    for namespace in action.namespaces:
        reads.append(_reads(namespace))
        writes += [(state_key(namespace.name, key), value) for key, value in namespace.writes]
        for collection in namespace.collections:
            hashed_writes += [
                (hashed_key(namespace.name, collection.name, w.key_hash), PrivateHashWrite(w.value_hash, w.purge))
                for w in collection.writes
            ]
    return Effects(tuple(reads), tuple(writes), tuple(hashed_writes))


def _reads(namespace: NamespaceAction) -> Reads:
    name = namespace.name
    return Reads(
        public=tuple([(state_key(name, key), version and pack_version(version)) for key, version in namespace.reads]),
        ranges=tuple([(state_key(name, ""), one) for one in namespace.ranges]),
        hashed=tuple(
            [
                (hashed_key(name, collection.name, key_hash), version and pack_version(version))
                for collection in namespace.collections
                for key_hash, version in collection.reads
            ]
        ),
    )


def check(
    number: int, transactions: Sequence[Effects | None], codes: Sequence[int], committed: CommittedVersions
) -> Outcome:
    """Codes 11 and 12 for what conflicts; `transactions[i]` is None where `codes[i]` is not VALID already."""
    outcome = Outcome()
    for index, (transaction, code) in enumerate(zip(transactions, codes, strict=True)):
        if transaction is None or code != Code.VALID:
            outcome.codes.append(code)
            continue
        code = _conflict(transaction, outcome, committed)
        outcome.codes.append(code)
        if code == Code.VALID:
            version = number << TX_BITS | index
            for key, value in transaction.writes:
                outcome.state[key] = (version, value)
            for key, write in transaction.hashed_writes:
                outcome.hashed[key] = (version, write)
    return outcome


def _conflict(transaction: Effects, outcome: Outcome, committed: CommittedVersions) -> int:
    for namespace in transaction.reads:
        for key, version in namespace.public:
            if key in outcome.state or _committed_version(key, outcome, committed) != version:
                return Code.MVCC_READ_CONFLICT
        for prefix, query in namespace.ranges:
            if not _range_holds(prefix, query, outcome, committed):
                return Code.PHANTOM_READ_CONFLICT
        for key, version in namespace.hashed:
            if key in outcome.hashed or committed.hashed_version(key) != version:
                return Code.MVCC_READ_CONFLICT
    return Code.VALID


def _committed_version(key: bytes, outcome: Outcome, committed: CommittedVersions) -> int | None:
    known = outcome.committed
    if key not in known:
        known[key] = committed.version(key)
    return known[key]


def _range_holds(prefix: bytes, query: RangeRead, outcome: Outcome, committed: CommittedVersions) -> bool:
    """Read the range again, with the block's earlier writes in place, and compare with what was recorded."""
    start, end = prefix + query.start.encode(), range_end(prefix, query.end)
    if not query.exhausted:
        end += b"\x00"  # the last key handed out belongs to the range
    found = {key: version for key, version in committed.range_versions(start, end)}
    for key, (version, value) in outcome.state.items():
        if start <= key < end:
            if value is None:
                found.pop(key, None)
            else:
                found[key] = version
    results: list[tuple[str, Version]] = [
        (key[len(prefix) :].decode(), unpack_version(found[key])) for key in sorted(found)
    ]
    if query.merkle != (len(results) > RANGE_MERKLE_DEGREE):
        return False
    return range_summary(results).SerializeToString() == query.encoded_results


def range_end(prefix: bytes, end: str) -> bytes:
    """The exclusive end of a range; "" is the end of the namespace."""
    return prefix + end.encode() if end else prefix[:-1] + b"\x01"
