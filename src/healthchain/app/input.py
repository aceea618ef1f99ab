"""Files that a user names: FHIR bundles as JSON, plain or gzip."""

from __future__ import annotations

import zlib
from pathlib import Path

from healthchain.errors import BadInput
from healthchain.records.bundle import BYTES_MAX

GZIP = b"\x1f\x8b"


def read_file(path: Path) -> bytes:
    """Raises BadInput; the file's name is the user's own and may be shown to that user only."""
    try:
        with path.open("rb") as stream:
            content = stream.read(BYTES_MAX + 1)
    except OSError as error:
        raise BadInput(f"a file cannot be read: {error.strerror}") from None
    return _unpacked(content) if content.startswith(GZIP) else content


def _unpacked(content: bytes) -> bytes:
    """At most one byte more than a bundle may have: enough to be refused, and no bomb."""
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        unpacked = unpacker.decompress(content, BYTES_MAX + 1)
    except zlib.error:
        raise BadInput("a file is not whole gzip: fetch it again") from None
    if len(unpacked) <= BYTES_MAX and not unpacker.eof:
        raise BadInput("a gzip file is cut short: fetch it again")
    return unpacked
