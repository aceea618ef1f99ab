"""Random transactions, as lists of what they do, for comparing the ledger with its plain twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from healthchain.ledger.simulate import Simulator

from .chain_builder import COLLECTION, Run

KEYS = 12


class Operation(NamedTuple):
    """`first` and `second` choose keys; `second` of a range may be "no end"; `stop` is where its reader leaves."""

    kind: str
    first: int
    second: int
    stop: int


KINDS = (
    *("get", "put", "put", "delete", "range", "hash", "private", "put private", "delete private", "purge"),
    *("metadata", "put metadata", "private metadata", "put private metadata"),
)
OPERATIONS = st.builds(
    Operation, st.sampled_from(KINDS), st.integers(0, KEYS), st.integers(0, KEYS), st.integers(0, 80)
)
TRANSACTIONS = st.lists(OPERATIONS, min_size=1, max_size=5)
LAGS = st.integers(0, 3)
"""How many blocks old the state was that a transaction was endorsed on."""
BLOCKS = st.lists(st.lists(st.tuples(LAGS, TRANSACTIONS), max_size=5), min_size=1, max_size=6)


def name(index: int) -> str:
    """Keys whose order differs between code points and UTF-16, and one that begins another."""
    return ["a", "aa", "b", "é", "\uffff", "\U0001f600", "k"][index] if index < 7 else f"k{index}"


def many(stub: Simulator) -> None:
    """Enough keys for ranges beyond 50 results."""
    for index in range(70):
        stub.put_state(f"m{index:02}", b"m")


def run_of(operations: Sequence[Operation], value: bytes) -> Run:
    def run(stub: Simulator) -> None:
        for one in operations:
            _run(stub, one, value)

    return run


def _run(stub: Simulator, one: Operation, value: bytes) -> None:
    key = name(one.first)
    match one.kind:
        case "get":
            stub.get_state(key)
        case "put":
            stub.put_state(key, value)
        case "delete":
            stub.delete_state(key)
        case "range":
            found = stub.range_states(name(one.first), "" if one.second == KEYS else name(one.second))
            for count, _ in enumerate(found):
                if count == one.stop:
                    break
        case "metadata":
            stub.metadata(key)
        case "put metadata":
            stub.put_metadata(key, some_metadata(one, value))
        case "private metadata":
            stub.private_metadata(COLLECTION, key)
        case "put private metadata":
            stub.put_private_metadata(COLLECTION, key, some_metadata(one, value))
        case "hash":
            stub.private_hash(COLLECTION, key)
        case "private":
            stub.get_private(COLLECTION, key)
        case "put private":
            stub.put_private(COLLECTION, key, value)
        case "delete private":
            stub.delete_private(COLLECTION, key)
        case "purge":
            stub.purge_private(COLLECTION, key)


def some_metadata(one: Operation, value: bytes) -> dict[str, bytes]:
    """None, one or two entries."""
    return (
        {"second": value, "first": bytes([one.stop])} if one.stop % 3 == 2 else {"first": value} if one.stop % 3 else {}
    )
