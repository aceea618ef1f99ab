"""The tables of the state database, row for row, against what the blocks and the private log give."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import IO

from healthchain.ledger import fsck_rows
from healthchain.ledger.fsck_chain import Rebuilt
from healthchain.ledger.fsck_log import Findings
from healthchain.ledger.fsck_private import PrivateLog
from healthchain.ledger.fsck_rows import END, FRAME, LOST, ROW, TABLE
from healthchain.ledger.recovery import MARKER
from healthchain.ledger.state import HASHED, TABLES, U64

_LENGTH = U64.size


class _Unreadable(Exception):
    """The process that reads the tables died, or told more than there can be."""


def compare_tables(folder: Path, rebuilt: Rebuilt, private: PrivateLog, findings: Findings) -> bytes:
    """Adds what is missing, surplus or different, in numbers; returns a hash of the stored state, or b"" without one.

    The hash leaves out locations and whatever else may differ between peers that agree.
    """
    if not (folder / "state" / "data.mdb").exists():
        findings.add("tables", "are missing: start the peer once, it builds them again from its blocks")
        return b""
    found = Findings()
    comparison = _Comparison(_expected(rebuilt, private))
    try:
        for kind, table, key, value in _rows(folder / "state", comparison.rows_max):
            comparison.take(kind, table, key, value)
    except _Unreadable as error:
        findings.add("tables", f"cannot be read ({error}): remove the folder `state`, the peer builds them again")
        return b""
    comparison.finish(found)
    if comparison.height != len(rebuilt.blocks) and (folder / MARKER).exists():
        findings.add("tables", f"are at height {comparison.height}, the blocks at {len(rebuilt.blocks)}")
        return b""
    for one in found.found:
        findings.add(one.where, one.what)
    return comparison.digest.digest()


def _expected(rebuilt: Rebuilt, private: PrivateLog) -> dict[bytes, dict[bytes, bytes]]:
    meta = {b"height": U64.pack(len(rebuilt.blocks)), b"commit_hash": rebuilt.commit_hashes[-1]}
    tables: tuple[dict[bytes, bytes], ...] = (
        rebuilt.state,
        private.hashed,
        private.orphans,
        rebuilt.metadata,
        rebuilt.hashed_metadata,
        dict.fromkeys(rebuilt.history, b""),
        rebuilt.transactions,
        {U64.pack(number): row for number, row in enumerate(rebuilt.blocks)},
        rebuilt.block_hashes,
        meta,
    )
    return dict(zip(TABLES, tables, strict=True))


class _Comparison:
    """Takes rows as they come and crosses them off."""

    def __init__(self, expected: Mapping[bytes, dict[bytes, bytes]]) -> None:
        self._expected = expected
        self._left = {name: set(rows) for name, rows in expected.items()}
        self._absent = set(expected)
        self._counts: Counter[tuple[bytes, str]] = Counter()
        self.rows_max = 1000 + 2 * sum(len(rows) for rows in expected.values())
        self.height = 0
        self.digest = sha256()

    def take(self, kind: bytes, table: bytes, key: bytes, value: bytes) -> None:
        if kind == TABLE:
            self._absent.discard(table)
            if table not in self._expected:
                self._counts[b"", "are in the database and belong to no peer"] += 1
        elif kind == LOST:
            self._counts[table, "are not found by their key"] += 1
        elif table in self._expected:
            self._row(table, key, value)

    def _row(self, table: bytes, key: bytes, value: bytes) -> None:
        if table == b"state":
            self._add_to_digest(key, value)
            value = value[:_LENGTH] + sha256(value[_LENGTH:]).digest()
        elif table == b"hashed":
            self._add_to_digest(key, value[: HASHED.size - _LENGTH])
        elif table in (b"metadata", b"hashed_metadata"):
            self._add_to_digest(key, value)
        elif table == b"meta" and key == b"height" and len(value) == _LENGTH:
            self.height = U64.unpack(value)[0]
        left = self._left[table]
        if key not in left:
            self._counts[table, "are surplus"] += 1
            return
        left.remove(key)
        if self._expected[table][key] != value:
            self._counts[table, "are not what the blocks give"] += 1

    def _add_to_digest(self, key: bytes, value: bytes) -> None:
        self.digest.update(U64.pack(len(key)) + key + U64.pack(len(value)) + value)

    def finish(self, findings: Findings) -> None:
        if self._absent:
            names = ", ".join(sorted(one.decode() for one in self._absent))
            findings.add(
                "tables",
                f"lack {names}, as those that an earlier version made: start the peer once, or remove the folder"
                " `state`; it builds them again from its blocks",
            )
        for table, left in self._left.items():
            if left and table not in self._absent:
                self._counts[table, "are missing"] = len(left)
        for (table, what), count in sorted(self._counts.items()):
            where = f"table {table.decode()}" if table else "tables"
            findings.add(where, f"{count} {'rows' if table else 'tables'} {what}")


def _rows(folder: Path, rows_max: int) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """(kind, table, key, value) from a process of its own. Raises _Unreadable."""
    command = [sys.executable, "-I", fsck_rows.__file__, str(folder)]
    with subprocess.Popen(  # noqa: S603 (our own file, and a folder as its argument)
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        try:
            yield from _frames(child.stdout, rows_max)
        except _Unreadable as error:
            child.kill()
            raise _Unreadable(f"{error}, exit status {child.wait()}") from None


def _frames(stream: IO[bytes], rows_max: int) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    table = b""
    for _ in range(rows_max):
        kind, key_length, value_length = FRAME.unpack(_exactly(stream, FRAME.size))
        key, value = _exactly(stream, key_length), _exactly(stream, value_length)
        if kind == END:
            return
        if kind == TABLE:
            table = key
        if kind not in (TABLE, ROW, LOST):
            raise _Unreadable("what was read makes no sense")
        yield kind, table, key, value
    raise _Unreadable("there are far more rows than there can be")


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise _Unreadable("the process that reads them ended early")
    return data
