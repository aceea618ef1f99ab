"""Policies of single keys and collections: random blocks against a plain model, and what each rule of Fabric's gives.

The rules are those of Fabric's core/common/validation/statebased; tests/fabric plays such cases on its peers as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.ledger import fsck
from healthchain.ledger.channel import POLICIES_MAX, POLICY_BYTES_MAX, Channel
from healthchain.ledger.endorsing import VALIDATION_PARAMETER
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.membership import GOVERNING
from healthchain.ledger.recovery import close_ledger
from healthchain.ledger.simulate import Simulator
from healthchain.ledger.state import TABLES
from healthchain.wire.codes import Code
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection
from healthchain.wire.policy_text import read_policy
from healthchain.wire.rwset import NamespaceSet, Version, encode_public

from . import chain_builder
from .chain_builder import COLLECTION, TOY, Consortium, Transaction, simulate

VALID, FAILURE = Code.VALID, Code.ENDORSEMENT_POLICY_FAILURE
MAJORITY = frozenset((0, 1, 2))
ALL = frozenset((0, 1, 2, 3))


def policy_of(organisations: Sequence[int]) -> bytes:
    """All of these organisations' peers."""
    peers = ", ".join(f"'Org{one}MSP.peer'" for one in organisations)
    return read_policy(f"AND({peers})").SerializeToString()


POLICIES: dict[bytes, frozenset[int] | None] = {
    policy_of([3]): frozenset((3,)),
    policy_of([0, 1]): frozenset((0, 1)),
    b"": frozenset(),  # as if there were none
    b"\xff": None,  # does not decode: nobody satisfies it
}
"""Whose endorsements it needs."""
OF_COLLECTION = policy_of([2])


class Step(NamedTuple):
    """What a transaction does with one key; `collection` "" for a public one."""

    kind: str
    collection: str
    key: str
    policy: bytes = b""


class Call(NamedTuple):
    steps: Sequence[Step]
    endorsers: frozenset[int] = MAJORITY


KINDS = ("put", "put", "delete", "policy", "policy", "no metadata")
STEPS = st.builds(
    Step,
    st.sampled_from(KINDS),
    st.sampled_from(("", COLLECTION)),
    st.sampled_from("ab"),
    st.sampled_from(list(POLICIES)),
)
CALLS = st.builds(Call, st.lists(STEPS, max_size=3), st.frozensets(st.integers(0, 3)) | st.just(ALL))
CALL_BLOCKS = st.lists(st.lists(CALLS, min_size=1, max_size=4), min_size=1, max_size=5)


class PlainPolicies:
    """Keys with their policies; `own` is the collection's, if it has one."""

    def __init__(self, own: frozenset[int] | None) -> None:
        self.keys: dict[tuple[str, str], bytes] = {}
        self._own = own

    def commit(self, block: Sequence[Call]) -> list[int]:
        before, changed, codes = dict(self.keys), set[tuple[str, str]](), []
        for call in block:
            touched = {(one.collection, one.key) for one in call.steps}
            ok = not touched & changed and all(self._holds(before, place, call.endorsers) for place in touched)
            if not touched:
                ok = len(call.endorsers) >= 3
            codes.append(int(VALID if ok else FAILURE))
            if ok:
                self._apply(call.steps)
                changed |= {(one.collection, one.key) for one in call.steps if one.kind in ("policy", "no metadata")}
        return codes

    def _holds(self, keys: dict[tuple[str, str], bytes], place: tuple[str, str], endorsers: frozenset[int]) -> bool:
        policy = keys.get(place, b"")
        if policy:
            needed = POLICIES[policy]
            return needed is not None and needed <= endorsers
        if place[0] and self._own is not None:
            return self._own <= endorsers
        return len(endorsers) >= 3

    def _apply(self, steps: Sequence[Step]) -> None:
        """The last value and the last metadata of each key count, the value first."""
        values = {(one.collection, one.key): one.kind for one in steps if one.kind in ("put", "delete")}
        for place, kind in values.items():
            if kind == "delete":
                self.keys.pop(place, None)
            else:
                self.keys.setdefault(place, b"")
        metadata = {
            (one.collection, one.key): one.policy if one.kind == "policy" else b""
            for one in steps
            if one.kind in ("policy", "no metadata")
        }
        self.keys.update({place: policy for place, policy in metadata.items() if place in self.keys})


