"""Private values between endorsement and commit: each peer keeps what endorsers handed it, by transaction id."""

from __future__ import annotations

from collections.abc import Iterable

from healthchain.wire.block import PrivateSets

KEPT_BLOCKS = 1000
"""A transaction that was endorsed and not committed within so many blocks will hardly come (Fabric: 1000)."""


class TransientStore:
    """Implements nothing durable: what a crash loses here was never acknowledged."""

    def __init__(self) -> None:
        self._sets: dict[str, tuple[int, PrivateSets]] = {}

    def put(self, tx_id: str, height: int, sets: PrivateSets) -> None:
        if sets:
            self._sets[tx_id] = (height, sets)

    def get(self, tx_id: str) -> PrivateSets:
        found = self._sets.get(tx_id)
        return found[1] if found else {}

    def forget(self, tx_ids: Iterable[str], height: int) -> None:
        """The committed ones, and those from long ago."""
        for tx_id in tx_ids:
            self._sets.pop(tx_id, None)
        # Insertion order is age, near enough.
        while self._sets:
            oldest = next(iter(self._sets))
            if self._sets[oldest][0] + KEPT_BLOCKS > height:
                return
            del self._sets[oldest]
