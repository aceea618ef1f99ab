"""Signatures of the embedded network's own people and nodes: few at once here, many by a process beside this one.

Fabric's SDKs let the application sign with whatever it has, a hardware module for instance; this is what it has here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha256

from healthchain.identity.keys import SigningKey
from healthchain.network.sign_worker import decode_answer, encode_key, encode_request
from healthchain.network.worker import Worker

INLINE_MAX = 4  # up to here the way to the other process and back takes longer than the work
WORKER_FROM = 24  # signatures at once that show it worthwhile to start the process
CHUNK = 32
KEYS_MAX = 1000  # handed to the process; whoever comes later signs here

_Item = tuple[SigningKey, bytes]
_Asked = tuple[list[_Item], asyncio.Future[list[bytes]]]


class Signer:
    """For the event loop's thread."""

    def __init__(self, *, use_worker: bool = True) -> None:
        self._worker = Worker("healthchain.network.sign_worker") if use_worker else None
        self._numbers: dict[SigningKey, int] = {}
        self._pending: list[_Asked] = []
        self._pending_count = 0

    async def sign(self, key: SigningKey, message: bytes) -> bytes:
        return (await self.sign_all([(key, message)]))[0]

    async def sign_all(self, messages: Sequence[tuple[SigningKey, bytes]]) -> list[bytes]:
        """Signatures in the order of the messages."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[bytes]] = loop.create_future()
        if not self._pending:
            loop.call_soon(self._flush)
        self._pending.append(([(key, sha256(message).digest()) for key, message in messages], done))
        self._pending_count += len(messages)
        if self._pending_count >= CHUNK:
            self._flush()
        return await done

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.close()

    def _flush(self) -> None:
        asked, count = self._pending, self._pending_count
        self._pending, self._pending_count = [], 0
        worker = self._worker
        if worker is not None and count > INLINE_MAX and (worker.running or count >= WORKER_FROM):
            request = self._request([item for items, _ in asked for item in items])
            if request is not None:
                answer = worker.ask(request)
                answer.add_done_callback(lambda answered: _answered(asked, answered.result()))
                return
        _answered(asked, b"")

    def _request(self, items: Sequence[_Item]) -> bytes | None:
        """With the keys that the process does not have yet; None if it has enough of them."""
        new = [key for key in dict.fromkeys(key for key, _ in items) if key not in self._numbers]
        if len(self._numbers) + len(new) > KEYS_MAX:
            return None
        for key in new:
            self._numbers[key] = len(self._numbers)
        keys = b"".join([encode_key(key) for key in new])
        return keys + encode_request([(self._numbers[key], digest) for key, digest in items])


def _answered(asked: Sequence[_Asked], answer: bytes) -> None:
    """Without an answer, because there are few or the process died, sign here."""
    signatures = decode_answer(answer) if answer else None
    for items, done in asked:
        if signatures is None:
            made = [key.sign_digest(digest) for key, digest in items]
        else:
            made = [next(signatures) for _ in items]
        if not done.done():
            done.set_result(made)
