"""One folder of LevelDB: what it has, what its files hold besides, and making its next start throw that away."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from healthchain.errors import BadInput, HealthChainError
from healthchain.fabric.leveldb import journal
from healthchain.fabric.leveldb.entries import Entry, deletions, in_journal, in_table
from healthchain.fabric.leveldb.manifest import Manifest, read_manifest, write_manifest
from healthchain.identity.folders import write_private
from healthchain.ledger.segments import sync_folder

TABLE, JOURNAL, LOCK = ".ldb", ".log", "LOCK"
FIRST_KEY, LAST_KEY = b"\0", b"\xff" * 8  # no peer's: theirs begin with a channel's name
SEQUENCE_MAX = (1 << 56) - 1  # goleveldb ends at a higher one (key.go, makeInternalKey)
MERGED_FROM = 4  # tables at level 0: from so many on goleveldb merges them (opt.DefaultCompactionL0Trigger)


class Changing(HealthChainError):
    """A database that is open wrote or merged files while they were read."""


def entries(folder: Path) -> Iterator[tuple[Entry, bool]]:
    """Every version of every key in every file, and whether it is what the database answers with.

    The database may be open. Raises BadInput for a damaged folder, and at any time Changing: then begin again.
    """
    try:
        manifest = read_manifest(folder)
        sizes = {file: file.stat().st_size for file in files(folder)}  # what is appended later is not looked at
        newest: dict[bytes, int] = {}
        for file, size in sizes.items():
            if _counts(file, manifest):
                for one in _entries(file, size):
                    newest[one.key] = max(one.sequence, newest.get(one.key, 0))
        for file, size in sizes.items():
            counts = _counts(file, manifest)
            for one in _readable(file, size, counts=counts):
                yield one, counts and one.value is not None and newest[one.key] == one.sequence
        if read_manifest(folder) != manifest:
            raise FileNotFoundError
    except FileNotFoundError:
        raise Changing(f"a peer's files ({folder.name}) change while they are read: try again") from None


def files(folder: Path) -> list[Path]:
    """Tables and journals, whether or not they count any more."""
    return sorted(path for path in folder.iterdir() if path.suffix in (TABLE, JOURNAL) and path.stem.isdecimal())


def merge_at_next_start(folder: Path) -> None:
    """Nothing is lost: all tables are put to level 0, and four more that overlap everything come from new journals.

    A level 0 of so many tables goleveldb merges as soon as it is opened, all of what overlaps in one step, and in the
    last level there is no reason to keep a deleted or replaced version. An empty journal comes first: what goleveldb
    makes of the first one is counted twice, and its table is not removed before the start after next (session_util.go,
    newManifest). Raises BadInput if the folder is damaged, or a peer that runs has it.
    """
    with _alone(folder):
        manifest = read_manifest(folder)
        old = _journals(folder, manifest.journal)
        last = max((one.sequence for file in old for one in _entries(file)), default=0)
        sequence = max(manifest.sequence, last) + 1
        if sequence > SEQUENCE_MAX - 2 * MERGED_FROM:  # no database has written so much: these bytes are damaged
            raise BadInput(f"the journal of a peer's {folder.name} is damaged: start and stop the peer, which mends it")
        empty = max(manifest.next_file, *(int(path.stem) + 1 for path in files(folder)), 1)
        for file in reversed(range(len(old))):  # from the last, so that their order is right at any moment
            old[file].rename(_journal(folder, empty + 1 + file))
        first = empty + 1 + len(old)
        for file in range(first, first + MERGED_FROM):
            write_private(_journal(folder, file), journal.written([deletions(sequence, [FIRST_KEY, LAST_KEY])]))
            sequence += 2
        write_private(_journal(folder, empty), b"")
        sync_folder(folder)  # a manifest that outlasts a power failure without the new names would leave journals out
        tables = {file: replace(one, level=0) for file, one in manifest.tables.items()}
        after = first + MERGED_FROM
        write_manifest(folder, replace(manifest, journal=empty, next_file=after + 1, tables=tables), after)
        sync_folder(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """With the lock that goleveldb takes too."""
    with (folder / LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput("the peer of this folder runs: stop it first") from None
        yield


def _journals(folder: Path, first: int) -> list[Path]:
    """Those that count, in order."""
    counting = [path for path in files(folder) if path.suffix == JOURNAL and int(path.stem) >= first]
    return sorted(counting, key=lambda path: int(path.stem))


def _journal(folder: Path, file: int) -> Path:
    return folder / f"{file:06}{JOURNAL}"


def _readable(file: Path, size: int, *, counts: bool) -> Iterator[Entry]:
    """One that does not count may be in the making, and then has nothing that others have not."""
    try:
        yield from _entries(file, size)
    except BadInput:
        if counts:
            raise


def _entries(file: Path, size: int = -1) -> Iterator[Entry]:
    with file.open("rb") as stream:
        content = stream.read(size)
    return (in_table if file.suffix == TABLE else in_journal)(content)


def _counts(file: Path, manifest: Manifest) -> bool:
    number = int(file.stem)
    return number >= manifest.journal if file.suffix == JOURNAL else number in manifest.tables
