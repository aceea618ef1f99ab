"""Reading a peer's ledger: state, ranges, history, transactions, blocks and the private values it holds."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from healthchain.chaincode.stub import composite_key
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.private import PrivateDataMissing, as_sets, body_holds, body_key, decode_body
from healthchain.ledger.quorum import BlockRefused
from healthchain.ledger.simulate import Simulator
from healthchain.ledger.state import hashed_key
from healthchain.wire.rwset import Version

from .chain_builder import COLLECTION, START_NS, TOY, Consortium, Transaction, commit_block, prepare_block


def _fill(stub: Simulator) -> None:
    stub.put_state("k", b"1")
    for attributes in (["alice", "1"], ["alice", "2"], ["bob", "1"]):
        stub.put_state(composite_key("visit", attributes), b"x")
    stub.put_private(COLLECTION, "p", b"one")
    stub.put_private(COLLECTION, "q", b"two")
    stub.set_event("filled", b"payload")


@pytest.fixture
def filled(consortium: Consortium, ledger: Ledger) -> Ledger:
    """Block 2."""
    assert consortium.commit(ledger, [consortium.transaction(ledger, _fill)]) == [0]
    return ledger


def test_state_and_ranges(filled: Ledger) -> None:
    found = filled.get(TOY, "k")
    assert found == (b"1", Version(2, 0))
    assert filled.get(TOY, "none") is None
    assert filled.get("to", "y\x00k") is None
    assert [key for key, _ in filled.range(TOY, "\x01", "")] == ["k"]
    assert [key for key, _ in filled.range(TOY, "", "\x01")] == [
        composite_key("visit", one) for one in (["alice", "1"], ["alice", "2"], ["bob", "1"])
    ]
    assert list(filled.range(TOY, "z", "a")) == []
    assert list(filled.range("tox", "", "")) == list(filled.range("to", "", "")) == []


def test_private_values_and_hashes(consortium: Consortium, filled: Ledger) -> None:
    assert filled.private(TOY, COLLECTION, "p") == b"one"
    assert filled.private(TOY, COLLECTION, "none") is None
    assert filled.hashed(TOY, COLLECTION, sha256(b"p").digest()) == (sha256(b"one").digest(), Version(2, 0))
    assert filled.hashed(TOY, COLLECTION, b"p") is None
    consortium.commit(filled, [consortium.transaction(filled, lambda stub: stub.delete_private(COLLECTION, "p"))])
    assert filled.private(TOY, COLLECTION, "p") is None
    assert filled.hashed(TOY, COLLECTION, sha256(b"p").digest()) is None


def test_history_names_transactions_and_their_times(consortium: Consortium, filled: Ledger) -> None:
    made = consortium.transaction(filled, lambda stub: stub.put_state("k", b"2"))
    assert consortium.commit(filled, [made, made]) == [0, 9]
    version, tx_id, timestamp_ms, value = next(filled.history(TOY, "k"))
    assert (version, tx_id, value) == (Version(3, 0), made.tx_id, b"2")
    assert timestamp_ms > START_NS // 10**6
    assert [value for _, _, _, value in filled.history(TOY, "k")] == [b"2", b"1"]
    assert list(filled.history(TOY, "none")) == []


def test_a_conflict_leaves_no_history(consortium: Consortium, filled: Ledger) -> None:
    def bump(stub: Simulator) -> None:
        stub.put_state("k", (stub.get_state("k") or b"") + b"+")

    made = [consortium.transaction(filled, bump) for _ in range(3)]
    assert consortium.commit(filled, made) == [0, 11, 11]
    assert [value for _, _, _, value in filled.history(TOY, "k")] == [b"1+", b"1"]
    entries = [filled.transaction(one.tx_id) for one in made]
    assert [(one.block, one.index, one.code) for one in entries if one] == [(3, 0, 0), (3, 1, 11), (3, 2, 11)]


def test_blocks(consortium: Consortium, filled: Ledger) -> None:
    assert filled.height == 3
    assert filled.block(0).data.data[0] == consortium.genesis.data.data[0]
    assert [filled.block(number).header.number for number in range(3)] == [0, 1, 2]
    for number in (-1, 3, 2**70):
        with pytest.raises(IndexError, match="not on this ledger"):
            filled.block(number)


def test_the_genesis_transaction_is_known(consortium: Consortium, ledger: Ledger) -> None:
    ids = [tx_id for tx_id, _ in ledger.state.items(b"transactions")]
    assert len(ids) == 2
    assert {found.block for found in (ledger.transaction(one.hex()) for one in ids) if found} == {0, 1}


def test_a_block_that_is_not_next_is_refused(consortium: Consortium, filled: Ledger) -> None:
    block = consortium.next_block(filled, [consortium.transaction(filled, lambda stub: stub.get_state("k"))])
    block.header.number += 1
    with pytest.raises(BlockRefused):
        prepare_block(filled, block, {})


def second_peer(consortium: Consortium, first: Ledger, folder: Path) -> Ledger:
    """Caught up from the first one's blocks and the private values that it still holds."""
    second = consortium.open(folder)
    for number in range(1, first.height):
        commit = prepare_block(second, first.block(number), {}, bodies=first.private_bodies(number))
        commit.write()
        second.apply(commit)
    return second


