"""LevelDB's files: what goleveldb wrote is read, down to what was deleted, and what is damaged is said to be.

`goleveldb` was written by goleveldb v1.0.1-0.20220721030215-126854af5e6d (the one in Fabric) for this test: keys
"channel\\0key0000" to 39, of which every third value repeats a text 20 times and the others a SHA-256 twice; opened
again, key0007 deleted and key0008 replaced.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from healthchain.errors import BadInput
from healthchain.fabric.leveldb import database, journal, manifest
from healthchain.fabric.leveldb.entries import Entry, deletions, in_journal, in_table
from healthchain.fabric.leveldb.manifest import CURRENT, read_manifest
from healthchain.fabric.leveldb.snappy import decompressed
from healthchain.ledger.segments import sync_folder

MADE = Path(__file__).parent / "goleveldb"


def value(index: int) -> bytes:
    return f"value {index}, ".encode() * 20 if index % 3 == 0 else hashlib.sha256(str(index).encode()).digest() * 2


def key(index: int) -> bytes:
    return f"channel\0key{index:04}".encode()


FIRST = {key(index): value(index) for index in range(40)}
NOW = {name: one for name, one in FIRST.items() if name != key(7)} | {key(8): b"replaced"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(MADE, tmp_path / "database")


def live(folder: Path) -> dict[bytes, bytes | None]:
    return {one.key: one.value for one, is_live in database.entries(folder) if is_live}


def test_the_table_and_the_journal_that_goleveldb_wrote() -> None:
    assert {one.key: one.value for one in in_table((MADE / "000002.ldb").read_bytes())} == FIRST
    assert list(in_journal((MADE / "000003.log").read_bytes())) == [
        Entry(key(7), 42, None),
        Entry(key(8), 43, b"replaced"),
    ]


def test_what_was_deleted_or_replaced_is_seen_and_not_live(folder: Path) -> None:
    assert live(folder) == NOW
    dead = [one for one, is_live in database.entries(folder) if not is_live and one.value is not None]
    assert {one.key: one.value for one in dead} == {key(7): value(7), key(8): value(8)}


def test_a_table_that_counts_no_more_has_nothing_live(folder: Path) -> None:
    (folder / "000002.ldb").rename(folder / "000099.ldb")
    assert live(folder) == {key(8): b"replaced"}


def require_order(folder: Path) -> None:
    """goleveldb drops a batch whose sequence number is not higher than those before it."""
    first = read_manifest(folder).journal
    counting = sorted(int(path.stem) for path in folder.glob("*.log") if int(path.stem) >= first)
    journals = [(folder / f"{one:06}.log").read_bytes() for one in counting]
    sequences = [one.sequence for content in journals for one in in_journal(content)]
    assert sequences == sorted(set(sequences))


def test_merging_at_the_next_start_loses_nothing_and_can_be_asked_for_twice(folder: Path) -> None:
    before = read_manifest(folder)
    assert before.tables[2].level == 0
    for _ in range(2):
        database.merge_at_next_start(folder)
        assert live(folder) == NOW
    after = read_manifest(folder)
    assert [one.level for one in after.tables.values()] == [0]
    journals = [path for path in database.files(folder) if path.suffix == ".log"]
    assert len(journals) == 1 + 2 * (1 + database.MERGED_FROM)
    require_order(folder)
    assert not (folder / f"{after.journal:06}.log").read_bytes(), "goleveldb would keep the first one's table"
    assert after.next_file > max(int(path.stem) for path in database.files(folder))


def test_a_folder_that_is_open_elsewhere_is_left_alone(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    with (folder / "LOCK").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BadInput, match="stop it first"):
            database.merge_at_next_start(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "LOCK"])


def test_records_of_any_size_survive_a_journal() -> None:
    chance = random.Random(5)  # noqa: S311
    sizes = [0, 1, journal.BLOCK - 7, journal.BLOCK - 14, journal.BLOCK - 13, 3 * journal.BLOCK]
    wanted = [chance.randbytes(size) for size in [*sizes, *(chance.randrange(9000) for _ in range(20))]]
    assert list(journal.records(journal.written(wanted), checked=True)) == wanted


def test_a_journal_is_written_as_goleveldb_does() -> None:
    for name in ("000003.log", "MANIFEST-000004"):
        content = (MADE / name).read_bytes()
        assert journal.written(journal.records(content, checked=True)) == content


def test_snappy_with_every_kind_of_element() -> None:
    # By hand after snappy's format_description.txt: length 20, literal "abcd", a copy of 8 from 4 back (1-byte offset),
    # a copy of 4 from 12 back (2-byte offset), a copy of 4 from 1 back (4-byte offset).
    compressed = b"\x14" + b"\x0cabcd" + b"\x11\x04" + b"\x0e\x0c\x00" + b"\x0f\x01\x00\x00\x00"
    assert decompressed(compressed) == b"abcd" * 4 + b"dddd"
    literal = bytes(range(256)) * 2  # a literal whose length takes two bytes
    assert decompressed(b"\x80\x04" + b"\xf4\xff\x01" + literal) == literal


@pytest.mark.parametrize("name", [CURRENT, "MANIFEST-000004"])
def test_a_damaged_folder_is_said_to_be(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        live(folder)


def test_no_damage_to_a_table_is_another_error() -> None:
    content, chance = (MADE / "000002.ldb").read_bytes(), random.Random(7)  # noqa: S311
    for _ in range(300):
        damaged = bytearray(content[: chance.choice([len(content), chance.randrange(len(content))])])
        for _ in range(chance.randrange(4)):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with contextlib.suppress(BadInput):
            assert sum(1 for _ in in_table(bytes(damaged))) <= 10_000


def test_no_damage_to_a_journal_is_another_error() -> None:
    content, chance = (MADE / "000003.log").read_bytes(), random.Random(7)  # noqa: S311
    for _ in range(300):
        damaged = bytearray(content)
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with contextlib.suppress(BadInput):
            assert sum(1 for _ in in_journal(bytes(damaged))) <= 10_000


def test_no_damaged_number_goes_into_what_goleveldb_reads(folder: Path) -> None:
    """It ends at a number that is too high: the peer would never start again."""
    content = bytearray((folder / "000003.log").read_bytes())
    content[journal.HEADER.size + 7] = 1  # the highest byte of the first batch's
    (folder / "000003.log").write_bytes(content)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BadInput, match=r"journal .* is damaged"):
        database.merge_at_next_start(folder)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.name != database.LOCK} == before


def test_other_files_are_none_of_the_database_s(folder: Path) -> None:
    (folder / "old.log").write_bytes(b"")
    assert live(folder) == NOW


def test_the_journals_new_names_are_durable_before_the_manifest_needs_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noted(kind: str, act: Callable[..., object]) -> Callable[..., object]:
        def acting(*arguments: object) -> object:
            done.append(kind)
            return act(*arguments)

        return acting

    monkeypatch.setattr(Path, "rename", noted("rename", Path.rename))
    monkeypatch.setattr(Path, "replace", noted("replace", Path.replace))
    for module in (database, manifest):
        monkeypatch.setattr(module, "sync_folder", noted("sync", sync_folder))
    database.merge_at_next_start(folder)
    assert done == ["rename", *["replace"] * 5, "sync", "replace", "sync", "replace", "sync"]


def test_files_that_a_peer_is_writing_are_not_taken_for_damage(folder: Path) -> None:
    table = (folder / "000002.ldb").read_bytes()
    (folder / "000077.ldb").write_bytes(table[: len(table) // 2])  # in the making
    assert live(folder) == NOW


@pytest.mark.parametrize("change", ["merged", "gone"])
def test_files_that_were_merged_while_they_were_read(folder: Path, change: str) -> None:
    reading = database.entries(folder)
    next(reading)
    if change == "merged":
        database.merge_at_next_start(folder)
    else:
        (folder / "000003.log").unlink()
    with pytest.raises(database.Changing, match="try again"):
        list(reading)


@pytest.mark.parametrize("step", range(12))
def test_asking_for_the_merge_may_end_at_any_step(folder: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    (folder / "000005.log").write_bytes(journal.written([deletions(44, [key(9)])]))  # a second journal that counts
    now = {name: one for name, one in NOW.items() if name != key(9)}
    left = step

    def ends(act: Callable[..., object]) -> Callable[..., object]:
        def acting(*arguments: object) -> object:
            nonlocal left
            if not left:
                raise InterruptedError
            left -= 1
            return act(*arguments)

        return acting

    monkeypatch.setattr(Path, "rename", ends(Path.rename))
    monkeypatch.setattr(Path, "replace", ends(Path.replace))  # of `write_private`
    with contextlib.suppress(InterruptedError):
        database.merge_at_next_start(folder)
    assert (left > 0) == (step > 9), "2 journals renamed, 5 written, manifest, CURRENT"
    assert live(folder) == now
    require_order(folder)
