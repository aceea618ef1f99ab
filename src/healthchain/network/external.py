"""Chaincodes outside this process (Fabric's chaincode-as-a-service): each peer dials, on the first call.

A service that cannot be reached, breaks off, talks garbage or is stuck fails the transactions that wait for it, and
nothing else. The next call dials again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import grpc
from grpc import aio

from healthchain.chaincode.dispatch import Response
from healthchain.network.execution import ChaincodeFailed, Invocation, Service
from healthchain.network.service_stream import ServiceStream
from healthchain.wire.shim import CONNECT, MESSAGE_BYTES_MAX, Offered

DIAL_SECONDS_MAX = 10.0
EXECUTE_SECONDS_MAX = 30.0
IN_FLIGHT_MAX = 500  # simulations of one peer that wait for one service: each holds a snapshot of the state
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new connection each time: a service that is up again is reached at once
)
OFFERED = Offered(writes_max=1000, reads_max=1000)  # as Fabric 3 does


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service listens, and how to speak to it; the certificates and the key are PEM.

    With a `package_id`, only the chaincode that registers under it is accepted.
    """

    address: str
    package_id: str | None = None
    root_certificate: bytes | None = None  # with one: TLS
    client_certificate: bytes | None = None
    client_key: bytes | None = None
    server_name: str | None = None  # in the service's certificate, if it is not the address's host
    dial_seconds_max: float = DIAL_SECONDS_MAX
    execute_seconds_max: float = EXECUTE_SECONDS_MAX
    offered: Offered = OFFERED


class External(Service):
    """For all peers of this process: one stream for each."""

    def __init__(self, endpoint: Endpoint, only_reads: Callable[[Sequence[bytes]], bool] = lambda args: False) -> None:
        self._endpoint = endpoint
        self._only_reads = only_reads
        self._streams: dict[str, ServiceStream] = {}
        self._dialling: dict[str, asyncio.Lock] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        await asyncio.gather(*[one.close() for one in self._streams.values()])

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return self._only_reads(args)

    async def reach(self) -> None:
        """Dial once, as a peer would. Raises ChaincodeFailed."""
        stream = await self._dialled()
        await stream.close()

    async def execute(self, invocation: Invocation) -> Response:
        stream = await self._stream(invocation.peer)
        if stream.in_flight >= IN_FLIGHT_MAX:
            raise ChaincodeFailed("too many transactions wait for the chaincode: try again later")
        return await stream.execute(invocation)

    async def _stream(self, peer: str) -> ServiceStream:
        async with self._dialling.setdefault(peer, asyncio.Lock()):
            found = self._streams.get(peer)
            if found is not None and not found.ended:
                return found
            if self._closed:
                raise ChaincodeFailed("the network is being closed")
            if found is not None:
                await found.close()
            self._streams[peer] = await self._dialled()
            return self._streams[peer]

    async def _dialled(self) -> ServiceStream:
        channel = self._channel()
        stream = ServiceStream(channel, channel.stream_stream(CONNECT)(), self._endpoint.execute_seconds_max)
        try:
            async with asyncio.timeout(self._endpoint.dial_seconds_max):
                await stream.register(self._endpoint.package_id, self._endpoint.offered)
        except TimeoutError:
            await stream.close()
            raise ChaincodeFailed("the chaincode's service did not register in time") from None
        except BaseException:
            await stream.close()
            raise
        return stream

    def _channel(self) -> aio.Channel:
        endpoint = self._endpoint
        if endpoint.root_certificate is None:
            return aio.insecure_channel(endpoint.address, options=OPTIONS)
        credentials = grpc.ssl_channel_credentials(
            endpoint.root_certificate, endpoint.client_key, endpoint.client_certificate
        )
        named = (("grpc.ssl_target_name_override", endpoint.server_name),) if endpoint.server_name else ()
        return aio.secure_channel(endpoint.address, credentials, options=(*OPTIONS, *named))
