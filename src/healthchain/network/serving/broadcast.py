"""`orderer.AtomicBroadcast` over gRPC: envelopes for the order, one acknowledgement each (Fabric orderer/ab.proto)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import cast

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2

from healthchain.network.network import Network
from healthchain.network.orderer import BroadcastRefused
from healthchain.network.serving.calls import Context, Limit, conversation
from healthchain.network.serving.deliver import ordered_blocks

SERVICE = "orderer.AtomicBroadcast"
STREAMS_MAX = 500
IDLE_S_MAX = 600.0


def broadcast_service(network: Network, organisation: str, *, client_certificates: bool) -> grpc.GenericRpcHandler:
    async def answer(envelope: bytes, _: Context) -> AsyncGenerator[ab_pb2.BroadcastResponse, None]:
        try:
            await network.ordering.broadcast(envelope)
        except BroadcastRefused as refused:
            status = cast(common_pb2.Status, refused.status)  # protobuf takes the number; its stubs want the type
            yield ab_pb2.BroadcastResponse(status=status, info=str(refused))
        else:
            yield ab_pb2.BroadcastResponse(status=common_pb2.SUCCESS)

    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Broadcast": conversation(answer, Limit(STREAMS_MAX), IDLE_S_MAX),
            "Deliver": ordered_blocks(network, organisation, client_certificates=client_certificates),
        },
    )
