"""Signatures of the embedded network's own people and nodes: few at once here, many by a process beside this one.

Fabric's SDKs let the application sign with whatever it has, a hardware module for instance; this is what it has here.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from healthchain.identity.keys import SigningKey
from healthchain.network.batches import Batches, Work
from healthchain.network.sign_worker import decode_answer, encode_key, encode_request
from healthchain.network.worker import Worker

KEYS_MAX = 1000  # handed to the process; whoever comes later signs here

_Item = tuple[SigningKey, bytes]


class Signer:
    """For the event loop's thread."""

    def __init__(self, *, use_worker: bool = True) -> None:
        self._worker = Worker("healthchain.network.sign_worker") if use_worker else None
        self._numbers: dict[SigningKey, int] = {}
        self._batches = Batches(self._worker, Work(self._request, _signatures, _sign, inline_max=4, chunk=32))

    async def sign(self, key: SigningKey, message: bytes) -> bytes:
        return (await self.sign_all([(key, message)]))[0]

    async def sign_all(self, messages: Sequence[tuple[SigningKey, bytes]]) -> list[bytes]:
        """Signatures in the order of the messages."""
        return await self._batches.ask([(key, sha256(message).digest()) for key, message in messages])

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.close()

    def _request(self, items: Sequence[_Item]) -> bytes | None:
        """With the keys that the process does not have yet; None if it has enough of them."""
        new = [key for key in dict.fromkeys(key for key, _ in items) if key not in self._numbers]
        if len(self._numbers) + len(new) > KEYS_MAX:
            return None
        for key in new:
            self._numbers[key] = len(self._numbers)
        keys = b"".join([encode_key(key) for key in new])
        return keys + encode_request([(self._numbers[key], digest) for key, digest in items])


def _signatures(items: Sequence[_Item], answer: bytes) -> list[bytes]:
    signatures = list(decode_answer(answer))
    assert len(signatures) == len(items)
    return signatures


def _sign(item: _Item) -> bytes:
    key, digest = item
    return key.sign_digest(digest)
