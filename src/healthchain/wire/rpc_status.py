"""A `GatewayError` as gRPC's rich error: pb(google.rpc.Status), which travels as metadata.

Built by hand: its Python module is in none of the packages that the project needs.
"""

from __future__ import annotations

from fabric_protos.gateway import gateway_pb2
from google.protobuf.any_pb2 import Any

from healthchain.wire.gateway import ErrorDetail, GatewayError

METADATA_KEY = "grpc-status-details-bin"
DETAIL_URL = "type.googleapis.com/gateway.ErrorDetail"
CODE, MESSAGE, DETAILS = 1, 2, 3
VARINT, DELIMITED = 0, 2


def encode_status(error: GatewayError) -> bytes:
    """Status{int32 code=1; string message=2; repeated Any details=3}; SDKs take every detail for an ErrorDetail."""
    parts = [_tag(CODE, VARINT) + _varint(error.status), _delimited(MESSAGE, error.message.encode())]
    parts += [_delimited(DETAILS, _any(one)) for one in error.details]
    return b"".join(parts)


def _any(detail: ErrorDetail) -> bytes:
    encoded = gateway_pb2.ErrorDetail(address=detail.address, msp_id=detail.msp_id, message=detail.message)
    return Any(type_url=DETAIL_URL, value=encoded.SerializeToString()).SerializeToString()


def _delimited(number: int, body: bytes) -> bytes:
    return _tag(number, DELIMITED) + _varint(len(body)) + body


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
