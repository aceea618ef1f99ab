"""fsck of the private log: values that are missing, altered, surplus, or still there though they were purged."""

from __future__ import annotations

from pathlib import Path

from healthchain.ledger import fsck
from healthchain.ledger.recovery import close_ledger
from healthchain.ledger.segments import SegmentedLog
from healthchain.ledger.state import TX_BITS
from healthchain.wire.lifecycle import ChaincodeDefinition, Collection

from .chain_builder import COLLECTION, TOY, Consortium, commit_block
from .checked_chain import fill, found, frame, private_frames, write_chain


def put(folder: Path, frames: list[bytes]) -> None:
    (folder / "private" / "000000").write_bytes(b"".join(frames))


def test_another_private_value_with_a_true_checksum(consortium: Consortium, peer: Path) -> None:
    frames = private_frames(peer)
    for index, (tag, extra, body, _) in enumerate(frames):
        if body is not None:
            spoiled = [raw for _, _, _, raw in frames]
            spoiled[index] = frame(tag, extra, body[:-1] + b"!")
            put(peer, spoiled)
            words = {one.what for one in fsck.check(peer, consortium.genesis).findings}
            assert f"a value of block {tag >> TX_BITS} is not the one that was committed" in words


def test_private_entries_surplus_missing_twice_or_out_of_their_chain(consortium: Consortium, peer: Path) -> None:
    frames = private_frames(peer)
    raw = [one[3] for one in frames]
    index, (tag, extra, body, _) = next((i, one) for i, one in enumerate(frames) if one[2] is not None)
    assert body is not None
    before, after = raw[:index], raw[index + 1 :]
    for spoiled, words in (
        ([*raw, frame(tag, extra, body)], "a value of block 2 is there twice"),
        ([*raw, frame(tag + (9 << 20), extra, body)], "1 entries of block 11 belong to no write that is committed"),
        ([*raw, frame(tag, extra, b"\xff\xff\xff\xff")], "1 entries of block 2 belong to no write that is committed"),
        ([*raw, frame(tag, extra, b"")], "an entry of block 2 does not decode"),
        ([*before, *after], "1 values of block 2 are missing, and no purge erased them"),
        ([*before, frame(tag, 7, body), *after], "a value of block 2 does not lead to the one before it"),
    ):
        put(peer, spoiled)
        assert words in {one.what for one in fsck.check(peer, consortium.genesis).findings}
    put(peer, raw)
    assert found(consortium, peer) == set()


def test_a_purged_value_that_came_back(consortium: Consortium, tmp_path: Path) -> None:
    """The private log is put back from before the purge."""
    folder = tmp_path / "peer"
    ledger = consortium.start(folder)
    write_chain(consortium, ledger)
    close_ledger(ledger)
    erased = (folder / "private" / "000000").read_bytes()
    again = consortium.start(tmp_path / "other")
    assert consortium.commit(again, [consortium.transaction(again, fill)]) == [0]
    close_ledger(again)
    unpurged = (tmp_path / "other" / "private" / "000000").read_bytes()
    (folder / "private" / "000000").write_bytes(unpurged + erased[len(unpurged) :])
    words = [one.what for one in fsck.check(folder, consortium.genesis).findings]
    assert words == ["a value written in block 2 and purged in block 4 is still on the disk"]


def test_a_value_that_was_erased_without_a_purge(consortium: Consortium, peer: Path) -> None:
    log = SegmentedLog(peer / "private")
    kept = next(one.location for one in log.scan() if one.body is not None and b"kept" in one.body)
    log.erase(kept)
    log.close()
    words = {one.what for one in fsck.check(peer, consortium.genesis).findings}
    assert words >= {
        "1 values of block 2 are missing, and no purge erased them",
        "1 entries of block 2 belong to no write that is committed",
    }


def test_a_peer_outside_a_collection_need_not_hold_its_values(consortium: Consortium, tmp_path: Path) -> None:
    members = tuple(one.msp_id for one in consortium.organisations[:2])
    definition = ChaincodeDefinition(TOY, "1", 1, (Collection(COLLECTION, members),))
    ledger = consortium.open(tmp_path / "peer")
    assert consortium.commit(ledger, [consortium.define(ledger, definition)]) == [0]
    block = consortium.next_block(ledger, [consortium.transaction(ledger, fill)])
    assert commit_block(ledger, block, {}, held=False) == [0]
    close_ledger(ledger)
    for msp_id, clean in ((members[0], False), ("Org3MSP", True), (None, False)):
        report = fsck.check(tmp_path / "peer", consortium.genesis, msp_id=msp_id)
        assert (report.findings == []) is clean, msp_id
