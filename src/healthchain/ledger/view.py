"""What the rules of the ledger read: committed state at one height, whatever keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from healthchain.wire.rwset import Version


class Value(NamedTuple):
    value: bytes
    version: Version


class View(Protocol):
    """Committed state as of one block; values never change while the view is used."""

    def get(self, namespace: str, key: str) -> Value | None: ...
    def range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Value]]:
        """Keys from start (inclusive) to end (exclusive; "" is the end of the namespace) in order of UTF-8 bytes."""
        ...

    def hashed(self, namespace: str, collection: str, key_hash: bytes) -> Value | None:
        """The committed SHA-256 of a private value, by the SHA-256 of its key."""
        ...

    def metadata(self, namespace: str, key: str) -> Mapping[str, bytes]:
        """Of a key; none if it has none, or is not there."""
        ...

    def hashed_metadata(self, namespace: str, collection: str, key_hash: bytes) -> Mapping[str, bytes]:
        """The same of a private key, which every peer has, also where the value itself is not."""
        ...

    def private(self, namespace: str, collection: str, key: str) -> bytes | None:
        """The private value itself; raises PrivateDataMissing where its hash is committed but this peer lacks it."""
        ...

    def private_range(self, namespace: str, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Private keys and values as `range`; raises PrivateDataMissing if this peer lacks any of the collection."""
        ...

    def history(self, namespace: str, key: str) -> Iterator[tuple[Version, str, int, bytes | None]]:
        """(version, tx id, timestamp ms, value or None for a delete), newest first."""
        ...
