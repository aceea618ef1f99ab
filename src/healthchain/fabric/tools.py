"""Fabric's `osnadmin` and `peer`, run as an organisation's administrator."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from healthchain.errors import HealthChainError
from healthchain.fabric.nodes import FabricFailed, Member

RUN_S_MAX = 90.0
PAUSE_S = 0.3
TOLD_MAX = 600  # letters of what a program said last
LOGGING = {  # without the colours that Fabric's own format has
    "FABRIC_LOGGING_SPEC": "warning",
    "FABRIC_LOGGING_FORMAT": "%{time:2006-01-02 15:04:05.000 MST} %{level} [%{module}] %{shortfunc} -> %{message}",
}

_Done = TypeVar("_Done")


class Tools:
    """The programs in one folder, for one organisation."""

    def __init__(self, programs: Path, member: Member) -> None:
        self._programs = programs
        self._member = member

    async def peer(self, *arguments: str) -> str:
        """Raises FabricFailed."""
        member = self._member
        environment = {
            "FABRIC_CFG_PATH": str(member.folder / "peer"),
            **LOGGING,
            "CORE_PEER_MSPCONFIGPATH": str(member.credentials.user("administrator") / "msp"),
            "CORE_PEER_TLS_ROOTCERT_FILE": str(member.tls_root),
        }
        return await self._run("peer", arguments, environment)

    async def osnadmin(self, *arguments: str) -> str:
        """Answers with what the orderer said: a status line, and JSON. Raises FabricFailed."""
        tls = self._member.credentials.orderer / "tls"
        options = ("-o", self._member.orderer_admin, "--ca-file", str(tls / "ca.crt"))
        own = ("--client-cert", str(tls / "server.crt"), "--client-key", str(tls / "server.key"))
        return await self._run("osnadmin", (*arguments, *options, *own), {})

    async def _run(self, program: str, arguments: Sequence[str], environment: dict[str, str]) -> str:
        """Standard output and standard error together."""
        process = await asyncio.create_subprocess_exec(
            str(self._programs / program),
            *arguments,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self._member.folder), **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(RUN_S_MAX):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise FabricFailed(f"{program} {arguments[0]} of {self._member.name} took too long") from None
        text = output.decode(errors="replace")
        if process.returncode:
            raise FabricFailed(f"{program} {arguments[0]} of {self._member.name}: {text.strip()[-TOLD_MAX:]}")
        return text


async def eventually(
    attempt: Callable[[], Awaitable[_Done]], failure: type[HealthChainError] = FabricFailed, seconds_max: float = 45.0
) -> _Done:
    """Repeats what fails so while nodes are starting. Raises the last failure."""
    deadline = time.monotonic() + seconds_max
    while True:
        try:
            return await attempt()
        except failure:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(PAUSE_S)