def run(stub: Simulator, steps: Sequence[Step]) -> None:
    for kind, collection, key, policy in steps:
        metadata = {VALIDATION_PARAMETER: policy} if kind == "policy" else {}
        match kind, bool(collection):
            case "put", False:
                stub.put_state(key, b"v")
            case "put", True:
                stub.put_private(collection, key, b"v")
            case "delete", False:
                stub.delete_state(key)
            case "delete", True:
                stub.purge_private(collection, key)
            case _, False:
                stub.put_metadata(key, metadata)
            case _:
                stub.put_private_metadata(collection, key, metadata)


def made(consortium: Consortium, ledger: Ledger, call: Call) -> Transaction:
    endorsers = [consortium.organisations[one].peer for one in sorted(call.endorsers)]
    return consortium.transaction(ledger, lambda stub: run(stub, call.steps), endorsers=endorsers)


def compared(consortium: Consortium, folder: Path, blocks: Sequence[Sequence[Call]], *, own: bool) -> None:
    ledger = consortium.start(folder)
    if own:
        collection = Collection(COLLECTION, consortium.channel.msp_ids, OF_COLLECTION)
        changed = replace(consortium.definition, sequence=2, collections=(collection,))
        assert consortium.commit(ledger, [consortium.define(ledger, changed)]) == [VALID]
    plain = PlainPolicies(frozenset((2,)) if own else None)
    for block in blocks:
        assert consortium.commit(ledger, [made(consortium, ledger, call) for call in block]) == plain.commit(block)
    assert policies(ledger) == {place: policy for place, policy in plain.keys.items() if policy}
    tables = {name: list(ledger.state.items(name)) for name in TABLES}
    ledger.close()
    reopened = consortium.open(folder, "after a power loss")
    assert {name: list(reopened.state.items(name)) for name in TABLES} == tables
    reopened.close()


def policies(ledger: Ledger) -> dict[tuple[str, str], bytes]:
    return {place: policy for place, policy in _policies(ledger) if policy}


def _policies(ledger: Ledger) -> Iterator[tuple[tuple[str, str], bytes]]:
    stub = simulate(ledger, lambda stub: None)
    for collection in ("", COLLECTION):
        for key in "ab":
            found = stub.private_metadata(collection, key) if collection else stub.metadata(key)
            if VALIDATION_PARAMETER in found:
                yield (collection, key), found[VALIDATION_PARAMETER]


@pytest.mark.parametrize("own", [False, True])
@settings(max_examples=8)
@given(blocks=CALL_BLOCKS)
def test_random_blocks_equal_the_plain_model(
    own: bool, consortium: Consortium, tmp_path_factory: pytest.TempPathFactory, blocks: Sequence[Sequence[Call]]
) -> None:
    compared(consortium, tmp_path_factory.mktemp("peer"), blocks, own=own)


@pytest.mark.fuzz
@pytest.mark.parametrize("own", [False, True])
@settings(max_examples=400)
@given(blocks=CALL_BLOCKS)
def test_random_blocks_equal_the_plain_model_for_long(
    own: bool, consortium: Consortium, tmp_path_factory: pytest.TempPathFactory, blocks: Sequence[Sequence[Call]]
) -> None:
    compared(consortium, tmp_path_factory.mktemp("peer"), blocks, own=own)


K3, K01, NONE, GARBAGE = POLICIES
PUT_A, DELETE_A, PUT_B = Step("put", "", "a"), Step("delete", "", "a"), Step("put", "", "b")
P_PUT, P_PURGE = Step("put", COLLECTION, "a"), Step("delete", COLLECTION, "a")
THREE, OTHERS = frozenset((3,)), frozenset((1, 2, 3))


def keyed(policy: bytes, collection: str = "") -> Call:
    return Call([Step("put", collection, "a"), Step("policy", collection, "a", policy)])


def policy_step(policy: bytes, collection: str = "") -> Step:
    return Step("policy", collection, "a", policy)


