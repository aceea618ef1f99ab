"""Private values and purges through failures; disks that are full or do not sync."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from healthchain.ledger import fsck
from healthchain.ledger.private import PrivateDataMissing
from healthchain.ledger.recovery import close_ledger
from healthchain.ledger.segments import HEADER, LogCorrupted, SegmentedLog

from .chain_builder import BOOT, COLLECTION, TOY, prepare_block
from .crashes import files, tables, traces
from .whole_chain import RESTARTED, SECRET, Chain, unclean


def test_an_old_private_log_is_purged_again(chain: Chain, whole: Path, tmp_path: Path) -> None:
    """Put back from before the purge, without the tables, as after a loss of the disk."""
    ledger = chain.consortium.open(tmp_path / "young")
    chain.commit(ledger, 4)
    close_ledger(ledger)
    shutil.copy(tmp_path / "young" / "private" / "000000", whole / "private" / "000000")
    assert traces(whole, SECRET) == ["000000"]
    again = chain.consortium.open(whole, BOOT)
    assert traces(whole, SECRET) == traces(whole, b"second value of p") == []
    assert again.private(TOY, COLLECTION, "r") == b"the value of r"
    with pytest.raises(PrivateDataMissing):
        again.private(TOY, COLLECTION, "s")
    one = chain.consortium.transaction(again, lambda stub: stub.put_private(COLLECTION, "t", b"the value of t"))
    assert chain.consortium.commit(again, [one]) == [0]
    found = tables(again)
    again.close()
    rebuilt = chain.consortium.open(whole, RESTARTED)
    assert tables(rebuilt) == found
    assert rebuilt.private(TOY, COLLECTION, "t") == b"the value of t"
    close_ledger(rebuilt)
    words = [one.what for one in fsck.check(whole, chain.consortium.genesis).findings]
    assert words == ["1 values of block 4 are missing, and no purge erased them"]


def purge_interrupted(chain: Chain, folder: Path, spoil: Callable[[SegmentedLog, list[int]], None]) -> None:
    """The purging block is durable; of what it erases, `spoil` does a part. Locations are newest first."""
    ledger = chain.consortium.open(folder)
    chain.commit(ledger, 4)
    commit = prepare_block(ledger, chain.blocks[4], chain.sets)
    locations = list(commit.erase)
    assert len(locations) == 2
    commit.erase = []
    commit.write()
    spoil(ledger.private_log, locations)
    ledger.close()


def zeros(log: SegmentedLog, location: int, count: int) -> None:
    file = os.open(log._path(0), os.O_RDWR)
    os.pwrite(file, bytes(count), location + HEADER.size)
    os.close(file)


@pytest.mark.parametrize("boot_id", [BOOT, RESTARTED])
@pytest.mark.parametrize("which", [[0], [1], [0, 1]])
@pytest.mark.parametrize("part", [0, 1, 5, 20, 40, 1000])
def test_a_purge_that_was_interrupted_is_completed(
    chain: Chain, tmp_path: Path, boot_id: str, which: list[int], part: int
) -> None:
    """Any of the values whole, erased, or overwritten up to some byte."""

    def spoil(log: SegmentedLog, locations: list[int]) -> None:
        for index in which:
            if part == 1000:
                log.erase(locations[index])
            else:
                zeros(log, locations[index], part)

    purge_interrupted(chain, tmp_path / "peer", spoil)
    again = chain.consortium.open(tmp_path / "peer", boot_id)
    for secret in (SECRET[-4:] + b" of p", b"value of p", b"of p"):
        assert traces(tmp_path / "peer", secret) == []
    chain.assert_complete(again)


def test_a_damaged_private_value_is_missing_and_not_hidden(chain: Chain, whole: Path) -> None:
    ledger = chain.consortium.open(whole)
    one = chain.consortium.transaction(ledger, lambda stub: stub.put_state("later", b"than the purge"))
    assert chain.consortium.commit(ledger, [one]) == [0]
    path = whole / "private" / "000000"
    content = bytearray(path.read_bytes())
    content[content.index(b"the value of r")] ^= 1
    path.write_bytes(content)
    with pytest.raises(LogCorrupted):
        ledger.private(TOY, COLLECTION, "r")
    ledger.close()
    again = chain.consortium.open(whole, RESTARTED)
    with pytest.raises(PrivateDataMissing):
        again.private(TOY, COLLECTION, "r")
    assert again.private(TOY, COLLECTION, "s") == b"the value of s", "what follows is still found"
    close_ledger(again)
    assert {one.where for one in fsck.check(whole, chain.consortium.genesis).findings} == {
        "private log, file 000000",
        "private log",
    }


def test_a_damaged_header_among_private_values_is_refused(chain: Chain, whole: Path) -> None:
    """Whatever follows it cannot be found, and must not be cut off."""
    path = whole / "private" / "000000"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    unclean(whole)
    with pytest.raises(LogCorrupted, match="private values"):
        chain.consortium.open(whole, RESTARTED)
    assert path.read_bytes() == content


def test_private_values_of_no_block_are_cut_off(chain: Chain, whole: Path) -> None:
    log = SegmentedLog(whole / "private")
    log.append([(5 << 20, 0, b"\x00\x00\x00\x00of a block that never came"), (5 << 20 | 1, 0, b"another")])
    log.close()
    with (whole / "private" / "000000").open("ab") as file:
        file.write(b"torn")
    unclean(whole)
    chain.assert_complete(chain.consortium.open(whole))


def test_a_full_disk_at_any_byte(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block is not acknowledged; once there is room the same block is written, without a trace of the attempts."""
    ledger = chain.consortium.open(tmp_path / "peer")
    chain.commit(ledger, 4)
    real = os.pwrite
    before = files(tmp_path / "peer")
    commit = prepare_block(ledger, chain.blocks[4], chain.sets)
    for room in (0, 10, 40, 60, 80, 500, 2000):
        left = [room]

        def pwrite(file: int, data: bytes, offset: int, left: list[int] = left) -> int:
            if not left[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            size = real(file, data[: left[0]], offset)
            left[0] -= size
            return size

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", pwrite)
            with pytest.raises(OSError, match="space"):
                commit.write()
        assert files(tmp_path / "peer") == before, room
    commit.write()
    ledger.apply(commit)
    chain.assert_complete(ledger)


@pytest.mark.parametrize("failing", range(3))
def test_a_sync_that_fails(chain: Chain, tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the private values, of the block, of the erasure: in each case the block counts as not written."""
    ledger = chain.consortium.open(tmp_path / "peer")
    chain.commit(ledger, 4)
    commit = prepare_block(ledger, chain.blocks[4], chain.sets)
    real, count = SegmentedLog.sync, [0]

    def sync(self: SegmentedLog) -> None:
        count[0] += 1
        if count[0] == failing + 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(self)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentedLog, "sync", sync)
        with pytest.raises(OSError, match="error"):
            commit.write()
    ledger.close()
    again = chain.consortium.open(tmp_path / "peer")
    assert again.height == 4
    chain.commit(again, 5)
    chain.assert_complete(again)
