"""When a block is full: by count, by preferred size, or alone if oversized (Fabric orderer/common/blockcutter)."""

from __future__ import annotations

from collections import deque

from healthchain.wire.channel import BatchSize


class BlockCutter:
    """Envelopes in the order of arrival, grouped into batches; when to take a batch that is not full is the host's."""

    def __init__(self, limits: BatchSize) -> None:
        self._limits = limits
        self._full: deque[list[bytes]] = deque()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._batch = 0  # the number of the pending one

    def order(self, envelope: bytes) -> int | None:
        """The number of the batch that the envelope begins: its timeout starts now; None if it joins one."""
        size = len(envelope)
        if self._pending and self._pending_bytes + size > self._limits.preferred_max_bytes:
            self._close()
        begun = None if self._pending else self._batch
        self._pending.append(envelope)
        self._pending_bytes += size
        full = len(self._pending) >= self._limits.max_message_count
        if full or self._pending_bytes > self._limits.preferred_max_bytes:
            self._close()
        return begun

    def expire(self, batch: int) -> None:
        """The timeout of a batch is over: it is full, unless it was closed or taken before."""
        if batch == self._batch:
            self._close()

    @property
    def has_full(self) -> bool:
        return bool(self._full)

    @property
    def is_empty(self) -> bool:
        return not self._full and not self._pending

    def take(self) -> list[bytes]:
        """The oldest batch, full or not; empty if there is nothing."""
        if not self._full:
            self._close()
        return self._full.popleft() if self._full else []

    def _close(self) -> None:
        if self._pending:
            self._full.append(self._pending)
            self._batch += 1
        self._pending, self._pending_bytes = [], 0
