"""`verify` on a real consortium's folder: whatever one peer's disk has lost or has altered is found, or completed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from healthchain.app.consortium import opened
from healthchain.app.verify import Verification, verify
from healthchain.ledger import fsck
from healthchain.ledger.recovery import MARKER
from healthchain.ledger.segments import HEADER, LogCorrupted, SegmentedLog
from healthchain.ledger.state import TABLES
from healthchain.network.network import boot_id
from healthchain.network.provision import read_genesis_block

CLINIC = Path("peers/city-clinic")
BLOCKS, PRIVATE, STATE = CLINIC / "blocks/000000", CLINIC / "private/000000", CLINIC / "state"


def _found(folder: Path) -> list[fsck.Finding]:
    """What is found on the clinic's peer alone, which is quicker than on all."""
    return fsck.check(folder / CLINIC, read_genesis_block(folder)).findings


def test_a_folder_that_nobody_touched_is_clean(filled: Path) -> None:
    found = verify(filled)
    assert (found.clean, found.findings) == (True, ())
    assert found.height > 10
    assert found.transactions >= found.height


def _altered_bytes(folder: Path, file: Path, count: int) -> None:
    chance = random.Random(count)  # noqa: S311 (where to alter)
    content = bytearray((folder / file).read_bytes())
    with (folder / file).open("r+b") as opened_file:
        for place in chance.sample(range(len(content)), count):
            opened_file.seek(place)
            opened_file.write(bytes([content[place] ^ 1 << chance.randrange(8)]))
            opened_file.flush()
            assert _found(folder), f"byte {place} of {len(content)}"
            opened_file.seek(place)
            opened_file.write(bytes([content[place]]))
            opened_file.flush()
    assert _found(folder) == []


@pytest.mark.parametrize("file", [BLOCKS, PRIVATE])
def test_any_altered_byte_of_a_log_is_found(filled: Path, file: Path) -> None:
    _altered_bytes(filled, file, 12)


@pytest.mark.slow
@pytest.mark.parametrize("file", [BLOCKS, PRIVATE])
def test_two_hundred_altered_bytes_of_a_log_are_found(filled: Path, file: Path) -> None:
    _altered_bytes(filled, file, 200)


def test_verify_names_the_peer_and_goes_on(filled: Path) -> None:
    content = bytearray((filled / BLOCKS).read_bytes())
    content[len(content) // 2] ^= 1
    (filled / BLOCKS).write_bytes(content)
    found = verify(filled)
    assert not found.clean
    assert found.findings[0].peer == "city-clinic"
    assert {one.peer for one in found.findings} <= {"city-clinic", "all peers"}


def _with_an_altered_row(folder: Path, table: bytes, chance: random.Random) -> list[fsck.Finding] | None:
    """What is found in a copy of the peer with another bit in a live row; None if the table is empty."""
    copy = folder / "copy"
    shutil.copytree(folder / CLINIC, copy)
    try:
        with lmdb.open(str(copy / "state"), max_dbs=len(TABLES), map_size=1 << 30) as environment:
            opened_table = environment.open_db(table, create=False)
            with environment.begin(write=True, db=opened_table) as writing:
                rows = [(bytes(key), bytes(value)) for key, value in writing.cursor()]
                if not rows:
                    return None
                key, value = chance.choice(rows)
                row = bytearray(key + value)
                row[chance.randrange(len(row))] ^= 1 << chance.randrange(8)
                writing.delete(key)
                writing.put(bytes(row[: len(key)]), bytes(row[len(key) :]))
        return fsck.check(copy, read_genesis_block(folder)).findings
    finally:
        shutil.rmtree(copy)


def _altered_rows(folder: Path, count: int) -> None:
    chance = random.Random(count)  # noqa: S311 (which rows)
    for turn in range(count):
        table = TABLES[turn % len(TABLES)]
        found = _with_an_altered_row(folder, table, chance)
        assert found is None or found, f"table {table!r}"


def test_an_altered_row_of_each_table_is_found(filled: Path) -> None:
    _altered_rows(filled, len(TABLES))


@pytest.mark.slow
def test_two_hundred_altered_rows_are_found(filled: Path) -> None:
    _altered_rows(filled, 200)


def _cut(file: Path, count: int) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) - count])


def _entry_bytes(folder: Path) -> int:
    """Of the last block, as the log has it."""
    with contextlib.closing(SegmentedLog(folder, read_only=True)) as log:
        last = list(log.scan())[-1]
    return last.next_location - last.location


