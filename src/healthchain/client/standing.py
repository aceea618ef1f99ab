"""Which gateway is asked first: those that answer, in the order of their list; for a while after them, who failed.

Nobody is left out for good. Who failed is tried again after a pause, by one call and for a short time: so neither does
one that hangs delay everybody, nor is one forgotten that has come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_S, PAUSE_S_MAX = 2.0, 30.0


class Standing:
    """Of one gateway, in seconds of `clock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._down_until = 0.0

    @property
    def failing(self) -> bool:
        """Whether it has answered nobody since it failed."""
        return self._failures > 0

    @property
    def down_s(self) -> float:
        """For how long others are asked before it."""
        return max(self._down_until - self._clock(), 0.0) if self.failing else 0.0

    def answered(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        """Calls that fail together count once."""
        if not self.down_s:
            self._count()

    def tried(self) -> None:
        """If it was failing, it counts as failed again until the outcome is known: others ask elsewhere."""
        if self.failing:
            self._count()

    def _count(self) -> None:
        self._failures += 1
        self._down_until = self._clock() + min(PAUSE_S * 2.0 ** min(self._failures - 1, 10), PAUSE_S_MAX)
