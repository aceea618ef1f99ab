"""The state database of one peer: LMDB tables that are a cache of its blocks and can be rebuilt from them.

| table | key | value |
|---|---|---|
| state | namespace 00 key | version u64, value |
| hashed | namespace 00 collection 00 SHA-256(key) | version u64, SHA-256(value), location u64 in the private log |
| orphans | as hashed | location of the last value that this peer holds of a private key whose current one it does not
hold (deleted, or never received), for a later purge |
| metadata | as state, of keys that have any | pb(KVMetadataWrite) without the key |
| hashed_metadata | as hashed, of private keys that have any | pb(KVMetadataWrite) without the key |
| history | SHA-256(namespace 00 key)[:16], version u64 | nothing: an earlier version of the key, or its deletion |
| transactions | transaction id (32 bytes) | version u64, validation code u8 |
| blocks | number u64 | location u64 in the block log, location u64 in the private log |
| block_hashes | hash of the header | number u64 |
| meta | "height", "commit_hash" | the savepoint: everything below this height is applied |

A version is block << 20 | index of the transaction. Private values are never here: LMDB's freed pages keep old bytes.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import lmdb

from healthchain.wire.rwset import Version

TX_BITS = 20
TX_MASK = (1 << TX_BITS) - 1
U64 = struct.Struct(">Q")
TRANSACTION = struct.Struct(">QB")
BLOCK = struct.Struct(">QQ")
HASHED = struct.Struct(">Q32sQ")
NOWHERE = 2**64 - 1  # a hashed value whose private value this peer does not hold
HASH_BYTES = 32
KEY_BYTES_MAX = 511  # LMDB's limit; it refuses even to look for a longer key
MAP_BYTES = 1 << 40  # address space, not disk
READERS_MAX = 4096  # snapshots at one time: one for each simulation that waits for a chaincode's service
TABLES = (
    b"state",
    b"hashed",
    b"orphans",
    b"metadata",
    b"hashed_metadata",
    b"history",
    b"transactions",
    b"blocks",
    b"block_hashes",
    b"meta",
)


class HashedEntry(NamedTuple):
    version: int
    value_hash: bytes
    location: int


class TransactionEntry(NamedTuple):
    block: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    code: int


@dataclass(slots=True)
class BlockUpdate:
    """All that one block changes in the tables; `old_versions` are those of keys in `state` that existed before."""

    number: int
    header_hash: bytes
    block_location: int
    private_location: int
    commit_hash: bytes
    state: Mapping[bytes, tuple[int, bytes | None]]
    old_versions: Mapping[bytes, int | None]
    hashed: Mapping[bytes, HashedEntry | None]
    orphans: Mapping[bytes, int | None]
    metadata: Mapping[bytes, bytes | None]
    hashed_metadata: Mapping[bytes, bytes | None]
    transactions: Mapping[bytes, tuple[int, int]]
    history: list[bytes] = field(default_factory=list)


def pack_version(version: Version) -> int:
    return version.block << TX_BITS | version.tx


def unpack_version(packed: int) -> Version:
    return Version(packed >> TX_BITS, packed & TX_MASK)


def state_key(namespace: str, key: str) -> bytes:
    return f"{namespace}\x00{key}".encode()


def hashed_key(namespace: str, collection: str, key_hash: bytes) -> bytes:
    return f"{namespace}\x00{collection}\x00".encode() + key_hash


def namespace_of(key: bytes) -> str:
    """The inverse of `state_key` and `hashed_key`, as far as it goes."""
    return key[: key.index(0)].decode()


def history_prefix(key: bytes) -> bytes:
    return sha256(key).digest()[:16]


class StateReader:
    """The tables as of one height, through one read transaction of LMDB; `close` it, or its pages are kept."""

    def __init__(self, tables: Mapping[bytes, lmdb._Database], read: lmdb.Transaction[bytes]) -> None:
        self._tables = tables
        self._state, self._hashed = tables[b"state"], tables[b"hashed"]
        self._read = read

    @property
    def height(self) -> int:
        found = self._read.get(b"height", db=self._tables[b"meta"])
        return U64.unpack(found)[0] if found else 0

    @property
    def commit_hash(self) -> bytes:
        return self._read.get(b"commit_hash", b"", db=self._tables[b"meta"])

    def get(self, key: bytes) -> tuple[bytes, int] | None:
        """Value and packed version."""
        found = self._read.get(key, db=self._state)
        return None if found is None else (found[8:], U64.unpack_from(found)[0])

    def version(self, key: bytes) -> int | None:
        found = self._read.get(key, db=self._state)
        return None if found is None else U64.unpack_from(found)[0]

    def range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes, int]]:
        """(key, value, packed version) from start (inclusive) to end (exclusive)."""
        with self._read.cursor(self._state) as cursor:
            if not cursor.set_range(start):
                return
            for key, found in cursor:
                if key >= end:
                    return
                yield key, found[8:], U64.unpack_from(found)[0]

    def hashed(self, key: bytes) -> HashedEntry | None:
        found = self._read.get(key, db=self._hashed)
        return None if found is None else HashedEntry(*HASHED.unpack(found))

    def hashed_entries(self, prefix: bytes) -> Iterator[HashedEntry]:
        """Of one collection, whose `hashed_key` without a hash is the prefix."""
        with self._read.cursor(self._hashed) as cursor:
            if not cursor.set_range(prefix):
                return
            for key, found in cursor:
                if not key.startswith(prefix):
                    return
                yield HashedEntry(*HASHED.unpack(found))

    def metadata(self, key: bytes) -> bytes | None:
        return self._read.get(key, db=self._tables[b"metadata"])

    def hashed_metadata(self, key: bytes) -> bytes | None:
        return self._read.get(key, db=self._tables[b"hashed_metadata"])

    def namespaces_with_metadata(self) -> set[str]:
        """Found by leaping from one to the next."""
        found: set[str] = set()
        for table in (b"metadata", b"hashed_metadata"):
            with self._read.cursor(self._tables[table]) as cursor:
                there = cursor.first()
                while there:
                    name = namespace_of(cursor.key())
                    found.add(name)
                    there = cursor.set_range(f"{name}\x01".encode())
        return found

    def orphan(self, key: bytes) -> int | None:
        found = self._read.get(key, db=self._tables[b"orphans"])
        return None if found is None else U64.unpack(found)[0]

    def old_versions(self, key: bytes) -> Iterator[int]:
        """Packed versions at which the key was written or deleted before its current one, oldest first."""
        prefix = history_prefix(key)
        with self._read.cursor(self._tables[b"history"]) as cursor:
            if not cursor.set_range(prefix):
                return
            for found in cursor.iternext(values=False):
                if not found.startswith(prefix):
                    return
                yield U64.unpack(found[16:])[0]

    def transaction(self, tx_id: bytes) -> TransactionEntry | None:
        found = self._read.get(tx_id, db=self._tables[b"transactions"])
        if found is None:
            return None
        version, code = TRANSACTION.unpack(found)
        return TransactionEntry(version >> TX_BITS, version & TX_MASK, code)

    def block(self, number: int) -> tuple[int, int] | None:
        """Locations of a block in the block log and of its private values in the private log."""
        found = self._read.get(U64.pack(number), db=self._tables[b"blocks"])
        return None if found is None else BLOCK.unpack(found)

    def block_number(self, header_hash: bytes) -> int | None:
        found = (
            self._read.get(header_hash, db=self._tables[b"block_hashes"]) if len(header_hash) == HASH_BYTES else None
        )
        return None if found is None else U64.unpack(found)[0]

    def items(self, table: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._read.cursor(self._tables[table]) as cursor:
            yield from cursor

    def close(self) -> None:
        self._read.abort()


class StateStore(StateReader):
    """One LMDB environment. Reads go through a snapshot that is renewed at each commit; one writer, one thread."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._env = lmdb.open(
            str(folder),
            map_size=MAP_BYTES,
            max_dbs=len(TABLES),
            readonly=read_only,
            lock=not read_only,
            sync=False,  # durability is the logs'; see docs/decisions
            metasync=False,
            meminit=True,  # else the unused ends of pages hold what the heap held: a purged value, for instance
            readahead=False,
            max_readers=READERS_MAX,
            mode=0o600,
        )
        tables = {name: self._env.open_db(name, create=not read_only) for name in TABLES}
        super().__init__(tables, self._env.begin(buffers=False))

    def snapshot(self) -> StateReader:
        return StateReader(self._tables, self._env.begin(buffers=False))

    def apply(self, update: BlockUpdate) -> None:
        """Write one block's changes and the savepoint, all or nothing. Raises OSError, for instance on a full disk."""
        try:
            with self._env.begin(write=True) as txn:
                self._apply_all(txn, update)
        except lmdb.Error as error:
            raise OSError(errno.EIO, str(error)) from error
        self._renew()

    def _apply_all(self, txn: lmdb.Transaction, update: BlockUpdate) -> None:
        self._apply_state(txn, update)
        self._apply_hashed(txn, update)
        _change(txn, self._tables[b"metadata"], update.metadata)
        _change(txn, self._tables[b"hashed_metadata"], update.hashed_metadata)
        version = update.number << TX_BITS
        rows = [(tx, TRANSACTION.pack(version | index, code)) for tx, (index, code) in update.transactions.items()]
        _put_sorted(txn, self._tables[b"transactions"], rows)
        location = BLOCK.pack(update.block_location, update.private_location)
        txn.put(U64.pack(update.number), location, db=self._tables[b"blocks"], append=True)
        txn.put(update.header_hash, U64.pack(update.number), db=self._tables[b"block_hashes"])
        txn.put(b"height", U64.pack(update.number + 1), db=self._tables[b"meta"])
        txn.put(b"commit_hash", update.commit_hash, db=self._tables[b"meta"])

    def _apply_state(self, txn: lmdb.Transaction, update: BlockUpdate) -> None:
        rows, history = [], list(update.history)
        for key, (version, value) in update.state.items():
            old = update.old_versions[key]
            if old is not None:
                history.append(history_prefix(key) + U64.pack(old))
            if value is None:
                history.append(history_prefix(key) + U64.pack(version))
                txn.delete(key, db=self._state)
            else:
                rows.append((key, U64.pack(version) + value))
        _put_sorted(txn, self._state, rows)
        if history:
            _put_sorted(txn, self._tables[b"history"], [(key, b"") for key in history])

    def _apply_hashed(self, txn: lmdb.Transaction, update: BlockUpdate) -> None:
        rows = []
        for key, entry in update.hashed.items():
            if entry is None:
                txn.delete(key, db=self._hashed)
            else:
                rows.append((key, HASHED.pack(*entry)))
        _put_sorted(txn, self._hashed, rows)
        orphans = {key: None if one is None else U64.pack(one) for key, one in update.orphans.items()}
        _change(txn, self._tables[b"orphans"], orphans)

    def sync(self) -> None:
        self._env.sync(True)

    def close(self) -> None:
        super().close()
        self._env.close()

    def _renew(self) -> None:
        self._read.abort()
        self._read = self._env.begin(buffers=False)


def _change(txn: lmdb.Transaction, table: lmdb._Database, rows: Mapping[bytes, bytes | None]) -> None:
    for key, value in rows.items():
        if value is None:
            txn.delete(key, db=table)
        else:
            txn.put(key, value, db=table)


def _put_sorted(txn: lmdb.Transaction, table: lmdb._Database, rows: list[tuple[bytes, bytes]]) -> None:
    """Sorted, so that neighbouring keys meet the same page while it is at hand."""
    if rows:
        rows.sort()
        with txn.cursor(table) as cursor:
            cursor.putmulti(rows)
