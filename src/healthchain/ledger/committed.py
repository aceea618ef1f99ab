"""Committed state as chaincode and queries read it: the tables of one height, and the logs that they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from fabric_protos.common import common_pb2

from healthchain.ledger.mvcc import range_end
from healthchain.ledger.private import PrivateDataMissing, PrivateValue, decode_body
from healthchain.ledger.segments import LogCorrupted, SegmentedLog
from healthchain.ledger.state import (
    NOWHERE,
    HashedEntry,
    StateReader,
    TransactionEntry,
    hashed_key,
    state_key,
    unpack_version,
)
from healthchain.ledger.view import Value
from healthchain.wire.rwset import Version, decode_metadata
from healthchain.wire.transaction import decode_action, decode_header


class Committed:
    """Implements `healthchain.ledger.view.View`, as far on as `state` is."""

    def __init__(self, state: StateReader, block_log: SegmentedLog, private_log: SegmentedLog) -> None:
        self._reader = state
        self.block_log = block_log
        self.private_log = private_log

    @property
    def height(self) -> int:
        """Number of blocks applied; the next block has this number."""
        return self._reader.height

    def get(self, namespace: str, key: str) -> Value | None:
        found = self._reader.get(state_key(namespace, key))
        return None if found is None else Value(found[0], unpack_version(found[1]))

    def range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Value]]:
        prefix = state_key(namespace, "")
        for key, value, version in self._reader.range(prefix + start.encode(), range_end(prefix, end)):
            yield key[len(prefix) :].decode(), Value(value, unpack_version(version))

    def hashed(self, namespace: str, collection: str, key_hash: bytes) -> Value | None:
        entry = self._reader.hashed(hashed_key(namespace, collection, key_hash))
        return None if entry is None else Value(entry.value_hash, unpack_version(entry.version))

    def metadata(self, namespace: str, key: str) -> dict[str, bytes]:
        return decode_metadata(self._reader.metadata(state_key(namespace, key)) or b"")

    def hashed_metadata(self, namespace: str, collection: str, key_hash: bytes) -> dict[str, bytes]:
        return decode_metadata(self._reader.hashed_metadata(hashed_key(namespace, collection, key_hash)) or b"")

    def private(self, namespace: str, collection: str, key: str) -> bytes | None:
        entry = self._reader.hashed(hashed_key(namespace, collection, sha256(key.encode()).digest()))
        return None if entry is None else self._private_value(entry).value

    def private_range(self, namespace: str, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Reads the whole collection: the tables know hashes of keys only, so that a purge leaves no key behind."""
        first, last = start.encode(), end.encode()
        found = []
        for entry in self._reader.hashed_entries(hashed_key(namespace, collection, b"")):
            key = self._private_value(entry).key.encode()
            if first <= key and (not end or key < last):
                found.append((key, entry))
        for key, entry in sorted(found):
            yield key.decode(), self._private_value(entry).value

    def _private_value(self, entry: HashedEntry) -> PrivateValue:
        if entry.location == NOWHERE:
            raise PrivateDataMissing(
                "this peer does not hold a private value whose hash is committed: ask another peer"
            )
        found = self.private_log.entry(entry.location)
        if found is None:
            raise LogCorrupted("a private value is not whole on this peer: run `healthchain verify`")
        if found.body is None:
            raise PrivateDataMissing("a private value was purged by a block after the state that was read: ask again")
        return decode_body(found.body)

    def history(self, namespace: str, key: str) -> Iterator[tuple[Version, str, int, bytes | None]]:
        name = state_key(namespace, key)
        versions = set(self._reader.old_versions(name))
        current = self._reader.version(name)
        if current is not None:
            versions.add(current)
        for packed in sorted(versions, reverse=True):
            version = unpack_version(packed)
            header = decode_header(self.block(version.block).data.data[version.tx])
            written = {
                written_key: value
                for one in decode_action(header).namespaces
                if one.name == namespace
                for written_key, value in one.writes
            }
            if key in written:  # if not, the transaction wrote its metadata
                yield version, header.tx_id, header.timestamp_ns // 1_000_000, written[key]

    def block(self, number: int) -> common_pb2.Block:
        """Raises IndexError for a block not yet there and LogCorrupted for one that is not whole."""
        location = self._reader.block(number) if 0 <= number < self.height else None
        if location is None:
            raise IndexError(f"block {number} is not on this ledger, whose height is {self.height}")
        return common_pb2.Block.FromString(self.block_log.read(location[0]))

    def block_number(self, header_hash: bytes) -> int | None:
        return self._reader.block_number(header_hash)

    def transaction(self, tx_id: str) -> TransactionEntry | None:
        """Where a transaction was committed and with which code; for a repeated id the first commit counts."""
        try:
            raw = bytes.fromhex(tx_id)
        except ValueError:
            return None
        return self._reader.transaction(raw) if len(raw) == 32 else None
