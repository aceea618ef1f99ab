"""The chaincode API: all that a contract may see or do during one transaction.

The names are Fabric's; the semantics too: a read returns committed state, never this transaction's own writes; writing
an empty value deletes; keys order by the bytes of their UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

ROLE_ATTRIBUTE = "hc.role"
PATIENT_ATTRIBUTE = "hc.patient"
PERSON_ROLES = frozenset(("patient", "guardian"))
"""Of those who act for themselves or their ward, not for an organisation."""
COMPOSITE_START = "\x00"
MAX_CODE_POINT = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the proposal, as the certificate says; never what an argument says."""

    msp_id: str
    common_name: str
    attributes: Mapping[str, str]
    node_ou: str = "client"  # client, peer, admin or orderer

    @property
    def role(self) -> str | None:
        return self.attributes.get(ROLE_ATTRIBUTE)

    @property
    def patient(self) -> str | None:
        """The pseudonym this identity belongs to, for patients' own identities."""
        return self.attributes.get(PATIENT_ATTRIBUTE)


@dataclass(frozen=True, slots=True)
class Modification:
    """One committed write of a key, as history returns it (newest first)."""

    tx_id: str
    timestamp_ms: int
    value: bytes | None  # None: deleted


class Stub(Protocol):
    """One transaction's view of the ledger; see fabric-chaincode-go `ChaincodeStubInterface`."""

    @property
    def channel_id(self) -> str: ...
    @property
    def tx_id(self) -> str: ...
    @property
    def timestamp_ms(self) -> int:
        """The proposal's timestamp (the client's clock, which endorsing peers bound), milliseconds since 1970 UTC."""
        ...

    @property
    def caller(self) -> Caller: ...
    @property
    def transient(self) -> Mapping[str, bytes]:
        """Signed with the proposal, handed to endorsers, never on the ledger."""
        ...

    def get_state(self, key: str) -> bytes | None: ...
    def get_states(self, keys: Sequence[str]) -> list[bytes | None]: ...
    def put_state(self, key: str, value: bytes) -> None: ...
    def delete_state(self, key: str) -> None: ...
    def range_states(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Keys from `start` (inclusive; "" is the first simple key) to `end` (exclusive; "" is the last key)."""
        ...

    def range_composite(self, object_type: str, attributes: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """All keys made by `composite_key(object_type, [*attributes, ...])`, in key order."""
        ...

    def history(self, key: str) -> Iterator[Modification]: ...

    def get_private(self, collection: str, key: str) -> bytes | None: ...
    def private_hash(self, collection: str, key: str) -> bytes | None:
        """SHA-256 of the committed private value: on every peer, also where the value itself is not."""
        ...

    def put_private(self, collection: str, key: str, value: bytes) -> None: ...
    def delete_private(self, collection: str, key: str) -> None: ...
    def purge_private(self, collection: str, key: str) -> None:
        """Delete the value and all its history from every peer's disk; its hash stays in the blocks."""
        ...

    def set_event(self, name: str, payload: bytes) -> None:
        """One event a transaction; a later call replaces it."""
        ...


def composite_key(object_type: str, attributes: Sequence[str]) -> str:
    """U+0000, then each part followed by U+0000 (fabric-chaincode-go `CreateCompositeKey`).

    Raises ValueError for a part with U+0000 or U+10FFFF in it, which would make two keys collide.
    """
    parts = (object_type, *attributes)
    key = COMPOSITE_START + "\x00".join(parts) + "\x00"
    if key.count("\x00") != len(parts) + 1 or MAX_CODE_POINT in key:
        raise ValueError("U+0000 and U+10FFFF are not allowed in a composite key")
    return key


def split_composite_key(key: str) -> tuple[str, list[str]]:
    """The inverse of `composite_key`: object type and attributes."""
    object_type, *attributes = key[1:-1].split("\x00")
    return object_type, attributes