def test_a_peer_that_was_down_gets_the_private_values(consortium: Consortium, filled: Ledger, tmp_path: Path) -> None:
    consortium.commit(filled, [consortium.transaction(filled, lambda stub: stub.put_private(COLLECTION, "p", b"new"))])
    consortium.commit(filled, [consortium.transaction(filled, lambda stub: stub.purge_private(COLLECTION, "q"))])
    assert filled.private_bodies(0) == filled.private_bodies(1) == filled.private_bodies(4) == {}
    held = [decode_body(body) for body in filled.private_bodies(2).values()]
    assert [(one.key, one.value) for one in held] == [("p", b"one")], "q was purged since"
    assert as_sets(held) == filled.private_bodies(2)
    second = second_peer(consortium, filled, tmp_path / "second")
    assert second.private(TOY, COLLECTION, "p") == b"new"
    assert second.private(TOY, COLLECTION, "q") is None
    assert second.state.commit_hash == filled.state.commit_hash
    second.close()


@pytest.mark.parametrize("spoiled", [b"", b"\xff", b"\x00\x01\x00\x01", b"\x00" * 40])
def test_false_bodies_count_as_missing(consortium: Consortium, filled: Ledger, tmp_path: Path, spoiled: bytes) -> None:
    """What another peer hands over is believed only as far as the block's hashes go."""
    (key, good), other = filled.private_bodies(2).popitem(), next(iter(filled.private_bodies(2).values()))
    for index, false in enumerate((spoiled, good[:-1] + b"!", other)):
        second = consortium.open(tmp_path / str(index))
        for number, bodies in ((1, {}), (2, {key: false})):
            commit = prepare_block(second, filled.block(number), {}, bodies=bodies)
            commit.write()
            second.apply(commit)
        with pytest.raises(PrivateDataMissing):
            second.private(TOY, COLLECTION, "q")
        assert second.state.commit_hash == filled.state.commit_hash
        second.close()


def test_two_writers_of_one_key_of_whom_one_fails(consortium: Consortium, filled: Ledger) -> None:
    """The value that is kept is the valid one's, in whichever order their values were handed out."""

    def write(value: bytes) -> Transaction:
        def run(stub: Simulator) -> None:
            stub.private_hash(COLLECTION, "p")
            stub.put_private(COLLECTION, "p", value)

        return consortium.transaction(filled, run)

    first, second = write(b"first"), write(b"second")
    assert consortium.commit(filled, [first, second]) == [0, 11]
    assert filled.private(TOY, COLLECTION, "p") == b"first"


def test_private_data_of_a_transaction_that_is_not_valid_is_not_kept(consortium: Consortium, ledger: Ledger) -> None:
    made = consortium.transaction(ledger, _fill, endorsers=consortium.majority[:1])
    assert consortium.commit(ledger, [made]) == [10]
    assert ledger.private_bodies(2) == {}
    assert ledger.private(TOY, COLLECTION, "p") is None


def test_a_set_that_is_not_the_endorsed_one_is_not_looked_into(consortium: Consortium, ledger: Ledger) -> None:
    made = consortium.transaction(ledger, _fill)
    block = consortium.next_block(ledger, [made])
    surplus = {name: encoded + encoded for name, encoded in made.private.items()}
    assert prepare_block(ledger, block, {made.tx_id: surplus}).private_entries == []
    assert len(prepare_block(ledger, block, {made.tx_id: made.private}).private_entries) == 2


def test_body_holds() -> None:
    key, value_hash = hashed_key(TOY, COLLECTION, sha256(b"p").digest()), sha256(b"one").digest()
    body = b"\x00\x0a\x00\x01" + b"toy\x00values" + b"p" + b"one"
    assert body_holds(body, key, value_hash)
    assert not body_holds(body, key, sha256(b"two").digest())
    assert not body_holds(body, hashed_key(TOY, COLLECTION, sha256(b"q").digest()), value_hash)
    assert len(body_key(key, value_hash)) == len(key) + 32


def test_what_commits_on_one_peer_commits_alike_on_another(consortium: Consortium, tmp_path: Path) -> None:
    peers = [consortium.open(tmp_path / name) for name in ("one", "two")]
    for _ in range(3):
        blocks = [[consortium.define(peers[0])], [consortium.transaction(peers[0], _fill)] * 2]
        for made in blocks:
            block = consortium.next_block(peers[0], made)
            codes = [commit_block(peer, block, {one.tx_id: one.private for one in made}) for peer in peers]
            assert codes[0] == codes[1]
    tables = [{name: list(peer.state.items(name)) for name in (b"state", b"hashed", b"transactions")} for peer in peers]
    assert tables[0] == tables[1]
    for peer in peers:
        peer.close()
