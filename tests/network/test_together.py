"""A chaincode that takes its time is asked on all the peers that are needed at once, not on one after another."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import grpc
import pytest

from healthchain.client.gateway import Connection
from healthchain.network.network import Network
from healthchain.wire.gateway import GatewayError, Status
from healthchain.wire.shim import ChaincodeMessage, Type, message, transaction_key

from .services import OK, Context, Talk, registered, run_talking
from .toy import MSP_IDS, endorse_request, identity, proposal


def waiting(alone: int, together: asyncio.Barrier, last: Type = Type.COMPLETED) -> Talk:
    """Answers the first `alone` peers at once; the others when so many of them wait that the barrier lets them go."""
    asked = itertools.count()

    async def talk(context: Context) -> None:
        received = await registered(context)
        while True:
            kind = Type.COMPLETED
            if next(asked) >= alone:
                await together.wait()
                kind = last
            payload = OK if kind == Type.COMPLETED else b"out of order"
            await context.write(message(kind, transaction_key(received), payload))
            encoded = await context.read()
            if encoded is grpc.aio.EOF:
                return
            received = ChaincodeMessage.FromString(encoded)

    return talk


def test_by_the_policy_first_one_and_then_the_others_together(folder: Path) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        await north.submit("Anything")

    run_talking(folder, waiting(1, asyncio.Barrier(2)), scenario)


def test_those_named_by_the_client_all_together(folder: Path) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        who = identity(folder, "north")
        request = endorse_request(who, proposal(who, "Anything"), organizations=MSP_IDS)
        await network.gateway("north").endorse(request)

    run_talking(folder, waiting(0, asyncio.Barrier(4)), scenario)


def test_whoever_failed_is_named_in_the_order_of_the_topology(folder: Path) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        who = identity(folder, "north")
        request = endorse_request(who, proposal(who, "Anything"), organizations=MSP_IDS[::-1])
        with pytest.raises(GatewayError) as caught:
            await network.gateway("north").endorse(request)
        assert caught.value.status == Status.ABORTED
        assert [one.msp_id for one in caught.value.details] == list(MSP_IDS[::-1])
        assert all("out of order" in one.message for one in caught.value.details)

    run_talking(folder, waiting(0, asyncio.Barrier(4), Type.ERROR), scenario)
