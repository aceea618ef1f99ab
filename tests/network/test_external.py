"""Chaincodes outside the process: what works through a service as it does inside, and what a broken one cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from healthchain.chaincode.serving import serving
from healthchain.network.external import Endpoint, External
from healthchain.network.network import Network

from .toy import DEFINITION, SECONDS_MAX, TOPOLOGY, TOY, Toy, connect


def run_served(folder: Path, scenario: Callable[[Network], Awaitable[None]]) -> None:
    """The toy as a service on loopback, dialled by all peers."""

    async def play() -> None:
        async with asyncio.timeout(SECONDS_MAX), serving(Toy(), "toy:1", "127.0.0.1:0") as service:
            external = External(Endpoint(service.address, "toy:1"))
            async with external, Network.opened(folder, TOPOLOGY, {TOY: external}, [DEFINITION]) as network:
                await scenario(network)

    asyncio.run(play())


def test_a_service_reads_and_writes_like_a_chaincode_inside(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        await north.submit("Put", b"k", b"v")
        assert await north.evaluate("Get", b"k") == b"v"
        assert await connect(network, folder, "state", "administrator").evaluate("Get", b"k") == b"v"

    run_served(folder, scenario)
