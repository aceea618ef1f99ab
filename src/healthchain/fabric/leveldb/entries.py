"""What the tables (NUMBER.ldb) and journals (NUMBER.log) hold: every version of every key, deletions too."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from healthchain.errors import BadInput
from healthchain.fabric.leveldb import journal
from healthchain.fabric.leveldb.numbers import encoded_string, number, string
from healthchain.fabric.leveldb.snappy import decompressed

FOOTER = 48
MAGIC = bytes.fromhex("57fb808b247547db")
DELETED, PUT = 0, 1
TRAILER = struct.Struct("<Q")  # behind each key in a table: sequence number and kind
BATCH_HEADER = struct.Struct("<QI")  # sequence number of the first entry, how many
RAW, SNAPPY = 0, 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a key; `value` is None where it says that the key was deleted."""

    key: bytes
    sequence: int
    value: bytes | None


def in_table(content: bytes) -> Iterator[Entry]:
    """Raises BadInput for a table that is not whole."""
    try:
        if content[-len(MAGIC) :] != MAGIC:
            raise ValueError("no footer")
        footer = content[-FOOTER:]
        _, at = number(footer, 0)
        _, at = number(footer, at)
        for _, handle in _pairs(_block(content, footer[at:])):
            for key, value in _pairs(_block(content, handle)):
                (trailer,) = TRAILER.unpack_from(key, len(key) - TRAILER.size)
                yield Entry(key[: -TRAILER.size], trailer >> 8, value if trailer & 0xFF == PUT else None)
    except (IndexError, ValueError, struct.error):
        raise BadInput("a LevelDB table of a peer is damaged: restore the peer's folder, or let it join anew") from None


def _block(content: bytes, handle: bytes) -> bytes:
    """The block that the handle leads to, as it was before it was compressed."""
    offset, at = number(handle, 0)
    size, _ = number(handle, at)
    block, kind = content[offset : offset + size], content[offset + size]
    if kind == SNAPPY:
        return decompressed(block)
    if kind != RAW:
        raise ValueError("compressed in an unknown way")
    return block


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each key shares its beginning with the one before; the last bytes say where it does not."""
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    at, key = 0, b""
    while at < end:
        shared, at = number(block, at)
        rest, at = number(block, at)
        length, at = number(block, at)
        key = key[:shared] + block[at : at + rest]
        at += rest
        yield key, block[at : at + length]
        at += length


def in_journal(content: bytes) -> Iterator[Entry]:
    """As far as it is whole. Raises BadInput for what a crash does not leave."""
    try:
        for batch in journal.records(content):
            yield from _in_batch(batch)
    except IndexError:
        raise BadInput("a LevelDB journal of a peer is damaged: start and stop the peer, which mends it") from None


def _in_batch(batch: bytes) -> Iterator[Entry]:
    if len(batch) < BATCH_HEADER.size:
        return
    sequence, _ = BATCH_HEADER.unpack_from(batch)
    at = BATCH_HEADER.size
    while at < len(batch):
        kind = batch[at]
        key, at = string(batch, at + 1)
        value = None
        if kind == PUT:
            value, at = string(batch, at)
        yield Entry(key, sequence, value)
        sequence += 1


def deletions(sequence: int, deleted: list[bytes]) -> bytes:
    """A journal's record that deletes these keys."""
    header = BATCH_HEADER.pack(sequence, len(deleted))
    return header + b"".join(bytes((DELETED,)) + encoded_string(key) for key in deleted)
