"""A receipt verifies without a ledger, and nothing in it can be altered, left out, added or made up."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from healthchain.app.receipts import verify
from healthchain.chaincode.stub import composite_key
from healthchain.identity.certificates import NodeOU
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.msp import serialize_identity
from healthchain.ledger import receipt as receipt_module
from healthchain.ledger.attesting import AttestationRefused, attest, state_transaction
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.membership import GOVERNING
from healthchain.ledger.receipt import (
    Evidence,
    Receipt,
    ReceiptRefused,
    Statement,
    Verified,
    encode_receipt,
    verify_receipt,
)
from healthchain.ledger.simulate import Simulator
from healthchain.wire.rwset import NamespaceSet
from healthchain.wire.transaction import decode_header, envelope

from . import chain_builder
from .chain_builder import NOW, TOY, Organisation, Transaction
from .members_chain import ACTIVE, REMOVED, SUSPENDED, Story, as_member

KEY = "what the receipt is of"
DAY_MS = 24 * 60 * 60 * 1000
YEAR_MS = 365 * DAY_MS


@pytest.fixture(autouse=True)
def _certificates_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_builder, "START_NS", int(NOW.timestamp()) * 10**9)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story.begin(tmp_path / "ledger")


def writing(story: Story, value: bytes = b"value", key: str = KEY) -> Transaction:
    return story.consortium.transaction(
        story.ledger,
        lambda stub: stub.put_state(key, value),
        chaincode=GOVERNING,
        endorsers=story.peers([0, 1, 2]),
    )


def stated(ledger: Ledger, transaction: Transaction, attesters: list[SigningIdentity], **changes: object) -> Statement:
    now_ms = chain_builder.START_NS // 10**6 + DAY_MS
    statement = state_transaction(ledger, transaction.tx_id, KEY, [one.serialized for one in attesters], now_ms)
    return msgspec.structs.replace(statement, **changes)


def envelopes(story: Story) -> list[bytes]:
    """Of the block that `written` is in."""
    return list(story.ledger.block(2).data.data)


def signed(statement: Statement, attesters: list[SigningIdentity]) -> bytes:
    return encode_receipt(Receipt(statement, tuple(one.key.sign_digest(statement.digest()) for one in attesters)))


@pytest.fixture
def written(story: Story) -> Transaction:
    transaction = writing(story)
    assert story.commit([story.put([0, 1, 2]), transaction], [0, 1, 2]) == [0, 0]
    return transaction


@pytest.fixture
def receipt(story: Story, written: Transaction) -> bytes:
    peers = story.peers([0, 1, 2])
    statement = stated(story.ledger, written, peers)
    signatures = [attest(story.ledger, one, written.tx_id, statement, statement.attested_ms) for one in peers]
    return encode_receipt(Receipt(statement, tuple(signatures)))


def refused(encoded: bytes, fingerprint: str | None = None) -> str:
    with pytest.raises(ReceiptRefused) as caught:
        verify_receipt(encoded, fingerprint)
    return str(caught.value)


def test_it_tells_what_was_written_by_whom_and_when(story: Story, written: Transaction, receipt: bytes) -> None:
    found = verify_receipt(receipt)
    assert found == Verified(
        channel="health",
        key=KEY,
        value=b"value",
        tx_id=written.tx_id,
        time_ms=found.time_ms,
        creator="Org0MSP/user.Org0",
        endorsers=("Org0MSP", "Org1MSP", "Org2MSP"),
        block=2,
        block_hash=story.ledger.tip_hash.hex(),
        attested_ms=found.attested_ms,
        attesters=("Org0MSP", "Org1MSP", "Org2MSP"),
        fingerprint=found.fingerprint,
    )
    assert verify_receipt(receipt, found.fingerprint.upper()) == found


def test_one_altered_byte_anywhere_spoils_it(receipt: bytes) -> None:
    """Some places; all of them below."""
    drawn = random.Random(1)  # noqa: S311 (no secret)
    for place in drawn.sample(range(len(receipt)), 300):
        refused(altered(receipt, place, 1 << drawn.randrange(8)))


@pytest.mark.slow
def test_every_altered_byte_spoils_it(receipt: bytes) -> None:
    for place in range(len(receipt)):
        refused(altered(receipt, place, 1 << place % 8))


def altered(encoded: bytes, place: int, flipped: int) -> bytes:
    return encoded[:place] + bytes([encoded[place] ^ flipped]) + encoded[place + 1 :]


def test_nothing_can_be_added_or_cut_off(receipt: bytes) -> None:
    for more in (b"\n", b" ", b"{}", b"\0"):
        refused(receipt + more)
        refused(more + receipt)
    for length in (0, 1, len(receipt) // 2, len(receipt) - 1):
        refused(receipt[:length])
    refused(receipt.replace(b'"code":0', b'"code": 0', 1))
    refused(receipt.replace(b'"code":0', b'"code":0,"code":0', 1))
    refused(receipt.replace(b'"code":0', b'"code":0,"more":0', 1))
    refused(receipt.replace(KEY[0].encode(), b"\\u0077", 1))
    refused(b"[" * 100_000)


def test_no_signature_can_be_left_out(receipt: bytes) -> None:
    whole = msgspec.json.decode(receipt, type=Receipt)
    attesters = whole.statement.attesters
    fewer = msgspec.structs.replace(whole.statement, attesters=attesters[:2])
    assert "missing" in refused(encode_receipt(Receipt(whole.statement, whole.signatures[:2])))
    refused(encode_receipt(Receipt(fewer, whole.signatures[:2])))
    refused(encode_receipt(Receipt(whole.statement, whole.signatures[::-1])))
    refused(encode_receipt(Receipt(whole.statement, (*whole.signatures, whole.signatures[0]))))


def test_a_majority_of_members_peers_has_to_sign(story: Story, written: Transaction) -> None:
    def signed_by(*who: SigningIdentity) -> bytes:
        return signed(stated(story.ledger, written, list(who)), list(who))

    peers = story.peers([0, 1, 2, 3])
    assert len(verify_receipt(signed_by(*peers)).attesters) == 4
    assert "2 members" in refused(signed_by(*peers[:2]))
    assert "2 members" in refused(signed_by(*peers[:2], peers[1]))
    assert "not a peer's" in refused(signed_by(*peers[:2], story.client(2)))
    stranger = Organisation.create("Elsewhere").peer
    assert "no member" in refused(signed_by(*peers[:2], stranger))
    namesake = Organisation.create("Org2").peer
    assert "no member" in refused(signed_by(*peers[:2], namesake))


def test_what_the_peers_would_sign_has_to_be_true(story: Story, written: Transaction) -> None:
    """A majority that signs what is not so is still held to what the orderers and the endorsers signed."""
    peers = story.peers([0, 1, 2])
    true = stated(story.ledger, written, peers)
    verify_receipt(signed(true, peers))
    block = true.block
    cases: list[tuple[str, Statement]] = [
        ("changed nothing", changed(true, code=11)),
        ("did not write", changed(true, key="another key")),
        ("block 0", changed(true, genesis=block.envelope)),
        ("block 2 has 0 valid orderer signatures", changed(true, block=changed(block, previous_hash=bytes(32)))),
        ("block 2 has 0 valid orderer signatures", changed(true, block=changed(block, data_hash=bytes(32)))),
        ("block 2 has 0 valid orderer signatures", changed(true, block=changed(block, signatures=b""))),
        ("block 3 has 0 valid orderer signatures", changed(true, block=changed(block, number=3))),
        ("not endorsed", changed(true, block=changed(block, envelope=envelopes(story)[0]))),  # another chaincode's
        ("not valid", changed(true, block=changed(block, envelope=b""))),
        ("does not decode", changed(true, index=-1)),
        ("does not decode", changed(true, block=changed(block, number=-1))),
        ("does not decode", changed(true, block=changed(block, number=2**64))),
    ]
    for told, statement in cases:
        assert told in refused(signed(statement, peers))


def test_it_shows_no_other_transaction_of_its_block(story: Story, written: Transaction, receipt: bytes) -> None:
    """They may be about other patients."""
    others = envelopes(story)
    others.remove(written.envelope)
    assert others
    shown = msgspec.to_builtins(msgspec.json.decode(receipt, type=Receipt), builtin_types=(bytes,))
    assert set(pieces(shown)).isdisjoint(others)
    alone = writing(story, b"other")
    assert story.commit([alone], [0, 1, 2]) == [0]
    peers = story.peers([0, 1, 2])
    assert abs(len(receipt) - len(signed(stated(story.ledger, alone, peers), peers))) < len(others[0])


def pieces(shown: Any) -> Iterator[bytes]:
    if isinstance(shown, bytes):
        yield shown
    elif isinstance(shown, dict | list | tuple):
        for one in shown.values() if isinstance(shown, dict) else shown:
            yield from pieces(one)


def changed(one: msgspec.Struct, **changes: object) -> Any:
    return msgspec.structs.replace(one, **changes)


def test_an_invalid_transaction_has_no_receipt(story: Story) -> None:
    unendorsed = story.decide([0, 1], Org3MSP=SUSPENDED)
    assert story.commit([unendorsed], [0, 1, 2]) == [10]
    peers = story.peers([0, 1, 2])
    true = state_transaction(story.ledger, unendorsed.tx_id, KEY, [one.serialized for one in peers], 0)
    assert true.code == 10
    now_ms = chain_builder.START_NS // 10**6
    for code, told in ((10, "changed nothing"), (0, "not endorsed")):
        assert told in refused(signed(changed(true, code=code, attested_ms=now_ms), peers))


def test_a_transaction_that_its_creator_did_not_sign_has_no_receipt(story: Story, written: Transaction) -> None:
    header = decode_header(written.envelope)
    forged = Transaction(written.tx_id, envelope(header.payload, story.client(1).key.sign(header.payload)))
    block = story.block([forged], [0, 1, 2])
    head, signatures = block.header, block.metadata.metadata[0]
    evidence = Evidence(head.number, head.previous_hash, head.data_hash, signatures, forged.envelope)
    peers = story.peers([0, 1, 2])
    statement = changed(stated(story.ledger, written, peers), block=evidence, index=0)
    assert "creator's" in refused(signed(statement, peers))


def test_another_consortiums_receipt_has_another_fingerprint(story: Story, receipt: bytes, tmp_path: Path) -> None:
    """Whoever makes up a consortium of the same names can sign a receipt as it."""
    forged = Story.begin(tmp_path / "forged")
    transaction = writing(forged)
    forged.commit([transaction], [0, 1, 2])
    peers = forged.peers([0, 1, 2])
    false = signed(stated(forged.ledger, transaction, peers), peers)
    assert verify_receipt(false).creator == verify_receipt(receipt).creator
    assert "fingerprint" in refused(false, verify_receipt(receipt).fingerprint)


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ((), "no receipts"),
        (("patient",), "no receipts"),
        (("patient", "id"), "is no session"),
        (("patient", "id\nfingerprint  that of another"), "would not show"),
        (("patient\x1b[2K", "id"), "would not show"),
    ],
)
def test_a_made_up_consortium_can_write_what_no_contract_would(
    story: Story, attributes: tuple[str, ...], told: str
) -> None:
    key = composite_key("session", attributes)
    transaction = writing(story, b"{}", key)
    assert story.commit([transaction], [0, 1, 2]) == [0]
    peers = story.peers([0, 1, 2])
    encoded = signed(changed(stated(story.ledger, transaction, peers), key=key), peers)
    assert verify_receipt(encoded).key == key
    with pytest.raises(ReceiptRefused, match=told):
        verify(encoded)


def test_certificates_have_to_be_valid_at_their_time(story: Story, written: Transaction) -> None:
    peers = story.peers([0, 1, 2])
    statement = stated(story.ledger, written, peers)
    late = changed(statement, attested_ms=statement.attested_ms + 2 * YEAR_MS)
    assert "not a peer's" in refused(signed(late, peers))
    early = changed(statement, attested_ms=statement.attested_ms - 2 * YEAR_MS)
    assert "not a peer's" in refused(signed(early, peers))


def test_an_expired_creator_has_no_receipt(story: Story) -> None:
    organisation = story.consortium.organisations[0]
    issued = organisation.authority.issue("brief", NodeOU.CLIENT, NOW - datetime.timedelta(days=400))
    brief = SigningIdentity(
        organisation.msp_id, serialize_identity(organisation.msp_id, issued.certificate), issued.key
    )
    transaction = story.consortium.transaction(
        story.ledger,
        lambda stub: stub.put_state(KEY, b"value"),
        chaincode=GOVERNING,
        endorsers=story.peers([0, 1, 2]),
        client=brief,
    )
    assert story.commit([transaction], [0, 1, 2]) == [0]  # peers refuse it when it asks, and not in a block
    peers = story.peers([0, 1, 2])
    assert "creator's" in refused(signed(stated(story.ledger, transaction, peers), peers))


def test_the_members_of_the_blocks_height_count_for_the_block_and_todays_attest(story: Story) -> None:
    transaction = writing(story)
    assert story.commit([transaction], [0, 1, 2]) == [0]
    first = stated(story.ledger, transaction, story.peers([0, 1, 2]))
    assert (first.members_then, first.members_now) == ({}, {})
    story.consortium.organisations.append(Organisation.create("Org4"))
    newcomer = as_member(story.consortium.organisations[4])
    assert story.commit([story.decide([0, 1, 2], Org4MSP=newcomer, Org3MSP=REMOVED)], [0, 1, 2]) == [0]
    story.replace(1)
    renewed = as_member(story.consortium.organisations[1])
    assert story.commit([story.decide([0, 2, 4], Org1MSP=renewed)], [0, 2, 4]) == [0]
    peers = story.peers([0, 2, 4])
    statement = stated(story.ledger, transaction, peers)
    assert statement.members_then == {}
    assert sorted(statement.members_now) == ["Org1MSP", "Org3MSP", "Org4MSP"]
    found = verify_receipt(signed(statement, peers))
    assert found.attesters == ("Org0MSP", "Org2MSP", "Org4MSP")
    assert found.endorsers == ("Org0MSP", "Org1MSP", "Org2MSP")
    gone = story.peers([0, 2, 3])
    assert "no member" in refused(signed(stated(story.ledger, transaction, gone), gone))


def test_a_peer_signs_only_what_its_own_ledger_says(story: Story, written: Transaction) -> None:
    [peer, *_] = peers = story.peers([0, 1, 2])
    true = stated(story.ledger, written, peers)
    for false in (
        changed(true, code=11),
        changed(true, index=0),
        changed(true, members_then={"Org0MSP": ACTIVE}),
        changed(true, block=changed(true.block, number=1)),
        changed(true, block=changed(true.block, envelope=envelopes(story)[0])),
    ):
        with pytest.raises(AttestationRefused, match="does not say the same"):
            attest(story.ledger, peer, written.tx_id, false, true.attested_ms)
    with pytest.raises(AttestationRefused, match="no such transaction"):
        attest(story.ledger, peer, "00" * 32, true, true.attested_ms)
    with pytest.raises(AttestationRefused, match="clock"):
        attest(story.ledger, peer, written.tx_id, true, true.attested_ms + 301_000)


def test_a_transaction_is_written_in_one_way(story: Story, written: Transaction) -> None:
    """Of a field given twice the last counts, and the creator's signature would hold."""
    peers = story.peers([0, 1, 2])
    true = stated(story.ledger, written, peers)
    longer = changed(true.block, envelope=b"\x0a\x01x" + written.envelope)
    assert "not valid" in refused(signed(changed(true, block=longer), peers))


def test_only_the_governing_chaincode_writes_what_has_receipts(story: Story) -> None:
    """Where the peers gave code 23, a majority says now that it was 0."""

    def write_in(namespace: str) -> Callable[[Simulator], None]:
        return lambda stub: stub.namespaces.setdefault(namespace, NamespaceSet()).writes.update({KEY: b"value"})

    peers = story.peers([0, 1, 2])
    cases = ((TOY, GOVERNING, 23, "not endorsed"), (GOVERNING, TOY, 0, "did not write"))
    for chaincode, namespace, code, told in cases:
        transaction = story.consortium.transaction(
            story.ledger, write_in(namespace), chaincode=chaincode, endorsers=peers
        )
        assert story.commit([transaction], [0, 1, 2]) == [code]
        assert told in refused(signed(stated(story.ledger, transaction, peers, code=0), peers))


def test_a_file_larger_than_any_receipt_is_not_decoded(receipt: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt_module, "RECEIPT_BYTES_MAX", len(receipt) - 1)
    assert "larger" in refused(receipt)
