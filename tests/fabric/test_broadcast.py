"""What orderers answer to an envelope, whatever they are: what comes of it is done, or an error with words."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from grpc import aio

from healthchain.client.remote import Endpoint
from healthchain.fabric.broadcast import broadcast
from healthchain.fabric.nodes import FabricFailed
from healthchain.identity.certificates import CertificateAuthority

NOW = datetime.datetime.now(datetime.UTC)
AUTHORITY = CertificateAuthority.create("tlsca.orderers", "orderers", NOW)


def answering(status: int, info: str) -> aio.Server:
    async def answer(requests: AsyncIterator[common_pb2.Envelope], _: object) -> AsyncIterator[bytes]:
        async for _envelope in requests:
            # By hand: a status that the type does not know.
            yield ab_pb2.BroadcastResponse(status=status, info=info).SerializeToString()  # type: ignore[arg-type]

    handler: Any = grpc.stream_stream_rpc_method_handler(answer, common_pb2.Envelope.FromString)
    server = aio.server()
    service = {"Broadcast": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("orderer.AtomicBroadcast", service),))
    return server


async def asked(*answers: tuple[int, str]) -> None:
    """One orderer each."""
    certified = AUTHORITY.issue_tls("orderer", ("localhost",), NOW)
    shown = grpc.ssl_server_credentials([(certified.key.to_pem(), certified.certificate)])
    servers = [answering(*one) for one in answers]
    try:
        ports = [one.add_secure_port("localhost:0", shown) for one in servers]
        for one in servers:
            await one.start()
        orderers = [Endpoint(f"localhost:{port}", AUTHORITY.certificate) for port in ports]
        await broadcast(orderers, common_pb2.Envelope(payload=b"x"))
    finally:
        for one in servers:
            await one.stop(None)


def test_one_that_is_not_ready_is_not_the_last_that_is_asked() -> None:
    asyncio.run(asked((common_pb2.SERVICE_UNAVAILABLE, "no leader"), (common_pb2.SUCCESS, "")))


@pytest.mark.parametrize(("status", "named"), [(common_pb2.BAD_REQUEST, "BAD_REQUEST"), (999, "999"), (-1, "-1")])
def test_what_an_orderer_refuses_is_told_and_ends(status: int, named: str) -> None:
    with pytest.raises(FabricFailed, match=f": {named}: because") as refused:
        asyncio.run(asked((status, "because" * 1000), (common_pb2.SUCCESS, "")))
    assert len(str(refused.value)) < 1000
