"""Services of chaincodes: the toy served as it should be, or one that says what a test wants it to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from fabric_protos.peer import chaincode_pb2, proposal_response_pb2

from healthchain.chaincode.serving import serving
from healthchain.client.gateway import Connection
from healthchain.network.external import OFFERED, Endpoint, External
from healthchain.network.network import Network
from healthchain.wire.shim import (
    CONNECT,
    NO_TRANSACTION,
    ChaincodeMessage,
    Offered,
    Type,
    message,
)

from .toy import (
    DEFINITION,
    SECONDS_MAX,
    TOPOLOGY,
    TOY,
    Toy,
    connect,
)

PACKAGE_ID = "toy:1"
Scenario = Callable[[Network, Connection], Awaitable[None]]
Context = Any  # gRPC's, whose stubs know no context that is read from
Talk = Callable[[Context], Awaitable[None]]
NAMED = chaincode_pb2.ChaincodeID(name=PACKAGE_ID).SerializeToString()
REGISTER = message(Type.REGISTER, NO_TRANSACTION, NAMED)
OK = proposal_response_pb2.Response(status=200, payload=b"fine").SerializeToString()


def run_dialled(folder: Path, endpoint: Endpoint, scenario: Scenario) -> Awaitable[None]:
    async def play() -> None:
        external = External(endpoint)
        async with external, Network.opened(folder, TOPOLOGY, {TOY: external}, [DEFINITION]) as network:
            await scenario(network, connect(network, folder, "north"))

    return play()


def run_served(folder: Path, scenario: Scenario, offered: Offered = OFFERED) -> None:
    """The toy as a service on loopback, dialled by all peers."""

    async def play() -> None:
        async with asyncio.timeout(SECONDS_MAX), serving(Toy(), PACKAGE_ID, "127.0.0.1:0") as service:
            await run_dialled(folder, Endpoint(service.address, PACKAGE_ID, offered=offered), scenario)

    asyncio.run(play())


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """The address of a service that does as `talk` says, on every stream."""

    async def connected(_: object, context: Context) -> None:
        await talk(context)

    service, method = CONNECT.strip("/").split("/")
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(connected)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)


def run_talking(folder: Path, talk: Talk, scenario: Scenario, seconds_max: float = 10) -> None:
    """`seconds_max`: what the peers grant, to register and to answer."""

    async def play() -> None:
        async with asyncio.timeout(SECONDS_MAX), talking(talk) as address:
            endpoint = Endpoint(address, PACKAGE_ID, dial_seconds_max=seconds_max, execute_seconds_max=seconds_max)
            await run_dialled(folder, endpoint, scenario)

    asyncio.run(play())


async def registered(context: Context) -> ChaincodeMessage:
    """The first transaction, after the handshake."""
    await context.write(REGISTER)
    assert ChaincodeMessage.FromString(await context.read()).type == Type.REGISTERED
    assert ChaincodeMessage.FromString(await context.read()).type == Type.READY
    return ChaincodeMessage.FromString(await context.read())


def calling(name: str) -> chaincode_pb2.ChaincodeSpec:
    return chaincode_pb2.ChaincodeSpec(chaincode_id=chaincode_pb2.ChaincodeID(name=name))
