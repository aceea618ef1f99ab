"""The log: what is cut or altered at any byte is found out, and a failed write leaves it as it was."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from healthchain.ledger import segments
from healthchain.ledger.segments import (
    CRC,
    HEADER,
    OFFSET_BITS,
    LogCorrupted,
    SegmentedLog,
    make_folder,
    segment_numbers,
)

ENTRIES = [(1, 2**64 - 1, b"first"), (2, 0, b""), (3, 7, b"third body"), (2**44, 1, bytes(9))]


def written(folder: Path, segment_bytes_max: int = 64 * 1024) -> tuple[SegmentedLog, list[int]]:
    log = SegmentedLog(folder, segment_bytes_max=segment_bytes_max)
    locations = [log.append([one])[0] for one in ENTRIES]
    log.sync()
    return log, locations


def contents(log: SegmentedLog) -> list[tuple[int, int, bytes | None]]:
    return [(one.tag, one.extra, one.body) for one in log.scan()]


def test_entries_come_back(tmp_path: Path) -> None:
    log, locations = written(tmp_path)
    assert contents(log) == ENTRIES
    assert [log.read(location) for location in locations] == [body for _, _, body in ENTRIES]
    log.close()
    again = SegmentedLog(tmp_path)
    assert contents(again) == ENTRIES
    assert [one.location for one in again.scan(locations[2])] == locations[2:]
    again.close()


def test_a_batch_is_one_write(tmp_path: Path) -> None:
    log = SegmentedLog(tmp_path)
    locations = log.append(ENTRIES)
    assert [log.read(location) for location in locations] == [body for _, _, body in ENTRIES]
    assert log.append([]) == []
    log.close()


@pytest.mark.parametrize("limit", [1, 40, 90])
def test_segments_roll_over(tmp_path: Path, limit: int) -> None:
    log, locations = written(tmp_path, limit)
    assert len({location >> OFFSET_BITS for location in locations}) > 1
    assert contents(log) == ENTRIES
    for location in locations:
        assert contents(log)[locations.index(location) :] == [(e.tag, e.extra, e.body) for e in log.scan(location)]
    log.close()
    assert contents(SegmentedLog(tmp_path, read_only=True)) == ENTRIES


def test_truncate_removes_later_segments_and_the_log_goes_on(tmp_path: Path) -> None:
    log, locations = written(tmp_path, 40)
    log.append([(9, 9, b"not synced")])
    log.truncate(locations[1])
    log.sync()
    assert log.end == locations[1]
    assert contents(log) == ENTRIES[:1]
    assert segment_numbers(tmp_path) == [0]
    log.append([ENTRIES[1]])
    log.sync()
    log.close()
    assert contents(SegmentedLog(tmp_path)) == ENTRIES[:2]


def test_torn_tail_at_every_byte(tmp_path: Path) -> None:
    log, locations = written(tmp_path)
    log.close()
    whole = (tmp_path / "000000").read_bytes()
    ends = [*locations[1:], len(whole)]
    for size in range(len(whole)):
        (tmp_path / "000000").write_bytes(whole[:size])
        log = SegmentedLog(tmp_path)
        complete = sum(end <= size for end in ends)
        assert contents(log) == ENTRIES[:complete], size
        cut = ends[complete - 1] if complete else 0
        assert not log.whole_entry_after(cut), size
        log.truncate(cut)
        assert log.append([(5, 5, b"next")]) == [cut]
        assert contents(log) == [*ENTRIES[:complete], (5, 5, b"next")]
        log.close()


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_altered_byte_at_every_position(tmp_path: Path, mask: int) -> None:
    """Scanning stops before the altered entry; what follows shows that it is no torn tail."""
    log, locations = written(tmp_path)
    log.close()
    whole = (tmp_path / "000000").read_bytes()
    for position in range(len(whole)):
        altered = bytearray(whole)
        altered[position] ^= mask
        (tmp_path / "000000").write_bytes(altered)
        log = SegmentedLog(tmp_path)
        index = sum(location <= position for location in locations) - 1
        assert contents(log) == ENTRIES[:index], position
        assert log.whole_entry_after(locations[index]) == (index + 1 < len(locations)), position
        assert log.entry(locations[index]) is None
        with pytest.raises(LogCorrupted):
            log.read(locations[index])
        stepped = [one.location for one in log.scan(damaged=True)]
        in_header = position - locations[index] < HEADER.size
        assert stepped == (locations[:index] if in_header else locations), position
        log.close()


def test_a_tail_of_zeros_is_torn(tmp_path: Path) -> None:
    """A file may grow before its bytes arrive."""
    log, _ = written(tmp_path)
    end = log.end
    log.close()
    with (tmp_path / "000000").open("ab") as file:
        file.write(bytes(5000))
    log = SegmentedLog(tmp_path)
    assert contents(log) == ENTRIES
    assert not log.whole_entry_after(end)
    log.close()


def test_damage_in_an_earlier_segment_is_no_torn_tail(tmp_path: Path) -> None:
    log, locations = written(tmp_path, 1)
    log.close()
    (tmp_path / "000000").write_bytes((tmp_path / "000000").read_bytes()[:-1])
    log = SegmentedLog(tmp_path)
    assert contents(log) == []
    assert log.whole_entry_after(locations[0])
    log.close()


@pytest.mark.parametrize("index", [0, 2, 3])
def test_erased_is_told_from_damaged(tmp_path: Path, index: int) -> None:
    log, locations = written(tmp_path)
    log.erase(locations[index])
    log.sync()
    log.erase(locations[index])
    entry = log.entry(locations[index])
    assert entry is not None
    assert (entry.tag, entry.extra, entry.body) == (*ENTRIES[index][:2], None)
    erased = [(*one[:2], None) if one is ENTRIES[index] else one for one in ENTRIES]
    assert contents(log) == erased
    with pytest.raises(LogCorrupted):
        log.read(locations[index])
    log.close()
    stored = (tmp_path / "000000").read_bytes()
    begin = locations[index] + HEADER.size
    assert not any(stored[begin : begin + len(ENTRIES[index][2]) + CRC.size])


def test_half_erased_is_damaged_until_it_is_erased_again(tmp_path: Path) -> None:
    log, locations = written(tmp_path)
    log.close()
    with (tmp_path / "000000").open("r+b") as file:
        file.seek(locations[2] + HEADER.size)
        file.write(bytes(4))
    log = SegmentedLog(tmp_path)
    assert log.entry(locations[2]) is None
    frame = log.frame(locations[2])
    assert frame is not None
    assert frame.damaged
    log.erase(locations[2])
    assert [body for _, _, body in contents(log)] == [b"first", b"", None, bytes(9)]
    log.close()


def test_nothing_is_erased_where_a_header_is_not_whole(tmp_path: Path) -> None:
    log, locations = written(tmp_path)
    before = (tmp_path / "000000").read_bytes()
    for location in (locations[1] + 1, log.end):
        with pytest.raises(LogCorrupted):
            log.erase(location)
    assert (tmp_path / "000000").read_bytes() == before
    log.close()


def test_a_missing_file_is_corruption(tmp_path: Path) -> None:
    log, _ = written(tmp_path, 1)
    log.close()
    (tmp_path / "000001").unlink()
    log = SegmentedLog(tmp_path)
    with pytest.raises(LogCorrupted, match="000001"):
        contents(log)
    log.close()


def test_other_files_in_the_folder_are_let_alone(tmp_path: Path) -> None:
    log, _ = written(tmp_path)
    log.close()
    (tmp_path / "000000.bak").write_bytes(b"an operator's copy")
    (tmp_path / "0 notes").write_bytes(b"")
    log = SegmentedLog(tmp_path)
    assert contents(log) == ENTRIES
    log.close()


def full_disk(room: int) -> Callable[[int, bytes, int], int]:
    """`os.pwrite` on a disk with so many bytes left: the last write is cut short, the next fails."""
    real, left = os.pwrite, [room]

    def pwrite(file: int, data: bytes, offset: int) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        size = real(file, data[: left[0]], offset)
        left[0] -= size
        return size

    return pwrite


@pytest.mark.parametrize("room", [0, 1, 23, 24, 25, 40, 60])
def test_full_disk_leaves_the_log_as_it_was(tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = written(tmp_path)
    before, end = (tmp_path / "000000").read_bytes(), log.end
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full_disk(room))
        with pytest.raises(OSError, match="space"):
            log.append([(4, 4, b"x" * 50), (5, 5, b"y" * 50)])
    assert (tmp_path / "000000").read_bytes() == before
    assert log.end == end
    log.append([(4, 4, b"now there is room")])
    assert contents(log) == [*ENTRIES, (4, 4, b"now there is room")]
    log.close()


def test_no_new_segment_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, _ = written(tmp_path, 1)
    end, real = log.end, os.open

    def refuse(path: os.PathLike[str], flags: int, *rest: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, flags, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        for _ in range(2):
            with pytest.raises(OSError, match="space"):
                log.append([(4, 4, b"x")])
    assert log.end == end
    log.append([(4, 4, b"now there is room")])
    assert contents(log)[-1] == (4, 4, b"now there is room")
    log.close()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: real(file, data[:3], offset))
    log, locations = written(tmp_path)
    log.erase(locations[2])
    assert [one.body for one in log.scan()] == [b"first", b"", None, bytes(9)]
    log.close()


def test_a_failed_sync_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = SegmentedLog(tmp_path)
    log.append(ENTRIES)
    synced: list[int] = []

    def fail(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(segments, "_sync_data", fail)
        with pytest.raises(OSError, match="error"):
            log.sync()
    monkeypatch.setattr(segments, "_sync_data", synced.append)
    log.sync()
    log.sync()
    assert len(synced) == 1
    log.close()


def test_new_folders_are_made_with_their_parents(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    make_folder(tmp_path / "a" / "b")
    assert SegmentedLog(tmp_path / "none", read_only=True).end == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.fuzz
def test_any_file_can_be_opened(tmp_path: Path) -> None:
    """Whatever a file holds: entries or an end, and no other exception than the typed one."""
    chance = random.Random(7)  # noqa: S311
    log, _ = written(tmp_path)
    log.close()
    whole = (tmp_path / "000000").read_bytes()
    for _ in range(20_000):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            begin = chance.randrange(len(damaged) + 1)
            damaged[begin : begin + chance.randint(0, 8)] = chance.randbytes(chance.randint(0, 8))
        (tmp_path / "000000").write_bytes(damaged)
        log = SegmentedLog(tmp_path)
        found = list(log.scan())
        assert all(one.body is None or (one.tag, one.extra, one.body) in ENTRIES for one in found)
        log.whole_entry_after(found[-1].next_location if found else 0)
        list(log.scan(damaged=True))
        log.close()
