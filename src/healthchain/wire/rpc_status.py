"""A `GatewayError` as gRPC's rich error: pb(google.rpc.Status), which travels as metadata.

Built by hand: its Python module is in none of the packages that the project needs.
"""

from __future__ import annotations

from collections.abc import Iterator

from fabric_protos.gateway import gateway_pb2
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError

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


def decode_details(encoded: bytes) -> tuple[ErrorDetail, ...]:
    """Of pb(google.rpc.Status), those that are a gateway's; none if it does not decode."""
    try:
        packed = [Any.FromString(body) for number, body in _delimited_fields(encoded) if number == DETAILS]
        told = [gateway_pb2.ErrorDetail.FromString(one.value) for one in packed if one.type_url == DETAIL_URL]
    except (DecodeError, UnicodeDecodeError, IndexError):
        return ()
    return tuple(ErrorDetail(one.address, one.msp_id, one.message) for one in told)


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


def _delimited_fields(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and body of each; numbers in between are passed over. Raises DecodeError or IndexError."""
    place = 0
    while place < len(encoded):
        tag, place = _read_varint(encoded, place)
        value, place = _read_varint(encoded, place)
        if tag & 7 == DELIMITED:
            yield tag >> 3, encoded[place : place + value]
            place += value
        elif tag & 7 != VARINT:
            raise DecodeError("a status has only numbers, texts and messages")


def _read_varint(encoded: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (encoded[place] & 0x7F) << shift
        shift += 7
        place += 1
        if encoded[place - 1] < 0x80:
            return value, place
