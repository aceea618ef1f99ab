"""Opening again after whatever happened: the same state, no acknowledged block lost, no damage repaired in silence."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from fabric_protos.common import common_pb2

from healthchain.ledger import fsck
from healthchain.ledger.quorum import BlockRefused
from healthchain.ledger.recovery import MARKER, close_ledger, open_ledger
from healthchain.ledger.segments import LogCorrupted, SegmentedLog
from healthchain.ledger.state import StateStore

from .chain_builder import BOOT, Consortium
from .checked_chain import change_row, rows
from .crashes import Crash, crash_before, files, tables, traces
from .whole_chain import RESTARTED, SECRET, Chain, unclean

STEPS_OF_PURGE = [
    *("append", "sync"),  # private values
    *("append", "sync"),  # the block
    *("erase", "erase", "sync"),  # both values of p
    "apply",
]


@pytest.mark.parametrize("boot_id", [BOOT, RESTARTED, ""])
@pytest.mark.parametrize("step", range(len(STEPS_OF_PURGE) + 1))
def test_a_crash_between_any_two_steps(
    chain: Chain, tmp_path: Path, step: int, boot_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = chain.consortium.open(tmp_path / "peer")
    chain.commit(ledger, 4)
    with crash_before(step, monkeypatch) as names:
        try:
            chain.commit(ledger, 5)
        except Crash:
            assert names == STEPS_OF_PURGE[:step]
    ledger.close()
    again = chain.consortium.open(tmp_path / "peer", boot_id)
    assert again.height == (5 if step >= 3 else 4), "once the block is in its log it counts"
    assert bool(traces(tmp_path / "peer", SECRET)) == (step < 3)
    chain.commit(again, 5)
    chain.assert_complete(again)


@pytest.mark.parametrize("step", range(12))
def test_a_crash_at_the_very_start(chain: Chain, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the peer joins, makes its folders, and commits its first block."""
    with crash_before(step, monkeypatch), suppress(Crash), ExitStack() as opened:
        ledger = chain.consortium.open(tmp_path / "peer")
        opened.callback(ledger.close)
        chain.commit(ledger, 2)
    for boot_id in (BOOT, RESTARTED):
        again = chain.consortium.open(tmp_path / "peer", boot_id)
        assert again.height >= 1
        again.close()
    again = chain.consortium.open(tmp_path / "peer")
    chain.commit(again, 5)
    chain.assert_complete(again)


def last_entry(folder: Path) -> int:
    log = SegmentedLog(folder, read_only=True)
    locations = [one.location for one in log.scan()]
    log.close()
    return locations[-1]


def test_a_torn_last_block_is_cut_off_at_every_byte(chain: Chain, whole: Path) -> None:
    """After a power loss: the private values that belonged to it go as well, and all comes again."""
    blocks, private = (whole / "blocks" / "000000").read_bytes(), (whole / "private" / "000000").read_bytes()
    last = last_entry(whole / "blocks")
    for size in [*range(last, len(blocks), 127), len(blocks) - 1]:
        (whole / "blocks" / "000000").write_bytes(blocks[:size])
        (whole / "private" / "000000").write_bytes(private)
        unclean(whole)
        ledger = chain.consortium.open(whole, RESTARTED)
        assert ledger.height == 4
        chain.commit(ledger, 5)
        chain.assert_complete(ledger)


@pytest.mark.parametrize("damage", ["zeros", "noise"])
def test_a_last_block_that_never_reached_the_disk(chain: Chain, whole: Path, damage: str) -> None:
    """Its file had grown already; from any byte on there is something else."""
    blocks = (whole / "blocks" / "000000").read_bytes()
    last = last_entry(whole / "blocks")
    for size in range(last, len(blocks), 211):
        rest = len(blocks) - size
        (whole / "blocks" / "000000").write_bytes(
            blocks[:size] + (bytes(rest) if damage == "zeros" else os.urandom(rest))
        )
        unclean(whole)
        ledger = chain.consortium.open(whole, RESTARTED)
        chain.commit(ledger, 5)
        chain.assert_complete(ledger)


def test_damage_before_the_last_block_is_refused_and_nothing_is_cut(chain: Chain, whole: Path) -> None:
    path = whole / "blocks" / "000000"
    blocks = path.read_bytes()
    last = last_entry(whole / "blocks")
    for position in range(0, last, 499):
        altered = bytearray(blocks)
        altered[position] ^= 0x10
        path.write_bytes(altered)
        unclean(whole)
        with pytest.raises(LogCorrupted, match="healthchain verify"):
            chain.consortium.open(whole, RESTARTED)
        assert path.read_bytes() == altered
    path.write_bytes(blocks)
    chain.assert_complete(chain.consortium.open(whole, RESTARTED))


