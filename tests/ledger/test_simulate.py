"""Simulation: what a transaction sees is committed, and what it read and wrote is recorded as Fabric would."""

from __future__ import annotations

import pytest

from healthchain.chaincode.stub import MAX_CODE_POINT, composite_key
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.simulate import KEY_BYTES_MAX, SimulationFailed, Simulator
from healthchain.wire.rwset import PrivateWrite, RangeQuery, Version

from .chain_builder import COLLECTION, TOY, Consortium, Run, simulate

SECOND, THIRD = Version(2, 0), Version(3, 0)


@pytest.fixture
def filled(consortium: Consortium, ledger: Ledger) -> Ledger:
    """k0 to k4 of block 2, composite keys and a private value of block 3."""

    def first(stub: Simulator) -> None:
        for index in range(5):
            stub.put_state(f"k{index}", b"%d" % index)

    def second(stub: Simulator) -> None:
        stub.put_state(composite_key("visit", ["alice", "1"]), b"a1")
        stub.put_state(composite_key("visit", ["alice", "2"]), b"a2")
        stub.put_state(composite_key("visit", ["alicia", "1"]), b"b1")
        stub.put_private(COLLECTION, "p", b"secret")

    for run in (first, second):
        assert consortium.commit(ledger, [consortium.transaction(ledger, run)]) == [0]
    return ledger


def test_no_transaction_reads_its_own_writes(filled: Ledger) -> None:
    def run(stub: Simulator) -> None:
        stub.put_state("k1", b"new")
        stub.delete_state("k2")
        stub.put_state("k9", b"new")
        stub.put_private(COLLECTION, "p", b"new")
        assert stub.get_states(["k1", "k2", "k9"]) == [b"1", b"2", None]
        assert [key for key, _ in stub.range_states("", "")] == ["k0", "k1", "k2", "k3", "k4"]
        assert stub.get_private(COLLECTION, "p") == b"secret"

    found = simulate(filled, run).namespaces[TOY]
    assert found.reads == {"k1": SECOND, "k2": SECOND, "k9": None}
    assert found.collections[COLLECTION].reads == {"p": THIRD}


def test_the_last_write_of_a_key_wins(filled: Ledger) -> None:
    def run(stub: Simulator) -> None:
        stub.put_state("a", b"1")
        stub.put_state("a", b"2")
        stub.put_state("b", b"1")
        stub.delete_state("b")
        stub.put_state("c", b"1")
        stub.put_state("c", b"")
        stub.purge_private(COLLECTION, "p")
        stub.put_private(COLLECTION, "p", b"1")
        stub.put_private(COLLECTION, "q", b"1")
        stub.delete_private(COLLECTION, "q")
        stub.put_private(COLLECTION, "r", b"")
        stub.purge_private(COLLECTION, "s")
        stub.set_event("first", b"")
        stub.set_event("second", b"x")

    simulator = simulate(filled, run)
    found = simulator.namespaces[TOY]
    assert found.writes == {"a": b"2", "b": None, "c": None}
    assert found.collections[COLLECTION].writes == {
        "p": PrivateWrite("p", b"1"),
        "q": PrivateWrite("q", None),
        "r": PrivateWrite("r", None),
        "s": PrivateWrite("s", None, purge=True),
    }
    assert simulator.event == ("second", b"x")


def ranges(view: Ledger, run: Run) -> list[RangeQuery]:
    return simulate(view, run).namespaces[TOY].ranges


def reads(*indexes: int) -> list[tuple[str, Version]]:
    return [(f"k{index}", SECOND) for index in indexes]


def test_a_range_read_to_its_end(filled: Ledger) -> None:
    def run(stub: Simulator) -> None:
        assert list(stub.range_states("k1", "k3")) == [("k1", b"1"), ("k2", b"2")]
        assert list(stub.range_states("x", "y")) == []

    assert ranges(filled, run) == [RangeQuery("k1", "k3", True, reads(1, 2)), RangeQuery("x", "y", True, [])]


def test_a_range_left_early_ends_at_the_last_key_handed_out(filled: Ledger) -> None:
    def run(stub: Simulator) -> None:
        for key, _ in stub.range_states("", ""):
            if key == "k2":
                break

    assert ranges(filled, run) == [RangeQuery("\x01", "k2", False, reads(0, 1, 2))]


def test_what_is_recorded_does_not_depend_on_when_a_generator_dies(filled: Ledger) -> None:
    kept = []

    def run(stub: Simulator) -> None:
        unused, begun, closed = (stub.range_states("k0", "k9") for _ in range(3))
        next(begun)
        next(closed)
        next(closed)
        closed.close()  # type: ignore[attr-defined]
        kept.extend([unused, begun])

    assert ranges(filled, run) == [
        RangeQuery("k0", "k0", False, reads(0)),
        RangeQuery("k0", "k1", False, reads(0, 1)),
    ]


