"""MVCC against its plain twin on random blocks, and what each kind of conflict looks like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from healthchain.ledger import ledger as ledger_module
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.mvcc import Effects, Outcome, check, effects, keys_fit
from healthchain.ledger.private import PrivateDataMissing
from healthchain.ledger.simulate import Simulator
from healthchain.ledger.state import hashed_key, state_key, unpack_version
from healthchain.ledger.view import Value
from healthchain.wire.rwset import CollectionSet, NamespaceSet, RangeQuery, Version, encode_metadata
from healthchain.wire.transaction import Action, NamespaceAction, RangeRead, decode_action, decode_header

from .chain_builder import COLLECTION, TOY, Consortium, Transaction, simulate, unsigned
from .operations import BLOCKS, Operation, many, run_of
from .plain_ledger import MVCC, PHANTOM, VALID, PlainLedger, Written

Blocks = Sequence[Sequence[tuple[int, Sequence[Operation]]]]


class Tables:
    """A peer's tables as dictionaries: implements `mvcc.CommittedVersions`."""

    def __init__(self) -> None:
        self.state: dict[bytes, tuple[int, bytes]] = {}
        self.hashed: dict[bytes, tuple[int, bytes]] = {}
        self.metadata: dict[bytes, bytes] = {}
        self.hashed_metadata: dict[bytes, bytes] = {}

    def version(self, key: bytes) -> int | None:
        return self.state[key][0] if key in self.state else None

    def hashed_version(self, key: bytes) -> int | None:
        return self.hashed[key][0] if key in self.hashed else None

    def metadata_of(self, key: bytes) -> bytes | None:
        return self.metadata.get(key)

    def hashed_metadata_of(self, key: bytes) -> bytes | None:
        return self.hashed_metadata.get(key)

    def range_versions(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, int]]:
        return ((key, self.state[key][0]) for key in sorted(self.state) if start <= key < end)

    def apply(self, outcome: Outcome) -> None:
        for key, (version, value) in outcome.state.items():
            self.state.pop(key, None)
            if value is not None:
                self.state[key] = (version, value)
        for key, (version, write) in outcome.hashed.items():
            self.hashed.pop(key, None)
            if write.value_hash is not None:
                self.hashed[key] = (version, write.value_hash)
        for key, version in outcome.renewed.items():
            self.state[key] = (version, self.state[key][1])
        for key, version in outcome.hashed_renewed.items():
            self.hashed[key] = (version, self.hashed[key][1])
        for kept, changed in (
            (self.metadata, outcome.metadata),
            (self.hashed_metadata, outcome.hashed_metadata),
        ):
            for key, (_, encoded) in changed.items():
                kept.pop(key, None)
                if encoded is not None:
                    kept[key] = encoded


def decoded(written: Written) -> Effects:
    """By way of the bytes that a block holds."""
    return effects(decode_action(decode_header(unsigned(written))))


def compared(blocks: Blocks, *, crowded: bool) -> None:
    plain, tables = PlainLedger(), Tables()
    snapshots = [plain.copy()]
    if crowded:
        crowd = [simulate(plain, many).namespaces]
        assert plain.commit(1, crowd) == [VALID]
        tables.apply(check(1, [decoded(one) for one in crowd], [VALID], tables))
        snapshots.append(plain.copy())
    for number, block in enumerate(blocks, start=2):
        written = [
            simulate(snapshots[-1 - min(lag, len(snapshots) - 1)], run_of(operations, b"%d" % number)).namespaces
            for lag, operations in block
        ]
        outcome = check(number, [decoded(one) for one in written], [VALID] * len(written), tables)
        assert outcome.codes == plain.commit(number, written)
        tables.apply(outcome)
        assert_same(plain, tables)
        snapshots.append(plain.copy())


def assert_same(plain: PlainLedger, tables: Tables) -> None:
    state = {key: (unpack_version(version), value) for key, (version, value) in tables.state.items()}
    assert state == {state_key(name, key): (v.version, v.value) for (name, key), v in plain.public.items()}
    hashed = {key: (unpack_version(version), value) for key, (version, value) in tables.hashed.items()}
    assert hashed == {
        hashed_key(name, collection, sha256(key.encode()).digest()): (v.version, sha256(v.value).digest())
        for (name, collection, key), v in plain.private_values.items()
    }
    kept = {place: one for place, one in plain.key_metadata.items() if one}
    assert tables.metadata == {
        state_key(*place): encode_metadata(one) for place, one in kept.items() if len(place) == 2
    }
    assert tables.hashed_metadata == {
        hashed_key(place[0], place[1], sha256(place[2].encode()).digest()): encode_metadata(one)
        for place, one in kept.items()
        if len(place) == 3
    }


