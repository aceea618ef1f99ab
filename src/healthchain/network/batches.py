"""Questions gathered into batches for a worker process: few at once are answered here, many by it.

What is asked for in one turn of the loop goes together, but never more than a chunk or two: the answers to the first
come while the next are being worked on. Without a worker, or when it died, everything is answered here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from healthchain.network.worker import Worker

WORKER_FROM = 24  # questions at once that show it worthwhile to start the process

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Work(Generic[_Item, _Answer]):
    """What the worker is told of a batch (None: it cannot take this one), what its answer means, and how to do without.

    Up to `inline_max` items the way to the other process and back takes longer than the work.
    """

    encode: Callable[[Sequence[_Item]], bytes | None]
    decode: Callable[[Sequence[_Item], bytes], Sequence[_Answer]]
    here: Callable[[_Item], _Answer]
    inline_max: int
    chunk: int


class Batches(Generic[_Item, _Answer]):
    """For the event loop's thread."""

    def __init__(self, worker: Worker | None, work: Work[_Item, _Answer]) -> None:
        self._worker = worker
        self._work = work
        self._pending: list[tuple[Sequence[_Item], asyncio.Future[list[_Answer]]]] = []
        self._count = 0

    def ask(self, items: Sequence[_Item]) -> asyncio.Future[list[_Answer]]:
        """One answer for each item, in their order."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[_Answer]] = loop.create_future()
        if not self._pending:
            loop.call_soon(self._flush)
        self._pending.append((items, done))
        self._count += len(items)
        if self._count >= self._work.chunk:
            self._flush()
        return done

    def _flush(self) -> None:
        asked, count = self._pending, self._count
        self._pending, self._count = [], 0
        items = [item for some, _ in asked for item in some]
        request = self._work.encode(items) if self._is_for_the_worker(count) else None
        if self._worker is None or request is None:
            self._answered(asked, items, b"")
            return
        answer = self._worker.ask(request)
        answer.add_done_callback(lambda answered: self._answered(asked, items, answered.result()))

    def _is_for_the_worker(self, count: int) -> bool:
        worker = self._worker
        return worker is not None and count > self._work.inline_max and (worker.running or count >= WORKER_FROM)

    def _answered(
        self,
        asked: Sequence[tuple[Sequence[_Item], asyncio.Future[list[_Answer]]]],
        items: Sequence[_Item],
        answer: bytes,
    ) -> None:
        answers = self._work.decode(items, answer) if answer else [self._work.here(item) for item in items]
        begin = 0
        for some, done in asked:
            end = begin + len(some)
            if not done.done():
                done.set_result(list(answers[begin:end]))
            begin = end
