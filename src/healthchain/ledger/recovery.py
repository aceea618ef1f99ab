"""Opening a peer's ledger: what a clean close, a killed process, a power loss or a full disk left is made whole again.

The block log is the truth. 1. The tables are trusted only if this machine has not restarted since they were left open
(they are not synced at each commit). 2. Blocks beyond the savepoint are replayed. 3. A torn tail of either log, beyond
all that was committed, is cut off; a purge that was interrupted is completed. Anything else that does not fit is
corruption: refused, never repaired in silence.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import lmdb
from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from healthchain.ledger.channel import Channel
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.private import body_key, decode_body
from healthchain.ledger.quorum import BlockRefused, check_link
from healthchain.ledger.segments import Entry, LogCorrupted, make_folder, sync_folder
from healthchain.ledger.state import TX_BITS
from healthchain.ledger.validate import Decoded, decode_transactions
from healthchain.wire.block import commit_hash, header_hash, transaction_codes
from healthchain.wire.codes import Code
from healthchain.wire.transaction import decode_header

MARKER = "open"
DATABASE_DAMAGED = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PanicError, lmdb.VersionMismatchError)
Progress = Callable[[int], None]
"""Called with the number of each block as it is replayed."""


def open_ledger(
    folder: Path, genesis: common_pb2.Block, boot_id: str, progress: Progress = lambda number: None
) -> Ledger:
    """Open or create; `boot_id` names this run of the operating system, "" if it has no name.

    Raises LogCorrupted, and BlockRefused or ChannelMalformed for a bad block 0.
    """
    check_link(genesis, 0, b"")
    channel = Channel(genesis)
    make_folder(folder)
    _distrust_after_restart(folder, boot_id)
    with ExitStack() as opened:
        ledger = _opened(folder, channel, opened)
        if not _savepoint_holds(ledger):
            opened.close()
            shutil.rmtree(folder / "state")
            ledger = _opened(folder, channel, opened)
        _check_channel(ledger, genesis)
        ledger.load_rules()  # a block is decoded by the rules of its time, from the savepoint on
        _replay(ledger, progress)
        if ledger.height == 0:
            _join(ledger, genesis)
        opened.pop_all()
    return ledger


def close_ledger(ledger: Ledger) -> None:
    """Make the tables durable and say so; only then may the next opening trust them after a restart.

    Where another peer's disk was full, this one may have a block that was applied nowhere: the next opening does it.
    """
    ledger.state.sync()
    whole = _all_applied(ledger)
    ledger.close()
    if whole:
        (ledger.folder / MARKER).unlink()


def _all_applied(ledger: Ledger) -> bool:
    location = ledger.state.block(ledger.height - 1)
    last = ledger.block_log.frame(location[0]) if location else None
    return last is not None and last.next_location == ledger.block_log.end


def _distrust_after_restart(folder: Path, boot_id: str) -> None:
    """Throw away tables that were left open in another run of the machine, and mark them as open in this one.

    The mark is durable before the first write to the tables: without it they would be trusted after a power loss.
    """
    marker = folder / MARKER
    if marker.exists() and (not boot_id or marker.read_bytes() != boot_id.encode()):
        shutil.rmtree(folder / "state", ignore_errors=not (folder / "state").exists())
    with marker.open("wb") as file:
        file.write(boot_id.encode())
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)


def _opened(folder: Path, channel: Channel, opened: ExitStack) -> Ledger:
    try:
        ledger = Ledger(folder, channel)
    except DATABASE_DAMAGED as error:
        raise LogCorrupted("the tables are damaged: remove the folder `state`, they are built again") from error
    opened.callback(ledger.close)
    return ledger


def _savepoint_holds(ledger: Ledger) -> bool:
    """Whether the logs have all that the tables say was applied. If not, the tables have to be built again."""
    number = ledger.height - 1
    if number < 0:
        return True
    location = ledger.state.block(number)
    if location is None or location[0] >= ledger.block_log.end or location[1] > ledger.private_log.end:
        return False
    entry = ledger.block_log.entry(location[0])
    if entry is None or entry.body is None:
        raise LogCorrupted(f"block {number} is damaged on disk: run `healthchain verify`")
    return entry.tag == number and ledger.state.block_number(header_hash(_block(entry, number))) == number


def _check_channel(ledger: Ledger, genesis: common_pb2.Block) -> None:
    first = ledger.block_log.entry(0) if ledger.block_log.end else None
    if first is None or first.body is None:
        return
    if header_hash(_block(first, 0)) != header_hash(genesis):
        raise LogCorrupted("this ledger's block 0 is not the channel's: the folder belongs to another consortium")


def _replay(ledger: Ledger, progress: Progress) -> None:
    block_end, private_end, durable_end = _applied_ends(ledger)
    private = _PrivateReader(ledger, private_end)
    purged = False
    for entry in ledger.block_log.scan(block_end):
        if entry.body is None:
            break  # zeros: the file was made longer, and its bytes never came
        block = _block(entry, ledger.height)
        purged = _apply_again(ledger, block, entry, private)
        block_end, durable_end = entry.next_location, entry.extra
        progress(entry.tag)
    _finish_blocks(ledger, block_end)
    _finish_private(ledger, private, durable_end, purged=purged)


def _applied_ends(ledger: Ledger) -> tuple[int, int, int]:
    """Where the two logs end as far as they are applied, and where the private log was durable."""
    if ledger.height == 0:
        return 0, 0, 0
    location = ledger.state.block(ledger.height - 1)
    entry = ledger.block_log.entry(location[0]) if location else None
    assert location is not None
    assert entry is not None
    ledger.tip_hash = header_hash(_block(entry, ledger.height - 1))
    return entry.next_location, location[1], entry.extra


def _block(entry: Entry, number: int) -> common_pb2.Block:
    try:
        block = common_pb2.Block.FromString(entry.body or b"")
    except DecodeError:
        block = common_pb2.Block()
    if entry.tag != number or block.header.number != number:
        raise LogCorrupted(f"block {number} is damaged on disk: run `healthchain verify`")
    return block


def _apply_again(ledger: Ledger, block: common_pb2.Block, entry: Entry, private: _PrivateReader) -> bool:
    """A block that was validated before: it must lead to the commit hash it led to then. True if it purges."""
    number = ledger.height
    damaged = LogCorrupted(f"block {number} is not what was committed: run `healthchain verify`")
    try:
        check_link(block, number, ledger.tip_hash)
        committed = commit_hash(block)
    except (BlockRefused, DecodeError) as error:
        raise damaged from error
    if len(transaction_codes(block)) != len(block.data.data):
        raise damaged
    locations, bodies = private.block(number)
    decoded = decode_block(block, ledger.channel)
    commit = ledger.replay(block, decoded, bodies)
    if commit.update.commit_hash != committed:
        raise damaged
    commit.adopt(entry.location, locations, private.end)
    ledger.apply(commit)
    return any(write.purge for one in decoded if one.effects for _, write in one.effects.hashed_writes)


def _finish_blocks(ledger: Ledger, end: int) -> None:
    log = ledger.block_log
    if end < log.end:
        if log.whole_entry_after(end):
            raise LogCorrupted(f"block {ledger.height} is damaged on disk: run `healthchain verify`")
        log.truncate(end)


def _finish_private(ledger: Ledger, private: _PrivateReader, durable_end: int, *, purged: bool) -> None:
    """Cut what belongs to no block. `durable_end` lies beyond the log's end if an old copy of it was put back."""
    log = ledger.private_log
    if purged:
        for location in private.damaged:  # half of what the last block's purge had begun to overwrite
            log.erase(location)
        log.sync()
    if private.end < log.end:
        if private.end < durable_end <= log.end:
            raise LogCorrupted("the private values are damaged on disk: run `healthchain verify`")
        log.truncate(private.end)


class _PrivateReader:
    """The private log from a location on, handed out block by block in the order it was written.

    A damaged body is stepped over and counts as a value that this peer does not hold.
    """

    def __init__(self, ledger: Ledger, start: int) -> None:
        self._entries: Iterator[Entry] = ledger.private_log.scan(start, damaged=True)
        self._next = next(self._entries, None)
        self.end = start
        self.damaged: list[int] = []

    def block(self, number: int) -> tuple[dict[bytes, int], dict[bytes, bytes]]:
        """`body_key` -> location and body, of the values that blocks up to this one wrote and that are there."""
        locations, bodies = {}, {}
        while self._next is not None and self._next.tag >> TX_BITS <= number:
            entry = self._next
            if entry.damaged:
                self.damaged.append(entry.location)
            elif entry.body is not None:
                found = decode_body(entry.body)
                key = body_key(found.hashed_key, found.value_hash)
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


def decode_block(block: common_pb2.Block, channel: Channel) -> list[Decoded]:
    """The transactions of a block; block 0 holds the channel's configuration and writes nothing."""
    if block.header.number == 0:
        return [Decoded(Code.VALID, decode_header(block.data.data[0]))]
    return decode_transactions(block.data.data, channel)
