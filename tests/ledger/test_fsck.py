"""fsck: silent on a sound peer, and finds every single altered byte, row, signature and code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lmdb
import pytest
from fabric_protos.common import common_pb2

from healthchain.ledger import fsck
from healthchain.ledger.fsck import Report
from healthchain.ledger.fsck_log import Findings, read_file
from healthchain.ledger.recovery import MARKER, close_ledger
from healthchain.ledger.segments import CRC, HEADER, HEADER_FIELDS, SegmentedLog
from healthchain.ledger.state import TABLES
from healthchain.wire.block import Metadata, put_commit

from .chain_builder import COLLECTION, TOY, Consortium, Transaction, commit_block, prepare_block
from .checked_chain import change_row, fill, found, frame, private_frames, rows


def test_a_sound_peer(consortium: Consortium, sound: Path) -> None:
    before = {path: path.read_bytes() for path in sound.rglob("*") if path.is_file()}
    numbers: list[int] = []
    report = fsck.check(sound, consortium.genesis, numbers.append)
    assert report.findings == []
    assert (report.height, report.transactions, numbers) == (6, 8, [0, 1, 2, 3, 4, 5])
    assert {path: path.read_bytes() for path in sound.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("log", "step"), [("blocks", 7), ("private", 1)])
def test_any_altered_byte_of_a_log(peer: Path, log: str, step: int) -> None:
    """The framing alone finds it, and so without any signature."""
    whole = (peer / log / "000000").read_bytes()
    for position in range(0, len(whole), step):
        altered = bytearray(whole)
        altered[position] ^= 1 << position % 8
        findings = Findings()
        for _ in read_file(bytes(altered), 0, log, findings):
            pass
        assert findings.found, position


@pytest.mark.parametrize("log", ["blocks", "private"])
def test_some_altered_bytes_of_a_log_in_a_whole_check(consortium: Consortium, peer: Path, log: str) -> None:
    path = peer / log / "000000"
    whole = path.read_bytes()
    for position in range(0, len(whole), len(whole) // 20):
        altered = bytearray(whole)
        altered[position] ^= 0xFF
        path.write_bytes(altered)
        assert found_in_logs(consortium, peer), position


@pytest.mark.slow
def test_every_altered_byte_of_the_block_log(consortium: Consortium, peer: Path) -> None:
    path = peer / "blocks" / "000000"
    whole = path.read_bytes()
    for position in range(len(whole)):
        altered = bytearray(whole)
        altered[position] ^= 0xFF
        path.write_bytes(altered)
        assert found_in_logs(consortium, peer), position


def found_in_logs(consortium: Consortium, peer: Path) -> bool:
    """Without the tables, whose process takes longest: they are put aside, which is one finding by itself."""
    state = peer / "state"
    if state.exists():
        shutil.rmtree(state)
    return bool(found(consortium, peer) - {"tables"})


@pytest.mark.parametrize("log", ["blocks", "private"])
@pytest.mark.parametrize("extra", [b"x", bytes(100)])
def test_bytes_after_the_last_entry(consortium: Consortium, peer: Path, log: str, extra: bytes) -> None:
    with (peer / log / "000000").open("ab") as file:
        file.write(extra)
    assert any(where.endswith("file 000000") for where in found(consortium, peer))


@pytest.mark.parametrize("log", ["blocks", "private"])
def test_a_log_cut_off_at_any_byte(consortium: Consortium, peer: Path, log: str) -> None:
    path = peer / log / "000000"
    whole = path.read_bytes()
    for size in range(0, len(whole), max(1, len(whole) // 30)):
        path.write_bytes(whole[:size])
        assert found(consortium, peer), size


def test_a_copy_beside_the_log(consortium: Consortium, peer: Path) -> None:
    """It may hold what was purged."""
    shutil.copy(peer / "private" / "000000", peer / "private" / "000000.bak")
    assert found(consortium, peer) == {"private log"}


def _no_folder(peer: Path) -> None:
    shutil.rmtree(peer / "private")


def _no_blocks(peer: Path) -> None:
    (peer / "blocks" / "000000").write_bytes(b"")


def _no_file(peer: Path) -> None:
    (peer / "blocks" / "000000").rename(peer / "blocks" / "000001")


def _folder_for_file(peer: Path) -> None:
    (peer / "private" / "000000").unlink()
    (peer / "private" / "000000").mkdir()


def _no_tables(peer: Path) -> None:
    shutil.rmtree(peer / "state")


def _empty_tables(peer: Path) -> None:
    (peer / "state" / "data.mdb").write_bytes(b"")


def _tables_of_noise(peer: Path) -> None:
    (peer / "state" / "data.mdb").write_bytes(os.urandom(20_000))


def _cut_tables(peer: Path) -> None:
    os.truncate(peer / "state" / "data.mdb", 9000)


def _nothing(peer: Path) -> None:
    shutil.rmtree(peer)


def _marked_open(peer: Path) -> None:
    (peer / MARKER).write_text("boot")


SPOILED: list[tuple[Callable[[Path], None], str]] = [
    (_no_folder, "private log"),
    (_no_blocks, "block log"),
    (_no_file, "block log"),
    (_folder_for_file, "private log, file 000000"),
    (_no_tables, "tables"),
    (_empty_tables, "tables"),
    (_tables_of_noise, "tables"),
    (_cut_tables, "tables"),
    (_nothing, "block log"),
    (_marked_open, "folder"),
]


@pytest.mark.parametrize(("spoil", "where"), SPOILED, ids=lambda one: getattr(one, "__name__", ""))
def test_what_is_missing_or_in_the_way(
    consortium: Consortium, peer: Path, spoil: Callable[[Path], None], where: str
) -> None:
    spoil(peer)
    assert where in found(consortium, peer)


@pytest.mark.parametrize("name", TABLES)
def test_altered_rows_of_each_table(consortium: Consortium, peer: Path, sound: Path, name: bytes) -> None:
    """Of two rows: some bytes of the value altered, the row removed; and a row that nobody wrote."""
    stored = [(key, value) for table, key, value in rows(sound) if table == name]
    assert stored, "the chain has something in every table"
    where = f"table {name.decode()}"
    for key, value in stored[:: max(1, len(stored) - 1)]:
        for position in range(0, len(value), max(1, len(value) // 6)):
            change_row(peer, name, key, value[:position] + bytes((value[position] ^ 0x40,)) + value[position + 1 :])
            assert where in found(consortium, peer)
        change_row(peer, name, key, value + b"x")
        assert where in found(consortium, peer)
        change_row(peer, name, key, None)
        assert where in found(consortium, peer)
        change_row(peer, name, key, value)
    assert found(consortium, peer) == set()
    change_row(peer, name, stored[0][0] + b"x", stored[0][1])
    assert where in found(consortium, peer)


def test_a_table_that_nobody_made(consortium: Consortium, peer: Path) -> None:
    with lmdb.open(str(peer / "state"), max_dbs=20) as environment:
        environment.open_db(b"other")
    assert found(consortium, peer) == {"tables"}


def test_tables_of_an_earlier_version(consortium: Consortium, peer: Path) -> None:
    with lmdb.open(str(peer / "state"), max_dbs=20) as environment:
        table = environment.open_db(b"block_hashes")
        with environment.begin(write=True) as transaction:
            transaction.drop(table)
    [told] = fsck.check(peer, consortium.genesis).findings
    assert told.where == "tables"
    assert told.what.startswith("lack block_hashes, as those that an earlier version made: start the peer once")
    close_ledger(consortium.open(peer))
    assert found(consortium, peer) == set()


def test_live_bytes_of_the_database_file(consortium: Consortium, peer: Path) -> None:
    """A key and a value where they are in the file, beneath LMDB's own bookkeeping."""
    path = peer / "state" / "data.mdb"
    whole = path.read_bytes()
    for live in (b"another value", b"toy\x00b"):
        position, altered_once = whole.find(live), False
        while position >= 0:
            altered = bytearray(whole)
            altered[position + len(live) - 1] ^= 1
            path.write_bytes(altered)
            altered_once = altered_once or bool(found(consortium, peer))
            position = whole.find(live, position + 1)
        assert altered_once, "one of the places is the live one; others are in freed pages"


