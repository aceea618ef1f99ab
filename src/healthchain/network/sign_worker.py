"""A process that signs in batches, so that the network's own process has its interpreter for the rest.

Request: kind u8, length u32, body. Kind 1 brings the next key (PKCS#8 in DER), without an answer; kind 2 asks for
signatures: for each the key's number u32 and the digest (32). The answer: for each length u8, signature.
"""

from __future__ import annotations

import signal
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from healthchain.identity.keys import SigningKey

KEY, SIGN = 1, 2
HEAD = struct.Struct(">BI")
LENGTH = struct.Struct(">I")
NUMBER = struct.Struct(">I")
DIGEST_BYTES = 32


def encode_key(key: SigningKey) -> bytes:
    encoded = key.to_der()
    return HEAD.pack(KEY, len(encoded)) + encoded


def encode_request(asked: Sequence[tuple[int, bytes]]) -> bytes:
    """Of (number of the key, digest)."""
    body = b"".join([NUMBER.pack(number) + digest for number, digest in asked])
    return HEAD.pack(SIGN, len(body)) + body


def decode_answer(body: bytes) -> Iterator[bytes]:
    offset = 0
    while offset < len(body):
        end = offset + 1 + body[offset]
        yield body[offset + 1 : end]
        offset = end


def serve(requests: BinaryIO, responses: BinaryIO) -> None:
    keys: list[SigningKey] = []
    while len(head := requests.read(HEAD.size)) == HEAD.size:
        kind, length = HEAD.unpack(head)
        body = requests.read(length)
        if len(body) < length:
            return
        if kind == KEY:
            keys.append(SigningKey.from_der(body))
            continue
        parts: list[bytes] = []
        for offset in range(0, length, NUMBER.size + DIGEST_BYTES):
            (number,) = NUMBER.unpack_from(body, offset)
            signature = keys[number].sign_digest(body[offset + NUMBER.size : offset + NUMBER.size + DIGEST_BYTES])
            parts += (bytes((len(signature),)), signature)
        answer = b"".join(parts)
        responses.write(LENGTH.pack(len(answer)) + answer)
        responses.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the network, which then closes this process's input
    serve(sys.stdin.buffer, sys.stdout.buffer)
