"""A contract, ours if no other is given, as a chaincode service: for Fabric's peers, or the embedded network's."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from healthchain.chaincode.serving import TLS, serving
from healthchain.chaincode.stream import Invocable
from healthchain.contract.ehr import CONTRACT


async def serve_contract(
    address: str, package_id: str, tls: TLS | None, ready: Callable[[str], None], contract: Invocable = CONTRACT
) -> None:
    """Until SIGTERM or SIGINT; then transactions that run come to their end. Raises AddressUnusable."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stopped.set)
    async with serving(contract, package_id, address, tls) as service:
        ready(service.address)
        await stopped.wait()
