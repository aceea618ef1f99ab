"""Who waits for which transaction or block, and is told when all peers have it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from fabric_protos.common import common_pb2

from healthchain.ledger.validate import Decoded
from healthchain.network.committer import Committed
from healthchain.wire.codes import Code

_T = TypeVar("_T")

NOT_A_COMMIT = frozenset((Code.DUPLICATE_TXID, Code.BAD_PROPOSAL_TXID, Code.BAD_CREATOR_SIGNATURE))
"""Such an entry of a block does not decide the fate of the transaction id that it carries."""


class Commits:
    """For the event loop's thread. `failed` ends every wait with an error, now and later."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[Committed]] = {}
        self._height_changed: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None

    def committed(self, block: common_pb2.Block, decoded: Sequence[Decoded], codes: Sequence[int]) -> None:
        for transaction, code in zip(decoded, codes, strict=True):
            if transaction.header is None or code in NOT_A_COMMIT:
                continue
            waiting = self._waiting.pop(transaction.header.tx_id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(Committed(block.header.number, code))
        changed, self._height_changed = self._height_changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)

    def wait_for(self, tx_id: str) -> asyncio.Future[Committed]:
        """Shared by all who wait for the id: shield it."""
        if self._failure is not None:
            raise self._failure
        if tx_id not in self._waiting:
            self._waiting[tx_id] = asyncio.get_running_loop().create_future()
        return self._waiting[tx_id]

    async def next_block(self) -> None:
        """Until another block is committed."""
        if self._failure is not None:
            raise self._failure
        if self._height_changed is None:
            self._height_changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._height_changed)

    def failed(self, failure: BaseException) -> None:
        self._failure = failure
        for one in self._waiting.values():
            _fail(one, failure)
        if self._height_changed is not None:
            _fail(self._height_changed, failure)
        self._waiting, self._height_changed = {}, None


def _fail(waiting: asyncio.Future[_T], failure: BaseException) -> None:
    if not waiting.done():
        waiting.set_exception(failure)
        waiting.exception()  # nobody may be waiting any more
