"""The format of journals (NUMBER.log) and manifests: records, each cut into chunks that fit blocks of 32 KiB."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from healthchain.errors import BadInput

BLOCK = 1 << 15
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
HEADER = struct.Struct("<IHB")  # masked CRC-32C of type and data, length of the data, type
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected


def records(content: bytes, *, checked: bool = False) -> Iterator[bytes]:
    """Whole records only: a crash may have cut the last. `checked` raises BadInput for one that is not as written."""
    found = b""
    for kind, checksum, data in _chunks(content):
        if checked and checksum != _checksum(kind, data):
            raise BadInput("a LevelDB file of a peer is damaged: restore the peer's folder, or let it join anew")
        found = data if kind in (FULL, FIRST) else found + data
        if kind in (FULL, LAST):
            yield found


def _chunks(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, checksum and data of each."""
    at = 0
    while at + HEADER.size <= len(content):
        left = BLOCK - at % BLOCK
        if left < HEADER.size:
            at += left
            continue
        checksum, length, kind = HEADER.unpack_from(content, at)
        begin = at + HEADER.size
        if kind == 0 and length == 0:  # filled up with zeros
            at += left
            continue
        if length > left - HEADER.size or begin + length > len(content) or not FULL <= kind <= LAST:
            return
        yield kind, checksum, content[begin : begin + length]
        at = begin + length


def written(wanted: Iterable[bytes]) -> bytes:
    """A file of these records."""
    content = bytearray()
    for record in wanted:
        kind = FIRST
        while kind != LAST:
            left = BLOCK - len(content) % BLOCK
            if left < HEADER.size:
                content += bytes(left)
                left = BLOCK
            data, record = record[: left - HEADER.size], record[left - HEADER.size :]
            begins = kind == FIRST
            kind = MIDDLE if record else LAST
            part = {(True, MIDDLE): FIRST, (True, LAST): FULL}.get((begins, kind), kind)
            content += HEADER.pack(_checksum(part, data), len(data), part) + data
    return bytes(content)


def _checksum(kind: int, data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in bytes((kind,)) + data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_table_entry(byte) for byte in range(256)]
