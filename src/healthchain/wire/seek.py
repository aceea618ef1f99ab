"""What somebody signs who asks a Deliver service for blocks (Fabric orderer/ab.proto, common/deliver/deliver.go)."""

from __future__ import annotations

from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from healthchain.wire.proposal import NS_PER_S

FOREVER = 2**53 - 1
"""As the last block, what Fabric's SDK for Node asks for: blocks come until the one who asked has enough."""


NEXT_BLOCK = ab_pb2.SeekPosition(next_commit=ab_pb2.SeekNextCommit())


def seek_payload(
    creator: bytes, channel_id: str, start: ab_pb2.SeekPosition, timestamp_ns: int, tls_certificate_hash: bytes
) -> bytes:
    """pb(Payload) for blocks from `start` on, those to come as well.

    The hash is the SHA-256 of the client's TLS certificate in DER, which servers that ask for one compare; otherwise it
    is empty. Servers refuse a timestamp that is 15 minutes from their clock.
    """
    header = common_pb2.ChannelHeader(
        type=common_pb2.HeaderType.DELIVER_SEEK_INFO,
        channel_id=channel_id,
        timestamp=Timestamp(seconds=timestamp_ns // NS_PER_S, nanos=timestamp_ns % NS_PER_S),
        tls_cert_hash=tls_certificate_hash,
    )
    seek = ab_pb2.SeekInfo(start=start, stop=block_position(FOREVER))
    return common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=header.SerializeToString(),
            signature_header=common_pb2.SignatureHeader(creator=creator).SerializeToString(),
        ),
        data=seek.SerializeToString(),
    ).SerializeToString()


def block_position(number: int) -> ab_pb2.SeekPosition:
    return ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=number))
