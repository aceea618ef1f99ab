"""A process beside the network's, for what costs much and knows nothing: questions and answers over pipes, in order.

A question is whatever its module reads; each gets one answer: length u32, body.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections import deque

LENGTH = struct.Struct(">I")
ANSWER_S_MAX = 20.0


class Worker:
    """Runs a module, from the first question on. If it dies nothing is lost: a question is then answered with b""."""

    def __init__(self, module: str) -> None:
        self._module = module
        self.running = False
        self._closed = False
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._unsent: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._failed = False

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """The answer's body; empty if there is no process to ask."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self._failed or self._closed or not self._sent(request):
            answer.set_result(b"")
            return answer
        self._waiting.append(answer)
        asyncio.get_running_loop().call_later(ANSWER_S_MAX, self._overdue, answer)
        return answer

    def _sent(self, request: bytes) -> bool:
        """False if the process is gone: its end may be seen here before `_run` sees it."""
        if self._process is None:
            self._unsent.append(request)
            self._task = self._task or asyncio.get_running_loop().create_task(self._run())
            return True
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request)
        except (RuntimeError, OSError):  # uvloop: the handler is closed
            return False
        return True

    def _overdue(self, answer: asyncio.Future[bytes]) -> None:
        """A process that hangs is as good as dead."""
        if not answer.done() and self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def close(self) -> None:
        self._closed = True  # it may be starting just now
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        if self._task is not None:
            await self._task
        if self._process is not None:
            await self._process.wait()

    async def _run(self) -> None:
        try:
            process = await self._start()
            assert process.stdout is not None
            while True:
                length = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))[0]
                self._waiting.popleft().set_result(await process.stdout.readexactly(length))
        except (OSError, asyncio.IncompleteReadError):
            pass  # it could not start, it ended, or it was killed
        finally:
            self._failed, self.running = True, False
            while self._waiting:
                self._waiting.popleft().set_result(b"")

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # no module from the folder that somebody happens to start this in
            "-m",
            self._module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        self._process, self.running = process, True
        process.stdin.write(b"".join(self._unsent))
        self._unsent.clear()
        if self._closed:
            process.stdin.close()
        return process
