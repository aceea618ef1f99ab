"""LevelDB's variable-length numbers and byte strings: seven bits a byte, the lowest first."""

from __future__ import annotations


def number(content: bytes, at: int) -> tuple[int, int]:
    """And where it ends. Raises IndexError past the end."""
    byte = content[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def string(content: bytes, at: int) -> tuple[bytes, int]:
    length, at = number(content, at)
    if at + length > len(content):
        raise IndexError
    return content[at : at + length], at + length


def encoded(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encoded_string(value: bytes) -> bytes:
    return encoded(len(value)) + value