def test_all_keys_handed_out_but_the_end_not_seen(filled: Ledger) -> None:
    """Not exhausted: a key after the last one is no phantom for a caller that stopped there."""

    def run(stub: Simulator) -> None:
        found = stub.range_states("k3", "k9")
        assert [next(found), next(found)] == [("k3", b"3"), ("k4", b"4")]

    assert ranges(filled, run) == [RangeQuery("k3", "k4", False, reads(3, 4))]


def test_composite_keys_have_their_own_ranges(filled: Ledger) -> None:
    prefix = composite_key("visit", ["alice"])

    def run(stub: Simulator) -> None:
        assert [value for _, value in stub.range_composite("visit", ["alice"])] == [b"a1", b"a2"]
        assert [value for _, value in stub.range_composite("visit", [])] == [b"a1", b"a2", b"b1"]
        assert list(stub.range_composite("vis", [])) == []

    first = ranges(filled, run)[0]
    assert (first.start, first.end, first.exhausted) == (prefix, prefix + MAX_CODE_POINT, True)


def test_private_values_and_hashes_are_one_read(filled: Ledger) -> None:
    def run(stub: Simulator) -> None:
        assert stub.private_hash(COLLECTION, "none") is None
        assert stub.get_private(COLLECTION, "none") is None
        assert len(stub.private_hash(COLLECTION, "p") or b"") == 32

    found = simulate(filled, run).namespaces[TOY].collections[COLLECTION]
    assert found.reads == {"none": None, "p": THIRD}
    assert found.writes == {}


def test_a_read_elsewhere_is_recorded_there(filled: Ledger) -> None:
    simulator = simulate(filled, lambda stub: None)
    assert simulator.read_foreign("_lifecycle", "namespaces/fields/toy/Sequence") is not None
    assert simulator.read_foreign("other", "k0") is None
    assert simulator.namespaces["_lifecycle"].reads == {"namespaces/fields/toy/Sequence": Version(1, 0)}
    assert simulator.namespaces["other"].reads == {"k0": None}


def test_history_is_newest_first(consortium: Consortium, filled: Ledger) -> None:
    def put(stub: Simulator) -> None:
        stub.put_state("k1", b"again")

    def delete(stub: Simulator) -> None:
        stub.delete_state("k1")

    for run in (put, delete, put):
        consortium.commit(filled, [consortium.transaction(filled, run)])
    found: list[bytes | None] = []
    simulate(filled, lambda stub: found.extend(one.value for one in stub.history("k1")))
    assert found == [b"again", None, b"again", b"1"]


LONG = "é" * (KEY_BYTES_MAX // 2) + "x"
REFUSED: list[Run] = [
    lambda stub: stub.get_state(""),
    lambda stub: stub.put_state("", b"x"),
    lambda stub: stub.delete_state("x" * (KEY_BYTES_MAX + 1)),
    lambda stub: stub.get_state(LONG),
    lambda stub: stub.get_states(["k", "\ud800"]),
    lambda stub: stub.put_private(COLLECTION, LONG, b"x"),
    lambda stub: stub.get_private(COLLECTION, ""),
    lambda stub: stub.purge_private(COLLECTION, "\udfff"),
    lambda stub: list(stub.range_states(LONG, "")),
    lambda stub: list(stub.range_states("", "\ud800")),
    lambda stub: list(stub.range_composite("visit", ["x" * KEY_BYTES_MAX])),
    lambda stub: list(stub.history(LONG)),
    lambda stub: list(stub.history("")),
    lambda stub: stub.get_private("undeclared", "k"),
    lambda stub: stub.put_private("undeclared", "k", b"x"),
    lambda stub: stub.set_event("", b"x"),
]


@pytest.mark.parametrize("run", REFUSED)
def test_what_the_ledger_does_not_do(ledger: Ledger, run: Run) -> None:
    with pytest.raises(SimulationFailed):
        simulate(ledger, run)


def test_the_longest_key_is_written_and_read(consortium: Consortium, ledger: Ledger) -> None:
    longest = "é" * (KEY_BYTES_MAX // 2)

    def run(stub: Simulator) -> None:
        stub.put_state(longest, b"x")
        stub.put_private(COLLECTION, longest, b"y")

    assert consortium.commit(ledger, [consortium.transaction(ledger, run)]) == [0]
    assert ledger.private(TOY, COLLECTION, longest) == b"y"
    assert [key for key, _ in ledger.range(TOY, longest, "")] == [longest]
    assert len(list(ledger.history(TOY, longest))) == 1
