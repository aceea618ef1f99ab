"""The manifest that CURRENT names: which tables count, at which level, and from which journal on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from healthchain.errors import BadInput
from healthchain.fabric.leveldb import journal
from healthchain.fabric.leveldb.numbers import encoded, encoded_string, number, string
from healthchain.identity.folders import write_private
from healthchain.ledger.segments import sync_folder

CURRENT = "CURRENT"
_NAME = re.compile(r"MANIFEST-\d+")
COMPARER, JOURNAL, NEXT_FILE, SEQUENCE, COMPACTED, DELETED, ADDED, JOURNAL_BEFORE = 1, 2, 3, 4, 5, 6, 7, 9
BYTEWISE = b"leveldb.BytewiseComparator"


@dataclass(frozen=True, slots=True)
class Table:
    """`smallest` and `largest` are keys with their trailers."""

    level: int
    size: int
    smallest: bytes
    largest: bytes


@dataclass(slots=True)
class Manifest:
    """`journal` is the number of the first that counts; from `next_file` on numbers are free."""

    journal: int = 0
    next_file: int = 0
    sequence: int = 0
    tables: dict[int, Table] = field(default_factory=dict)


def read_manifest(folder: Path) -> Manifest:
    """Raises BadInput, and FileNotFoundError if there is none, or a new one by now."""
    try:
        name = (folder / CURRENT).read_text().strip()
        if not _NAME.fullmatch(name):
            raise ValueError("not the name of a manifest")
        content = (folder / name).read_bytes()
        found = Manifest()
        for record in journal.records(content, checked=True):
            _apply(found, record)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError, IndexError, ValueError):
        raise BadInput(
            f"the LevelDB folder {folder.name} of a peer is damaged: restore it, or let the peer join anew"
        ) from None
    return found


def _apply(manifest: Manifest, record: bytes) -> None:
    at = 0
    while at < len(record):
        tag, at = number(record, at)
        if tag == COMPARER:
            comparer, at = string(record, at)
            if comparer != BYTEWISE:
                raise ValueError("another order of keys")
        elif tag == COMPACTED:
            _, at = number(record, at)
            _, at = string(record, at)
        elif tag == ADDED:
            level, at = number(record, at)
            file, at = number(record, at)
            size, at = number(record, at)
            smallest, at = string(record, at)
            largest, at = string(record, at)
            manifest.tables[file] = Table(level, size, smallest, largest)
        elif tag == DELETED:
            level, at = number(record, at)
            file, at = number(record, at)
            if file in manifest.tables and manifest.tables[file].level == level:
                del manifest.tables[file]
        elif tag in (JOURNAL, NEXT_FILE, SEQUENCE, JOURNAL_BEFORE):
            value, at = number(record, at)
            if tag == JOURNAL:
                manifest.journal = value
            elif tag == NEXT_FILE:
                manifest.next_file = value
            elif tag == SEQUENCE:
                manifest.sequence = value
        else:
            raise ValueError("an unknown record")


def write_manifest(folder: Path, manifest: Manifest, file: int) -> None:
    """Of this number, which must be free, and CURRENT then names it: until that moment the one before counts."""
    numbers = ((JOURNAL, manifest.journal), (NEXT_FILE, manifest.next_file), (SEQUENCE, manifest.sequence))
    record = encoded(COMPARER) + encoded_string(BYTEWISE)
    record += b"".join(encoded(tag) + encoded(value) for tag, value in numbers)
    for table_file, one in sorted(manifest.tables.items()):
        record += encoded(ADDED) + encoded(one.level) + encoded(table_file) + encoded(one.size)
        record += encoded_string(one.smallest) + encoded_string(one.largest)
    name = f"MANIFEST-{file:06}"
    write_private(folder / name, journal.written([record]))
    sync_folder(folder)
    write_private(folder / CURRENT, f"{name}\n".encode())
