"""Simulation: run a contract against committed state and record what it read and would write.

Fabric's semantics (core/ledger/kvledger/txmgmt/rwsetutil): no transaction reads its own writes; the last write of a key
wins; a range read records what it handed out, so that phantoms are found at validation.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from healthchain.chaincode.stub import MAX_CODE_POINT, Caller, Modification, composite_key
from healthchain.errors import HealthChainError
from healthchain.ledger.view import View
from healthchain.wire.rwset import CollectionSet, Metadata, NamespaceSet, PrivateWrite, RangeQuery, Version

KEY_BYTES_MAX = 480  # the state database's limit, less its namespace prefix
SIMPLE_START = "\x01"


class SimulationFailed(HealthChainError):
    """The chaincode asked for something that the ledger does not do; nothing was recorded."""


@dataclass(slots=True)
class _Mode:
    """What reads pages or ranges of private data must not write, and vice versa: they are not protected from phantoms.

    `unprotected` is what was read so.
    """

    wrote: bool = False
    unprotected: str = ""


class Simulator:
    """Implements `healthchain.chaincode.stub.Stub` over a view; one instance a transaction."""

    def __init__(
        self,
        view: View,
        *,
        namespace: str,
        channel_id: str,
        tx_id: str,
        timestamp_ms: int,
        caller: Caller,
        transient: Mapping[str, bytes],
        collections: frozenset[str],
    ) -> None:
        self._view = view
        self._namespace = namespace
        self._set = NamespaceSet()
        self._collections = collections
        self._mode = _Mode()
        self.namespaces: dict[str, NamespaceSet] = {namespace: self._set}
        self.channel_id = channel_id
        self.tx_id = tx_id
        self.timestamp_ms = timestamp_ms
        self.caller = caller
        self.transient = transient
        self.event: tuple[str, bytes] | None = None

    def read_foreign(self, namespace: str, key: str) -> bytes | None:
        """A read in another namespace (the peer's own look-ups, such as the chaincode definition), recorded as well."""
        found = self._view.get(namespace, key)
        foreign = self.namespaces.setdefault(namespace, NamespaceSet())
        foreign.reads[key] = found.version if found else None
        return found.value if found else None

    def calling(self, namespace: str, collections: frozenset[str]) -> Simulator:
        """For a chaincode that this one calls: the same transaction and read-write set; the callee's event is its own.

        The caller's writes stay what they are if the callee fails, and the callee's too: the caller decides.
        """
        callee = copy.copy(self)
        callee._namespace, callee._collections = namespace, collections
        callee._set = self.namespaces.setdefault(namespace, NamespaceSet())
        callee.event = None
        return callee

    def get_state(self, key: str) -> bytes | None:
        found = self._view.get(self._namespace, _checked(key))
        if found is None:
            self._set.reads[key] = None
            return None
        self._set.reads[key] = found.version
        return found.value

    def get_states(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.get_state(key) for key in keys]

    def put_state(self, key: str, value: bytes) -> None:
        self._set.writes[self._writable(key)] = value or None

    def delete_state(self, key: str) -> None:
        self._set.writes[self._writable(key)] = None

    def range_states(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        return self._range(_checked(start or SIMPLE_START), end and _checked(end))

    def range_composite(self, object_type: str, attributes: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        prefix = _checked(composite_key(object_type, attributes))
        return self._range(prefix, prefix + MAX_CODE_POINT)

    def _range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Recorded even if the caller stops early: then up to and with the last key handed out.

        Brought up to date before each key is handed out, so that it does not depend on when a caller that stopped
        lets go of the generator.
        """
        reads: list[tuple[str, Version]] = []
        query = RangeQuery(start, start, exhausted=False, reads=reads)
        self._set.ranges.append(query)
        for key, found in self._view.range(self._namespace, start, end):
            reads.append((key, found.version))
            query.end = key
            yield key, found.value
        query.end, query.exhausted = end, True

    def page(self, start: str, end: str, size: int) -> tuple[list[tuple[str, bytes]], str]:
        """The first `size` keys of a range, and the key that the next page starts with ("" after the last).

        Not recorded, as in Fabric: only for transactions that write nothing.
        """
        self._read_unprotected("pages")
        rows: list[tuple[str, bytes]] = []
        for key, found in self._view.range(self._namespace, _checked(start or SIMPLE_START), end and _checked(end)):
            if len(rows) == size:
                return rows, key
            rows.append((key, found.value))
        return rows, ""

    def history(self, key: str) -> Iterator[Modification]:
        for _, tx_id, timestamp_ms, value in self._view.history(self._namespace, _checked(key)):
            yield Modification(tx_id, timestamp_ms, value)

    def get_private(self, collection: str, key: str) -> bytes | None:
        self._record_private_read(collection, key)
        return self._view.private(self._namespace, collection, key)

    def private_hash(self, collection: str, key: str) -> bytes | None:
        return self._record_private_read(collection, key)

    def range_private(self, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Keys from `start` to `end` (exclusive; "" is the last), as this peer holds them. Not recorded, as in Fabric.

        Raises PrivateDataMissing where the peer lacks any value of the collection: nobody knows its key.
        """
        self._require_collection(collection)
        self._read_unprotected("ranges of private data")
        return self._view.private_range(self._namespace, collection, start and _checked(start), end and _checked(end))

    def metadata(self, key: str) -> Mapping[str, bytes]:
        """Of a key: name -> value. Recorded like a read of its value."""
        self.get_state(key)
        return self._view.metadata(self._namespace, key)

    def put_metadata(self, key: str, metadata: Metadata) -> None:
        """In place of what there is; without effect on a key that is not there. It makes a new version of the key."""
        self._set.metadata[self._writable(key)] = metadata

    def private_metadata(self, collection: str, key: str) -> Mapping[str, bytes]:
        self._record_private_read(collection, key)
        return self._view.hashed_metadata(self._namespace, collection, sha256(key.encode()).digest())

    def put_private_metadata(self, collection: str, key: str, metadata: Metadata) -> None:
        self._collection(collection).metadata[self._writable(key)] = metadata

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        self._collection(collection).writes[self._writable(key)] = PrivateWrite(key, value or None)

    def delete_private(self, collection: str, key: str) -> None:
        self._collection(collection).writes[self._writable(key)] = PrivateWrite(key, None)

    def purge_private(self, collection: str, key: str) -> None:
        self._collection(collection).writes[self._writable(key)] = PrivateWrite(key, None, purge=True)

    def set_event(self, name: str, payload: bytes) -> None:
        if not name:
            raise SimulationFailed("an event needs a name")
        self.event = (name, payload)

    def _writable(self, key: str) -> str:
        if self._mode.unprotected:
            raise SimulationFailed(
                f"a transaction that read {self._mode.unprotected} cannot write: they are not protected at validation"
            )
        self._mode.wrote = True
        return _checked(key)

    def _read_unprotected(self, what: str) -> None:
        if self._mode.wrote:
            raise SimulationFailed(f"a transaction that wrote cannot read {what}: they are not protected at validation")
        self._mode.unprotected = what

    def _record_private_read(self, collection: str, key: str) -> bytes | None:
        reads = self._collection(collection).reads
        found = self._view.hashed(self._namespace, collection, sha256(_checked(key).encode()).digest())
        reads[key] = found.version if found else None
        return found.value if found else None

    def _collection(self, name: str) -> CollectionSet:
        self._require_collection(name)
        return self._set.collections.setdefault(name, CollectionSet())

    def _require_collection(self, name: str) -> None:
        if name not in self._collections:
            raise SimulationFailed("the chaincode definition has no collection of that name")


def _checked(key: str) -> str:
    if not key:
        raise SimulationFailed("a key must not be empty")
    try:
        size = len(key) if key.isascii() else len(key.encode())
    except UnicodeEncodeError:
        raise SimulationFailed("a key must be text that UTF-8 can encode") from None
    if size > KEY_BYTES_MAX:
        raise SimulationFailed(f"a key may have at most {KEY_BYTES_MAX} bytes")
    return key
