"""What a chaincode that takes its time reads while blocks are committed: the state that it began with."""

from __future__ import annotations

from functools import partial
from hashlib import sha256

import pytest

from healthchain.ledger.ledger import Ledger
from healthchain.ledger.private import PrivateDataMissing
from healthchain.ledger.simulate import SimulationFailed, Simulator

from .chain_builder import COLLECTION, TOY, Consortium, simulate


def put(consortium: Consortium, ledger: Ledger, value: str) -> None:
    def run(stub: Simulator) -> None:
        stub.put_state("k", value.encode())
        stub.put_state(f"k {value}", b"v")
        stub.put_private(COLLECTION, "p", value.encode())

    assert consortium.commit(ledger, [consortium.transaction(ledger, run)]) == [0]


def purge(consortium: Consortium, ledger: Ledger) -> None:
    def run(stub: Simulator) -> None:
        stub.purge_private(COLLECTION, "p")

    assert consortium.commit(ledger, [consortium.transaction(ledger, run)]) == [0]


def test_it_stays_at_its_height(consortium: Consortium, ledger: Ledger) -> None:
    put(consortium, ledger, "1")
    with ledger.snapshot() as view:
        begun = view.range(TOY, "k", "l")
        first = next(begun)
        put(consortium, ledger, "2")
        assert (view.height, ledger.height) == (3, 4)
        found = view.get(TOY, "k")
        assert found is not None
        assert found.value == b"1"
        assert [key for key, _ in [first, *begun]] == ["k", "k 1"]
        assert [value for *_, value in view.history(TOY, "k")] == [b"1"]
        hashed = view.hashed(TOY, COLLECTION, sha256(b"p").digest())
        assert hashed is not None
        assert hashed.value == sha256(b"1").digest()
        assert view.private(TOY, COLLECTION, "p") == b"1"
    assert ledger.private(TOY, COLLECTION, "p") == b"2"
    with ledger.snapshot() as view:
        assert view.height == 4


def test_what_was_purged_meanwhile_is_gone_also_from_there(consortium: Consortium, ledger: Ledger) -> None:
    put(consortium, ledger, "1")
    with ledger.snapshot() as view:
        purge(consortium, ledger)
        with pytest.raises(PrivateDataMissing, match="purged by a block after"):
            view.private(TOY, COLLECTION, "p")


def test_many_at_one_time(consortium: Consortium, ledger: Ledger) -> None:
    """More than LMDB has room for unless it is told."""
    put(consortium, ledger, "1")
    opened = [ledger.snapshot() for _ in range(300)]
    views = [one.__enter__() for one in opened]
    put(consortium, ledger, "2")
    assert {view.height for view in views} == {3}
    for one in opened:
        one.__exit__(None, None, None)


def test_a_ledger_that_is_closed_takes_its_snapshots_along(consortium: Consortium, ledger: Ledger) -> None:
    with ledger.snapshot() as view:
        rows = view.range(TOY, "", "")
        next(rows, None)
        ledger.close()


def test_the_called_chaincode_shares_the_transaction_but_not_the_namespace(ledger: Ledger) -> None:
    def run(stub: Simulator) -> None:
        stub.put_state("k", b"caller")
        callee = stub.calling("other", frozenset())
        callee.put_state("k", b"callee")
        callee.set_event("callee's", b"")
        with pytest.raises(SimulationFailed, match="no collection"):
            callee.put_private(COLLECTION, "p", b"v")
        stub.calling("read only", frozenset()).get_state("k")

    simulator = simulate(ledger, run)
    assert {name: one.writes for name, one in simulator.namespaces.items()} == {
        TOY: {"k": b"caller"},
        "other": {"k": b"callee"},
        "read only": {},
    }
    assert simulator.event is None


def test_pages_are_not_recorded_and_exclude_writes_in_all_namespaces(consortium: Consortium, ledger: Ledger) -> None:
    put(consortium, ledger, "1")
    put(consortium, ledger, "2")

    def reads(stub: Simulator) -> None:
        assert stub.page("k", "l", 2) == ([("k", b"2"), ("k 1", b"v")], "k 2")
        assert stub.page("k 2", "l", 2) == ([("k 2", b"v")], "")
        callee = stub.calling("other", frozenset({COLLECTION}))
        for write in (
            partial(callee.put_state, "k", b"v"),
            partial(callee.delete_state, "k"),
            partial(callee.put_private, COLLECTION, "p", b"v"),
            partial(callee.purge_private, COLLECTION, "p"),
            partial(callee.put_metadata, "k", {"m": b"v"}),
            partial(callee.put_private_metadata, COLLECTION, "p", {"m": b"v"}),
        ):
            with pytest.raises(SimulationFailed, match="pages cannot write"):
                write()

    def writes(stub: Simulator) -> None:
        stub.calling("other", frozenset()).put_state("k", b"v")
        with pytest.raises(SimulationFailed, match="wrote cannot read pages"):
            stub.page("k", "l", 2)

    assert simulate(ledger, reads).namespaces[TOY].ranges == []
    simulate(ledger, writes)
