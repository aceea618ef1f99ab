"""What a peer's files still hold of what its ledger gave up, in folders laid out as Fabric's peers lay them out.

The keys' and values' forms are also seen on real peers, in tests/cli/test_fabric_erasing.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from healthchain.errors import BadInput
from healthchain.fabric.leveldb import journal
from healthchain.fabric.leveldb.entries import BATCH_HEADER, DELETED, PUT
from healthchain.fabric.leveldb.manifest import CURRENT, Manifest, write_manifest
from healthchain.fabric.leveldb.numbers import encoded_string
from healthchain.fabric.traces import PRIVATE_DATA, STATE, STORES, TRANSIENT, merge_at_next_start, traces

Writes = list[tuple[bytes, bytes | None]]
"""Keys and values in order; None deletes."""


def lay_out(ledger: Path, stores: Mapping[Path, Writes]) -> Path:
    """Each store as one journal."""
    for store in STORES:
        (ledger / store).mkdir(parents=True)
        batches = [
            BATCH_HEADER.pack(sequence, 1)
            + bytes((DELETED if value is None else PUT,))
            + encoded_string(key)
            + (b"" if value is None else encoded_string(value))
            for sequence, (key, value) in enumerate(stores.get(store, []), start=1)
        ]
        (ledger / store / "000001.log").write_bytes(journal.written(batches))
        write_manifest(ledger / store, Manifest(journal=1, next_file=3), 2)
    return ledger


def state(key: bytes, value: bytes, namespace: bytes = b"ehr$$pbodies") -> tuple[bytes, bytes]:
    return b"health\0d" + namespace + b"\0" + key, b"\x0a\x03\x01\x02\x00" + b"\x12" + encoded_string(value)


def writes(*values: bytes) -> rwset_pb2.CollectionPvtReadWriteSet:
    found = [kv_rwset_pb2.KVWrite(key=f"key {value!r}", value=value) for value in values]
    content = kv_rwset_pb2.KVRWSet(writes=found).SerializeToString()
    return rwset_pb2.CollectionPvtReadWriteSet(collection_name="bodies", rwset=content)


def private(block: int, *values: bytes) -> tuple[bytes, bytes]:
    return b"health\0\x02\x01" + bytes((block,)) + b"\x00ehr\0bodies", writes(*values).SerializeToString()


def transient(transaction: bytes, *values: bytes) -> tuple[bytes, bytes]:
    namespace = rwset_pb2.NsPvtReadWriteSet(namespace="ehr", collection_pvt_rwset=[writes(*values)])
    written = rwset_pb2.TxPvtReadWriteSet(ns_pvt_rwset=[namespace]).SerializeToString()
    return b"health\0P\0" + transaction, b"\0" + b"\x08\x05" + b"\x12" + encoded_string(written)


def test_a_ledger_that_gave_up_nothing_has_no_traces(tmp_path: Path) -> None:
    sent, _ = transient(b"tx", b"one", b"two")
    stores: dict[Path, Writes] = {
        STATE: [state(b"1", b"one"), state(b"2", b"two")],
        PRIVATE_DATA: [private(5, b"one", b"two")],
        TRANSIENT: [transient(b"tx", b"one", b"two"), (sent, None)],  # as after every commit
    }
    found = traces(lay_out(tmp_path, stores))
    assert (len(found.dead), found.marked, len(found.waiting)) == (0, 0, 0)


def test_a_purged_value_is_found_in_each_store_and_counted_once(tmp_path: Path) -> None:
    first, _ = state(b"1", b"one")
    stores: dict[Path, Writes] = {
        STATE: [state(b"1", b"one"), state(b"2", b"two"), (first, None)],
        PRIVATE_DATA: [private(5, b"one", b"two"), private(5, b"two")],
    }
    assert len(traces(lay_out(tmp_path / "both", stores)).dead) == 1
    for store in (STATE, PRIVATE_DATA):
        assert len(traces(lay_out(tmp_path / store.name, {store: stores[store]})).dead) == 1
    assert not traces(lay_out(tmp_path / "neither", {STATE: [state(b"2", b"two")]})).dead


def test_what_the_private_data_store_has_still_to_delete_is_no_trace_yet(tmp_path: Path) -> None:
    first, _ = state(b"1", b"one")
    marker = (b"health\0cehr\0bodies\0hash", b"\x01\x06\x00")
    stores: dict[Path, Writes] = {
        STATE: [state(b"1", b"one"), (first, None)],
        PRIVATE_DATA: [private(5, b"one"), marker],
    }
    found = traces(lay_out(tmp_path / "marked", stores))
    assert (len(found.dead), found.marked) == (0, 1)
    stores[PRIVATE_DATA] += [(private(5)[0], None), (marker[0], None)]
    found = traces(lay_out(tmp_path / "deleted", stores))
    assert (len(found.dead), found.marked) == (1, 0)


def test_what_was_endorsed_and_never_committed_waits(tmp_path: Path) -> None:
    found = traces(lay_out(tmp_path, {TRANSIENT: [transient(b"tx", b"one")]}))
    assert (len(found.dead), len(found.waiting)) == (0, 1)


def test_public_values_and_hashes_are_none_of_it(tmp_path: Path) -> None:
    public, hashed = state(b"1", b"one", b"ehr"), state(b"2", b"two", b"ehr$$hbodies")
    assert not traces(lay_out(tmp_path, {STATE: [public, hashed, (public[0], None), (hashed[0], None)]})).dead


def test_asking_for_the_merge_loses_nothing(tmp_path: Path) -> None:
    first, _ = state(b"1", b"one")
    ledger = lay_out(tmp_path, {STATE: [state(b"1", b"one"), (first, None), state(b"2", b"two")]})
    before = traces(ledger)
    merge_at_next_start(ledger)
    assert traces(ledger) == before


def test_a_folder_that_is_no_peer_s_is_said_to_be(tmp_path: Path) -> None:
    lay_out(tmp_path, {})
    (tmp_path / TRANSIENT / CURRENT).unlink()
    before = sorted(tmp_path.rglob("*"))
    for ask in (traces, merge_at_next_start):
        with pytest.raises(BadInput, match="no ledger of a Fabric peer"):
            ask(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
