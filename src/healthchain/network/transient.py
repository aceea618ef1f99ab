"""Private values between endorsement and commit: each peer keeps what endorsers handed it, by transaction id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from healthchain.network.orderer import ENVELOPE_AGE_MS_MAX
from healthchain.wire.block import PrivateSets

KEPT_MS = 2 * ENVELOPE_AGE_MS_MAX
"""Longer than the orderers take an endorsed transaction: its values are there as long as it can still come."""
BYTES_MAX = 512 << 20
BYTES_MAX_EACH = 128 << 20
"""Of one organisation's clients, so that none which endorses and never submits keeps the others from writing."""


class TransientStore:
    """Nothing of it is durable: what a crash loses here was never acknowledged."""

    def __init__(self) -> None:
        self._sets: dict[str, tuple[int, str, PrivateSets]] = {}
        self._bytes = 0
        self._bytes_of: Counter[str] = Counter()

    def is_full(self, msp_id: str, now_ms: int) -> bool:
        """For this organisation. Then no more of it should be endorsed.

        Nothing that may still be committed is ever thrown away instead.
        """
        if self._exceeds(msp_id):
            self._expire(now_ms)
        return self._exceeds(msp_id)

    def _exceeds(self, msp_id: str) -> bool:
        return self._bytes > BYTES_MAX or self._bytes_of[msp_id] > BYTES_MAX_EACH

    def put(self, tx_id: str, msp_id: str, sets: PrivateSets, now_ms: int) -> None:
        """`msp_id` is the organisation of the transaction's creator."""
        self.forget([tx_id])
        if sets:
            self._sets[tx_id] = (now_ms, msp_id, sets)
            self._count(msp_id, _size(sets))
        self._expire(now_ms)

    def _count(self, msp_id: str, size: int) -> None:
        self._bytes += size
        self._bytes_of[msp_id] += size

    def _expire(self, now_ms: int) -> None:
        while self._sets:  # in the order of age
            oldest = next(iter(self._sets))
            if self._sets[oldest][0] + KEPT_MS > now_ms:
                return
            self.forget([oldest])

    def get(self, tx_id: str) -> PrivateSets:
        found = self._sets.get(tx_id)
        return found[2] if found else {}

    def forget(self, tx_ids: Iterable[str]) -> None:
        for tx_id in tx_ids:
            found = self._sets.pop(tx_id, None)
            if found is not None:
                self._count(found[1], -_size(found[2]))


def _size(sets: PrivateSets) -> int:
    return sum(len(one) for one in sets.values())
