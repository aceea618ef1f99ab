"""What a client signs, here or on another machine: the bytes stay as they were when they were signed.

A machine without the key builds a request and hands out its digest; whoever has the key signs that. What comes back is
checked before anything is sent, since a gateway would only say that access is denied.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from healthchain.client.errors import SignatureInvalid
from healthchain.identity.keys import ORDERS, low_s, signature_holds
from healthchain.identity.msp import IdentityRefused, claimed_identity


@dataclass(frozen=True, slots=True)
class Creator:
    """Somebody whose key is elsewhere: `serialized` are the creator bytes, pb(SerializedIdentity)."""

    msp_id: str
    serialized: bytes


class Signer(Protocol):
    """`client.gateway.Connection`, as far as this module is concerned."""

    async def sign(self, message: bytes) -> bytes: ...


class Signed:
    """`content` is signed by its creator: when it is sent, unless there is a signature already."""

    def __init__(self, signer: Signer, content: bytes, signature: bytes = b"") -> None:
        self._signer = signer
        self._content = content
        self._own_signature = signature

    @property
    def digest(self) -> bytes:
        """SHA-256 of what is to be signed, for who signs elsewhere."""
        return sha256(self._content).digest()

    async def _signature(self) -> bytes:
        """Raises KeyMissing."""
        return self._own_signature or await self._signer.sign(self._content)


def checked_signature(creator: bytes, content: bytes, signature: bytes) -> bytes:
    """In DER, and with low S: OpenSSL and hardware modules give either, Fabric takes low S only.

    Raises SignatureInvalid unless it is the creator's over the content.
    """
    try:
        key = claimed_identity(creator).public_key
        low = low_s(signature, ORDERS[key.curve.name])
    except (IdentityRefused, ValueError):
        raise SignatureInvalid from None
    if not signature_holds(key, sha256(content).digest(), low):
        raise SignatureInvalid
    return low
