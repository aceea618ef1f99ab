"""The network in the foreground: opened here and only here, served to other programs until somebody stops it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from healthchain.app.consortium import opened
from healthchain.network.network import Network
from healthchain.network.serving.server import serving

HEALTH_S = 60.0
STOPS = (signal.SIGINT, signal.SIGTERM)

Say = Callable[[str], None]


async def up(
    folder: Path,
    *,
    host: str,
    base_port: int,
    client_certificates: bool,
    ready: Callable[[Mapping[str, str]], None],
    say: Say,
) -> None:
    """`ready` is told each organisation's address; returns after SIGINT or SIGTERM, with everything on disk.

    Raises what `consortium.opened` and `serving` raise, and StorageFailed if the network cannot go on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in STOPS:
        loop.add_signal_handler(one, stop.set)
    try:
        async with (
            opened(folder, lambda organisation, block: say(f"{organisation} catches up: block {block}")) as consortium,
            serving(
                consortium.network, folder, host=host, base_port=base_port, client_certificates=client_certificates
            ) as addresses,
        ):
            ready(addresses)
            await _until_stopped(consortium.network, stop, say)
    finally:
        for one in STOPS:
            loop.remove_signal_handler(one)


async def _until_stopped(network: Network, stop: asyncio.Event, say: Say) -> None:
    """Raises whatever stops the network itself."""
    stopping = asyncio.create_task(stop.wait())
    watching = asyncio.create_task(_watch(network))
    try:
        while not stopping.done() and not watching.done():
            await asyncio.wait((stopping, watching), timeout=HEALTH_S, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done() and not watching.done():
                say(health(network))
        if watching.done():
            await watching
    finally:
        stopping.cancel()
        watching.cancel()


async def _watch(network: Network) -> None:
    """Ends only with the error that stops the network: whoever waits for a block is told it."""
    while True:
        await network.commits.next_block()


def health(network: Network) -> str:
    """One line: how long the chain is, and how many of the members' peers and orderers take part."""
    channel = network.channel
    peers = sum(one.member is not None for one in network.peers.values())
    orderers = sum(one.works(channel) for one in network.orderers)
    return f"healthy: {network.height} blocks, {peers} peers, {orderers} orderers of which {channel.quorum} must sign"
