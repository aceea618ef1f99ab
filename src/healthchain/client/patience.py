"""For how long a follower of events bears that its attempts fail, and how soon it makes the next."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from healthchain.wire.gateway import Status

LAG_S_MAX = 10.0
STEADY_S = 15.0  # longer than a connection may take to be made (client.remote)
PAUSE_S, PAUSE_S_MAX = 0.05, 2.0
_FOR_GOOD = frozenset((Status.INVALID_ARGUMENT, Status.PERMISSION_DENIED, Status.FAILED_PRECONDITION))
_BEHIND = frozenset((Status.NOT_FOUND, Status.UNKNOWN))
"""No such channel, or a peer that has not got so far yet."""


class Patience:
    """In seconds of `clock`."""

    def __init__(self, outage_s_max: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._outage_s_max = outage_s_max
        self._clock = clock
        self._began = self._failing_since = clock()
        self._failures = 0

    def begins(self) -> None:
        """Another attempt."""
        self._began = self._clock()

    def renewed(self) -> None:
        """It had something to say."""
        self._failing_since, self._failures = self._clock(), 0

    def is_over(self, status: Status) -> bool:
        """After an attempt that failed. A stream that stood for a while was one without events."""
        if self._clock() - self._began >= STEADY_S:
            self.renewed()
        limit = min(LAG_S_MAX, self._outage_s_max) if status in _BEHIND else self._outage_s_max
        return status in _FOR_GOOD or self._clock() - self._failing_since > limit

    async def pause(self) -> None:
        """None after the first failure: there may be another gateway."""
        if self._failures:
            await asyncio.sleep(random.uniform(0.5, 1) * min(PAUSE_S * 2.0**self._failures, PAUSE_S_MAX))  # noqa: S311
        self._failures = min(self._failures + 1, 10)
