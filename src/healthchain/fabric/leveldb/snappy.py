"""Snappy, as LevelDB compresses its blocks with it; only the way back. Source: snappy's format_description.txt."""

from __future__ import annotations

from healthchain.fabric.leveldb.numbers import number


def decompressed(content: bytes) -> bytes:
    """Raises IndexError or ValueError for what is no such block."""
    length, at = number(content, 0)
    out = bytearray()
    while at < len(content):
        tag = content[at]
        at += 1
        if tag & 3 == 0:
            size = (tag >> 2) + 1
            if size > 60:
                extra = size - 60
                size = int.from_bytes(content[at : at + extra], "little") + 1
                at += extra
            out += content[at : at + size]
            at += size
            continue
        if tag & 3 == 1:
            size, back = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | content[at]
            at += 1
        else:
            extra = 2 if tag & 3 == 2 else 4
            size, back = (tag >> 2) + 1, int.from_bytes(content[at : at + extra], "little")
            at += extra
        _copy(out, back, size)
    if len(out) != length:
        raise ValueError("not as long as it says")
    return bytes(out)


def _copy(out: bytearray, back: int, size: int) -> None:
    """What is copied may overlap what it makes, and then repeats."""
    if not 0 < back <= len(out):
        raise ValueError("a copy of what is not there")
    begin = len(out) - back
    piece = bytes(out[begin : begin + size])
    while len(piece) < size:
        piece += piece[: size - len(piece)]
    out += piece
