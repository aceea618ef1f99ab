"""All blocks of a peer, with the private values that it still hands out: `protos.Deliver/DeliverWithPrivateData`.

Sources: Fabric core/peer/deliverevents.go, common/deliver/deliver.go.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import cast

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import events_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from healthchain.errors import HealthChainError
from healthchain.identity.folders import SigningIdentity

ANSWER_S_MAX = 120.0
METHOD = "/protos.Deliver/DeliverWithPrivateData"


class DeliverFailed(HealthChainError):
    """The peer cannot be reached, or does not hand out its blocks."""


async def blocks_with_private(
    at: aio.Channel, identity: SigningIdentity, channel_id: str
) -> AsyncIterator[events_pb2.BlockAndPrivateData]:
    """From block 0 to the newest. A purged value is in none. Raises DeliverFailed."""
    call = at.stream_stream(
        METHOD,
        request_serializer=common_pb2.Envelope.SerializeToString,
        response_deserializer=events_pb2.DeliverResponse.FromString,
    )
    try:
        stream = call(timeout=ANSWER_S_MAX)
        await stream.write(_everything(identity, channel_id))
        await stream.done_writing()
        async for answer in stream:
            if answer.WhichOneof("Type") == "block_and_private_data":
                yield answer.block_and_private_data
            elif answer.status != common_pb2.SUCCESS:
                raise DeliverFailed(f"the peer hands out no blocks: {common_pb2.Status.Name(answer.status)}")
    except aio.AioRpcError as error:
        raise DeliverFailed(error.details() or "the peer gave no reason") from None


def private_writes(found: events_pb2.BlockAndPrivateData) -> Iterator[tuple[str, str, str, bytes]]:
    """Chaincode, collection, key and value, in the order of writing; what was deleted has an empty value."""
    for _, of_transaction in sorted(found.private_data_map.items()):
        for namespace in of_transaction.ns_pvt_rwset:
            for collection in namespace.collection_pvt_rwset:
                for write in kv_rwset_pb2.KVRWSet.FromString(collection.rwset).writes:
                    yield namespace.namespace, collection.collection_name, write.key, write.value


def _everything(identity: SigningIdentity, channel_id: str) -> common_pb2.Envelope:
    oldest = ab_pb2.SeekPosition(oldest=ab_pb2.SeekOldest())
    newest = ab_pb2.SeekPosition(newest=ab_pb2.SeekNewest())
    seek = ab_pb2.SeekInfo(start=oldest, stop=newest, behavior=ab_pb2.SeekInfo.FAIL_IF_NOT_READY)
    now_ns = time.time_ns()
    header = common_pb2.ChannelHeader(
        type=cast(int, common_pb2.DELIVER_SEEK_INFO),
        channel_id=channel_id,
        timestamp=Timestamp(seconds=now_ns // 1_000_000_000, nanos=now_ns % 1_000_000_000),
    )
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=header.SerializeToString(),
            signature_header=common_pb2.SignatureHeader(creator=identity.serialized).SerializeToString(),
        ),
        data=seek.SerializeToString(),
    ).SerializeToString()
    return common_pb2.Envelope(payload=payload, signature=identity.key.sign(payload))
