"""The gateways of peers elsewhere, over gRPC with TLS: `gateway.Gateway`, of this project's network or of Fabric's.

The first gateway is asked; where it cannot be reached, the next. A commit's status is asked of all of them, so that a
transaction which has come to its end is on every peer that can be reached, as on the embedded network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from fabric_protos.gateway import gateway_pb2
from google.protobuf.message import Message
from grpc import aio, ssl_channel_credentials

from healthchain.wire.gateway import GatewayError, Status
from healthchain.wire.rpc_status import METADATA_KEY, decode_details

MESSAGE_BYTES_MAX = 100 << 20
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
)
ANSWER_S_MAX = 60.0
COMMIT_S_MAX = 120.0
_STATUSES = {one.value for one in Status}

_Answer = TypeVar("_Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """HOST:PORT, and the certificate in PEM that its server's is signed with."""

    address: str
    tls_root: bytes


def channel(endpoint: Endpoint) -> aio.Channel:
    """Connects when it is first used; to be closed."""
    return aio.secure_channel(endpoint.address, ssl_channel_credentials(endpoint.tls_root), options=OPTIONS)


class RemoteGateway:
    """Implements `client.gateway.GatewayService`; the channels are the caller's, who closes them."""

    def __init__(self, channels: Sequence[aio.Channel]) -> None:
        """In the order in which they are asked."""
        self._channels = channels

    async def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        return await self._first("Evaluate", request, gateway_pb2.EvaluateResponse)

    async def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        return await self._first("Endorse", request, gateway_pb2.EndorseResponse)

    async def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        """The transaction is the same at whichever gateway: what was ordered twice is valid once."""
        return await self._first("Submit", request, gateway_pb2.SubmitResponse)

    async def commit_status(self, request: gateway_pb2.SignedCommitStatusRequest) -> gateway_pb2.CommitStatusResponse:
        asked = [
            _call(one, "CommitStatus", request, gateway_pb2.CommitStatusResponse, COMMIT_S_MAX)
            for one in self._channels
        ]
        told = await asyncio.gather(*asked, return_exceptions=True)
        for one in told:
            if isinstance(one, gateway_pb2.CommitStatusResponse):
                return one
        raise next(one for one in told if isinstance(one, BaseException))

    async def _first(self, method: str, request: Message, answer: type[_Answer]) -> _Answer:
        """Raises GatewayError, the last one."""
        for one in self._channels[:-1]:
            try:
                return await _call(one, method, request, answer, ANSWER_S_MAX)
            except GatewayError as error:
                if error.status != Status.UNAVAILABLE:
                    raise
        return await _call(self._channels[-1], method, request, answer, ANSWER_S_MAX)


async def _call(at: aio.Channel, method: str, request: Message, answer: type[_Answer], seconds_max: float) -> _Answer:
    """Raises GatewayError."""
    call = at.unary_unary(
        f"/gateway.Gateway/{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )
    try:
        answered: _Answer = await call(request, timeout=seconds_max)
    except aio.AioRpcError as error:
        raise _gateway_error(error) from None
    return answered


def _gateway_error(error: aio.AioRpcError) -> GatewayError:
    code: int = error.code().value[0]
    details = dict(error.trailing_metadata() or ()).get(METADATA_KEY, b"")
    return GatewayError(
        Status(code) if code in _STATUSES else Status.UNKNOWN,
        error.details() or "the gateway gave no reason",
        decode_details(details if isinstance(details, bytes) else b""),
    )