@pytest.mark.slow
def test_any_damage_to_the_database_file_is_survived(consortium: Consortium, peer: Path) -> None:
    path = peer / "state" / "data.mdb"
    whole = path.read_bytes()
    for position in range(0, min(len(whole), 200_000), 53):
        altered = bytearray(whole)
        altered[position : position + 8] = b"\xff" * 8
        path.write_bytes(altered)
        fsck.check(peer, consortium.genesis)


def rewrite(folder: Path, change: Callable[[int, common_pb2.Block], None]) -> None:
    """Alter the blocks and give them true checksums: what somebody does who knows the format."""
    log = SegmentedLog(folder / "blocks")
    entries = []
    for one in log.scan():
        block = common_pb2.Block.FromString(one.body or b"")
        change(one.tag, block)
        entries.append((one.tag, one.extra, block.SerializeToString()))
    log.truncate(0)
    log.append(entries)
    log.close()


def _code(number: int, block: common_pb2.Block) -> None:
    if number == 3:
        block.metadata.metadata[Metadata.TRANSACTIONS_FILTER] = b"\x00\x00\x09"


def _codes(number: int, block: common_pb2.Block) -> None:
    if number == 3:
        block.metadata.metadata[Metadata.TRANSACTIONS_FILTER] += b"\x00"


