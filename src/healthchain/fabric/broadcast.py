"""Handing an envelope to a channel's orderers, over gRPC with TLS: `orderer.AtomicBroadcast`.

Source: Fabric orderer/common/broadcast/broadcast.go. Success means that it will be ordered, not yet that it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from grpc import aio

from healthchain.client.remote import Endpoint, channel
from healthchain.fabric.nodes import FabricFailed

ANSWER_S_MAX = 30.0
SAID_MAX = 600  # letters of what an orderer said
BROADCAST = "/orderer.AtomicBroadcast/Broadcast"


async def broadcast(orderers: Iterable[Endpoint], envelope: common_pb2.Envelope) -> None:
    """The first orderer is asked; where it cannot be reached or is not ready, the next. Raises FabricFailed."""
    said = "the channel has no orderers"
    for one in orderers:
        try:
            async with channel(one) as at:
                answer = await _asked(at, envelope)
        except aio.AioRpcError as error:
            said = f"{one.address} cannot be reached: {error.details()}"
            continue
        if answer.status == common_pb2.Status.SUCCESS:
            return
        known = answer.status in common_pb2.Status.values()
        name = common_pb2.Status.Name(answer.status) if known else str(int(answer.status))
        said = f"{one.address}: {name}: {answer.info[:SAID_MAX]}"
        if answer.status != common_pb2.Status.SERVICE_UNAVAILABLE:
            break
    raise FabricFailed(f"no orderer takes it: {said}")


async def _asked(at: aio.Channel, envelope: common_pb2.Envelope) -> ab_pb2.BroadcastResponse:
    call = at.stream_stream(
        BROADCAST,
        request_serializer=common_pb2.Envelope.SerializeToString,
        response_deserializer=ab_pb2.BroadcastResponse.FromString,
    )(timeout=ANSWER_S_MAX)
    await call.write(envelope)
    answer = await call.read()
    await call.done_writing()
    return answer if isinstance(answer, ab_pb2.BroadcastResponse) else ab_pb2.BroadcastResponse(info="no answer")
