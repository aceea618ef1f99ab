"""What a network costs while it is measured: memory and processor time of all its processes, as Linux tells.

Processor time stays meaningful on a machine that does other work as well, which throughput does not.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

Processes = Callable[[], Mapping[str, Sequence[int]]]
"""Kind of process -> the ids of those that run now."""


def own_processes() -> dict[str, Sequence[int]]:
    """This one, and those that it started: what signs and verifies."""
    return {"process": [os.getpid(), *_children()]}


class Watch:
    """The peak of memory, looked at each second; `begin` and `end` enclose what is measured."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._seconds: dict[str, float] = {}
        self._watching: asyncio.Task[None] | None = None
        self.memory_mib = 0

    def begin(self) -> None:
        self._seconds = self._cpu_seconds()
        self._watching = asyncio.create_task(self._watch())

    def end(self) -> dict[str, float]:
        """Kind of process -> seconds of processor time since `begin`."""
        assert self._watching is not None
        self._watching.cancel()
        self._look()
        return {kind: seconds - self._seconds.get(kind, 0.0) for kind, seconds in self._cpu_seconds().items()}

    async def _watch(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(1)

    def _look(self) -> None:
        kib = sum(_proportional_kib(pid) for pids in self._processes().values() for pid in pids)
        self.memory_mib = max(self.memory_mib, round(kib / 1024))

    def _cpu_seconds(self) -> dict[str, float]:
        return {kind: sum(map(_cpu_seconds, pids)) for kind, pids in self._processes().items()}


def _children() -> list[int]:
    with suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []


def _proportional_kib(pid: int) -> int:
    """Proportional set size: a page that two processes map, as those of shared libraries, counts once.

    Where the system does not tell, the peak resident size of this process.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if pid == os.getpid() else 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _cpu_seconds(pid: int) -> float:
    """User and system; where the system does not tell, this process's own."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return sum(os.times()[:2]) if pid == os.getpid() else 0.0
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
