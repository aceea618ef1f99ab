"""Who waits for which transaction or block, and is told when all peers have it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TypeVar

from healthchain.errors import HealthChainError
from healthchain.network.committer import Committed

DROPPED_MAX = 10_000  # remembered, for those who ask later

_T = TypeVar("_T")
Require = Callable[[], object]


class TransactionDropped(HealthChainError):
    """It was accepted for ordering, and is in no block."""

    def __init__(self) -> None:
        super().__init__("the transaction was not ordered: its creator's organisation ceased to take part meanwhile")


class Commits:
    """For the event loop's thread. `failed` ends every wait with an error, now and later."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[asyncio.Future[Committed], Require]] = {}
        self._height_changed: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._dropped: OrderedDict[str, None] = OrderedDict()

    def drop(self, tx_id: str) -> None:
        """Whoever waits for it, now or later, learns that it comes no more."""
        self._dropped[tx_id] = None
        if len(self._dropped) > DROPPED_MAX:
            self._dropped.popitem(last=False)
        for waiting in self._waiting.get(tx_id, ()):
            _fail(waiting, TransactionDropped())

    def committed(self, block: int, fates: Mapping[str, int]) -> None:
        for tx_id, code in fates.items():
            for waiting in self._waiting.get(tx_id, ()):
                if not waiting.done():
                    waiting.set_result(Committed(block, code))
        changed, self._height_changed = self._height_changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)

    async def wait_for(self, tx_id: str, require: Require = lambda: None) -> Committed:
        """Until the transaction is in a block. Whoever gives up leaves nothing behind: ids may never come.

        Raises TransactionDropped. `require` raises once the one who waits may not ask any more: see `members_changed`.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # one error for all: what it passed through must not add up
        if tx_id in self._dropped:
            raise TransactionDropped
        waiting: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        everybody = self._waiting.setdefault(tx_id, {})
        everybody[waiting] = require
        try:
            return await waiting
        finally:
            everybody.pop(waiting, None)
            if not everybody and self._waiting.get(tx_id) is everybody:
                del self._waiting[tx_id]

    def members_changed(self) -> None:
        """End the waits of those who are no members any more: what they sent is settled by no block from now on."""
        for everybody in self._waiting.values():
            for waiting, require in everybody.items():
                try:
                    require()
                except HealthChainError as refused:
                    _fail(waiting, refused)

    async def next_block(self) -> None:
        """Until another block is committed."""
        if self._failure is not None:
            raise self._failure.with_traceback(None)  # one error for all: what it passed through must not add up
        if self._height_changed is None:
            self._height_changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._height_changed)

    def failed(self, failure: BaseException) -> None:
        self._failure = failure
        for everybody in self._waiting.values():
            for one in everybody:
                _fail(one, failure)
        if self._height_changed is not None:
            _fail(self._height_changed, failure)
            self._height_changed = None


def _fail(waiting: asyncio.Future[_T], failure: BaseException) -> None:
    if not waiting.done():
        waiting.set_exception(failure)
        waiting.exception()  # nobody may be waiting any more
