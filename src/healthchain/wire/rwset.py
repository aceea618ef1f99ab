"""Read-write sets: what a simulated transaction read and would write, as Fabric encodes it.

Sources: Fabric core/ledger/kvledger/txmgmt/rwsetutil; ledger/rwset/kvrwset/kv_rwset.proto. Namespaces and collections
are sorted by name and entries by plain key; one entry a key; an empty value is a delete; a namespace in which nothing
was done is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

KVRead = kv_rwset_pb2.KVRead
KVWrite = kv_rwset_pb2.KVWrite
KVWriteHash = kv_rwset_pb2.KVWriteHash
KVMetadataWrite = kv_rwset_pb2.KVMetadataWrite
RANGE_MERKLE_DEGREE = 50

PrivateParts = Mapping[tuple[str, str], bytes]
"""(namespace, collection) -> pb(KVRWSet) of its private writes."""
Metadata = Mapping[str, bytes]
"""Of one key: name -> value. A write replaces all of it; an empty one removes it."""


class Version(NamedTuple):
    """Where a key was last written: block number and index of the transaction in it."""

    block: int
    tx: int


class PrivateWrite(NamedTuple):
    """A write of a private key; `value` None deletes, and `purge` also removes every trace of the value from disk."""

    key: str
    value: bytes | None
    purge: bool = False


@dataclass(slots=True)
class RangeQuery:
    """One range read. `end` is the requested end if exhausted, otherwise the last key handed out (inclusive)."""

    start: str
    end: str
    exhausted: bool
    reads: list[tuple[str, Version]]


@dataclass(slots=True)
class CollectionSet:
    reads: dict[str, Version | None] = field(default_factory=dict)
    writes: dict[str, PrivateWrite] = field(default_factory=dict)
    metadata: dict[str, Metadata] = field(default_factory=dict)


@dataclass(slots=True)
class NamespaceSet:
    """What one chaincode did in a transaction: public reads, ranges, writes of values and of metadata; collections."""

    reads: dict[str, Version | None] = field(default_factory=dict)
    ranges: list[RangeQuery] = field(default_factory=list)
    writes: dict[str, bytes | None] = field(default_factory=dict)
    metadata: dict[str, Metadata] = field(default_factory=dict)
    collections: dict[str, CollectionSet] = field(default_factory=dict)


def encode(namespaces: Mapping[str, NamespaceSet]) -> tuple[bytes, dict[tuple[str, str], bytes]]:
    """What `encode_public` and `encode_private` give, with the private part encoded once."""
    private = encode_private(namespaces)
    public = rwset_pb2.TxReadWriteSet(
        data_model=rwset_pb2.TxReadWriteSet.KV,
        ns_rwset=[
            _encode_namespace(name, content, private)
            for name, content in sorted(namespaces.items())
            if _touched(content)
        ],
    )
    return public.SerializeToString(), private


def encode_public(namespaces: Mapping[str, NamespaceSet]) -> bytes:
    """pb(TxReadWriteSet): what goes into the block, private keys and values as hashes only."""
    return encode(namespaces)[0]


def encode_private(namespaces: Mapping[str, NamespaceSet]) -> dict[tuple[str, str], bytes]:
    """(namespace, collection) -> pb(KVRWSet) of its private writes; its hash is `pvt_rwset_hash` in the public part."""
    return {
        (name, collection): _private_writes(content)
        for name in sorted(namespaces)
        for collection, content in sorted(namespaces[name].collections.items())
        if content.writes or content.metadata
    }


def _touched(content: NamespaceSet) -> bool:
    return bool(content.reads or content.ranges or content.writes or content.metadata or content.collections)


def _encode_namespace(name: str, content: NamespaceSet, private: PrivateParts) -> rwset_pb2.NsReadWriteSet:
    public = kv_rwset_pb2.KVRWSet(
        reads=[_read(key, content.reads[key]) for key in sorted(content.reads)],
        range_queries_info=[_range(query) for query in _distinct(content.ranges)],
        writes=[_write(key, content.writes[key]) for key in sorted(content.writes)],
    )
    for key in sorted(content.metadata) if content.metadata else ():
        public.metadata_writes.add(key=key, entries=_entries(content.metadata[key]))
    return rwset_pb2.NsReadWriteSet(
        namespace=name,
        rwset=public.SerializeToString(),
        collection_hashed_rwset=[
            _encode_collection(collection, content.collections[collection], private.get((name, collection)))
            for collection in sorted(content.collections)
        ],
    )


def _encode_collection(
    name: str, content: CollectionSet, private: bytes | None
) -> rwset_pb2.CollectionHashedReadWriteSet:
    hashed = kv_rwset_pb2.HashedRWSet(
        hashed_reads=[
            kv_rwset_pb2.KVReadHash(key_hash=sha256(key.encode()).digest(), version=_version(content.reads[key]))
            for key in sorted(content.reads)
        ],
        hashed_writes=[_hashed_write(content.writes[key]) for key in sorted(content.writes)],
    )
    for key in sorted(content.metadata) if content.metadata else ():
        hashed.metadata_writes.add(key_hash=sha256(key.encode()).digest(), entries=_entries(content.metadata[key]))
    return rwset_pb2.CollectionHashedReadWriteSet(
        collection_name=name,
        hashed_rwset=hashed.SerializeToString(),
        pvt_rwset_hash=sha256(private).digest() if private else b"",
    )


def _private_writes(content: CollectionSet) -> bytes:
    """Of metadata the keys only: what it is stands with the hashes (rwset_builder.go `AddToHashedMetadataWriteSet`)."""
    return kv_rwset_pb2.KVRWSet(
        writes=[_write(key, content.writes[key].value) for key in sorted(content.writes)],
        metadata_writes=[KVMetadataWrite(key=key) for key in sorted(content.metadata)],
    ).SerializeToString()


def encode_metadata(metadata: Metadata) -> bytes | None:
    """As it is kept of a key (statemetadata.go): pb(KVMetadataWrite) without the key; None if there is none."""
    return KVMetadataWrite(entries=_entries(metadata)).SerializeToString() if metadata else None


def decode_metadata(encoded: bytes) -> dict[str, bytes]:
    """The inverse; of names that are there twice the last one counts."""
    return {one.name: one.value for one in KVMetadataWrite.FromString(encoded).entries}


def _entries(metadata: Metadata) -> list[kv_rwset_pb2.KVMetadataEntry]:
    return [kv_rwset_pb2.KVMetadataEntry(name=name, value=metadata[name]) for name in sorted(metadata)]


def _hashed_write(write: PrivateWrite) -> kv_rwset_pb2.KVWriteHash:
    key_hash = sha256(write.key.encode()).digest()
    if not write.value:
        return KVWriteHash(key_hash=key_hash, is_delete=True, is_purge=write.purge)
    return KVWriteHash(key_hash=key_hash, value_hash=sha256(write.value).digest())


def _version(version: Version | None) -> kv_rwset_pb2.Version | None:
    return None if version is None else kv_rwset_pb2.Version(block_num=version.block, tx_num=version.tx)


def _read(key: str, version: Version | None) -> kv_rwset_pb2.KVRead:
    return KVRead(key=key, version=_version(version))


def _write(key: str, value: bytes | None) -> kv_rwset_pb2.KVWrite:
    return KVWrite(key=key, value=value) if value else KVWrite(key=key, is_delete=True)


def _distinct(ranges: Iterable[RangeQuery]) -> Iterable[RangeQuery]:
    """The first of those that read the same range (rwset_builder.go `AddToRangeQuerySet`)."""
    found: dict[tuple[str, str, bool], RangeQuery] = {}
    for query in ranges:
        found.setdefault((query.start, query.end, query.exhausted), query)
    return found.values()


def _range(query: RangeQuery) -> kv_rwset_pb2.RangeQueryInfo:
    info = kv_rwset_pb2.RangeQueryInfo(start_key=query.start, end_key=query.end, itr_exhausted=query.exhausted)
    if not query.reads:
        return info  # neither form of results is set (query_executor.go `addRangeQueryInfo`)
    summary = range_summary(query.reads)
    if isinstance(summary, kv_rwset_pb2.QueryReads):
        info.raw_reads.CopyFrom(summary)
    else:
        info.reads_merkle_hashes.CopyFrom(summary)
    return info


def range_summary(
    reads: Sequence[tuple[str, Version]],
) -> kv_rwset_pb2.QueryReads | kv_rwset_pb2.QueryReadsMerkleSummary:
    """Up to 50 results stay raw; more become a Merkle summary (rwsetutil/query_results_helper.go).

    A leaf is the hash of 51 reads: the 51st finds the pending list over its degree and closes it. Whenever more than 50
    hashes stand on the highest level, they are combined into one of the next level.
    """
    if len(reads) <= RANGE_MERKLE_DEGREE:
        return _query_reads(reads)
    tree = _MerkleTree()
    leaf = RANGE_MERKLE_DEGREE + 1
    for begin in range(0, len(reads), leaf):
        tree.add_leaf(sha256(_query_reads(reads[begin : begin + leaf]).SerializeToString()).digest())
    return tree.summary()


class _MerkleTree:
    def __init__(self) -> None:
        self._levels: dict[int, list[bytes]] = {}
        self._max_level = 1

    def add_leaf(self, leaf: bytes) -> None:
        self._levels.setdefault(1, []).append(leaf)
        level = 1
        while len(self._levels[level]) > RANGE_MERKLE_DEGREE:
            combined = _combine(self._levels.pop(level))
            level += 1
            self._levels.setdefault(level, []).append(combined)
            self._max_level = max(self._max_level, level)

    def summary(self) -> kv_rwset_pb2.QueryReadsMerkleSummary:
        """What is left on the lower levels is combined upwards, level by level, into the highest."""
        for level in range(1, self._max_level):
            hashes = self._levels.pop(level, [])
            if hashes:
                carried = hashes[0] if len(hashes) == 1 else _combine(hashes)
                self._levels.setdefault(level + 1, []).append(carried)
        top = self._levels[self._max_level]
        if len(top) > RANGE_MERKLE_DEGREE:
            top = [_combine(top)]
            self._max_level += 1
        return kv_rwset_pb2.QueryReadsMerkleSummary(
            max_degree=RANGE_MERKLE_DEGREE, max_level=self._max_level, max_level_hashes=top
        )


def _combine(hashes: Iterable[bytes]) -> bytes:
    return sha256(b"".join(hashes)).digest()


def _query_reads(reads: Iterable[tuple[str, Version]]) -> kv_rwset_pb2.QueryReads:
    return kv_rwset_pb2.QueryReads(kv_reads=[_read(key, version) for key, version in reads])
