"""The ledger's rules once more, slow and obvious: a dictionary for each kind of data, and every read done again.

A transaction is valid if nothing that it read was touched by an earlier valid transaction of its block, and reading
everything again gives the versions that were recorded.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

from healthchain.ledger.view import Value
from healthchain.wire.rwset import CollectionSet, NamespaceSet, RangeQuery, Version

Written = Mapping[str, NamespaceSet]
VALID, MVCC, PHANTOM = 0, 11, 12


class PlainLedger:
    """Implements `healthchain.ledger.view.View`. Private values are by plain key: no hash is used to find one."""

    def __init__(self) -> None:
        self.public: dict[tuple[str, str], Value] = {}
        self.private_values: dict[tuple[str, str, str], Value] = {}
        self.writes: dict[tuple[str, str], list[tuple[Version, bytes | None]]] = {}
        self.key_metadata: dict[tuple[str, ...], dict[str, bytes]] = {}

    def copy(self) -> PlainLedger:
        return copy.deepcopy(self)

    def get(self, namespace: str, key: str) -> Value | None:
        return self.public.get((namespace, key))

    def range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Value]]:
        keys = [key for name, key in self.public if name == namespace and key >= start and (not end or key < end)]
        for key in sorted(keys, key=str.encode):
            yield key, self.public[namespace, key]

    def hashed(self, namespace: str, collection: str, key_hash: bytes) -> Value | None:
        for (name, within, key), (value, version) in self.private_values.items():
            if (name, within) == (namespace, collection) and sha256(key.encode()).digest() == key_hash:
                return Value(sha256(value).digest(), version)
        return None

    def private(self, namespace: str, collection: str, key: str) -> bytes | None:
        found = self.private_values.get((namespace, collection, key))
        return found.value if found else None

    def private_range(self, namespace: str, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        keys = [key for name, within, key in self.private_values if (name, within) == (namespace, collection)]
        for key in sorted(keys, key=str.encode):
            if key >= start and (not end or key < end):
                yield key, self.private_values[namespace, collection, key].value

    def metadata(self, namespace: str, key: str) -> Mapping[str, bytes]:
        return self.key_metadata.get((namespace, key), {})

    def hashed_metadata(self, namespace: str, collection: str, key_hash: bytes) -> Mapping[str, bytes]:
        for name, within, key in self.private_values:
            if (name, within) == (namespace, collection) and sha256(key.encode()).digest() == key_hash:
                return self.key_metadata.get((name, within, key), {})
        return {}

    def history(self, namespace: str, key: str) -> Iterator[tuple[Version, str, int, bytes | None]]:
        for version, value in reversed(self.writes.get((namespace, key), [])):
            yield version, "", 0, value

    def commit(self, number: int, transactions: Sequence[Written | None]) -> list[int]:
        """One block; None for a transaction that was refused before. The codes of the others."""
        touched: set[tuple[str, ...]] = set()
        codes = []
        for index, written in enumerate(transactions):
            code = VALID if written is None else self._code(written, touched)
            codes.append(code)
            if written is not None and code == VALID:
                self._write(written, Version(number, index), touched)
        return codes

    def _code(self, written: Written, touched: set[tuple[str, ...]]) -> int:
        for name in sorted(written):
            content = written[name]
            for key, version in content.reads.items():
                if (name, key) in touched or _version(self.public.get((name, key))) != version:
                    return MVCC
            for query in content.ranges:
                if not self._same(name, query):
                    return PHANTOM
            for collection, inner in content.collections.items():
                if not self._private_same(name, collection, inner, touched):
                    return MVCC
        return VALID

    def _same(self, name: str, query: RangeQuery) -> bool:
        found = [(key, value.version) for key, value in self.range(name, query.start, "")]
        if query.exhausted:
            return [one for one in found if not query.end or one[0] < query.end] == query.reads
        return [one for one in found if one[0] <= query.end] == query.reads

    def _private_same(self, name: str, collection: str, content: CollectionSet, touched: set[tuple[str, ...]]) -> bool:
        return all(
            (name, collection, key) not in touched
            and _version(self.private_values.get((name, collection, key))) == version
            for key, version in content.reads.items()
        )

    def _write(self, written: Written, version: Version, touched: set[tuple[str, ...]]) -> None:
        for name, content in written.items():
            for key, value in content.writes.items():
                touched.add((name, key))
                self.writes.setdefault((name, key), []).append((version, value or None))
                self.public.pop((name, key), None)
                if value:
                    self.public[name, key] = Value(value, version)
                else:
                    self.key_metadata.pop((name, key), None)
            for key, metadata in content.metadata.items():
                if (name, key) in self.public:
                    touched.add((name, key))
                    self.public[name, key] = Value(self.public[name, key].value, version)
                    self.key_metadata[name, key] = dict(metadata)
            for collection, inner in content.collections.items():
                for key, write in inner.writes.items():
                    touched.add((name, collection, key))
                    self.private_values.pop((name, collection, key), None)
                    if write.value:
                        self.private_values[name, collection, key] = Value(write.value, version)
                    else:
                        self.key_metadata.pop((name, collection, key), None)
                for key, metadata in inner.metadata.items():
                    place = (name, collection, key)
                    if place in self.private_values:
                        touched.add(place)
                        self.private_values[place] = Value(self.private_values[place].value, version)
                        self.key_metadata[place] = dict(metadata)


def _version(value: Value | None) -> Version | None:
    return value.version if value else None