CASES: dict[str, tuple[list[list[Call]], list[list[int]]]] = {
    "satisfied by the key's organisation alone": ([[keyed(K3)], [Call([PUT_A], THREE)]], [[0], [0]]),
    "not satisfied by a majority": ([[keyed(K3)], [Call([PUT_A])]], [[0], [10]]),
    "another key needs the chaincode's as well": ([[keyed(K3)], [Call([PUT_A, PUT_B], THREE)]], [[0], [10]]),
    "both are satisfied": ([[keyed(K3)], [Call([PUT_A, PUT_B], OTHERS)]], [[0], [0]]),
    "nothing written: the chaincode's": ([[keyed(K3)], [Call([], THREE), Call([])]], [[0], [10, 0]]),
    "a policy is changed under the one before": (
        [
            [keyed(K3)],
            [Call([policy_step(K01)])],
            [Call([policy_step(K01)], THREE)],
            [Call([PUT_A], frozenset((0, 1)))],
        ],
        [[0], [10], [0], [0]],
    ),
    "changed in the block": ([[keyed(K3), Call([PUT_A], ALL)], [Call([PUT_A], THREE)]], [[0, 10], [0]]),
    "changed in the block by an invalid one": (
        [[keyed(K3)], [Call([policy_step(K01)]), Call([PUT_A], THREE)]],
        [[0], [10, 0]],
    ),
    "changed in the block on a key that is not there": ([[Call([policy_step(K3)]), Call([PUT_A])]], [[0, 10]]),
    "on a key that is not there it is nothing": ([[Call([policy_step(K3)])], [Call([PUT_A])]], [[0], [0]]),
    "a new value keeps it": ([[keyed(K3)], [Call([PUT_A], THREE)], [Call([PUT_A])]], [[0], [0], [10]]),
    "a key that is deleted loses it": ([[keyed(K3)], [Call([DELETE_A], THREE)], [Call([PUT_A])]], [[0], [0], [0]]),
    "deleted and written in one block": (
        [[keyed(K3)], [Call([DELETE_A], THREE), Call([PUT_A], THREE)], [Call([PUT_A])]],
        [[0], [0, 0], [0]],
    ),
    "an empty one is none": ([[keyed(K3)], [Call([policy_step(NONE)], THREE)], [Call([PUT_A])]], [[0], [0], [0]]),
    "one that does not decode": ([[keyed(GARBAGE)], [Call([PUT_A], ALL)]], [[0], [10]]),
    "of a private key": (
        [[keyed(K3, COLLECTION)], [Call([P_PUT])], [Call([P_PUT], THREE)], [Call([P_PURGE], THREE)], [Call([P_PUT])]],
        [[0], [10], [0], [0], [0]],
    ),
    "of a private key, changed in the block": ([[keyed(K3, COLLECTION), Call([P_PUT], ALL)]], [[0, 10]]),
    "a public key of the same name is another": ([[keyed(K3, COLLECTION)], [Call([PUT_A])]], [[0], [0]]),
}


@pytest.mark.parametrize("name", CASES)
def test_each_rule(consortium: Consortium, ledger: Ledger, name: str) -> None:
    blocks, codes = CASES[name]
    assert [consortium.commit(ledger, [made(consortium, ledger, call) for call in block]) for block in blocks] == codes


@pytest.mark.parametrize("name", ["a policy is changed under the one before", "of a private key"])
def test_the_check_of_a_folder_comes_to_the_same_codes(consortium: Consortium, tmp_path: Path, name: str) -> None:
    ledger = consortium.start(tmp_path / "peer")
    test_each_rule(consortium, ledger, name)
    close_ledger(ledger)
    assert fsck.check(tmp_path / "peer", consortium.genesis).findings == []


@pytest.mark.parametrize("collection", ["", COLLECTION])
def test_policies_hold_when_the_ledger_is_opened_again(consortium: Consortium, tmp_path: Path, collection: str) -> None:
    ledger = consortium.start(tmp_path / "peer")
    assert consortium.commit(ledger, [made(consortium, ledger, keyed(K3, collection))]) == [VALID]
    close_ledger(ledger)
    reopened = consortium.open(tmp_path / "peer")
    assert reopened.keyed_namespaces == {TOY}
    assert consortium.commit(reopened, [made(consortium, reopened, Call([Step("put", collection, "a")]))]) == [FAILURE]
    reopened.close()


def test_a_transaction_that_fails_at_mvcc_has_changed_the_policy_all_the_same(
    consortium: Consortium, ledger: Ledger
) -> None:
    """For the rest of its block: Fabric decides on endorsements before it looks at versions."""

    def reads_and_changes(stub: Simulator) -> None:
        stub.put_state("b", stub.get_state("b") or b"first")
        run(stub, [policy_step(K3)])

    stale = consortium.transaction(ledger, reads_and_changes)
    assert consortium.commit(ledger, [made(consortium, ledger, Call([PUT_A, PUT_B]))]) == [VALID]
    assert consortium.commit(ledger, [stale, made(consortium, ledger, Call([PUT_A]))]) == [11, FAILURE]
    assert consortium.commit(ledger, [made(consortium, ledger, Call([PUT_A]))]) == [VALID]


