"""A short chain with something in every table and log; and ways to read and alter what a peer has of it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import lmdb

from healthchain.ledger import fsck
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.segments import CRC, HEADER_FIELDS, SegmentedLog
from healthchain.ledger.simulate import Simulator
from healthchain.ledger.state import TABLES

from .chain_builder import COLLECTION, Consortium


def fill(stub: Simulator) -> None:
    stub.put_state("a", b"value")
    stub.put_state("gone", b"x")
    for key in ("kept", "purged", "deleted"):
        stub.put_private(COLLECTION, key, b"private value of " + key.encode())
        stub.put_private_metadata(COLLECTION, key, {"of": key.encode()})
    for key in ("a", "gone"):
        stub.put_metadata(key, {"of": key.encode()})


def _change(stub: Simulator) -> None:
    stub.get_state("a")
    list(stub.range_states("", ""))
    stub.put_state("a", b"another value")
    stub.delete_state("gone")
    stub.put_private(COLLECTION, "purged", b"second value of purged")
    stub.delete_private(COLLECTION, "deleted")


def _purge(stub: Simulator) -> None:
    stub.purge_private(COLLECTION, "purged")
    stub.put_private_metadata(COLLECTION, "kept", {"of": b"kept", "again": b"1"})
    stub.put_metadata("a", {"of": b"a", "again": b"1"})


def write_chain(consortium: Consortium, ledger: Ledger) -> None:
    """Blocks 2 to 5: something in every table, a conflict, a duplicate, a purge."""
    stale = consortium.transaction(ledger, lambda stub: stub.put_state("a", stub.get_state("a") or b"stale"))
    filled = consortium.transaction(ledger, fill)
    assert consortium.commit(ledger, [filled]) == [0]
    changed = consortium.transaction(ledger, _change)
    assert consortium.commit(ledger, [changed, stale, filled]) == [0, 11, 9]
    assert consortium.commit(ledger, [consortium.transaction(ledger, _purge)]) == [0]
    assert consortium.commit(ledger, [consortium.transaction(ledger, lambda stub: stub.put_state("b", b"last"))]) == [0]


def found(consortium: Consortium, folder: Path) -> set[str]:
    """Where something is wrong."""
    return {one.where for one in fsck.check(folder, consortium.genesis).findings}


def rows(folder: Path) -> Iterator[tuple[bytes, bytes, bytes]]:
    with lmdb.open(str(folder / "state"), readonly=True, lock=False, max_dbs=len(TABLES) + 1) as environment:
        for name in TABLES:
            table = environment.open_db(name, create=False)
            with environment.begin(db=table) as transaction:
                yield from ((name, bytes(key), bytes(value)) for key, value in transaction.cursor())


def change_row(folder: Path, name: bytes, key: bytes, value: bytes | None) -> None:
    with lmdb.open(str(folder / "state"), max_dbs=len(TABLES) + 1) as environment:
        table = environment.open_db(name, create=False)
        with environment.begin(write=True, db=table) as transaction:
            if value is None:
                assert transaction.delete(key)
            else:
                transaction.put(key, value)


def private_frames(folder: Path) -> list[tuple[int, int, bytes | None, bytes]]:
    """(tag, extra, body or None if erased, the bytes in the file)."""
    log = SegmentedLog(folder / "private", read_only=True)
    content = (folder / "private" / "000000").read_bytes()
    return [(one.tag, one.extra, one.body, content[one.location : one.next_location]) for one in log.scan()]


def frame(tag: int, extra: int, body: bytes) -> bytes:
    """An entry with true checksums."""
    fields = HEADER_FIELDS.pack(len(body), tag, extra)
    return fields + CRC.pack(zlib.crc32(fields)) + body + CRC.pack(zlib.crc32(body))
