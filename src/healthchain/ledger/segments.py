"""An append-only log over numbered files: durable appends, reads by location, erasure in place.

Every byte is covered by a checksum, so that a torn tail, an altered byte and an erased body can be told apart:

    header  length u32 | tag u64 | extra u64 | crc32 of these u32      body  bytes[length] | crc32 u32
"""

from __future__ import annotations

import os
import struct
import sys
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
TAG_OFFSET = 4


class LogCorrupted(HealthChainError):
    """Bytes of a log that were durable are not what was written."""


class Entry(NamedTuple):
    """`body` is None where all its bytes are zeros, because it was erased, or where it is `damaged`."""

    location: int
    tag: int
    extra: int
    body: bytes | None
    next_location: int
    damaged: bool = False


class SegmentedLog:
    """Files 000000, 000001, ... in one folder. A location is segment << 40 | offset of the entry's header."""

    def __init__(self, folder: Path, *, read_only: bool = False, segment_bytes_max: int = SEGMENT_BYTES_MAX) -> None:
        self._folder = folder
        self._read_only = read_only
        self._segment_bytes_max = segment_bytes_max
        self._files: dict[int, int] = {}
        self._dirty: set[int] = set()
        if not read_only:
            make_folder(folder)
        self._segment = max(segment_numbers(folder), default=-1)
        if self._segment < 0 and not read_only:
            self._start_segment()
        self._offset = os.fstat(self._file(self._segment)).st_size if self._segment >= 0 else 0

    @property
    def end(self) -> int:
        """The location of the next entry."""
        return max(self._segment, 0) << OFFSET_BITS | self._offset

    def append(self, entries: Sequence[tuple[int, int, bytes]]) -> list[int]:
        """Write (tag, extra, body) entries and return their locations; durable only after `sync`.

        Raises OSError (a full disk, for instance) with the log as it was before.
        """
        if self._offset >= self._segment_bytes_max:
            self._start_segment()
        locations: list[int] = []
        buffers: list[bytes] = []
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
            segment = self._dirty.pop()
            try:
                _sync_data(self._file(segment))
            except OSError:
                self._dirty.add(segment)
                raise

    def frame(self, location: int) -> Entry | None:
        """The entry at a location whose header is whole, whatever its body is; None if there is none."""
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
        return Entry(location, tag, extra, None, next_location, damaged=any(stored))

    def entry(self, location: int) -> Entry | None:
        """The entry at a location; None if it is not whole."""
        found = self.frame(location)
        return None if found is None or found.damaged else found

    def read(self, location: int) -> bytes:
        """The body at a location; raises LogCorrupted if it is not whole or was erased."""
        entry = self.entry(location)
        if entry is None or entry.body is None:
            raise LogCorrupted(f"the entry at {location:#x} of a log is not whole: run `healthchain verify`")
        return entry.body

    def erase(self, location: int) -> None:
        """Overwrite an entry's body with zeros, in place; durable after `sync`. Erasing twice is harmless.

        Raises LogCorrupted if the header is not whole: then nobody knows where the body ends.
        """
        found = self.frame(location)
        if found is None:
            raise LogCorrupted(f"the entry at {location:#x} of a log is not whole: run `healthchain verify`")
        start = location + HEADER.size
        segment = location >> OFFSET_BITS
        self._dirty.add(segment)
        _write_all(self._file(segment), bytes(found.next_location - start), start & OFFSET_MASK)

    def scan(self, start: int = 0, *, damaged: bool = False) -> Iterator[Entry]:
        """Every whole entry from a location on; stops at the first that is not whole (compare with `end`).

        With `damaged` it steps over a body that is not whole, and stops only where a header is not.
        """
        location = start
        while location < self.end:
            segment = location >> OFFSET_BITS
            if segment < self._segment and location & OFFSET_MASK >= os.fstat(self._file(segment)).st_size:
                location = (segment + 1) << OFFSET_BITS
                continue
            entry = self.frame(location)
            if entry is None or (entry.damaged and not damaged):
                return
            yield entry
            location = entry.next_location

    def whole_entry_after(self, location: int) -> bool:
        """Whether a whole entry begins beyond a location: if so, what is at the location is no torn tail.

        Headers are looked for at every byte, so this is slow and for a log that was found broken.
        """
        found = self.frame(location)
        start = location + 1 if found is None else found.next_location
        for segment in range(start >> OFFSET_BITS, self._segment + 1):
            begin = start & OFFSET_MASK if segment == start >> OFFSET_BITS else 0
            size = os.fstat(self._file(segment)).st_size
            data = os.pread(self._file(segment), max(size - begin, 0), begin)
            if any(self.entry(segment << OFFSET_BITS | begin + offset) for offset in _header_offsets(data)):
                return True
        return False

    def truncate(self, location: int) -> None:
        """Forget everything from a location on, durably."""
        segment = location >> OFFSET_BITS
        removed = range(self._segment, segment, -1)
        for later in removed:
            if later in self._files:
                os.close(self._files.pop(later))
            self._path(later).unlink(missing_ok=True)
            self._dirty.discard(later)
        if removed:
            sync_folder(self._folder)
        self._segment, self._offset = segment, location & OFFSET_MASK
        os.ftruncate(self._file(segment), self._offset)
        os.fsync(self._file(segment))

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _write(self, data: bytes) -> None:
        file = self._file(self._segment)
        try:
            _write_all(file, data, self._offset)
        except OSError:
            os.ftruncate(file, self._offset)
            raise
        self._offset += len(data)
        self._dirty.add(self._segment)

    def _start_segment(self) -> None:
        self.sync()
        self._file(self._segment + 1, os.O_CREAT)  # may be there, empty, from an attempt that failed half-way
        sync_folder(self._folder)
        self._segment += 1
        self._offset = 0

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


def segment_numbers(folder: Path) -> list[int]:
    """The log's files in a folder, in order; an operator's copy beside them (000001.bak) is none of them."""
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdecimal())


def make_folder(folder: Path) -> None:
    """With its parents, durably: a file in it is only as durable as they are."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """A file made or removed in a folder is durably so only after this."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _header_offsets(data: bytes) -> Iterator[int]:
    """Where a header with a true checksum begins. A tag's first two bytes are zeros for ages to come."""
    tag = data.find(b"\x00\x00", TAG_OFFSET)
    while tag >= 0:
        begin = tag - TAG_OFFSET
        header = data[begin : begin + HEADER.size]
        if len(header) == HEADER.size and zlib.crc32(header[:-4]) == CRC.unpack(header[-4:])[0]:
            yield begin
        tag = data.find(b"\x00\x00", tag + 1)


def _write_all(file: int, data: bytes, offset: int) -> None:
    view, written = memoryview(data), 0
    while written < len(data):
        written += os.pwrite(file, view[written:], offset + written)


if sys.platform == "darwin":
    import fcntl

    def _sync_data(file: int) -> None:
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # fsync there leaves the data in the drive's own cache
else:
    _sync_data = os.fdatasync
