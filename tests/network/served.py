"""The toy network behind its gRPC servers, and clients of them that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.gateway.gateway_pb2_grpc import GatewayStub
from fabric_protos.orderer import ab_pb2
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-not-found]

from healthchain.identity.folders import SigningIdentity
from healthchain.network.network import Network
from healthchain.network.serving.server import serving
from healthchain.wire.gateway import ErrorDetail

from .toy import TOPOLOGY, identity, organisation, run

SECONDS_MAX = 10.0
DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Served:
    """What a test has in hand: the network inside, and the addresses outside."""

    network: Network
    folder: Path
    addresses: dict[str, str]

    def channel(self, name: str = "north", *, certificate: tuple[bytes, bytes] | None = None) -> grpc.aio.Channel:
        """As a client with the organisation's TLS root; `certificate` is its own key and certificate, if any."""
        key, own = certificate or (None, None)
        credentials = grpc.ssl_channel_credentials(organisation(self.folder, name).tls_authority(), key, own)
        return grpc.aio.secure_channel(self.addresses[name], credentials)

    def who(self, name: str = "north", user: str = "clinician") -> SigningIdentity:
        return identity(self.folder, name, user)


Scenario = Callable[[Served], Awaitable[None]]


def serve(folder: Path, scenario: Scenario, *, client_certificates: bool = False) -> None:
    """Open the network, listen on any free ports, play, stop."""

    async def play(network: Network) -> None:
        async with serving(network, folder, base_port=0, client_certificates=client_certificates) as addresses:
            await scenario(Served(network, folder, dict(addresses)))

    run(folder, play)


def stub(kind: Any, channel: grpc.aio.Channel) -> Any:
    """Of fabric_protos' generated classes, which have no types."""
    return kind(channel)


@contextlib.asynccontextmanager
async def gateway(served: Served, name: str = "north") -> AsyncIterator[Any]:
    async with served.channel(name) as channel:
        yield stub(GatewayStub, channel)


async def refused(call: Awaitable[object], code: grpc.StatusCode) -> tuple[str, list[ErrorDetail]]:
    """The words and details of a call that must end with this code."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(SECONDS_MAX):
            await call
    error = caught.value
    assert error.code() is code, error
    encoded = dict(error.trailing_metadata() or ()).get(DETAILS, b"")
    assert isinstance(encoded, bytes)
    return error.details() or "", list(error_details(encoded, error))


async def until(holds: Callable[[], bool]) -> None:
    """What the server's side does, a client cannot wait for."""
    async with asyncio.timeout(SECONDS_MAX):
        while not holds():  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.01)


def error_details(encoded: bytes, error: grpc.aio.AioRpcError) -> Iterator[ErrorDetail]:
    """Out of pb(google.rpc.Status), whose code and message must be the call's own."""
    for field in fields(encoded):
        match field.field_number:
            case 1:
                assert field.data == error.code().value[0]
            case 2:
                assert field.data.decode() == error.details()
            case 3:
                url, value = (one.data for one in fields(field.data))
                assert url == b"type.googleapis.com/gateway.ErrorDetail"
                detail = gateway_pb2.ErrorDetail.FromString(value)
                yield ErrorDetail(detail.address, detail.msp_id, detail.message)


def fields(encoded: bytes) -> Any:
    """Of a message whose type no package here has."""
    return UnknownFieldSet(Empty.FromString(encoded))


def seek_envelope(
    who: SigningIdentity,
    seek: ab_pb2.SeekInfo,
    *,
    channel: str = TOPOLOGY.channel,
    offset_s: int = 0,
    certificate_hash: bytes = b"",
    signature: bytes | None = None,
) -> common_pb2.Envelope:
    """As SDKs ask for blocks: no nonce, no transaction id."""
    header = common_pb2.ChannelHeader(
        type=common_pb2.DELIVER_SEEK_INFO,
        channel_id=channel,
        timestamp=Timestamp(seconds=int(time.time()) + offset_s),
        tls_cert_hash=certificate_hash,
    )
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=header.SerializeToString(),
            signature_header=common_pb2.SignatureHeader(creator=who.serialized).SerializeToString(),
        ),
        data=seek.SerializeToString(),
    ).SerializeToString()
    return common_pb2.Envelope(payload=payload, signature=who.key.sign(payload) if signature is None else signature)


def position(number: int) -> ab_pb2.SeekPosition:
    return ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=number))


def seek_blocks(start: int, stop: int, *, wait: bool = True) -> ab_pb2.SeekInfo:
    behavior = ab_pb2.SeekInfo.BLOCK_UNTIL_READY if wait else ab_pb2.SeekInfo.FAIL_IF_NOT_READY
    return ab_pb2.SeekInfo(start=position(start), stop=position(stop), behavior=behavior)
