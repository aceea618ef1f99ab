"""A process that verifies signatures in batches, so that the network's own process has its interpreter for the rest.

Request: u32 count, then for each point length u8, point, digest (32), signature length u16, signature. Response: u32
count, one byte each: 1 if it holds. It ends when its input does.
"""

from __future__ import annotations

import signal
import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric import ec

from healthchain.identity.keys import signature_holds

COUNT = struct.Struct(">I")
SIGNATURE_LENGTH = struct.Struct(">H")
CURVES: dict[int, ec.EllipticCurve] = {65: ec.SECP256R1(), 97: ec.SECP384R1()}


def encode_request(checks: list[tuple[bytes, bytes, bytes]]) -> bytes:
    """Of (uncompressed point, digest, signature)."""
    parts = [COUNT.pack(len(checks))]
    for point, digest, signature in checks:
        parts += (bytes((len(point),)), point, digest, SIGNATURE_LENGTH.pack(len(signature)), signature)
    body = b"".join(parts)
    return COUNT.pack(len(body)) + body


def decode_request(body: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    offset = COUNT.size
    for _ in range(COUNT.unpack_from(body)[0]):
        point_end = offset + 1 + body[offset]
        digest_end = point_end + 32
        start = digest_end + SIGNATURE_LENGTH.size
        end = start + SIGNATURE_LENGTH.unpack_from(body, digest_end)[0]
        yield body[offset + 1 : point_end], body[point_end:digest_end], body[start:end]
        offset = end


def serve(requests: BinaryIO, responses: BinaryIO) -> None:
    keys: dict[bytes, ec.EllipticCurvePublicKey] = {}
    while len(length := requests.read(COUNT.size)) == COUNT.size:
        body = requests.read(COUNT.unpack(length)[0])
        if len(body) < COUNT.unpack(length)[0]:
            return  # the other process was killed while it asked
        verdicts = bytearray()
        for point, digest, signature in decode_request(body):
            if point not in keys:
                keys[point] = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[len(point)], point)
            verdicts.append(signature_holds(keys[point], digest, signature))
        responses.write(COUNT.pack(len(verdicts)) + verdicts)
        responses.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the network, which then closes this process's input
    serve(sys.stdin.buffer, sys.stdout.buffer)