@settings(max_examples=100)
@given(BLOCKS)
def test_random_blocks_equal_the_plain_twin(blocks: Blocks) -> None:
    compared(blocks, crowded=False)


RANGE_OF_70 = Operation("range", 0, 12, 80)
RANGE_OF_60 = Operation("range", 0, 12, 60)


@settings(max_examples=30)
@given(BLOCKS)
@example([[(0, [RANGE_OF_70]), (0, [RANGE_OF_60]), (0, [Operation("put", 3, 0, 0)]), (0, [RANGE_OF_70])]])
@example([[(0, [Operation("put", 0, 0, 0)])], [(1, [RANGE_OF_70])], [(1, [RANGE_OF_60])], [(0, [RANGE_OF_60])]])
def test_random_blocks_with_long_ranges_equal_the_plain_twin(blocks: Blocks) -> None:
    compared(blocks, crowded=True)


@pytest.mark.fuzz
@settings(max_examples=3000)
@given(BLOCKS)
def test_random_blocks_equal_the_plain_twin_for_long(blocks: Blocks) -> None:
    compared(blocks, crowded=False)
    compared(blocks, crowded=True)


@settings(max_examples=25)
@given(blocks=BLOCKS)
def test_a_real_ledger_equals_the_plain_twin(
    blocks: Blocks, consortium: Consortium, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With signatures, blocks, files and tables; the ledger's own history and private values too."""
    folder = tmp_path_factory.mktemp("peer")
    ledger = consortium.start(folder)
    plain = PlainLedger()
    snapshots = [plain.copy()]
    for block in blocks:
        number = ledger.height
        made: list[Transaction] = []
        written: list[Written] = []
        for lag, operations in block:
            view = snapshots[-1 - min(lag, len(snapshots) - 1)]
            run = run_of(operations, b"%d" % number)
            made.append(consortium.transaction(view, run))
            written.append(simulate(view, run).namespaces)
        refused = after_metadata(written)
        codes = plain.commit(number, [None if one in refused else written[one] for one in range(len(written))])
        assert consortium.commit(ledger, made) == [10 if one in refused else code for one, code in enumerate(codes)]
        snapshots.append(plain.copy())
    assert_ledger_is(ledger, plain)
    ledger.close()
    reopened = consortium.open(folder, "after a power loss")
    assert_ledger_is(reopened, plain)
    reopened.close()


def assert_ledger_is(ledger: Ledger, plain: PlainLedger) -> None:
    assert list(ledger.range(TOY, "", "")) == list(plain.range(TOY, "", ""))
    for name, key in plain.writes:
        found = [(version, value) for version, _, _, value in ledger.history(name, key)]
        assert found == [(version, value) for version, _, _, value in plain.history(name, key)]
    assert sum(1 for _ in ledger.state.items(b"hashed")) == len(plain.private_values)
    for (name, collection, key), value in plain.private_values.items():
        digest = sha256(key.encode()).digest()
        assert ledger.hashed(name, collection, digest) == Value(sha256(value.value).digest(), value.version)
        assert ledger.hashed_metadata(name, collection, digest) == plain.hashed_metadata(name, collection, digest)
        try:
            assert ledger.private(name, collection, key) == value.value
        except PrivateDataMissing:
            pytest.fail("a private value that was handed out is not held")
    assert list(ledger.private_range(TOY, COLLECTION, "aa", "k9")) == list(
        plain.private_range(TOY, COLLECTION, "aa", "k9")
    )
    for name, key in plain.public:
        assert ledger.metadata(name, key) == plain.metadata(name, key)
    kept = sum(1 for table in (b"metadata", b"hashed_metadata") for _ in ledger.state.items(table))
    assert kept == sum(1 for one in plain.key_metadata.values() if one)


def after_metadata(block: Sequence[Written]) -> set[int]:
    """Transactions that write what an earlier one of the block, not refused so itself, wrote the metadata of."""
    changed: set[tuple[str, ...]] = set()
    refused = set()
    for index, written in enumerate(block):
        metadata: set[tuple[str, ...]] = set()
        values: set[tuple[str, ...]] = set()
        for name, content in written.items():
            values |= {(name, key) for key in content.writes}
            metadata |= {(name, key) for key in content.metadata}
            for collection, inner in content.collections.items():
                values |= {(name, collection, key) for key in inner.writes}
                metadata |= {(name, collection, key) for key in inner.metadata}
        if changed & (values | metadata):
            refused.add(index)
        else:
            changed |= metadata
    return refused


def conflict(first: NamespaceSet, second: NamespaceSet) -> list[int]:
    """Codes of two transactions in one block, over a state with a, b and c written at (1, 0), and private p."""
    plain, tables = PlainLedger(), Tables()

    def fill(stub: Simulator) -> None:
        for key in "abc":
            stub.put_state(key, b"x")
        stub.put_private(COLLECTION, "p", b"x")

    filled = [simulate(plain, fill).namespaces]
    plain.commit(1, filled)
    tables.apply(check(1, [decoded(one) for one in filled], [VALID], tables))
    block = [{TOY: first}, {TOY: second}]
    codes = check(2, [decoded(one) for one in block], [VALID, VALID], tables).codes
    assert codes == plain.commit(2, block)
    return codes


AT = Version(1, 0)
PUT_A = NamespaceSet(writes={"a": b"y"})
MARK_A = NamespaceSet(metadata={"a": {"m": b"y"}})
NOTHING = NamespaceSet()
WHOLE = RangeQuery("a", "d", True, [("a", AT), ("b", AT), ("c", AT)])
HALF = RangeQuery("a", "b", False, [("a", AT), ("b", AT)])


def collection(**fields: object) -> NamespaceSet:
    return NamespaceSet(collections={COLLECTION: CollectionSet(**fields)})  # type: ignore[arg-type]


CONFLICTS = [
    (PUT_A, NamespaceSet(reads={"a": AT}), MVCC),
    (PUT_A, NamespaceSet(reads={"b": AT}), VALID),
    (PUT_A, NamespaceSet(writes={"a": b"blind"}), VALID),
    (NOTHING, NamespaceSet(reads={"a": Version(0, 7)}), MVCC),
    (NOTHING, NamespaceSet(reads={"a": None}), MVCC),
    (NOTHING, NamespaceSet(reads={"x": None}), VALID),
    (NamespaceSet(writes={"x": None}), NamespaceSet(reads={"x": None}), MVCC),
    (NamespaceSet(writes={"a": None}), NamespaceSet(reads={"a": AT}), MVCC),
    (NOTHING, NamespaceSet(ranges=[WHOLE, HALF]), VALID),
    (NamespaceSet(writes={"aa": b"new"}), NamespaceSet(ranges=[WHOLE]), PHANTOM),
    (NamespaceSet(writes={"b": None}), NamespaceSet(ranges=[WHOLE]), PHANTOM),
    (NamespaceSet(writes={"b": b"new"}), NamespaceSet(ranges=[HALF]), PHANTOM),
    (NamespaceSet(writes={"c": b"new"}), NamespaceSet(ranges=[HALF]), VALID),
    (NamespaceSet(writes={"bb": b"new"}), NamespaceSet(ranges=[HALF]), VALID),
    (NamespaceSet(writes={"d": b"new"}), NamespaceSet(ranges=[WHOLE]), VALID),
    (NamespaceSet(writes={"aa": None}), NamespaceSet(ranges=[WHOLE]), VALID),
    (PUT_A, NamespaceSet(reads={"a": AT}, ranges=[WHOLE]), MVCC),
    (PUT_A, NamespaceSet(reads={"b": AT}, ranges=[WHOLE]), PHANTOM),
    (NOTHING, collection(reads={"p": AT}), VALID),
    (NOTHING, collection(reads={"p": None}), MVCC),
    (NOTHING, collection(reads={"q": AT}), MVCC),
    (MARK_A, NamespaceSet(reads={"a": AT}), MVCC),
    (MARK_A, NamespaceSet(reads={"b": AT}), VALID),
    (MARK_A, NamespaceSet(ranges=[WHOLE]), PHANTOM),
    (NamespaceSet(metadata={"x": {"m": b"y"}}), NamespaceSet(reads={"x": None}), VALID),
    (NamespaceSet(metadata={"aa": {"m": b"y"}}), NamespaceSet(ranges=[WHOLE]), VALID),
    (NamespaceSet(writes={"a": None}, metadata={"a": {"m": b"y"}}), NamespaceSet(ranges=[WHOLE]), PHANTOM),
    (collection(metadata={"p": {"m": b"y"}}), collection(reads={"p": AT}), MVCC),
    (collection(metadata={"q": {"m": b"y"}}), collection(reads={"q": None}), VALID),
]


@pytest.mark.parametrize(("first", "second", "code"), CONFLICTS)
def test_each_kind_of_conflict(first: NamespaceSet, second: NamespaceSet, code: int) -> None:
    assert conflict(first, second) == [VALID, code]


def test_a_transaction_refused_before_touches_nothing() -> None:
    transactions = [decoded({TOY: PUT_A}), decoded({TOY: NamespaceSet(reads={"a": None})})]
    outcome = check(5, transactions, [10, VALID], Tables())
    assert (outcome.codes, outcome.state) == ([10, VALID], {})


def test_a_version_beyond_what_a_block_has_room_for_equals_none() -> None:
    """(5, 2^20) is packed like (5, 0) or (6, 0) if nobody looks."""
    tables = Tables()
    tables.state[state_key(TOY, "a")] = (5 << 20, b"x")
    read = decoded({TOY: NamespaceSet(reads={"a": Version(5, 1 << 20)})})
    assert check(9, [read], [VALID], tables).codes == [MVCC]


def test_keys_that_the_database_refuses() -> None:
    fits, long = "x" * 507, "x" * 508
    for key, expected in ((fits, True), (long, False)):
        for content in (
            NamespaceSet(reads={key: None}),
            NamespaceSet(writes={key: b"x"}),
            NamespaceSet(metadata={key: {"m": b"x"}}),
            NamespaceSet(ranges=[RangeQuery(key, "", True, [])]),
        ):
            assert keys_fit(decoded({TOY: content})) == expected
    assert not keys_fit(decoded({TOY: NamespaceSet(collections={"c" * 500: CollectionSet(reads={"k": None})})}))


def test_a_merkle_summary_of_few_results_is_not_what_an_endorser_records() -> None:
    read = RangeRead("a", "z", exhausted=True, encoded_results=b"", merkle=True)
    action = NamespaceAction(TOY, (), (read,), (), (), ())
    made = Action(TOY, "1", b"", (), (action,), None, 200)
    assert check(2, [effects(made)], [VALID], Tables()).codes == [PHANTOM]


def test_the_commit_hash_covers_every_write() -> None:
    base = check(2, [decoded({TOY: PUT_A})], [VALID], Tables())
    hashes = {ledger_module.chained_commit_hash(base, b"")}
    variants: list[tuple[int, Written, bytes]] = [
        (2, {TOY: PUT_A}, b"previous"),
        (3, {TOY: PUT_A}, b""),
        (2, {TOY: NamespaceSet(writes={"a": b"z"})}, b""),
        (2, {TOY: NamespaceSet(writes={"b": b"y"})}, b""),
        (2, {TOY: NamespaceSet(writes={"a": None})}, b""),
        (2, {TOY: NamespaceSet(writes={"a": b"y", "b": b""})}, b""),
        (2, {TOY: NamespaceSet(writes={"a": b"y"}, metadata={"a": {"m": b""}})}, b""),
        (2, {TOY: NamespaceSet(writes={"a": b"y"}, metadata={"a": {"m": b"x"}})}, b""),
        (2, {TOY: NamespaceSet(writes={"a": b"y"}, metadata={"a": {"n": b"x"}})}, b""),
    ]
    for number, written, previous in variants:
        outcome = check(number, [decoded(written)], [VALID], Tables())
        hashes.add(ledger_module.chained_commit_hash(outcome, previous))
    refused = check(2, [decoded({TOY: PUT_A})], [10], Tables())
    hashes.add(ledger_module.chained_commit_hash(refused, b""))
    assert len(hashes) == len(variants) + 2


def test_history_keeps_every_write_of_a_block(consortium: Consortium, ledger: Ledger, tmp_path: Path) -> None:
    def put(stub: Simulator) -> None:
        stub.put_state("k", b"put")

    def delete(stub: Simulator) -> None:
        stub.delete_state("k")

    made = [consortium.transaction(ledger, run) for run in (put, delete, put, put)]
    assert consortium.commit(ledger, made) == [VALID] * 4
    found = [(version, value) for version, _, _, value in ledger.history(TOY, "k")]
    assert found == [(Version(2, index), value) for index, value in ((3, b"put"), (2, b"put"), (1, None), (0, b"put"))]
