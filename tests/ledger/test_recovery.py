"""Opening again after whatever happened: the same state, no acknowledged block lost, no damage repaired in silence."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from fabric_protos.common import common_pb2

from healthchain.ledger import fsck
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.private import PrivateDataMissing
from healthchain.ledger.quorum import BlockRefused
from healthchain.ledger.recovery import MARKER, close_ledger, open_ledger
from healthchain.ledger.segments import HEADER, LogCorrupted, SegmentedLog
from healthchain.ledger.simulate import Simulator
from healthchain.ledger.state import StateStore

from .chain_builder import BOOT, COLLECTION, TOY, Consortium, Transaction, commit_block, prepare_block
from .crashes import Crash, crash_before, files, tables, traces

RESTARTED = "another boot"
SECRET = b"the first value of p"


def _fill(stub: Simulator) -> None:
    stub.put_state("a", b"1")
    stub.put_state("b", b"1")
    stub.put_private(COLLECTION, "p", SECRET)
    stub.put_private(COLLECTION, "q", b"the value of q")


def _change(stub: Simulator) -> None:
    stub.put_state("a", b"2")
    stub.put_private(COLLECTION, "p", b"the second value of p")
    stub.put_private(COLLECTION, "r", b"the value of r")


def _purge(stub: Simulator) -> None:
    stub.delete_state("b")
    stub.purge_private(COLLECTION, "p")
    stub.delete_private(COLLECTION, "q")
    stub.put_private(COLLECTION, "s", b"the value of s")


@dataclass
class Chain:
    """Four blocks: definition, fill, change, purge; and what a peer has when all went well."""

    consortium: Consortium
    folder: Path
    blocks: list[common_pb2.Block]
    private: dict[str, Transaction]
    tables: dict[bytes, list[tuple[bytes, bytes]]]
    files: dict[str, bytes]

    def commit(self, ledger: Ledger, until: int) -> None:
        """From its height up to and without this block."""
        while ledger.height < until:
            commit_block(ledger, self.blocks[ledger.height], self.sets)

    @property
    def sets(self) -> dict[str, dict[tuple[str, str], bytes]]:
        return {tx_id: dict(one.private) for tx_id, one in self.private.items()}

    def assert_complete(self, ledger: Ledger) -> None:
        assert tables(ledger) == self.tables
        assert files(ledger.folder) == self.files
        close_ledger(ledger)
        assert fsck.check(ledger.folder, self.consortium.genesis).findings == []


@pytest.fixture(scope="session")
def chain(consortium: Consortium, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("chain") / "peer"
    ledger = consortium.open(folder)
    made: dict[str, Transaction] = {}
    for run in (None, _fill, _change, _purge):
        one = consortium.transaction(ledger, run) if run else consortium.define(ledger)
        made[one.tx_id] = one
        assert consortium.commit(ledger, [one]) == [0]
    blocks = [ledger.block(number) for number in range(ledger.height)]
    found = Chain(consortium, folder, blocks, made, tables(ledger), files(folder))
    close_ledger(ledger)
    return found


@pytest.fixture
def peer(chain: Chain, tmp_path: Path) -> Path:
    """A copy of the complete one, closed."""
    return Path(shutil.copytree(chain.folder, tmp_path / "peer"))


def unclean(peer: Path, boot_id: str = BOOT) -> None:
    """As if it had not been closed."""
    (peer / MARKER).write_text(boot_id)


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


def test_a_torn_last_block_is_cut_off_at_every_byte(chain: Chain, peer: Path) -> None:
    """After a power loss: the private values that belonged to it go as well, and all comes again."""
    blocks, private = (peer / "blocks" / "000000").read_bytes(), (peer / "private" / "000000").read_bytes()
    last = last_entry(peer / "blocks")
    for size in [*range(last, len(blocks), 61), len(blocks) - 1]:
        (peer / "blocks" / "000000").write_bytes(blocks[:size])
        (peer / "private" / "000000").write_bytes(private)
        unclean(peer)
        ledger = chain.consortium.open(peer, RESTARTED)
        assert ledger.height == 4
        chain.commit(ledger, 5)
        chain.assert_complete(ledger)


@pytest.mark.parametrize("damage", ["zeros", "noise"])
def test_a_last_block_that_never_reached_the_disk(chain: Chain, peer: Path, damage: str) -> None:
    """Its file had grown already; from any byte on there is something else."""
    blocks = (peer / "blocks" / "000000").read_bytes()
    last = last_entry(peer / "blocks")
    for size in range(last, len(blocks), 211):
        rest = len(blocks) - size
        (peer / "blocks" / "000000").write_bytes(
            blocks[:size] + (bytes(rest) if damage == "zeros" else os.urandom(rest))
        )
        unclean(peer)
        ledger = chain.consortium.open(peer, RESTARTED)
        chain.commit(ledger, 5)
        chain.assert_complete(ledger)


def test_damage_before_the_last_block_is_refused_and_nothing_is_cut(chain: Chain, peer: Path) -> None:
    path = peer / "blocks" / "000000"
    blocks = path.read_bytes()
    last = last_entry(peer / "blocks")
    for position in range(0, last, 499):
        altered = bytearray(blocks)
        altered[position] ^= 0x10
        path.write_bytes(altered)
        unclean(peer)
        with pytest.raises(LogCorrupted, match="healthchain verify"):
            chain.consortium.open(peer, RESTARTED)
        assert path.read_bytes() == altered
    path.write_bytes(blocks)
    chain.assert_complete(chain.consortium.open(peer, RESTARTED))


def test_a_block_replaced_by_another_with_a_true_checksum(chain: Chain, peer: Path) -> None:
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
        shutil.rmtree(peer)
        shutil.copytree(chain.folder, peer)
        log = SegmentedLog(peer / "blocks")
        entries = [(one.tag, one.extra, one.body or b"") for one in log.scan()]
        block = common_pb2.Block.FromString(entries[2][2])
        change(block)
        entries[2] = (2, entries[2][1], block.SerializeToString())
        log.truncate(0)
        log.append(entries)
        log.close()
        unclean(peer)
        with pytest.raises(LogCorrupted, match="block 2"):
            chain.consortium.open(peer, RESTARTED)


def test_blocks_of_the_log_beyond_the_tables_are_replayed(chain: Chain, peer: Path, tmp_path: Path) -> None:
    """Tables from an earlier day, or none."""
    ledger = chain.consortium.open(tmp_path / "young")
    chain.commit(ledger, 3)
    close_ledger(ledger)
    for state in (tmp_path / "young" / "state", None):
        shutil.rmtree(peer / "state")
        if state:
            shutil.copytree(state, peer / "state")
        numbers: list[int] = []
        again = open_ledger(peer, chain.consortium.genesis, BOOT, numbers.append)
        assert numbers == ([3, 4] if state else [0, 1, 2, 3, 4])
        chain.assert_complete(again)


@pytest.mark.parametrize("height", [1, 2, 3, 4])
def test_a_block_log_that_ends_before_the_savepoint(chain: Chain, peer: Path, height: int) -> None:
    """An old copy of it was put back: the tables are built again, and the peer catches up.

    A value that was purged already is not found again, so that a later one does not lead to it; else all is the same.
    """
    log = SegmentedLog(peer / "blocks")
    log.truncate(list(log.scan())[height].location)
    log.close()
    ledger = chain.consortium.open(peer)
    assert ledger.height == height
    chain.commit(ledger, 5)
    assert tables(ledger) == chain.tables
    close_ledger(ledger)
    assert fsck.check(peer, chain.consortium.genesis).findings == []


def test_an_old_private_log_is_purged_again(chain: Chain, peer: Path, tmp_path: Path) -> None:
    """Put back from before the purge, without the tables, as after a loss of the disk."""
    ledger = chain.consortium.open(tmp_path / "young")
    chain.commit(ledger, 4)
    close_ledger(ledger)
    shutil.copy(tmp_path / "young" / "private" / "000000", peer / "private" / "000000")
    assert traces(peer, SECRET) == ["000000"]
    again = chain.consortium.open(peer, BOOT)
    assert traces(peer, SECRET) == traces(peer, b"second value of p") == []
    assert again.private(TOY, COLLECTION, "r") == b"the value of r"
    with pytest.raises(PrivateDataMissing):
        again.private(TOY, COLLECTION, "s")
    one = chain.consortium.transaction(again, lambda stub: stub.put_private(COLLECTION, "t", b"the value of t"))
    assert chain.consortium.commit(again, [one]) == [0]
    found = tables(again)
    again.close()
    rebuilt = chain.consortium.open(peer, RESTARTED)
    assert tables(rebuilt) == found
    assert rebuilt.private(TOY, COLLECTION, "t") == b"the value of t"
    close_ledger(rebuilt)
    words = [one.what for one in fsck.check(peer, chain.consortium.genesis).findings]
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


def test_a_damaged_private_value_is_missing_and_not_hidden(chain: Chain, peer: Path) -> None:
    ledger = chain.consortium.open(peer)
    one = chain.consortium.transaction(ledger, lambda stub: stub.put_state("later", b"than the purge"))
    assert chain.consortium.commit(ledger, [one]) == [0]
    path = peer / "private" / "000000"
    content = bytearray(path.read_bytes())
    content[content.index(b"the value of r")] ^= 1
    path.write_bytes(content)
    with pytest.raises(LogCorrupted):
        ledger.private(TOY, COLLECTION, "r")
    ledger.close()
    again = chain.consortium.open(peer, RESTARTED)
    with pytest.raises(PrivateDataMissing):
        again.private(TOY, COLLECTION, "r")
    assert again.private(TOY, COLLECTION, "s") == b"the value of s", "what follows is still found"
    close_ledger(again)
    assert {one.where for one in fsck.check(peer, chain.consortium.genesis).findings} == {
        "private log, file 000000",
        "private log",
    }


def test_a_damaged_header_among_private_values_is_refused(chain: Chain, peer: Path) -> None:
    """Whatever follows it cannot be found, and must not be cut off."""
    path = peer / "private" / "000000"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    unclean(peer)
    with pytest.raises(LogCorrupted, match="private values"):
        chain.consortium.open(peer, RESTARTED)
    assert path.read_bytes() == content


def test_private_values_of_no_block_are_cut_off(chain: Chain, peer: Path) -> None:
    log = SegmentedLog(peer / "private")
    log.append([(5 << 20, 0, b"\x00\x00\x00\x00of a block that never came"), (5 << 20 | 1, 0, b"another")])
    log.close()
    with (peer / "private" / "000000").open("ab") as file:
        file.write(b"torn")
    unclean(peer)
    chain.assert_complete(chain.consortium.open(peer))


def test_tables_are_trusted_after_a_clean_stop_only(chain: Chain, peer: Path) -> None:
    def replayed(boot_id: str) -> list[int]:
        numbers: list[int] = []
        ledger = open_ledger(peer, chain.consortium.genesis, boot_id, numbers.append)
        assert tables(ledger) == chain.tables
        ledger.close()  # not cleanly
        return numbers

    assert replayed("1") == []
    assert replayed("1") == [], "the process died, the machine did not"
    assert replayed("2") == [0, 1, 2, 3, 4]
    assert replayed("") == [0, 1, 2, 3, 4]
    assert replayed("") == [0, 1, 2, 3, 4], "a machine that cannot name its boot"
    close_ledger(chain.consortium.open(peer, "3"))
    assert replayed("4") == []
    (peer / MARKER).write_bytes(b"")
    assert replayed("4") == [0, 1, 2, 3, 4], "a mark that never reached the disk"


def test_the_mark_is_durable_before_the_tables_are_opened(
    chain: Chain, peer: Path, monkeypatch: pytest.MonkeyPatch
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
        assert (peer / MARKER).read_text() == BOOT
        real_init(self, folder)

    monkeypatch.setattr(StateStore, "__init__", opened)
    chain.consortium.open(peer).close()
    assert calls[:3] == ["fsync", "fsync", "tables"], "the mark and its folder"


def test_another_channel_is_refused(chain: Chain, peer: Path) -> None:
    other = Consortium(2)
    before = files(peer)
    for _ in range(2):
        with pytest.raises(LogCorrupted, match="another consortium"):
            other.open(peer)
    assert files(peer) == before
    chain.assert_complete(chain.consortium.open(peer))


def test_a_block_0_whose_content_is_not_its_own(chain: Chain, tmp_path: Path) -> None:
    """What peers pin is the header; the content must belong to it."""
    genesis = common_pb2.Block()
    genesis.CopyFrom(chain.consortium.genesis)
    genesis.data.data[0] = Consortium(2).genesis.data.data[0]
    with pytest.raises(BlockRefused):
        open_ledger(tmp_path / "peer", genesis, BOOT)
    assert not (tmp_path / "peer").exists()


@pytest.mark.parametrize("content", [b"", b"noise" * 4000])
def test_tables_that_are_no_database(chain: Chain, peer: Path, content: bytes) -> None:
    (peer / "state" / "data.mdb").write_bytes(content)
    try:
        ledger = chain.consortium.open(peer)
    except LogCorrupted as error:
        assert "remove the folder `state`" in str(error)  # noqa: PT017
        shutil.rmtree(peer / "state")
        ledger = chain.consortium.open(peer)
    chain.assert_complete(ledger)


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
