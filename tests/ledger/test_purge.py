"""A purge leaves no byte of any value of its key in any file, whatever came before it or is in its block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.ledger import fsck
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.recovery import close_ledger
from healthchain.ledger.simulate import Simulator
from healthchain.wire.codes import Code

from .chain_builder import COLLECTION, TOY, Consortium, Transaction, commit_block
from .crashes import traces

KEY = "key of a record"
PURGE, DELETE = "purge", "delete"


def step(consortium: Consortium, ledger: Ledger, what: str) -> Transaction:
    """Blind, so that several in one block are all valid; anything but two words is a value to write."""

    def run(stub: Simulator) -> None:
        if what == PURGE:
            stub.purge_private(COLLECTION, KEY)
        elif what == DELETE:
            stub.delete_private(COLLECTION, KEY)
        else:
            stub.put_private(COLLECTION, KEY, what.encode())

    return consortium.transaction(ledger, run)


def commit(consortium: Consortium, ledger: Ledger, steps: Sequence[str], *, held: bool = True) -> None:
    made = [step(consortium, ledger, one) for one in steps]
    block = consortium.next_block(ledger, made)
    codes = commit_block(ledger, block, {one.tx_id: one.private for one in made}, held=held)
    assert set(codes) <= {Code.VALID}


def secret(number: int, index: int = 0) -> str:
    return f"secret {number}.{index} that nobody may find"


SEQUENCES: dict[str, list[list[str]]] = {
    "one value": [[secret(1)], [PURGE]],
    "several versions": [[secret(1)], [secret(2)], [secret(3)], [PURGE]],
    "deleted before": [[secret(1)], [secret(2)], [DELETE], [PURGE]],
    "deleted and written again": [[secret(1)], [DELETE], [secret(2)], [DELETE], [DELETE], [PURGE]],
    "purged twice": [[secret(1)], [PURGE], [PURGE], [secret(2)], [PURGE]],
    "written before it in its block": [[secret(1)], [secret(2), PURGE]],
    "purged twice in one block": [[secret(1)], [PURGE, PURGE]],
    "deleted after it in its block": [[secret(1)], [PURGE, DELETE]],
    "nothing there": [[PURGE], [DELETE], [PURGE]],
}


@pytest.mark.parametrize("blocks", SEQUENCES.values(), ids=SEQUENCES.keys())
def test_nothing_is_left(consortium: Consortium, tmp_path: Path, blocks: list[list[str]]) -> None:
    ledger = consortium.start(tmp_path / "peer")
    for steps in blocks:
        commit(consortium, ledger, steps)
    assert traces(tmp_path, b"nobody may find") == traces(tmp_path, KEY.encode()) == []
    assert ledger.private(TOY, COLLECTION, KEY) is None
    assert list(ledger.state.items(b"orphans")) == list(ledger.state.items(b"hashed")) == []
    close_ledger(ledger)
    assert fsck.check(tmp_path / "peer", consortium.genesis).findings == []


def test_what_is_written_after_a_purge_in_its_block_stays(consortium: Consortium, ledger: Ledger) -> None:
    """The purge is of what was there before: overwriting it with a new value does not undo it."""
    folder = ledger.folder
    commit(consortium, ledger, [secret(1)])
    commit(consortium, ledger, [PURGE, secret(2)])
    assert traces(folder, secret(1).encode()) == []
    assert ledger.private(TOY, COLLECTION, KEY) == secret(2).encode()
    commit(consortium, ledger, [secret(3), PURGE, secret(4), secret(5)])
    assert ledger.private(TOY, COLLECTION, KEY) == secret(5).encode()
    assert traces(folder, secret(2).encode()) == traces(folder, secret(4).encode()) == []
    commit(consortium, ledger, [PURGE])
    assert traces(folder, b"nobody may find") == []


def test_values_of_other_keys_stay(consortium: Consortium, ledger: Ledger) -> None:
    def others(stub: Simulator) -> None:
        stub.put_private(COLLECTION, KEY + "s", b"other value")
        stub.put_private(COLLECTION, KEY[:-1], b"another value")

    consortium.commit(ledger, [consortium.transaction(ledger, others)])
    commit(consortium, ledger, [secret(1)])
    commit(consortium, ledger, [PURGE])
    assert ledger.private(TOY, COLLECTION, KEY + "s") == b"other value"
    assert ledger.private(TOY, COLLECTION, KEY[:-1]) == b"another value"


def test_a_purge_that_is_not_valid_purges_nothing(consortium: Consortium, ledger: Ledger) -> None:
    commit(consortium, ledger, [secret(1)])
    run = lambda stub: stub.purge_private(COLLECTION, KEY)  # noqa: E731
    made = consortium.transaction(ledger, run, endorsers=consortium.majority[:1])
    assert consortium.commit(ledger, [made]) == [Code.ENDORSEMENT_POLICY_FAILURE]
    assert ledger.private(TOY, COLLECTION, KEY) == secret(1).encode()


@pytest.mark.parametrize("lacking", [[1], [2], [1, 2], [3], [2, 3]])
def test_a_peer_that_lacks_some_of_the_values(consortium: Consortium, ledger: Ledger, lacking: list[int]) -> None:
    """It still finds those that it has, older or newer."""
    for number in (1, 2, 3):
        commit(consortium, ledger, [secret(number)], held=number not in lacking)
    held = [one for one in (1, 2, 3) if traces(ledger.folder, secret(one).encode())]
    assert held == [one for one in (1, 2, 3) if one not in lacking]
    commit(consortium, ledger, [PURGE])
    assert traces(ledger.folder, b"nobody may find") == []
    assert list(ledger.state.items(b"orphans")) == []


@settings(max_examples=15)
@given(
    blocks=st.lists(
        st.tuples(st.lists(st.sampled_from(["write", "write", DELETE, PURGE]), min_size=1, max_size=3), st.booleans()),
        max_size=8,
    )
)
def test_any_sequence(
    consortium: Consortium, tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[list[str], bool]]
) -> None:
    """At the end exactly those values are on the disk that were kept, held and not purged since; also if rebuilt."""
    folder = tmp_path_factory.mktemp("purge") / "peer"
    ledger = consortium.start(folder)
    left: list[str] = []
    complete = True
    for number, (kinds, held) in enumerate(blocks):
        steps = [secret(number, index) if kind == "write" else kind for index, kind in enumerate(kinds)]
        commit(consortium, ledger, steps, held=held)
        if PURGE in steps:
            left = []
        if kinds[-1] == "write" and held:
            left.append(steps[-1])
        complete = complete and (held or kinds[-1] != "write")
    every = [secret(number, index) for number in range(len(blocks)) for index in range(3)]
    assert [one for one in every if traces(folder, one.encode())] == left
    found = {name: list(ledger.state.items(name)) for name in (b"hashed", b"orphans", b"blocks")}
    ledger.close()
    again = consortium.open(folder, "after a power loss")
    assert {name: list(again.state.items(name)) for name in found} == found
    assert [one for one in every if traces(folder, one.encode())] == left
    close_ledger(again)
    findings = fsck.check(folder, consortium.genesis).findings
    assert findings == [] or not complete
    assert all("are missing" in one.what for one in findings)