def _commit_hash(number: int, block: common_pb2.Block) -> None:
    if number == 3:
        put_commit(block, [0, 11, 9], bytes(32))


def _no_commit_hash(number: int, block: common_pb2.Block) -> None:
    if number == 3:
        block.metadata.metadata[Metadata.COMMIT_HASH] = b"\xff"


def _one_signature(number: int, block: common_pb2.Block) -> None:
    if number == 3:
        signed = common_pb2.Metadata.FromString(block.metadata.metadata[Metadata.SIGNATURES])
        del signed.signatures[1:]
        block.metadata.metadata[Metadata.SIGNATURES] = signed.SerializeToString()


def _false_signature(number: int, block: common_pb2.Block) -> None:
    if number == 3:
        signed = common_pb2.Metadata.FromString(block.metadata.metadata[Metadata.SIGNATURES])
        signed.signatures.append(signed.signatures[0])
        signed.signatures[-1].signature = b"\x30\x06\x02\x01\x01\x02\x01\x01"
        block.metadata.metadata[Metadata.SIGNATURES] = signed.SerializeToString()


def _transaction(number: int, block: common_pb2.Block) -> None:
    if number == 3:
        block.data.data.append(block.data.data[0])


def _link(number: int, block: common_pb2.Block) -> None:
    if number == 3:
        block.header.previous_hash = bytes(32)


def _metadata(number: int, block: common_pb2.Block) -> None:
    if number == 3:
        del block.metadata.metadata[4:]


def _genesis(number: int, block: common_pb2.Block) -> None:
    if number == 0:
        block.header.previous_hash = b"other"


@pytest.mark.parametrize(
    "change",
    [_code, _codes, _commit_hash, _no_commit_hash, _one_signature, _false_signature, _transaction, _link, _metadata],
    ids=lambda one: one.__name__.strip("_"),
)
def test_an_altered_block_with_true_checksums(
    consortium: Consortium, peer: Path, change: Callable[[int, common_pb2.Block], None]
) -> None:
    rewrite(peer, change)
    assert "block 3" in found(consortium, peer)