def _left_open(folder: Path, boot: str) -> None:
    """As a process that was killed leaves it; with another boot's id, as a power loss does."""
    for peer in (folder / "peers").iterdir():
        (peer / MARKER).write_text(boot)


TORN: dict[str, Callable[[Path], None]] = {
    "a byte of the last block": lambda folder: _cut(folder / BLOCKS, 1),
    "half of the last block": lambda folder: _cut(folder / BLOCKS, _entry_bytes((folder / BLOCKS).parent) // 2),
    "the last block": lambda folder: _cut(folder / BLOCKS, _entry_bytes((folder / BLOCKS).parent)),
    "all but a few bytes of its header": lambda folder: _cut(
        folder / BLOCKS, _entry_bytes((folder / BLOCKS).parent) - HEADER.size // 2
    ),
    "the tables": lambda folder: shutil.rmtree(folder / STATE),
    "the peer's folder": lambda folder: shutil.rmtree(folder / CLINIC),
}


@pytest.mark.parametrize("name", TORN)
@pytest.mark.parametrize("first", ["verify", "open"])
def test_what_a_power_loss_tore_off_one_peer_comes_back(filled: Path, name: str, first: str) -> None:
    height = _height(filled)
    _left_open(filled, "another boot")
    TORN[name](filled)
    if first == "open":
        asyncio.run(_heights_are(filled, height))
    found = verify(filled)
    assert found.clean, found.findings
    assert found.height == height
    if first == "verify":
        asyncio.run(_heights_are(filled, height))


def _height(folder: Path) -> int:
    with contextlib.closing(SegmentedLog(folder / CLINIC / "blocks", read_only=True)) as log:
        return len(list(log.scan()))


async def _heights_are(folder: Path, height: int) -> None:
    async with opened(folder) as consortium:
        assert [peer.ledger.height for peer in consortium.network.peers.values()] == [height] * 4


@pytest.mark.parametrize("garbage", [b"\0", b"\xff" * 7, bytes(HEADER.size), b"\x01" * 5000])
def test_what_never_became_a_block_is_cut_off(filled: Path, garbage: bytes) -> None:
    height = verify(filled).height
    for file in (BLOCKS, PRIVATE):
        with (filled / file).open("ab") as log:
            log.write(garbage)
    assert not verify(filled).clean  # nobody was killed: then this is no torn tail
    _left_open(filled, boot_id())
    found = verify(filled)
    assert found.clean, found.findings
    assert found.height == height


LOST: dict[str, Callable[[Path], None]] = {
    "a peer's folder": lambda folder: shutil.rmtree(folder / CLINIC),
    "all peers": lambda folder: shutil.rmtree(folder / "peers"),
    "a block file": lambda folder: (folder / BLOCKS).unlink(),
    "the private values": lambda folder: (folder / PRIVATE).unlink(),
    "the tables": lambda folder: shutil.rmtree(folder / STATE),
    "the last block": TORN["the last block"],
    "half of the last block": TORN["half of the last block"],
}


@pytest.mark.parametrize("name", LOST)
def test_what_is_missing_from_a_folder_that_was_closed_is_found(filled: Path, name: str) -> None:
    LOST[name](filled)
    found = verify(filled)
    assert not found.clean
    assert all(len(one.what) > 5 for one in found.findings)


def test_progress_is_told_for_every_block_of_every_peer(filled: Path) -> None:
    told: list[tuple[str, int]] = []
    found: Verification = verify(filled, lambda organisation, block: told.append((organisation, block)))
    assert len(told) == 4 * found.height
    assert {organisation for organisation, _ in told} == {
        "general-hospital",
        "city-clinic",
        "mutual-insurance",
        "health-agency",
    }


def test_a_block_that_was_applied_and_is_damaged_is_not_repaired_in_silence(filled: Path) -> None:
    """After a kill the tables are trusted: what they say was written must be there."""
    _left_open(filled, boot_id())
    _cut(filled / BLOCKS, 1)
    found = verify(filled)
    assert ("city-clinic", "recovery") in [(one.peer, one.where) for one in found.findings]
    with pytest.raises(LogCorrupted, match="run `healthchain verify`"):
        asyncio.run(_heights_are(filled, found.height))


def test_a_private_value_that_was_durable_and_is_torn_is_found(filled: Path) -> None:
    """No crash does this, since values are durable before their block; a failing disk may."""
    _cut(filled / PRIVATE, 100)
    assert not verify(filled).clean
    _left_open(filled, "another boot")
    assert not verify(filled).clean
