"""Clients that mean harm or are broken: each is refused or cut off, and the network goes on for the others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

import healthchain.network.serving.calls as calls
import healthchain.network.serving.server as server
from healthchain.errors import BadInput
from healthchain.identity.certificates import CertificateAuthority
from healthchain.network.network import Network
from healthchain.network.serving.server import PortTaken, organisation_ports, serving

from .served import SECONDS_MAX, Served, gateway, refused, serve
from .test_serving_gateway import submitted
from .toy import now, organisation, run

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
HUGE_FRAME = b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 4096
HEADERS_OF_NOTHING = b"\x00\x00\x04\x01\x04\x00\x00\x00\x01\xff\xff\xff\xff"
MESSAGE_BYTES_MAX = 1 << 20


async def raw_bytes(served: Served, sent: bytes, *, tls: bool) -> None:
    """Send them, read what comes until the server hangs up or is silent for a moment."""
    host, port = served.addresses["north"].split(":")
    context = None
    if tls:
        context = ssl.create_default_context(cadata=organisation(served.folder, "north").tls_authority().decode())
        context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    writer.write(sent)
    with contextlib.suppress(TimeoutError, ConnectionError):
        await writer.drain()
        async with asyncio.timeout(0.3):
            while await reader.read(65536):
                pass
    writer.transport.abort()


Attack = Callable[[Served], Awaitable[None]]
ATTACKS: dict[str, Attack] = {
    "noise instead of TLS": lambda served: raw_bytes(served, os.urandom(4096), tls=False),
    "HTTP/2 without TLS": lambda served: raw_bytes(served, PREFACE + SETTINGS, tls=False),
    "noise within TLS": lambda served: raw_bytes(served, os.urandom(4096), tls=True),
    "HTTP/1": lambda served: raw_bytes(served, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", tls=True),
    "a frame larger than allowed": lambda served: raw_bytes(served, PREFACE + SETTINGS + HUGE_FRAME, tls=True),
    "headers that do not decode": lambda served: raw_bytes(served, PREFACE + SETTINGS + HEADERS_OF_NOTHING, tls=True),
    "a connection that says nothing": lambda served: raw_bytes(served, b"", tls=True),
}


def test_whatever_comes_over_a_connection_the_others_are_served(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        async with gateway(served) as waiting:
            for name, attack in ATTACKS.items():
                await attack(served)
                assert await submitted(waiting, served.who(), "Put", "k", name)

    serve(folder, scenario)


def test_a_message_larger_than_allowed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = tuple((name, min(value, MESSAGE_BYTES_MAX)) for name, value in server.OPTIONS)
    monkeypatch.setattr(server, "OPTIONS", options)

    async def scenario(served: Served) -> None:
        async with served.channel() as channel:
            for method in ("gateway.Gateway/Endorse", "protos.Endorser/ProcessProposal"):
                raw: Any = channel.unary_unary(f"/{method}")
                await refused(raw(bytes(MESSAGE_BYTES_MAX + 1)), grpc.StatusCode.RESOURCE_EXHAUSTED)
            raw = channel.stream_stream("/orderer.AtomicBroadcast/Broadcast")
            stream = raw()

            async def sent() -> None:
                await stream.write(bytes(MESSAGE_BYTES_MAX + 1))
                await stream.read()

            await refused(sent(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        async with gateway(served) as north:
            await submitted(north, served.who(), "Put", "k", "v")

    serve(folder, scenario)


def test_messages_as_large_as_fabrics_are_taken() -> None:
    options = dict(server.OPTIONS)
    assert options["grpc.max_receive_message_length"] == options["grpc.max_send_message_length"] == 100 << 20
    assert options["grpc.http2.min_ping_interval_without_data_ms"] < 60_000  # clients of Fabric's ping so often


@pytest.mark.parametrize("certificate", ["none", "of a foreign authority"])
def test_mutual_tls_lets_in_only_members_tls_clients(folder: Path, certificate: str) -> None:
    foreign = CertificateAuthority.create("tlsca.foreign", "foreign", now()).issue_tls("client", ["localhost"], now())
    shown = {"none": None, "of a foreign authority": (foreign.key.to_pem(), foreign.certificate)}[certificate]

    async def scenario(served: Served) -> None:
        async with served.channel(certificate=shown) as channel:
            raw: Any = channel.unary_unary("/gateway.Gateway/Evaluate")
            await refused(raw(b""), grpc.StatusCode.UNAVAILABLE)
        member = organisation(folder, "state").tls_server()
        async with served.channel(certificate=member) as channel:
            raw = channel.unary_unary("/gateway.Gateway/Evaluate")
            await refused(raw(b""), grpc.StatusCode.INVALID_ARGUMENT)

    serve(folder, scenario, client_certificates=True)


@pytest.mark.parametrize("method", ["gateway.Gateway/Evaluate", "gateway.Gateway/ChaincodeEvents"])
def test_a_call_without_a_request_is_cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(calls, "REQUEST_S_MAX", 0.2)

    async def scenario(served: Served) -> None:
        async with served.channel() as channel:
            raw: Any = channel.stream_stream(f"/{method}")
            await refused(raw().read(), grpc.StatusCode.DEADLINE_EXCEEDED)
            ended = raw()
            await ended.done_writing()
            await refused(ended.read(), grpc.StatusCode.INVALID_ARGUMENT)

    serve(folder, scenario)


def test_streams_left_open_do_not_keep_the_network_from_stopping(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        async with contextlib.AsyncExitStack() as clients:
            async with serving(network, folder, base_port=0) as addresses:
                served = Served(network, folder, dict(addresses))
                channel = await clients.enter_async_context(served.channel())
                raw: Any = channel.stream_stream("/protos.Deliver/Deliver")
                streams = [raw() for _ in range(5)]
                for one in streams:
                    await one.write(b"")
            async with asyncio.timeout(SECONDS_MAX):
                await asyncio.gather(*[one.read() for one in streams], return_exceptions=True)

    run(folder, scenario)


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        async with serving(network, folder, base_port=0) as addresses:
            taken = int(addresses["north"].split(":")[1])
            with pytest.raises(PortTaken, match=f"{taken} cannot be listened on: .*--base-port"):
                async with serving(network, folder, base_port=taken):
                    raise AssertionError("it listens")

    run(folder, scenario)


def test_ports_are_a_thousand_apart_and_end_where_ports_do() -> None:
    assert organisation_ports(["a", "b", "c"], 7051) == {"a": 7051, "b": 8051, "c": 9051}
    assert organisation_ports(["a", "b"], 0) == {"a": 0, "b": 0}
    assert organisation_ports(["a", "b"], 64535) == {"a": 64535, "b": 65535}
    with pytest.raises(BadInput, match="lower --base-port"):
        organisation_ports(["a", "b"], 64536)
