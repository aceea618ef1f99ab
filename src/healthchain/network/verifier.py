"""Every signature verified once in a process: few at once, many in batches by a process beside this one.

Peers of one process ask the same question of the same bytes; the key of a verdict is exactly what was checked, so
nobody gains anything by choosing an id (docs/decisions/0004).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from healthchain.identity.keys import signature_holds
from healthchain.ledger.validate import SignatureCheck
from healthchain.network.verify_worker import encode_request
from healthchain.network.worker import Worker

INLINE_MAX = 8  # up to here the way to the other process and back takes longer than the work
WORKER_FROM = 24  # checks at once that show it worthwhile to start the process
GENERATION_MAX = 8_000
SIGNATURE_BYTES_MAX = 104  # P-384 in DER; anything longer is none, and is neither sent nor remembered

CHUNK = 48  # one question's size: the answers to the first come while the next are being worked on

_Key = tuple[bytes, bytes, bytes]
_Asked = tuple[list[SignatureCheck], asyncio.Future[None]]


class Verifier:
    """`verify` before `verdict`: then the verdict is there without work. Both are for the event loop's thread."""

    def __init__(self, *, use_worker: bool = True) -> None:
        self._young: dict[_Key, bool] = {}
        self._old: dict[_Key, bool] = {}
        self._pending: list[_Asked] = []
        self._pending_count = 0
        self._worker = Worker("healthchain.network.verify_worker") if use_worker else None

    def verdict(self, check: SignatureCheck) -> bool:
        """Whether the signature holds; verified now unless it was before."""
        if len(check.signature) > SIGNATURE_BYTES_MAX:
            return False
        key = (check.identity.public_point, check.digest, check.signature)
        known = self._young.get(key)
        if known is None:
            known = self._old.get(key)
            if known is None:
                known = signature_holds(check.identity.public_key, check.digest, check.signature)
            self._remember(key, known)
        return known

    async def verify(self, checks: Iterable[SignatureCheck]) -> None:
        """Make the verdicts of all these known."""
        unknown = [one for one in checks if not self._known(one)]
        waiting = [self._ask(unknown[i : i + CHUNK]) for i in range(0, len(unknown), CHUNK)]
        for one in waiting:
            await one

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker.close()

    def _known(self, check: SignatureCheck) -> bool:
        if len(check.signature) > SIGNATURE_BYTES_MAX:
            return True
        key = (check.identity.public_point, check.digest, check.signature)
        return key in self._young or key in self._old

    def _remember(self, key: _Key, verdict: bool) -> None:
        if len(self._young) >= GENERATION_MAX:
            self._old, self._young = self._young, {}
        self._young[key] = verdict

    def _ask(self, checks: list[SignatureCheck]) -> asyncio.Future[None]:
        """What is asked for in one turn of the loop goes together, but never more than a chunk or two."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if not self._pending:
            loop.call_soon(self._flush)
        self._pending.append((checks, done))
        self._pending_count += len(checks)
        if self._pending_count >= CHUNK:
            self._flush()
        return done

    def _flush(self) -> None:
        asked, count = self._pending, self._pending_count
        self._pending, self._pending_count = [], 0
        worker = self._worker
        if worker is not None and count > INLINE_MAX and (worker.running or count >= WORKER_FROM):
            keys = [(one.identity.public_point, one.digest, one.signature) for checks, _ in asked for one in checks]
            answer = worker.ask(encode_request(keys))
            answer.add_done_callback(lambda answered: self._answered(asked, keys, answered.result()))
        else:
            self._answered(asked, [], b"")

    def _answered(self, asked: list[_Asked], keys: list[_Key], verdicts: bytes) -> None:
        """Without verdicts, because there are few or the worker died, verify here."""
        for key, holds in zip(keys, verdicts, strict=bool(verdicts)):
            self._remember(key, bool(holds))
        for checks, done in asked:
            if not verdicts:
                for check in checks:
                    self.verdict(check)
            if not done.done():
                done.set_result(None)