@pytest.mark.parametrize("name", [LIFECYCLE, GOVERNING])
def test_what_decides_on_members_has_no_policies_of_single_keys(
    consortium: Consortium, ledger: Ledger, name: str
) -> None:
    if name == GOVERNING:
        contract = ChaincodeDefinition(GOVERNING, "1", 1, ())
        assert consortium.commit(ledger, [consortium.define(ledger, contract)]) == [VALID]
    keyed_row = consortium.transaction(ledger, lambda stub: run(stub, keyed(K3).steps), chaincode=name)
    assert consortium.commit(ledger, [keyed_row]) == [Code.ILLEGAL_WRITESET]


def test_a_collection_that_is_there_twice_hides_no_key(
    consortium: Consortium, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Honest endorsers make none; Fabric looks at every one (statebased/v20.go)."""

    def twice(namespaces: Mapping[str, NamespaceSet]) -> bytes:
        results = rwset_pb2.TxReadWriteSet.FromString(encode_public(namespaces))
        results.ns_rwset[0].collection_hashed_rwset.add(collection_name=COLLECTION)
        return results.SerializeToString()

    assert consortium.commit(ledger, [made(consortium, ledger, keyed(K3, COLLECTION))]) == [VALID]
    monkeypatch.setattr(chain_builder, "encode_public", twice)
    codes = consortium.commit(ledger, [made(consortium, ledger, Call([P_PUT], one)) for one in (MAJORITY, THREE)])
    assert codes == [FAILURE, VALID]


def test_what_policies_take_of_the_memory_is_bounded(consortium: Consortium) -> None:
    """A key's is chosen by who writes it, and a transaction has room for a long one."""
    channel = Channel(consortium.genesis)
    endorsers = [channel.msps.identify(one.peer.serialized) for one in consortium.organisations]
    long = policies_pb2.SignaturePolicyEnvelope.FromString(policy_of([3]))
    long.identities.extend([long.identities[0]] * POLICY_BYTES_MAX)
    assert channel.endorsement_satisfied(long.SerializeToString(), endorsers)
    assert not channel.endorsement_satisfied(long.SerializeToString(), endorsers[:3])
    assert not channel._policies
    for index in range(POLICIES_MAX + 1):
        channel.endorsement_satisfied(b"\xff" + index.to_bytes(4, "big"), endorsers)
    assert len(channel._policies) <= POLICIES_MAX


def test_chaincodes_without_metadata_have_none_looked_up(consortium: Consortium, ledger: Ledger) -> None:
    looked_up: list[bytes] = []
    ledger.state.metadata = looked_up.append  # type: ignore[assignment,method-assign]
    assert consortium.commit(ledger, [made(consortium, ledger, Call([PUT_A]))]) == [VALID]
    assert consortium.commit(ledger, [made(consortium, ledger, Call([DELETE_A]))]) == [VALID]
    assert looked_up == []
    assert consortium.commit(ledger, [made(consortium, ledger, keyed(K3))]) == [VALID]
    assert consortium.commit(ledger, [made(consortium, ledger, Call([PUT_B]))]) == [VALID]
    assert looked_up == [b"toy\x00b"]


def test_metadata_alone_makes_a_new_version_and_no_history(consortium: Consortium, ledger: Ledger) -> None:
    assert consortium.commit(ledger, [made(consortium, ledger, Call([PUT_A, P_PUT]))]) == [VALID]
    both = Call([policy_step(K3), policy_step(K3, COLLECTION)])
    assert consortium.commit(ledger, [made(consortium, ledger, both)]) == [VALID]
    found = ledger.get(TOY, "a")
    assert found is not None
    assert (found.value, found.version) == (b"v", Version(3, 0))
    assert [version for version, *_ in ledger.history(TOY, "a")] == [Version(2, 0)]
    hashed = ledger.hashed(TOY, COLLECTION, sha256(b"a").digest())
    assert hashed is not None
    assert hashed.version == Version(3, 0)
    assert ledger.private(TOY, COLLECTION, "a") == b"v"
