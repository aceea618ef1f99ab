"""What a network does to a connection: it ends, it says nothing any more, it is refused, it comes back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024


class Relay:
    """A port of its own before a server's; the TLS in between is the server's and the client's."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._target_port = int(port)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._links: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self.connections = 0

    @property
    def address(self) -> str:
        return f"localhost:{self._port}"

    async def __aenter__(self) -> Self:
        await self.back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.gone()

    async def back(self) -> None:
        """At the port where it was."""
        self._passing.set()
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def gone(self) -> None:
        """Every connection is cut, and no new one is taken."""
        assert self._server is not None
        self._server.close()
        for one in self._links:
            one.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        await self._server.wait_closed()

    def hang(self) -> None:
        """Connections stay and new ones are taken, but nothing comes through."""
        self._passing.clear()

    def resume(self) -> None:
        self._passing.set()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                there_reader, there_writer = await asyncio.open_connection(self._host, self._target_port)
                try:
                    async with asyncio.TaskGroup() as both:
                        both.create_task(self._pass_on(reader, there_writer))
                        both.create_task(self._pass_on(there_reader, writer))
                finally:
                    there_writer.transport.abort()
        finally:
            writer.transport.abort()
            self._links.discard(task)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await source.read(CHUNK):
                await self._passing.wait()
                sink.write(chunk)
                await sink.drain()
            sink.close()
