"""The framing of a log's files, read without `segments.SegmentedLog`: whatever a file holds, frames and findings."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from healthchain.ledger.segments import CRC, HEADER, HEADER_FIELDS, OFFSET_BITS

FINDINGS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """`where` is a block, log or table; `what` is for an operator."""

    where: str
    what: str


@dataclass(slots=True)
class Findings:
    """In the order found; a folder with everything wrong does not fill the memory."""

    found: list[Finding] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        if len(self.found) < FINDINGS_MAX:
            self.found.append(Finding(where, what))
        elif len(self.found) == FINDINGS_MAX:
            self.found.append(Finding("fsck", f"more than {FINDINGS_MAX} findings: the rest is left out"))


class Frame(NamedTuple):
    """`body` is None where it was erased, or where it is `damaged`, which is a finding already."""

    location: int
    tag: int
    extra: int
    body: bytes | None
    end: int
    damaged: bool = False


def read_log(folder: Path, name: str, findings: Findings) -> Iterator[Frame]:
    """Every readable frame of every file, in order."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        findings.add(name, "cannot be read: its folder is missing or closed to this user")
        return
    files = {int(path.name): path for path in paths if path.name.isdecimal() and len(path.name) >= 6}
    if len(files) < len(paths):
        findings.add(name, f"{len(paths) - len(files)} files in its folder are no part of it")
    if sorted(files) != list(range(len(files))) or not files:
        findings.add(name, f"files are missing: there are {len(files)}, up to number {max(files, default=-1):06}")
    for number in sorted(files):
        where = f"{name}, file {number:06}"
        try:
            content = files[number].read_bytes()
        except OSError as error:
            findings.add(where, f"cannot be read: {error.strerror}")
            continue
        yield from read_file(content, number << OFFSET_BITS, where, findings)


def read_file(content: bytes, base: int, where: str, findings: Findings) -> Iterator[Frame]:
    """`base` is the location of the file's first byte."""
    offset = 0
    while offset < len(content):
        body_start = offset + HEADER.size
        header = content[offset:body_start]
        if len(header) < HEADER.size or zlib.crc32(header[: HEADER_FIELDS.size]) != HEADER.unpack(header)[3]:
            findings.add(where, f"{len(content) - offset} bytes from byte {offset} on are no entry")
            return
        length, tag, extra, _ = HEADER.unpack(header)
        end = body_start + length + CRC.size
        if end > len(content):
            findings.add(where, f"the entry at byte {offset} is cut off: {end - len(content)} bytes are missing")
            return
        body, checksum = content[body_start : end - CRC.size], content[end - CRC.size : end]
        if zlib.crc32(body) == CRC.unpack(checksum)[0]:
            yield Frame(base | offset, tag, extra, body, base | end)
        else:
            damaged = any(body) or any(checksum)
            if damaged:
                findings.add(where, f"the entry at byte {offset} is damaged")
            yield Frame(base | offset, tag, extra, None, base | end, damaged)
        offset = end
