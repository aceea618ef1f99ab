"""Multi-version concurrency control: which endorsed transactions of a block still hold against committed state.

Source: Fabric core/ledger/kvledger/txmgmt/validation/{validator,rangequery_validator}.go. Transactions are taken in
block order; any touch of a key that an earlier valid transaction of the block wrote is a conflict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Protocol

from healthchain.ledger.state import (
    KEY_BYTES_MAX,
    TX_BITS,
    TX_MASK,
    hashed_key,
    pack_version,
    state_key,
    unpack_version,
)
from healthchain.wire.codes import Code
from healthchain.wire.rwset import RANGE_MERKLE_DEGREE, Version, range_summary
from healthchain.wire.transaction import Action, NamespaceAction, RangeRead


class Reads(NamedTuple):
    """What one namespace of a transaction read, in the state database's keys and packed versions."""

    public: tuple[tuple[bytes, int | None], ...]
    ranges: tuple[tuple[bytes, RangeRead], ...]
    hashed: tuple[tuple[bytes, int | None], ...]


class PrivateHashWrite(NamedTuple):
    """`purge` erases what was there before; with a `value_hash`, a later transaction of the block wrote again."""

    value_hash: bytes | None
    purge: bool


class Effects(NamedTuple):
    """A transaction as the state database sees it; the same for every peer, so prepared once in a process."""

    reads: tuple[Reads, ...]
    writes: tuple[tuple[bytes, bytes | None], ...]
    hashed_writes: tuple[tuple[bytes, PrivateHashWrite], ...]
    metadata: tuple[tuple[bytes, bytes | None], ...] = ()
    hashed_metadata: tuple[tuple[bytes, bytes | None], ...] = ()

    def keys(self) -> Iterator[bytes]:
        """Of the table `state` and what goes with it, that are written."""
        return chain((key for key, _ in self.writes), (key for key, _ in self.metadata))

    def hashed_keys(self) -> Iterator[bytes]:
        return chain((key for key, _ in self.hashed_writes), (key for key, _ in self.hashed_metadata))


class CommittedVersions(Protocol):
    """One peer's committed state, as far as MVCC asks for it."""

    def version(self, key: bytes) -> int | None: ...
    def hashed_version(self, key: bytes) -> int | None: ...
    def range_versions(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, int]]: ...
    def metadata_of(self, key: bytes) -> bytes | None: ...
    def hashed_metadata_of(self, key: bytes) -> bytes | None: ...


@dataclass(slots=True)
class Outcome:
    """The block's codes, and the last write of each key by its valid transactions: key -> (packed version, write).

    `renewed` are keys whose value stays as it was before the block, and which get a new version, for their metadata was
    written; `hashed_renewed` those whose metadata was written after the value, if that was written at all.
    """

    codes: list[int] = field(default_factory=list)
    state: dict[bytes, tuple[int, bytes | None]] = field(default_factory=dict)
    hashed: dict[bytes, tuple[int, PrivateHashWrite]] = field(default_factory=dict)
    metadata: dict[bytes, tuple[int, bytes | None]] = field(default_factory=dict)
    hashed_metadata: dict[bytes, tuple[int, bytes | None]] = field(default_factory=dict)
    renewed: dict[bytes, int] = field(default_factory=dict)
    hashed_renewed: dict[bytes, int] = field(default_factory=dict)
    overwritten: list[tuple[bytes, int]] = field(default_factory=list)  # earlier writes of the block: history
    committed: dict[bytes, int | None] = field(default_factory=dict)  # versions looked up, before the block

    def write(self, version: int, transaction: Effects, committed: CommittedVersions) -> None:
        """A valid transaction's writes, on top of those of the block's earlier ones.

        A key that is deleted loses its metadata; one that is not there gets none (validation/tx_ops.go).
        """
        for key, value in transaction.writes:
            self._write_value(key, version, value)
            if value is None and (key in self.metadata or committed.metadata_of(key) is not None):
                self.metadata[key] = (version, None)
        for key, write in transaction.hashed_writes:
            before = self.hashed.get(key)
            purge = write.purge or (before is not None and before[1].purge)
            self.hashed[key] = (version, PrivateHashWrite(write.value_hash, purge))
            self.hashed_renewed.pop(key, None)
            if write.value_hash is None and (
                key in self.hashed_metadata or committed.hashed_metadata_of(key) is not None
            ):
                self.hashed_metadata[key] = (version, None)
        for key, metadata in transaction.metadata:
            self._write_metadata(key, version, metadata, committed)
        for key, metadata in transaction.hashed_metadata:
            written = self.hashed.get(key)
            there = written[1].value_hash if written is not None else committed.hashed_version(key)
            if there is not None:
                self.hashed_metadata[key] = (version, metadata)
                self.hashed_renewed[key] = version

    def _write_value(self, key: bytes, version: int, value: bytes | None) -> None:
        earlier = self.state.get(key)
        if earlier is not None and earlier[0] != version:
            self.overwritten.append((key, earlier[0]))
        self.state[key] = (version, value)
        self.renewed.pop(key, None)

    def _write_metadata(self, key: bytes, version: int, metadata: bytes | None, committed: CommittedVersions) -> None:
        """The value stays, and its version becomes this transaction's."""
        if key not in self.state:
            if committed.version(key) is None:
                return
            self.renewed[key] = version
        else:
            value = self.state[key][1]
            if value is None:
                return
            self._write_value(key, version, value)
        self.metadata[key] = (version, metadata)


