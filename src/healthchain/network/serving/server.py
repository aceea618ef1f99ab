"""One gRPC server for each organisation, with TLS and the organisation's own certificate.

async with serving(network, folder, base_port=7051) as addresses:
    addresses["general-hospital"]  # "localhost:7051"
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import grpc

from healthchain.errors import BadInput
from healthchain.network.network import Network
from healthchain.network.provision import organisation_folder
from healthchain.network.serving.broadcast import broadcast_service
from healthchain.network.serving.deliver import deliver_service
from healthchain.network.serving.endorser import endorser_service
from healthchain.network.serving.gateway import gateway_service

BASE_PORT = 7051
PORT_STEP = 1000
PORT_MAX = 65535
LOOPBACK = "127.0.0.1"
GRACE_S = 1.0
MESSAGE_BYTES_MAX = 100 << 20
STREAMS_MAX = 1000  # of one connection; a client's further calls wait for these
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Fabric's SDKs ping every 2 minutes without calls; gRPC's own default calls that too often.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client that is gone without a word is noticed, and its streams end.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_concurrent_streams", STREAMS_MAX),
    ("grpc.so_reuseport", 0),  # a port that another process has is an error
)


class PortTaken(BadInput):
    """Another process listens there already."""


@contextlib.asynccontextmanager
async def serving(
    network: Network,
    folder: Path,
    *,
    host: str = LOOPBACK,
    base_port: int = BASE_PORT,
    client_certificates: bool = False,
) -> AsyncIterator[Mapping[str, str]]:
    """Organisation -> address, while it lasts; `base_port` 0 takes any free ports.

    With `client_certificates` a client needs a TLS certificate of some member's TLS authority (mutual TLS).
    Raises PortTaken, BadInput or CredentialsMissing.
    """
    ports = organisation_ports(list(network.peers), base_port)
    servers: list[grpc.aio.Server] = []
    addresses: dict[str, str] = {}
    try:
        for name, wanted in ports.items():
            server = grpc.aio.server(options=OPTIONS)
            servers.append(server)
            server.add_generic_rpc_handlers(_services(network, name, client_certificates=client_certificates))
            credentials = _tls(network, folder, name, client_certificates=client_certificates)
            try:
                port = server.add_secure_port(f"{host}:{wanted}", credentials)
            except RuntimeError:
                raise PortTaken(f"{host}:{wanted} cannot be listened on: choose others with --base-port") from None
            await server.start()
            addresses[name] = f"localhost:{port}" if host == LOOPBACK else f"{host}:{port}"
        yield addresses
    finally:
        await asyncio.gather(*[one.stop(GRACE_S) for one in servers])


def organisation_ports(names: list[str], base_port: int) -> dict[str, int]:
    """As on a Fabric test network: 7051, 8051, 9051, ... Raises BadInput if there are not so many."""
    if base_port and base_port + PORT_STEP * (len(names) - 1) > PORT_MAX:
        raise BadInput(f"the organisations' ports would be more than {PORT_MAX}: choose a lower --base-port")
    return {name: base_port and base_port + PORT_STEP * index for index, name in enumerate(names)}


def _services(network: Network, name: str, *, client_certificates: bool) -> tuple[grpc.GenericRpcHandler, ...]:
    return (
        gateway_service(network.gateway(name)),
        endorser_service(network.endorser(name)),
        deliver_service(network, name, client_certificates=client_certificates),
        broadcast_service(network, name, client_certificates=client_certificates),
    )


def _tls(network: Network, folder: Path, name: str, *, client_certificates: bool) -> grpc.ServerCredentials:
    own = organisation_folder(folder, network.topology, name)
    authorities = [organisation_folder(folder, network.topology, one).tls_authority() for one in network.peers]
    return grpc.ssl_server_credentials(
        [own.tls_server()],
        root_certificates=b"".join(authorities) if client_certificates else None,
        require_client_auth=client_certificates,
    )
