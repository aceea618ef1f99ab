"""Each code that the numbered steps give, and the steps together against a plain twin on random spoiled blocks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.identity.policy import DEPTH_MAX
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.membership import GOVERNING
from healthchain.ledger.quorum import BlockRefused
from healthchain.ledger.simulate import Simulator
from healthchain.ledger.validate import decode_transactions, preliminary_codes
from healthchain.wire.channel import Role, role_policy
from healthchain.wire.codes import Code
from healthchain.wire.lifecycle import LIFECYCLE, definition_writes
from healthchain.wire.proposal import parse_proposal
from healthchain.wire.transaction import is_well_formed

from .chain_builder import CHANNEL, COLLECTION, TOY, Consortium, Transaction, commit_block, verdict
from .plain_validation import plain_codes
from .spoiled import CODES, Parts, parts

Spoil = Callable[[Parts], None]
UNREACHABLE = frozenset(
    {
        Code.INVALID_CONFIG_TRANSACTION,  # configurations change by a new block 0 only: every one is refused as 7
        Code.MVCC_READ_CONFLICT,  # test_mvcc
        Code.PHANTOM_READ_CONFLICT,
        Code.DUPLICATE_TXID,  # below
        Code.UNKNOWN_TX_TYPE,
        Code.TARGET_CHAIN_NOT_FOUND,
        Code.MARSHAL_TX_ERROR,
        Code.NIL_TXACTION,
        Code.EXPIRED_CHAINCODE,
        Code.CHAINCODE_VERSION_CONFLICT,
        Code.BAD_CHANNEL_HEADER,
        Code.NOT_VALIDATED,
    }
)


class Keyless:
    """State without any metadata: implements `endorsing.KeyMetadata`."""

    keyed_namespaces: frozenset[str] = frozenset()

    def metadata_of(self, key: bytes) -> bytes | None:
        return None

    hashed_metadata_of = metadata_of


def codes(ledger: Ledger, envelopes: list[bytes], known: frozenset[str] = frozenset()) -> list[int]:
    decoded = decode_transactions(envelopes, ledger.channel)
    return preliminary_codes(decoded, verdict, ledger.channel, ledger.definitions, known.__contains__, ledger)


def plain(consortium: Consortium, envelopes: list[bytes], known: frozenset[str] = frozenset()) -> list[int]:
    roots = {one.msp_id: one.authority.certificate for one in consortium.organisations}
    return plain_codes(envelopes, CHANNEL, roots, {TOY: {COLLECTION}}, set(known))


@pytest.mark.parametrize("spoil", CODES, ids=lambda one: one.__name__)
def test_each_code(consortium: Consortium, ledger: Ledger, spoil: Spoil) -> None:
    """And the block that holds it is committed: no transaction stops a peer. But what is no envelope is in no block."""
    one = parts(consortium)
    spoil(one)
    envelope = one.encoded()
    assert codes(ledger, [envelope]) == plain(consortium, [envelope]) == [CODES[spoil]]
    block = consortium.block(ledger.height, ledger.tip_hash, [envelope])
    if is_well_formed(envelope):
        assert commit_block(ledger, block, {}) == [CODES[spoil]]
    else:
        assert CODES[spoil] in (Code.NIL_ENVELOPE, Code.INVALID_OTHER_REASON)
        with pytest.raises(BlockRefused, match="well-formed"):
            commit_block(ledger, block, {})


def test_the_table_has_every_code_that_can_be_given() -> None:
    every = {value for name, value in vars(Code).items() if name.isupper()} or set(Code.values())  # type: ignore[attr-defined]
    assert set(CODES.values()) == every - UNREACHABLE


@settings(max_examples=200)
@given(data=st.data())
def test_random_spoiled_blocks_equal_the_plain_twin(consortium: Consortium, data: st.DataObject) -> None:
    check_random_block(consortium, data.draw(st.integers(0, 2**32)))


@pytest.mark.fuzz
def test_random_spoiled_blocks_equal_the_plain_twin_for_long(consortium: Consortium) -> None:
    for seed in range(3000):
        check_random_block(consortium, seed)


def check_random_block(consortium: Consortium, seed: int) -> None:
    """Up to three ways to spoil each, ids that repeat or are on the ledger, and bytes altered after signing."""
    chance = random.Random(seed)  # noqa: S311
    definitions = {TOY: consortium.definition}
    envelopes: list[bytes] = []
    ids: list[str] = []
    for _ in range(chance.randint(1, 6)):
        one = parts(consortium, chance.choice(consortium.organisations).client)
        for spoil in chance.sample(list(CODES), chance.choice((0, 0, 1, 1, 2, 3))):
            spoil(one)
        envelope = one.encoded()
        if envelope and chance.random() < 0.2:
            position = chance.randrange(len(envelope))
            envelope = envelope[:position] + chance.randbytes(chance.randint(0, 3)) + envelope[position + 1 :]
        envelopes += [envelope] * chance.choice((1, 1, 1, 2))
        ids.append(one.channel.tx_id)
    chance.shuffle(envelopes)
    known = frozenset(chance.sample(ids, chance.randint(0, 1)))
    decoded = decode_transactions(envelopes, consortium.channel)
    found = preliminary_codes(decoded, verdict, consortium.channel, definitions, known.__contains__, Keyless())
    assert found == plain(consortium, envelopes, known), seed


def test_duplicates(consortium: Consortium, ledger: Ledger) -> None:
    """On the ledger any earlier entry counts; in the block only one that was valid so far."""
    one = parts(consortium)
    good = one.encoded()
    one.endorsers = []
    unendorsed = one.encoded()
    assert codes(ledger, [good, good, unendorsed]) == [0, 9, 10]
    assert codes(ledger, [unendorsed, good, good]) == [10, 0, 9]
    known = frozenset([one.channel.tx_id])
    assert codes(ledger, [unendorsed, good], known) == [9, 9]
    one.actions = 2
    assert codes(ledger, [one.encoded()], known) == [5], "Fabric looks at the action before it looks for duplicates"


def test_the_first_commit_of_an_id_decides(consortium: Consortium, ledger: Ledger) -> None:
    """Whoever sends it again, however spoiled: what became of a transaction does not change."""
    one = parts(consortium)
    good = one.encoded()
    assert commit_block(ledger, consortium.block(ledger.height, ledger.tip_hash, [good]), {}) == [0]
    settled = ledger.transaction(one.channel.tx_id)
    assert settled is not None
    assert (settled.block, settled.code) == (2, 0)
    one.actions = 2
    other = parts(consortium, consortium.organisations[1].client)
    other.channel.type, other.channel.tx_id = 1, one.channel.tx_id
    again = [one.encoded(), other.encoded(), good]
    assert commit_block(ledger, consortium.block(ledger.height, ledger.tip_hash, again), {}) == [5, 7, 9]
    assert ledger.transaction(one.channel.tx_id) == settled


def test_nobody_settles_an_id_before_its_creator_does(consortium: Consortium, ledger: Ledger) -> None:
    one = parts(consortium)
    for type_, code in ((1, 7), (3, 8)):
        other = parts(consortium, consortium.organisations[1].client)
        other.channel.type, other.channel.tx_id = type_, one.channel.tx_id
        block = consortium.block(ledger.height, ledger.tip_hash, [other.encoded()])
        assert commit_block(ledger, block, {}) == [code]
        assert ledger.transaction(one.channel.tx_id) is None
    assert commit_block(ledger, consortium.block(ledger.height, ledger.tip_hash, [one.encoded()]), {}) == [0]


def test_a_valid_entry_settles_its_id_before_an_invalid_one(consortium: Consortium, ledger: Ledger) -> None:
    """Both in one block: the ledger must not call invalid what it applied."""
    one = parts(consortium)
    good = one.encoded()
    one.endorsers = []
    block = consortium.block(ledger.height, ledger.tip_hash, [one.encoded(), good, good])
    assert commit_block(ledger, block, {}) == [10, 0, 9]
    found = ledger.transaction(one.channel.tx_id)
    assert found is not None
    assert (found.index, found.code) == (1, 0)


def test_ids_are_found_in_their_own_spelling(ledger: Ledger) -> None:
    assert ledger.transaction("") is None
    assert ledger.transaction("not hexadecimal") is None
    assert ledger.transaction("00") is None


def test_a_definitions_own_policy(consortium: Consortium, ledger: Ledger) -> None:
    """Any one member's peer suffices, and a client's signature never does."""
    policy = role_policy(consortium.channel.msp_ids, Role.PEER).SerializeToString()
    consortium.commit(
        ledger, [consortium.define(ledger, replace(consortium.definition, sequence=2, signature_policy=policy))]
    )
    last = consortium.organisations[-1]
    for endorser, code in ((last.peer, 0), (last.client, 10)):
        one = parts(consortium)
        one.endorsers = [endorser]
        assert codes(ledger, [one.encoded()]) == [code]


def test_a_policy_that_makes_no_sense_is_satisfied_by_nobody(consortium: Consortium, ledger: Ledger) -> None:
    policy = role_policy(consortium.channel.msp_ids, Role.PEER)
    policy.rule.n_out_of.rules[0].signed_by = 99
    nested = role_policy(consortium.channel.msp_ids, Role.PEER)
    rule = nested.rule
    for _ in range(DEPTH_MAX + 2):
        rule = rule.n_out_of.rules.add()
    for sequence, one in enumerate((policy, nested), start=2):
        made = replace(consortium.definition, sequence=sequence, signature_policy=one.SerializeToString())
        assert consortium.commit(ledger, [consortium.define(ledger, made)]) == [0]
        assert codes(ledger, [parts(consortium).encoded()]) == [10]


def test_a_chaincode_that_was_called_writes_by_its_own_policy(consortium: Consortium, ledger: Ledger) -> None:
    """Any one peer may endorse the caller; what is written by calling another takes the majority that it asks for."""
    anybody = role_policy(consortium.channel.msp_ids, Role.PEER).SerializeToString()
    alone = replace(consortium.definition, sequence=2, signature_policy=anybody)
    others = [replace(consortium.definition, name=name) for name in ("other", GOVERNING)]
    assert consortium.commit(ledger, [consortium.define(ledger, one) for one in (alone, *others)]) == [0, 0, 0]
    for namespace, majority, code in (
        ("other", True, Code.VALID),
        ("other", False, Code.ENDORSEMENT_POLICY_FAILURE),
        (TOY, False, Code.VALID),
        (GOVERNING, True, Code.ILLEGAL_WRITESET),
        (LIFECYCLE, True, Code.ILLEGAL_WRITESET),
        ("undefined", True, Code.ILLEGAL_WRITESET),
    ):
        one = parts(consortium)
        one.namespaces[0].namespace = namespace
        if not majority:
            one.endorsers = one.endorsers[:1]
        assert codes(ledger, [one.encoded()]) == [code], namespace


def test_what_is_no_definition_defines_nothing(consortium: Consortium, ledger: Ledger) -> None:
    """The members may agree on any bytes there: no peer stops for it."""

    def incomplete(field: str, value: bytes | None) -> Transaction:
        writes: dict[str, bytes | None] = dict(definition_writes(replace(consortium.definition, name="other")))
        writes[f"namespaces/fields/other/{field}"] = value

        def run(stub: Simulator) -> None:
            for key, content in writes.items():
                stub.put_state(key, content or b"")

        return consortium.transaction(ledger, run, chaincode=LIFECYCLE)

    for field, value in (("Sequence", None), ("Collections", b"\xff"), ("ValidationInfo", b"\xff\xff")):
        assert consortium.commit(ledger, [incomplete(field, value)]) == [0]
        assert set(ledger.definitions) == {TOY}
    complete = incomplete("Collections", None)
    assert consortium.commit(ledger, [complete]) == [0]
    assert set(ledger.definitions) == {TOY}


def test_signatures_to_verify_are_named_before_any_is(consortium: Consortium) -> None:
    one = parts(consortium)
    (decoded,) = decode_transactions([one.encoded()], consortium.channel)
    checks = list(decoded.checks())
    assert len(checks) == 1 + len(one.endorsers)
    assert all(verdict(check) for check in checks)
    assert checks[0].identity.common_name == "user.Org0"
    assert parse_proposal(consortium.proposal().bytes_).chaincode == TOY