def effects(action: Action) -> Effects:
    reads, writes, hashed_writes = [], [], []
    metadata: list[tuple[bytes, bytes | None]] = []
    hashed_metadata: list[tuple[bytes, bytes | None]] = []
    for namespace in action.namespaces:
        reads.append(_reads(namespace))
        writes += [(state_key(namespace.name, key), value) for key, value in namespace.writes]
        metadata += [(state_key(namespace.name, key), value) for key, value in namespace.metadata]
        for collection in namespace.collections:
            hashed_writes += [
                (hashed_key(namespace.name, collection.name, w.key_hash), PrivateHashWrite(w.value_hash, w.purge))
                for w in collection.writes
            ]
            hashed_metadata += [
                (hashed_key(namespace.name, collection.name, key_hash), value)
                for key_hash, value in collection.metadata
            ]
    return Effects(tuple(reads), tuple(writes), tuple(hashed_writes), tuple(metadata), tuple(hashed_metadata))


def _reads(namespace: NamespaceAction) -> Reads:
    name = namespace.name
    return Reads(
        public=tuple([(state_key(name, key), _packed(version)) for key, version in namespace.reads]),
        ranges=tuple([(state_key(name, ""), one) for one in namespace.ranges]),
        hashed=tuple(
            [
                (hashed_key(name, collection.name, key_hash), _packed(version))
                for collection in namespace.collections
                for key_hash, version in collection.reads
            ]
        ),
    )


def _packed(version: Version | None) -> int | None:
    """An index that no block has room for would run over into the block's number: it equals no version."""
    if version is None:
        return None
    return pack_version(version) if version.tx <= TX_MASK else -1


def keys_fit(transaction: Effects) -> bool:
    """Whether the state database can be asked for all that a transaction names; an honest endorser's fits."""
    keys = [*transaction.keys(), *transaction.hashed_keys()]
    for namespace in transaction.reads:
        keys += [key for key, _ in (*namespace.public, *namespace.hashed)]
        keys += [prefix + query.start.encode() for prefix, query in namespace.ranges]
    return all(len(key) <= KEY_BYTES_MAX for key in keys)


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
            outcome.write(number << TX_BITS | index, transaction, committed)
    return outcome


def _conflict(transaction: Effects, outcome: Outcome, committed: CommittedVersions) -> int:
    for namespace in transaction.reads:
        for key, version in namespace.public:
            if key in outcome.state or key in outcome.renewed:
                return Code.MVCC_READ_CONFLICT
            if _committed_version(key, outcome, committed) != version:
                return Code.MVCC_READ_CONFLICT
        for prefix, query in namespace.ranges:
            if not _range_holds(prefix, query, outcome, committed):
                return Code.PHANTOM_READ_CONFLICT
        for key, version in namespace.hashed:
            if key in outcome.hashed or key in outcome.hashed_renewed or committed.hashed_version(key) != version:
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
    found = dict(committed.range_versions(start, end))
    for key, (version, value) in outcome.state.items():
        if start <= key < end:
            if value is None:
                found.pop(key, None)
            else:
                found[key] = version
    found.update((key, version) for key, version in outcome.renewed.items() if start <= key < end)
    results: list[tuple[str, Version]] = [
        (key[len(prefix) :].decode(), unpack_version(found[key])) for key in sorted(found)
    ]
    if query.merkle != (len(results) > RANGE_MERKLE_DEGREE):
        return False
    return range_summary(results).SerializeToString() == query.encoded_results


def range_end(prefix: bytes, end: str) -> bytes:
    """The exclusive end of a range; "" is the end of the namespace."""
    return prefix + end.encode() if end else prefix[:-1] + b"\x01"
