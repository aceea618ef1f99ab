"""Read-write sets: what is encoded decodes to the same, once and in order; Merkle summaries against a plain twin."""

from __future__ import annotations

from hashlib import sha256
from typing import TypeVar

import pytest
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.wire import rwset
from healthchain.wire.rwset import (
    CollectionSet,
    NamespaceSet,
    PrivateWrite,
    RangeQuery,
    Version,
    encode_private,
    encode_public,
    range_summary,
)
from healthchain.wire.transaction import NamespaceAction, decode_action, decode_header

from . import samples

T = TypeVar("T")
KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
VERSIONS = st.builds(Version, st.integers(0, 2**63), st.integers(0, 2**20 - 1))
RANGES = st.builds(RangeQuery, KEYS, KEYS, st.booleans(), st.lists(st.tuples(KEYS, VERSIONS), max_size=70))
WRITES = st.dictionaries(KEYS, st.none() | st.binary(max_size=10), max_size=5)


@st.composite
def collections(draw: st.DrawFn) -> CollectionSet:
    writes = draw(st.dictionaries(KEYS, st.tuples(st.none() | st.binary(max_size=10), st.booleans()), max_size=5))
    return CollectionSet(
        reads=draw(st.dictionaries(KEYS, st.none() | VERSIONS, max_size=5)),
        writes={key: PrivateWrite(key, value, purge and not value) for key, (value, purge) in writes.items()},
    )


NAMESPACES = st.dictionaries(
    KEYS,
    st.builds(
        NamespaceSet,
        reads=st.dictionaries(KEYS, st.none() | VERSIONS, max_size=5),
        ranges=st.lists(RANGES, max_size=3),
        writes=WRITES,
        collections=st.dictionaries(KEYS, collections(), max_size=3),
    ),
    max_size=3,
)


def decoded(namespaces: dict[str, NamespaceSet]) -> tuple[NamespaceAction, ...]:
    return decode_action(decode_header(samples.transaction_around("results", encode_public(namespaces)))).namespaces


@settings(max_examples=40)
@given(NAMESPACES)
def test_what_is_encoded_decodes_to_the_same(namespaces: dict[str, NamespaceSet]) -> None:
    found = decoded(namespaces)
    touched = {n: c for n, c in namespaces.items() if c.reads or c.ranges or c.writes or c.collections}
    assert [one.name for one in found] == sorted(touched, key=str.encode)
    for one in found:
        content = touched[one.name]
        assert one.reads == tuple(sorted(content.reads.items(), key=lambda item: item[0].encode()))
        writes = sorted(content.writes.items(), key=lambda item: item[0].encode())
        assert one.writes == tuple((key, value or None) for key, value in writes)
        assert [name.name for name in one.collections] == sorted(content.collections, key=str.encode)
        for collection in one.collections:
            check_collection(collection.name, one, content.collections[collection.name])


def check_collection(name: str, action: NamespaceAction, content: CollectionSet) -> None:
    found = next(one for one in action.collections if one.name == name)
    by_key = sorted(content.reads, key=str.encode)
    assert found.reads == tuple((sha256(key.encode()).digest(), content.reads[key]) for key in by_key)
    for key, write in content.writes.items():
        hashed = next(one for one in found.writes if one.key_hash == sha256(key.encode()).digest())
        assert hashed.value_hash == (sha256(write.value).digest() if write.value else None)
        assert hashed.purge == write.purge
    private = encode_private({action.name: NamespaceSet(collections={name: content})})
    expected = sha256(private[action.name, name]).digest() if content.writes else b""
    assert found.private_hash == expected


def test_one_range_read_twice_is_recorded_once() -> None:
    """Go: rwset_builder.go keys range queries by start, end and exhausted, and keeps the first."""
    first = RangeQuery("a", "c", exhausted=True, reads=[("a", Version(1, 0))])
    again = RangeQuery("a", "c", exhausted=True, reads=[("a", Version(1, 0))])
    shorter = RangeQuery("a", "a", exhausted=False, reads=[("a", Version(1, 0))])
    (found,) = decoded({"ehr": NamespaceSet(ranges=[first, shorter, again])})
    assert [(one.end, one.exhausted) for one in found.ranges] == [("c", True), ("a", False)]


def test_an_empty_range_sets_neither_form_of_results() -> None:
    """Go: query_executor.go `addRangeQueryInfo` sets the raw reads only if there are any."""
    encoded = encode_public({"ehr": NamespaceSet(ranges=[RangeQuery("a", "c", exhausted=True, reads=[])])})
    content = rwset_pb2.TxReadWriteSet.FromString(encoded).ns_rwset[0]
    (info,) = kv_rwset_pb2.KVRWSet.FromString(content.rwset).range_queries_info
    assert info.WhichOneof("reads_info") is None


def test_a_namespace_in_which_nothing_was_done_is_left_out() -> None:
    assert encode_public({"ehr": NamespaceSet()}) == b""
    assert encode_private({"ehr": NamespaceSet(collections={"c": CollectionSet(reads={"k": None})})}) == {}


@pytest.mark.parametrize("degree", [2, 3, 50])
def test_merkle_summary_equals_its_plain_twin(degree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small degrees reach high levels with few reads."""
    monkeypatch.setattr(rwset, "RANGE_MERKLE_DEGREE", degree)
    counts = range(degree + 1, 300) if degree < 50 else [51, 52, 102, 103, 2550, 2601, 2602, 2653, 5202, 7000]
    for count in counts:
        reads = [(f"k{index:05}", Version(index, index % 7)) for index in range(count)]
        assert range_summary(reads) == plain_summary(reads, degree), count


def plain_summary(reads: list[tuple[str, Version]], degree: int) -> kv_rwset_pb2.QueryReadsMerkleSummary:
    """Level by level over the whole list: groups of degree + 1, until no level has more than degree.

    What is left over on a level goes up as one hash: as it is if it is one, combined if it is more.
    """
    level, hashes = 1, [sha256(encoded(group)).digest() for group in groups(reads, degree + 1)]
    while len(hashes) > degree:
        level += 1
        hashes = [
            group[0] if len(group) == 1 else sha256(b"".join(group)).digest() for group in groups(hashes, degree + 1)
        ]
    return kv_rwset_pb2.QueryReadsMerkleSummary(max_degree=degree, max_level=level, max_level_hashes=hashes)


def encoded(reads: list[tuple[str, Version]]) -> bytes:
    return kv_rwset_pb2.QueryReads(
        kv_reads=[
            kv_rwset_pb2.KVRead(key=key, version=kv_rwset_pb2.Version(block_num=v.block, tx_num=v.tx))
            for key, v in reads
        ]
    ).SerializeToString()


def groups(items: list[T], size: int) -> list[list[T]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]
