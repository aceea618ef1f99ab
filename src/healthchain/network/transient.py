"""Private values between endorsement and commit: each peer keeps what endorsers handed it, by transaction id."""

from __future__ import annotations

from collections.abc import Iterable

from healthchain.network.orderer import ENVELOPE_AGE_MS_MAX
from healthchain.wire.block import PrivateSets

KEPT_MS = 2 * ENVELOPE_AGE_MS_MAX
"""Longer than the orderers take an endorsed transaction: its values are there as long as it can still come."""
BYTES_MAX = 512 << 20


class TransientStore:
    """Nothing of it is durable: what a crash loses here was never acknowledged."""

    def __init__(self) -> None:
        self._sets: dict[str, tuple[int, PrivateSets]] = {}
        self._bytes = 0

    def is_full(self, now_ms: int) -> bool:
        """Then no more should be endorsed. Nothing that may still be committed is ever thrown away instead."""
        if self._bytes > BYTES_MAX:
            self._expire(now_ms)
        return self._bytes > BYTES_MAX

    def put(self, tx_id: str, sets: PrivateSets, now_ms: int) -> None:
        self.forget([tx_id])
        if sets:
            self._sets[tx_id] = (now_ms, sets)
            self._bytes += _size(sets)
        self._expire(now_ms)

    def _expire(self, now_ms: int) -> None:
        while self._sets:  # in the order of age
            oldest = next(iter(self._sets))
            if self._sets[oldest][0] + KEPT_MS > now_ms:
                return
            self.forget([oldest])

    def get(self, tx_id: str) -> PrivateSets:
        found = self._sets.get(tx_id)
        return found[1] if found else {}

    def forget(self, tx_ids: Iterable[str]) -> None:
        for tx_id in tx_ids:
            found = self._sets.pop(tx_id, None)
            if found is not None:
                self._bytes -= _size(found[1])


def _size(sets: PrivateSets) -> int:
    return sum(len(one) for one in sets.values())
