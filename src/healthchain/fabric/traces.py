"""Which private values lie in the files of a Fabric peer although its ledger does not have them any more.

A purge deletes a value from the peer's state and private data store, but LevelDB keeps its bytes until it merges the
files that hold them. Sources: Fabric core/ledger/kvledger/txmgmt/{privacyenabledstate/db,statedb/stateleveldb}.go,
core/ledger/pvtdatastorage/kv_encoding.go, core/transientstore/store_helper.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from healthchain.errors import BadInput
from healthchain.fabric.leveldb import database
from healthchain.fabric.leveldb.entries import Entry
from healthchain.fabric.leveldb.manifest import CURRENT
from healthchain.fabric.leveldb.numbers import number, string

STATE = Path("ledgersData/stateLeveldb")
PRIVATE_DATA = Path("ledgersData/pvtdataStore")
TRANSIENT = Path("transientstore")
STORES = (STATE, PRIVATE_DATA, TRANSIENT)
"""Where a peer has private values, in its `fileSystemPath`. Block files, index and history hold hashes only."""
ATTEMPTS = 5
STATE_DATA, PRIVATE_NAMESPACE = b"d", b"$$p"
PRIVATE_WRITES, PURGE_MARKER = b"\x02", b"c"
TRANSIENT_WRITES = b"P\0"
DB_VALUE_VALUE = 2  # of stateleveldb.DBValue
WRITES_OF_TRANSIENT = 2  # pvt_rwset of transientstore.TxPvtReadWriteSetWithConfigInfo, which follows a zero


@dataclass(frozen=True, slots=True)
class Traces:
    """Of one peer. Values are sets of digests, so that what was found twice can be compared.

    dead: private values that are in its files, and that it cannot give any more: purged or replaced
    marked: how many keys a block purged that its private data store has still to delete
    waiting: values of transactions that were endorsed, and that are in no block or not yet
    """

    dead: frozenset[bytes]
    marked: int
    waiting: frozenset[bytes]


def traces(ledger: Path) -> Traces:
    """Of the peer whose `fileSystemPath` this is; it may run.

    Raises BadInput for a folder that is none, or damaged, and Changing for one that is written to all the time.
    """
    _require_ledger(ledger)
    for _ in range(ATTEMPTS - 1):
        with suppress(database.Changing):
            return _traces(ledger)
    return _traces(ledger)


def merge_at_next_start(ledger: Path) -> None:
    """Of a peer that does not run: what is dead by now is gone soon after it was started. Raises BadInput."""
    _require_ledger(ledger)
    for store in STORES:
        database.merge_at_next_start(ledger / store)


def _require_ledger(ledger: Path) -> None:
    if not all((ledger / store / CURRENT).exists() for store in STORES):
        raise BadInput("there is no ledger of a Fabric peer in this folder: name the folder that its peer has it in")


def _traces(ledger: Path) -> Traces:
    held: set[bytes] = set()
    waiting: set[bytes] = set()
    dead: set[bytes] = set()
    marked = 0
    for store in STORES:
        for entry, is_live in database.entries(ledger / store):
            marked += is_live and store == PRIVATE_DATA and _in_channel(entry).startswith(PURGE_MARKER)
            kind = (waiting if store == TRANSIENT else held) if is_live else dead
            kind.update(_digest(value) for value in private_values(store, entry))
    return Traces(frozenset(dead - held - waiting), marked, frozenset(waiting - held))


def private_values(store: Path, entry: Entry) -> Iterator[bytes]:
    """All in one entry of this one of `STORES`."""
    if entry.value is None:
        return
    key = _in_channel(entry)
    if store == STATE:
        if key.startswith(STATE_DATA) and PRIVATE_NAMESPACE in key[1:].partition(b"\0")[0]:
            yield from _fields(entry.value, DB_VALUE_VALUE)
    elif store == PRIVATE_DATA:
        if key.startswith(PRIVATE_WRITES):
            yield from _written(rwset_pb2.CollectionPvtReadWriteSet.FromString(entry.value))
    elif key.startswith(TRANSIENT_WRITES):
        for encoded in _fields(entry.value[1:], WRITES_OF_TRANSIENT):
            for namespace in rwset_pb2.TxPvtReadWriteSet.FromString(encoded).ns_pvt_rwset:
                for collection in namespace.collection_pvt_rwset:
                    yield from _written(collection)


def _in_channel(entry: Entry) -> bytes:
    """The key without the channel's name."""
    return entry.key.partition(b"\0")[2]


def _written(collection: rwset_pb2.CollectionPvtReadWriteSet) -> Iterator[bytes]:
    for write in kv_rwset_pb2.KVRWSet.FromString(collection.rwset).writes:
        if write.value:
            yield write.value


def _fields(message: bytes, wanted: int) -> Iterator[bytes]:
    """What a protobuf message has in this field of bytes; fields before it are numbers or bytes."""
    at = 0
    while at < len(message):
        tag, at = number(message, at)
        if tag & 7 == 0:
            _, at = number(message, at)
            continue
        content, at = string(message, at)
        if tag >> 3 == wanted and content:
            yield content


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=16).digest()
