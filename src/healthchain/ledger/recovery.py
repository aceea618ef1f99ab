"""Opening a peer's ledger: what a clean close, a killed process, a power loss or a full disk left is made whole again.

The block log is the truth. 1. The tables are trusted only if this machine has not restarted since they were left open
(they are not synced at each commit). 2. Blocks beyond the savepoint are replayed. 3. A torn tail of either log, beyond
all that was committed, is cut off. Anything else that does not fit is corruption: refused, never repaired in silence.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from fabric_protos.common import common_pb2

from healthchain.ledger.channel import Channel
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.private import decode_body
from healthchain.ledger.segments import Entry, LogCorrupted
from healthchain.ledger.state import TX_BITS
from healthchain.ledger.validate import Decoded, decode_transactions
from healthchain.wire.block import header_hash
from healthchain.wire.transaction import Code, decode_header

MARKER = "open"
Progress = Callable[[int], None]
"""Called with the number of each block as it is replayed."""


def open_ledger(
    folder: Path, genesis: common_pb2.Block, boot_id: str, progress: Progress = lambda number: None
) -> Ledger:
    """Open or create; `boot_id` names this run of the operating system. Raises LogCorrupted."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    marker = folder / MARKER
    if marker.exists() and marker.read_text() != boot_id:
        shutil.rmtree(folder / "state", ignore_errors=True)
    marker.write_text(boot_id)
    ledger = Ledger(folder, Channel(genesis))
    if not _savepoint_holds(ledger):
        ledger.close()
        shutil.rmtree(folder / "state")
        ledger = Ledger(folder, ledger.channel)
    _replay(ledger, progress)
    if ledger.height == 0:
        _join(ledger, genesis)
    _check_channel(ledger, genesis)
    ledger.load_definitions()
    return ledger


def close_ledger(ledger: Ledger) -> None:
    """Make the tables durable and say so; only then may the next opening trust them after a restart."""
    ledger.close()
    (ledger.folder / MARKER).unlink()


def _savepoint_holds(ledger: Ledger) -> bool:
    """Whether the last applied block is in the block log. False if the log ends before it: rebuild the tables."""
    if ledger.height == 0:
        return True
    location = ledger.state.block(ledger.height - 1)
    assert location is not None
    if location[0] >= ledger.block_log.end or location[1] > ledger.private_log.end:
        return False
    entry = ledger.block_log.entry(location[0])
    if entry is None or entry.body is None or entry.tag != ledger.height - 1:
        raise LogCorrupted(f"block {ledger.height - 1} is damaged on disk: run `healthchain verify`")
    ledger.tip_hash = header_hash(common_pb2.Block.FromString(entry.body))
    return True


def _replay(ledger: Ledger, progress: Progress) -> None:
    block_end, private_end = _applied_ends(ledger)
    private = _PrivateReader(ledger, private_end)
    for entry in ledger.block_log.scan(block_end):
        if entry.body is None or entry.tag != ledger.height:
            raise LogCorrupted(f"block {ledger.height} is damaged on disk: run `healthchain verify`")
        block = common_pb2.Block.FromString(entry.body)
        locations, bodies = private.block(entry.tag)
        commit = ledger.replay(block, decode_block(block, ledger.channel), bodies)
        commit.adopt(entry.location, locations, private.end)
        ledger.apply(commit)
        block_end = entry.next_location
        progress(entry.tag)
    for log, end in ((ledger.block_log, block_end), (ledger.private_log, private.end)):
        if end < log.end:
            log.truncate(end)


def _applied_ends(ledger: Ledger) -> tuple[int, int]:
    """Where the two logs end as far as they are applied."""
    if ledger.height == 0:
        return 0, 0
    location = ledger.state.block(ledger.height - 1)
    assert location is not None
    entry = ledger.block_log.entry(location[0])
    assert entry is not None
    return entry.next_location, location[1]


class _PrivateReader:
    """The private log from a location on, handed out block by block in the order it was written."""

    def __init__(self, ledger: Ledger, start: int) -> None:
        self._entries: Iterator[Entry] = ledger.private_log.scan(start)
        self._next = next(self._entries, None)
        self.end = start

    def block(self, number: int) -> tuple[dict[bytes, int], dict[bytes, bytes]]:
        """hashed key -> location and hashed key -> body, of the values that block wrote and that were not erased."""
        locations, bodies = {}, {}
        while self._next is not None and self._next.tag >> TX_BITS <= number:
            entry = self._next
            if entry.body is not None:
                key = decode_body(entry.body).hashed_key
                locations[key], bodies[key] = entry.location, entry.body
            self.end = entry.next_location
            self._next = next(self._entries, None)
        return locations, bodies


def _join(ledger: Ledger, genesis: common_pb2.Block) -> None:
    block = common_pb2.Block()
    block.CopyFrom(genesis)
    commit = ledger.prepare(block, decode_block(block, ledger.channel), [Code.VALID], {})
    commit.write()
    ledger.apply(commit)


def _check_channel(ledger: Ledger, genesis: common_pb2.Block) -> None:
    if header_hash(ledger.block(0)) != header_hash(genesis):
        raise LogCorrupted("this ledger's block 0 is not the channel's: the folder belongs to another consortium")


def decode_block(block: common_pb2.Block, channel: Channel) -> list[Decoded]:
    """The transactions of a block; block 0 holds the channel's configuration and writes nothing."""
    if block.header.number == 0:
        return [Decoded(Code.VALID, decode_header(block.data.data[0]))]
    return decode_transactions(block.data.data, channel)
