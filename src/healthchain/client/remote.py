"""One peer elsewhere, over gRPC with TLS, of this project's network or of Fabric's: gateway.Gateway, protos.Deliver.

Its failures are `GatewayError`s that name it, unless it names others itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Self, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fabric_protos.common import common_pb2
from fabric_protos.peer import events_pb2
from google.protobuf.message import Message
from grpc import StatusCode, aio, ssl_channel_credentials

from healthchain.client.shapes import Shape
from healthchain.client.standing import Standing
from healthchain.errors import BadInput
from healthchain.wire.gateway import ErrorDetail, GatewayError, Status
from healthchain.wire.rpc_status import METADATA_KEY, decode_details

MESSAGE_BYTES_MAX = 100 << 20
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # A peer that is gone without a word is noticed, also while it has no events to tell. Fabric's take a ping a minute
    # for the most that is proper (peer.keepalive.minInterval).
    ("grpc.keepalive_time_ms", 75_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),  # otherwise a minute, whatever the line above says
    ("grpc.http2.max_pings_without_data", 0),
    # How long a connection may take to be made, and how soon the next one is tried.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)
_STATUSES = {one.value for one in Status}
_DELIVER_STATUSES = {
    common_pb2.BAD_REQUEST: Status.INVALID_ARGUMENT,
    common_pb2.FORBIDDEN: Status.PERMISSION_DENIED,
    common_pb2.NOT_FOUND: Status.NOT_FOUND,
    common_pb2.SERVICE_UNAVAILABLE: Status.UNAVAILABLE,
    common_pb2.INTERNAL_SERVER_ERROR: Status.INTERNAL,
}

_Answer = TypeVar("_Answer", bound=Message)
_Block = TypeVar("_Block")


@dataclass(frozen=True, slots=True)
class TlsCertificate:
    """The client's own, for servers that ask for one (mutual TLS); both in PEM."""

    certificate: bytes
    key: bytes

    @property
    def hash(self) -> bytes:
        """SHA-256 of the certificate in DER, by which Deliver services know it. Raises BadInput."""
        try:
            return sha256(x509.load_pem_x509_certificate(self.certificate).public_bytes(Encoding.DER)).digest()
        except ValueError:
            raise BadInput("the client's TLS certificate is no certificate in PEM: enrol again") from None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """HOST:PORT, and the certificate in PEM that its server's is signed with; errors name `msp_id`."""

    address: str
    tls_root: bytes
    client: TlsCertificate | None = None
    msp_id: str = ""


def channel(endpoint: Endpoint) -> aio.Channel:
    """Connects when it is first used; to be closed."""
    own = endpoint.client
    key, certificate = (own.key, own.certificate) if own else (None, None)
    credentials = ssl_channel_credentials(endpoint.tls_root, key, certificate)
    return aio.secure_channel(endpoint.address, credentials, options=OPTIONS)


class Peer:
    """`async with Peer(endpoint) as peer`; several gateways may share it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.standing = Standing()
        self._channel = channel(endpoint)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def call(self, method: str, request: Message, answer: type[_Answer], seconds_max: float) -> _Answer:
        """Of gateway.Gateway. Raises GatewayError, UNAVAILABLE if nothing was said in time."""
        call = self._channel.unary_unary(
            f"/gateway.Gateway/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        self.standing.tried()
        try:
            async with asyncio.timeout(seconds_max):
                answered: _Answer = await call(request, timeout=seconds_max + 1)
        except TimeoutError:
            raise self._failed(Status.UNAVAILABLE, f"the gateway said nothing for {seconds_max:g} s") from None
        except aio.AioRpcError as error:
            failure = _gateway_error(error)
            if failure.status is Status.UNAVAILABLE:
                self.standing.failed()
            else:
                self.standing.answered()
            raise self._named(failure) from None
        self.standing.answered()
        return answered

    async def stream(self, method: str, request: Message, answer: type[_Answer]) -> AsyncGenerator[_Answer, None]:
        """Until the caller has enough; whatever ends it, another peer may go on. Raises GatewayError."""
        self.standing.tried()
        call = self._channel.unary_stream(
            method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )(request)
        try:
            async for one in call:
                self.standing.answered()
                yield one
        except aio.AioRpcError as error:
            self.standing.failed()
            raise self._named(_gateway_error(error)) from None
        finally:
            call.cancel()
        raise self._failed(Status.UNAVAILABLE, "the peer ended the stream")

    async def deliver(
        self, shape: Shape[_Block], envelope: common_pb2.Envelope, first: int | None
    ) -> AsyncGenerator[_Block, None]:
        """To the last block that was asked for, with none left out from `first` on. Raises GatewayError."""
        found = self.stream(f"/protos.Deliver/{shape.method}", envelope, events_pb2.DeliverResponse)
        async with aclosing(found) as responses:
            async for one in responses:
                if one.WhichOneof("Type") == "status":
                    if one.status == common_pb2.SUCCESS:
                        return
                    raise self._failed(*_ended(one.status))
                block = shape.take(one)
                number = shape.number(block)
                if one.WhichOneof("Type") != shape.field or first not in (None, number):
                    raise self._failed(Status.INTERNAL, "the peer delivered something else than the block that follows")
                first = number + 1
                yield block

    def _failed(self, status: Status, message: str) -> GatewayError:
        self.standing.failed()
        return self._named(GatewayError(status, message))

    def _named(self, error: GatewayError) -> GatewayError:
        """As one of this peer, unless it names others."""
        own = ErrorDetail(self.endpoint.address, self.endpoint.msp_id, error.message)
        return GatewayError(error.status, error.message, error.details or (own,))


def _gateway_error(error: aio.AioRpcError) -> GatewayError:
    code: int = error.code().value[0]
    if error.code() is StatusCode.CANCELLED:  # by the peer, which stops: our own cancelling is no AioRpcError
        code = Status.UNAVAILABLE
    details = dict(error.trailing_metadata() or ()).get(METADATA_KEY, b"")
    return GatewayError(
        Status(code) if code in _STATUSES else Status.UNKNOWN,
        error.details() or "the gateway gave no reason",
        decode_details(details if isinstance(details, bytes) else b""),
    )


def _ended(status: common_pb2.Status) -> tuple[Status, str]:
    name = common_pb2.Status.Name(status) if status in common_pb2.Status.values() else str(int(status))
    return _DELIVER_STATUSES.get(status, Status.UNKNOWN), f"the peer delivers no blocks: {name}"