def test_a_block_replaced_by_another_with_a_true_checksum(chain: Chain, whole: Path) -> None:
    """Its transactions, its codes or its order: the link, the data hash or the commit hash does not hold."""

    def codes(block: common_pb2.Block) -> None:
        block.metadata.metadata[2] = b"\x0b"

    def more_codes(block: common_pb2.Block) -> None:
        block.metadata.metadata[2] = b"\x00\x00"

    def data(block: common_pb2.Block) -> None:
        block.data.data[0] = chain.blocks[3].data.data[0]

    def link(block: common_pb2.Block) -> None:
        block.header.previous_hash = bytes(32)

    def number(block: common_pb2.Block) -> None:
        block.header.number = 3

    for change in (codes, more_codes, data, link, number):
        shutil.rmtree(whole)
        shutil.copytree(chain.folder, whole)
        log = SegmentedLog(whole / "blocks")
        entries = [(one.tag, one.extra, one.body or b"") for one in log.scan()]
        block = common_pb2.Block.FromString(entries[2][2])
        change(block)
        entries[2] = (2, entries[2][1], block.SerializeToString())
        log.truncate(0)
        log.append(entries)
        log.close()
        unclean(whole)
        with pytest.raises(LogCorrupted, match="block 2"):
            chain.consortium.open(whole, RESTARTED)


def test_blocks_of_the_log_beyond_the_tables_are_replayed(chain: Chain, whole: Path, tmp_path: Path) -> None:
    """Tables from an earlier day, or none."""
    ledger = chain.consortium.open(tmp_path / "young")
    chain.commit(ledger, 3)
    close_ledger(ledger)
    for state in (tmp_path / "young" / "state", None):
        shutil.rmtree(whole / "state")
        if state:
            shutil.copytree(state, whole / "state")
        numbers: list[int] = []
        again = open_ledger(whole, chain.consortium.genesis, BOOT, numbers.append)
        assert numbers == ([3, 4] if state else [0, 1, 2, 3, 4])
        chain.assert_complete(again)


@pytest.mark.parametrize("height", [1, 2, 3, 4])
def test_a_block_log_that_ends_before_the_savepoint(chain: Chain, whole: Path, height: int) -> None:
    """An old copy of it was put back: the tables are built again, and the peer catches up.

    A value that was purged already is not found again, so that a later one does not lead to it; else all is the same.
    """
    log = SegmentedLog(whole / "blocks")
    log.truncate(list(log.scan())[height].location)
    log.close()
    ledger = chain.consortium.open(whole)
    assert ledger.height == height
    chain.commit(ledger, 5)
    assert tables(ledger) == chain.tables
    close_ledger(ledger)
    assert fsck.check(whole, chain.consortium.genesis).findings == []


def test_tables_of_a_version_without_the_index_of_hashes_are_built_again(chain: Chain, whole: Path) -> None:
    for table, key, _ in list(rows(whole)):
        if table == b"block_hashes":
            change_row(whole, table, key, None)
    chain.assert_complete(chain.consortium.open(whole))


def test_tables_are_trusted_after_a_clean_stop_only(chain: Chain, whole: Path) -> None:
    def replayed(boot_id: str) -> list[int]:
        numbers: list[int] = []
        ledger = open_ledger(whole, chain.consortium.genesis, boot_id, numbers.append)
        assert tables(ledger) == chain.tables
        ledger.close()  # not cleanly
        return numbers

    assert replayed("1") == []
    assert replayed("1") == [], "the process died, the machine did not"
    assert replayed("2") == [0, 1, 2, 3, 4]
    assert replayed("") == [0, 1, 2, 3, 4]
    assert replayed("") == [0, 1, 2, 3, 4], "a machine that cannot name its boot"
    close_ledger(chain.consortium.open(whole, "3"))
    assert replayed("4") == []
    (whole / MARKER).write_bytes(b"")
    assert replayed("4") == [0, 1, 2, 3, 4], "a mark that never reached the disk"


def test_the_mark_is_durable_before_the_tables_are_opened(
    chain: Chain, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise they would be trusted after a power loss."""
    calls: list[str] = []
    real_sync, real_init = os.fsync, StateStore.__init__

    def synced(file: int) -> None:
        calls.append("fsync")
        real_sync(file)

    monkeypatch.setattr(os, "fsync", synced)

    def opened(self: StateStore, folder: Path) -> None:
        calls.append("tables")
        assert (whole / MARKER).read_text() == BOOT
        real_init(self, folder)

    monkeypatch.setattr(StateStore, "__init__", opened)
    chain.consortium.open(whole).close()
    assert calls[:3] == ["fsync", "fsync", "tables"], "the mark and its folder"


def test_another_channel_is_refused(chain: Chain, whole: Path) -> None:
    other = Consortium(2)
    before = files(whole)
    for _ in range(2):
        with pytest.raises(LogCorrupted, match="another consortium"):
            other.open(whole)
    assert files(whole) == before
    chain.assert_complete(chain.consortium.open(whole))


def test_a_block_0_whose_content_is_not_its_own(chain: Chain, tmp_path: Path) -> None:
    """What peers pin is the header; the content must belong to it."""
    genesis = common_pb2.Block()
    genesis.CopyFrom(chain.consortium.genesis)
    genesis.data.data[0] = Consortium(2).genesis.data.data[0]
    with pytest.raises(BlockRefused):
        open_ledger(tmp_path / "peer", genesis, BOOT)
    assert not (tmp_path / "peer").exists()


@pytest.mark.parametrize("content", [b"", b"noise" * 4000])
def test_tables_that_are_no_database(chain: Chain, whole: Path, content: bytes) -> None:
    (whole / "state" / "data.mdb").write_bytes(content)
    try:
        ledger = chain.consortium.open(whole)
    except LogCorrupted as error:
        assert "remove the folder `state`" in str(error)  # noqa: PT017
        shutil.rmtree(whole / "state")
        ledger = chain.consortium.open(whole)
    chain.assert_complete(ledger)
