"""One folder of LevelDB: what it has, what its files hold besides, and making its next start throw that away."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from healthchain.errors import BadInput
from healthchain.fabric.leveldb import journal
from healthchain.fabric.leveldb.entries import Entry, deletions, in_journal, in_table
from healthchain.fabric.leveldb.manifest import Manifest, read_manifest, write_manifest
from healthchain.identity.folders import write_private

TABLE, JOURNAL, LOCK = ".ldb", ".log", "LOCK"
FIRST_KEY, LAST_KEY = b"\0", b"\xff" * 8  # no peer's: theirs begin with a channel's name
MERGED_FROM = 4  # tables at level 0: from so many on goleveldb merges them (opt.DefaultCompactionL0Trigger)


def entries(folder: Path) -> Iterator[tuple[Entry, bool]]:
    """Every version of every key in every file, and whether it is what the database answers with.

    May be read while the database is open; a file that went away meanwhile raises FileNotFoundError: begin again.
    """
    manifest = read_manifest(folder)
    contents = {file: list(_entries(file)) for file in files(folder)}
    newest: dict[bytes, int] = {}
    for file, found in contents.items():
        if _counts(file, manifest):
            for one in found:
                newest[one.key] = max(one.sequence, newest.get(one.key, 0))
    for file, found in contents.items():
        counts = _counts(file, manifest)
        for one in found:
            yield one, counts and one.value is not None and newest[one.key] == one.sequence


def files(folder: Path) -> list[Path]:
    """Tables and journals, whether or not they count any more."""
    return sorted(path for path in folder.iterdir() if path.suffix in (TABLE, JOURNAL))


def merge_at_next_start(folder: Path) -> None:
    """Nothing is lost: all tables are put to level 0, and four more that overlap everything come from new journals.

    A level 0 of so many tables goleveldb merges as soon as it is opened, all of what overlaps in one step, and in the
    last level there is no reason to keep a deleted or replaced version. Raises BadInput if the folder is damaged, or
    a peer that runs has it.
    """
    with _alone(folder):
        manifest = read_manifest(folder)
        free = max(manifest.next_file, *(int(path.stem) + 1 for path in files(folder)), 1)
        sequence = max(manifest.sequence, _last_sequence(folder, manifest.journal)) + 1
        for file in range(free, free + MERGED_FROM):
            record = deletions(sequence, [FIRST_KEY, LAST_KEY])
            write_private(folder / f"{file:06}{JOURNAL}", journal.written([record]))
            sequence += 2
        tables = {file: replace(one, level=0) for file, one in manifest.tables.items()}
        merged = replace(manifest, tables=tables, next_file=free + MERGED_FROM + 1)
        write_manifest(folder, merged, free + MERGED_FROM)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """With the lock that goleveldb takes too."""
    with (folder / LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput("the peer of this folder runs: stop it first") from None
        yield


def _last_sequence(folder: Path, first: int) -> int:
    journals = [path for path in files(folder) if path.suffix == JOURNAL and int(path.stem) >= first]
    return max((one.sequence for path in journals for one in in_journal(path.read_bytes())), default=0)


def _entries(file: Path) -> Iterator[Entry]:
    return (in_table if file.suffix == TABLE else in_journal)(file.read_bytes())


def _counts(file: Path, manifest: Manifest) -> bool:
    number = int(file.stem)
    return number >= manifest.journal if file.suffix == JOURNAL else number in manifest.tables
