"""Private values: taken from the read-write sets that endorsers hand out, kept in the peer's private log.

A log entry's tag is the packed version, its extra the location of the key's value before (`NOWHERE` if none), so that a
purge can find and erase the whole history; its body is label length, key length, namespace 00 collection, key, value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from google.protobuf.message import DecodeError

from healthchain.errors import HealthChainError
from healthchain.ledger.state import hashed_key
from healthchain.wire.block import PrivateSets
from healthchain.wire.transaction import Action

LENGTHS = struct.Struct(">HH")
LENGTH_MAX = 0xFFFF
LABEL_END = -33  # of a hashed key: 00 and the SHA-256 of the plain key follow


class PrivateDataMissing(HealthChainError):
    """The hash of a private value is committed, but this peer does not hold the value."""


class PrivateValue(NamedTuple):
    """A private value as a log body holds it; `hashed_key` is its key in the state database's hashed table."""

    hashed_key: bytes
    key: str
    value: bytes

    @property
    def collection(self) -> tuple[str, str]:
        """Namespace and collection."""
        namespace, name = self.hashed_key[:LABEL_END].decode().split("\x00")
        return namespace, name

    @property
    def value_hash(self) -> bytes:
        return sha256(self.value).digest()


def body_key(hashed_key: bytes, value_hash: bytes) -> bytes:
    """What bodies are looked up by: two transactions of a block may write one key, and only one of them be valid."""
    return hashed_key + value_hash


def body_holds(body: bytes, hashed_key: bytes, value_hash: bytes) -> bool:
    """Whether a body, wherever it came from, is the key and value of which these hashes are committed."""
    try:
        found = decode_body(body)
    except (struct.error, UnicodeDecodeError):
        return False
    return found.hashed_key == hashed_key and found.value_hash == value_hash


def matching_bodies(action: Action, sets: PrivateSets) -> dict[bytes, bytes]:
    """`body_key` -> log body, for every private write that the transaction's hashes confirm; others are left out."""
    bodies: dict[bytes, bytes] = {}
    for namespace in action.namespaces:
        for collection in namespace.collections:
            encoded = sets.get((namespace.name, collection.name))
            if encoded is None or sha256(encoded).digest() != collection.private_hash:
                continue
            try:
                writes = kv_rwset_pb2.KVRWSet.FromString(encoded).writes
            except DecodeError:
                continue
            expected = {w.key_hash: w.value_hash for w in collection.writes}
            for write in writes:
                key, value_hash = write.key.encode(), sha256(write.value).digest()
                key_hash = sha256(key).digest()
                if write.value and len(key) <= LENGTH_MAX and expected.get(key_hash) == value_hash:
                    name = body_key(hashed_key(namespace.name, collection.name, key_hash), value_hash)
                    bodies[name] = encode_body(namespace.name, collection.name, write.key, write.value)
    return bodies


def encode_body(namespace: str, collection: str, key: str, value: bytes) -> bytes:
    label, name = f"{namespace}\x00{collection}".encode(), key.encode()
    return b"".join((LENGTHS.pack(len(label), len(name)), label, name, value))


def decode_body(body: bytes) -> PrivateValue:
    label_length, key_length = LENGTHS.unpack_from(body)
    value_start = LENGTHS.size + label_length + key_length
    label = body[LENGTHS.size : LENGTHS.size + label_length]
    key = body[LENGTHS.size + label_length : value_start]
    return PrivateValue(label + b"\x00" + sha256(key).digest(), key.decode(), body[value_start:])


def as_sets(values: Iterable[PrivateValue]) -> Mapping[bytes, bytes]:
    """What one peer hands to another that was down: `body_key` -> body."""
    return {body_key(one.hashed_key, one.value_hash): _body(one) for one in values}


def _body(value: PrivateValue) -> bytes:
    namespace, collection = value.collection
    return encode_body(namespace, collection, value.key, value.value)
