"""An append-only log over numbered files: durable appends, reads by location, erasure in place.

Every byte is covered by a checksum, so that a torn tail, an altered byte and an erased body can be told apart:

    header  length u32 | tag u64 | extra u64 | crc32 of these u32      body  bytes[length] | crc32 u32
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from healthchain.errors import HealthChainError

HEADER = struct.Struct(">IQQI")
HEADER_FIELDS = struct.Struct(">IQQ")
CRC = struct.Struct(">I")
SEGMENT_BYTES_MAX = 64 * 1024 * 1024
OFFSET_BITS = 40
OFFSET_MASK = (1 << OFFSET_BITS) - 1

_sync_data = getattr(os, "fdatasync", os.fsync)


class LogCorrupted(HealthChainError):
    """Bytes of a log that were durable are not what was written."""


class Entry(NamedTuple):
    """`body` is None where the entry was erased: all its bytes are zeros."""

    location: int
    tag: int
    extra: int
    body: bytes | None
    next_location: int


class SegmentedLog:
    """Files 000000, 000001, ... in one folder. A location is segment << 40 | offset of the entry's header."""

    def __init__(self, folder: Path, *, read_only: bool = False, segment_bytes_max: int = SEGMENT_BYTES_MAX) -> None:
        self._folder = folder
        self._read_only = read_only
        self._segment_bytes_max = segment_bytes_max
        self._files: dict[int, int] = {}
        self._dirty: set[int] = set()
        if not read_only:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._segment = max((int(path.name) for path in folder.glob("[0-9]*")), default=-1)
        if self._segment < 0 and not read_only:
            self._start_segment()
        self._offset = os.fstat(self._file(self._segment)).st_size if self._segment >= 0 else 0

    @property
    def end(self) -> int:
        """The location of the next entry."""
        return self._segment << OFFSET_BITS | self._offset

    def append(self, entries: Sequence[tuple[int, int, bytes]]) -> list[int]:
        """Write (tag, extra, body) entries and return their locations; durable only after `sync`.

        Raises OSError (a full disk, for instance) with the log as it was before.
        """
        if self._offset >= self._segment_bytes_max:
            self._start_segment()
        locations, buffers = [], []
        location = self.end
        for tag, extra, body in entries:
            fields = HEADER_FIELDS.pack(len(body), tag, extra)
            locations.append(location)
            buffers += (fields, CRC.pack(zlib.crc32(fields)), body, CRC.pack(zlib.crc32(body)))
            location += HEADER.size + len(body) + CRC.size
        self._write(b"".join(buffers))
        return locations

    def sync(self) -> None:
        """Make all appends and erasures durable. Safe on another thread than the one that appends."""
        while self._dirty:
            _sync_data(self._file(self._dirty.pop()))

    def entry(self, location: int) -> Entry | None:
        """The entry at a location; None if it is not whole."""
        file, offset = self._file(location >> OFFSET_BITS), location & OFFSET_MASK
        header = os.pread(file, HEADER.size, offset)
        if len(header) < HEADER.size:
            return None
        length, tag, extra, checksum = HEADER.unpack(header)
        if zlib.crc32(header[: HEADER_FIELDS.size]) != checksum:
            return None
        stored = os.pread(file, length + CRC.size, offset + HEADER.size)
        if len(stored) < length + CRC.size:
            return None
        next_location = location + HEADER.size + length + CRC.size
        body = stored[:length]
        if zlib.crc32(body) == CRC.unpack(stored[length:])[0]:
            return Entry(location, tag, extra, body, next_location)
        return None if any(stored) else Entry(location, tag, extra, None, next_location)

    def read(self, location: int) -> bytes:
        """The body at a location; raises LogCorrupted if it is not whole or was erased."""
        entry = self.entry(location)
        if entry is None or entry.body is None:
            raise LogCorrupted(f"the entry at {location:#x} of a log is not whole: run `healthchain verify`")
        return entry.body

    def erase(self, location: int) -> None:
        """Overwrite an entry's body with zeros, in place; durable after `sync`. Erasing twice is harmless."""
        file, offset = self._file(location >> OFFSET_BITS), location & OFFSET_MASK
        length = HEADER.unpack(os.pread(file, HEADER.size, offset))[0]
        os.pwrite(file, bytes(length + CRC.size), offset + HEADER.size)
        self._dirty.add(location >> OFFSET_BITS)

    def scan(self, start: int = 0) -> Iterator[Entry]:
        """Every whole entry from a location on; stops at the first that is not whole (compare with `end`)."""
        location = start
        while location < self.end:
            segment = location >> OFFSET_BITS
            if segment < self._segment and location & OFFSET_MASK >= os.fstat(self._file(segment)).st_size:
                location = (segment + 1) << OFFSET_BITS
                continue
            entry = self.entry(location)
            if entry is None:
                return
            yield entry
            location = entry.next_location

    def truncate(self, location: int) -> None:
        """Forget everything from a location on, durably."""
        segment = location >> OFFSET_BITS
        for later in range(segment + 1, self._segment + 1):
            os.close(self._file(later))
            del self._files[later]
            self._path(later).unlink()
        os.ftruncate(self._file(segment), location & OFFSET_MASK)
        os.fsync(self._file(segment))
        self._segment, self._offset = segment, location & OFFSET_MASK

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _write(self, data: bytes) -> None:
        file, view, written = self._file(self._segment), memoryview(data), 0
        try:
            while written < len(data):
                written += os.pwrite(file, view[written:], self._offset + written)
        except OSError:
            os.ftruncate(file, self._offset)
            raise
        self._offset += written
        self._dirty.add(self._segment)

    def _start_segment(self) -> None:
        self.sync()
        self._segment += 1
        self._offset = 0
        self._file(self._segment, os.O_CREAT | os.O_EXCL)
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)  # a new file is durable only once its folder is
        os.close(folder)

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:06}"

    def _file(self, segment: int, flags: int = 0) -> int:
        if segment not in self._files:
            mode = os.O_RDONLY if self._read_only else os.O_RDWR
            try:
                self._files[segment] = os.open(self._path(segment), mode | flags, 0o600)
            except FileNotFoundError:
                raise LogCorrupted(f"file {segment:06} of a log is missing") from None
        return self._files[segment]