def test_another_block_0(consortium: Consortium, peer: Path, tmp_path: Path) -> None:
    rewrite(peer, _genesis)
    assert found(consortium, peer) == {"block 0"}
    other = Consortium(2)
    assert {one.where for one in fsck.check(peer, other.genesis).findings} == {"block 0"}


def test_findings_hold_no_key_or_value(consortium: Consortium, peer: Path, sound: Path) -> None:
    for name, key, _ in list(rows(sound)):
        change_row(peer, name, key, b"\x00" * 9)
    changed = [frame(tag, 3, body) if body else raw for tag, _, body, raw in private_frames(peer)]
    (peer / "private" / "000000").write_bytes(b"".join(changed))
    text = str(fsck.check(peer, consortium.genesis).findings)
    assert not any(word in text for word in ("kept", "purged value", "another value", TOY, COLLECTION, "Org0"))


def test_an_unclean_stop_is_one_finding(consortium: Consortium, sound: Path, tmp_path: Path) -> None:
    """Blocks that are durable and not yet applied: recovery's business."""
    folder = Path(shutil.copytree(sound, tmp_path / "peer"))
    ledger = consortium.open(folder)
    block = consortium.next_block(ledger, [consortium.transaction(ledger, lambda stub: stub.put_state("c", b"x"))])
    prepare_block(ledger, block, {}).write()
    ledger.close()
    assert found(consortium, folder) == {"folder", "tables"}
    close_ledger(consortium.open(folder))
    assert found(consortium, folder) == set()


def two_peers(consortium: Consortium, tmp_path: Path) -> dict[str, Report]:
    reports = {}
    first = consortium.start(tmp_path / "one")
    second = consortium.open(tmp_path / "two")
    commit_block(second, first.block(1), {})
    made: list[Transaction] = [consortium.transaction(first, lambda stub: stub.put_state("a", b"x"))]
    block = consortium.next_block(first, made)
    for name, ledger in (("one", first), ("two", second)):
        commit_block(ledger, block, {})
        close_ledger(ledger)
        reports[name] = fsck.check(tmp_path / name, consortium.genesis)
        assert reports[name].findings == []
    return reports


def test_peers_are_compared(consortium: Consortium, tmp_path: Path) -> None:
    reports = two_peers(consortium, tmp_path)
    assert fsck.compare({}) == []
    assert fsck.compare(reports) == []
    one, two = reports["one"], reports["two"]

    def words(changed: Report) -> list[str]:
        return [finding.what for finding in fsck.compare({"one": one, "two": changed})]

    behind = replace(two, height=2, commit_hashes=two.commit_hashes[:2])
    assert words(behind) == ["is at height 2, one at 3: let it catch up"]
    apart = replace(two, commit_hashes=[two.commit_hashes[0], b"x", b"y"])
    assert words(apart) == ["differs from one from block 1 on"]
    assert words(replace(two, tip_hash=b"x")) == ["has another last block than one"]
    assert words(replace(two, state_hash=b"x")) == ["has another state than one, though their blocks agree"]


def test_what_is_not_in_the_state_hash(consortium: Consortium, tmp_path: Path) -> None:
    """Where a peer keeps a value, and whether it holds it, is its own business."""
    reports = {}
    first = consortium.start(tmp_path / "one")
    second = consortium.open(tmp_path / "two")
    commit_block(second, first.block(1), {})
    transaction = consortium.transaction(first, fill)
    block = consortium.next_block(first, [transaction])
    for name, ledger in (("one", first), ("two", second)):
        commit_block(ledger, block, {transaction.tx_id: transaction.private}, held=name == "one")
        close_ledger(ledger)
        reports[name] = fsck.check(tmp_path / name, consortium.genesis)
    assert fsck.compare(reports) == []
    assert reports["two"].findings != []


def test_header_size_is_what_the_format_says() -> None:
    assert HEADER.size == HEADER_FIELDS.size + CRC.size == 24
