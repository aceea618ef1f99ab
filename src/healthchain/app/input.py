"""Files that a user names: FHIR bundles as JSON, plain or gzip."""

from __future__ import annotations

import gzip
import io
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
    except ValueError:  # a zero byte in its name
        raise BadInput("a file cannot be read: there is none of this name") from None
    return _unpacked(content) if content.startswith(GZIP) else content


def _unpacked(content: bytes) -> bytes:
    """All members of the file (block-wise writers make several), but no bomb.

    At most one byte more than a bundle may have: enough to be refused.
    """
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(content)).read(BYTES_MAX + 1)
    except EOFError:
        raise BadInput("a gzip file is cut short: fetch it again") from None
    except (gzip.BadGzipFile, zlib.error):
        raise BadInput("a file is not whole gzip: fetch it again") from None
