"""A contract as a service that peers dial: Fabric's chaincode-as-a-service (`protos.Chaincode/Connect`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from grpc import aio

from healthchain.chaincode.stream import Invocable, Stream
from healthchain.errors import BadInput, HealthChainError
from healthchain.wire.shim import CONNECT, MESSAGE_BYTES_MAX

THREADS_MAX = 64  # transactions at one time; more wait, and a peer gives up after half a minute
STREAMS_MAX = 64
STOP_SECONDS_MAX = 10.0
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Peers ping each minute, also a stream at rest; by default this would be a fault of theirs.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)
_LOG = logging.getLogger(__name__)


class AddressUnusable(BadInput):
    """Nothing can be served at this address."""


@dataclass(frozen=True, slots=True)
class TLS:
    """PEM. With `client_roots`, only clients with a certificate from one of these may connect."""

    certificate: bytes
    key: bytes
    client_roots: bytes | None = None


class Service:
    """Open with `serving`."""

    def __init__(self, contract: Invocable, package_id: str, threads: ThreadPoolExecutor) -> None:
        self._contract = contract
        self._package_id = package_id
        self._threads = threads
        self._streams: dict[Stream, asyncio.Task[object]] = {}
        self.address = ""

    def handler(self) -> grpc.GenericRpcHandler:
        """Messages stay bytes up to `Stream`: what does not decode is refused there, not logged by gRPC."""
        service, method = CONNECT.strip("/").split("/")
        connect: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(self._connect)
        return grpc.method_handlers_generic_handler(service, {method: connect})

    async def stop(self) -> None:
        """Let transactions that run come to their end, then hang up."""
        for stream in self._streams:
            stream.stop()
        if self._streams:
            await asyncio.wait(self._streams.values(), timeout=STOP_SECONDS_MAX)

    async def _connect(self, _: object, context: aio.ServicerContext[bytes, bytes]) -> None:
        async def read() -> bytes | None:
            received: object = await context.read()
            return received if isinstance(received, bytes) else None  # or gRPC's mark of the end

        stream = Stream(self._contract, self._package_id, self._threads, read, context.write)
        task = asyncio.current_task()
        assert task is not None
        self._streams[stream] = task
        _LOG.info("a peer connected")
        try:
            await stream.run()
        except (HealthChainError, TimeoutError) as ended:
            _LOG.warning("a peer's stream ended: %s", ended)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(ended))
        finally:
            del self._streams[stream]
            _LOG.info("a peer's stream is closed")


@asynccontextmanager
async def serving(contract: Invocable, package_id: str, address: str, tls: TLS | None = None) -> AsyncIterator[Service]:
    """Serve until the context ends; `Service.address` has the port that was taken for port 0.

    Raises AddressUnusable.
    """
    with ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="transaction") as threads:
        service = Service(contract, package_id, threads)
        server = aio.server(options=OPTIONS, maximum_concurrent_rpcs=STREAMS_MAX)
        server.add_generic_rpc_handlers((service.handler(),))
        service.address = _bind(server, address, tls)
        await server.start()
        try:
            yield service
        finally:
            await service.stop()
            await server.stop(grace=1)


def _bind(server: aio.Server, address: str, tls: TLS | None) -> str:
    host, _, wanted = address.rpartition(":")
    if not host or not wanted.isdecimal():  # gRPC would choose what is missing
        raise AddressUnusable("nothing can be served at this address: give HOST:PORT")
    try:
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            credentials = grpc.ssl_server_credentials(
                [(tls.key, tls.certificate)], tls.client_roots, require_client_auth=tls.client_roots is not None
            )
            port = server.add_secure_port(address, credentials)
    except (RuntimeError, ValueError):
        port = 0
    if not port:
        raise AddressUnusable("nothing can be served at this address: give HOST:PORT of this machine, with a free port")
    return f"{host}:{port}"
