"""Signing on another machine: what travels, what comes back, and what is refused of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from fabric_protos.gateway import gateway_pb2
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.client.errors import BytesInvalid, CommitFailed, KeyMissing, SignatureInvalid
from healthchain.client.gateway import Connection
from healthchain.client.offline import signed_commit, signed_proposal, signed_transaction
from healthchain.client.signing import Creator
from healthchain.identity.keys import P256_ORDER, SigningKey, signature_holds
from healthchain.wire.codes import Code

from .scripted import IDENTITY, MEMBER, NOW_NS, ScriptedGateway, connection

CREATOR = Creator(IDENTITY.msp_id, IDENTITY.serialized)


def keyless(gateway: ScriptedGateway, channel: str = "health", creator: Creator = CREATOR) -> Connection:
    return Connection(gateway, creator, channel, "ehr", lambda: NOW_NS)


def offline(digest: bytes) -> bytes:
    """The other machine, which has the key and is given 32 bytes."""
    assert len(digest) == 32
    return IDENTITY.key.sign_digest(digest)


def high_s(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, P256_ORDER - s)


def test_all_stages_without_a_key_and_with_bytes_that_stay_as_they_were() -> None:
    gateway = ScriptedGateway()
    one = keyless(gateway)

    async def work() -> None:
        unsigned = one.proposal("records:Write", b"{}", transient={"r/1": b"body"}, organizations=["NorthMSP"])
        proposal = signed_proposal(one, unsigned.to_bytes(), offline(unsigned.digest))
        assert (proposal.transaction_id, proposal.bytes_) == (unsigned.transaction_id, unsigned.bytes_)
        endorsed = await proposal.endorse()
        transaction = signed_transaction(one, endorsed.to_bytes(), offline(endorsed.digest))
        assert (transaction.payload, transaction.result) == (endorsed.payload, b"result")
        submitted = await transaction.submit()
        commit = signed_commit(one, submitted.to_bytes(), offline(submitted.digest))
        assert (commit.transaction_id, await commit.block()) == (unsigned.transaction_id, 7)
        gateway.code = Code.MVCC_READ_CONFLICT
        with pytest.raises(CommitFailed):
            await commit.block()

    asyncio.run(work())
    endorse, submit, status, _ = gateway.asked
    assert isinstance(endorse, gateway_pb2.EndorseRequest)
    assert isinstance(submit, gateway_pb2.SubmitRequest)
    assert isinstance(status, gateway_pb2.SignedCommitStatusRequest)
    assert list(endorse.endorsing_organizations) == ["NorthMSP"]
    proposed, prepared = endorse.proposed_transaction, submit.prepared_transaction
    for content, signature in (
        (proposed.proposal_bytes, proposed.signature),
        (prepared.payload, prepared.signature),
        (status.request, status.signature),
    ):
        assert signature_holds(MEMBER.public_key, sha256(content).digest(), signature)


def test_an_evaluation_signed_elsewhere_asks_whom_it_names() -> None:
    gateway = ScriptedGateway()
    one = keyless(gateway)

    async def work() -> bytes:
        unsigned = one.proposal("members:List", b"{}", organizations=["SouthMSP"])
        return await signed_proposal(one, unsigned.to_bytes(), offline(unsigned.digest)).evaluate()

    assert asyncio.run(work()) == b"answer"
    [asked] = gateway.asked
    assert isinstance(asked, gateway_pb2.EvaluateRequest)
    assert list(asked.target_organizations) == ["SouthMSP"]


def test_the_signature_may_be_in_the_bytes() -> None:
    gateway = ScriptedGateway()

    async def work() -> None:
        unsigned = connection(gateway).proposal("f")
        signed = signed_proposal(keyless(gateway), unsigned.to_bytes(), offline(unsigned.digest))
        again = signed_proposal(keyless(gateway), signed.to_bytes())
        assert again.to_bytes() == signed.to_bytes() != unsigned.to_bytes()
        await again.endorse()

    asyncio.run(work())
    assert len(gateway.asked) == 1


def test_a_connection_without_a_key_sends_nothing_unsigned() -> None:
    gateway = ScriptedGateway()
    one = keyless(gateway)
    for work in (one.evaluate("f"), one.submit("f")):
        with pytest.raises(KeyMissing, match="sign the digest elsewhere"):
            asyncio.run(work)
    with pytest.raises(KeyMissing):
        _ = one.identity
    assert gateway.asked == []


def test_high_s_is_made_low_because_openssl_gives_either() -> None:
    unsigned = keyless(ScriptedGateway()).proposal("f")
    low = offline(unsigned.digest)
    signed = signed_proposal(keyless(ScriptedGateway()), unsigned.to_bytes(), high_s(low))
    assert signed.to_bytes() == signed_proposal(keyless(ScriptedGateway()), unsigned.to_bytes(), low).to_bytes()


Again = Callable[[Connection, bytes, bytes], object]


def stages() -> list[tuple[Again, bytes, bytes]]:
    """How each stage is made again, its bytes, and a signature that fits."""
    gateway = ScriptedGateway()
    found: list[tuple[Again, bytes, bytes]] = []

    async def work() -> None:
        one = connection(gateway)
        proposal = one.proposal("f", b"argument")
        transaction = await proposal.endorse()
        commit = await transaction.submit()
        found.append((signed_proposal, proposal.to_bytes(), offline(proposal.digest)))
        found.append((signed_transaction, transaction.to_bytes(), offline(transaction.digest)))
        found.append((signed_commit, commit.to_bytes(), offline(commit.digest)))

    asyncio.run(work())
    return found


STAGES = stages()
each_stage = pytest.mark.parametrize(
    ("again", "encoded", "signature"), STAGES, ids=["proposal", "transaction", "commit"]
)


@each_stage
def test_another_key_s_signature_is_refused(again: Again, encoded: bytes, signature: bytes) -> None:
    one = keyless(ScriptedGateway())
    again(one, encoded, signature)
    other = SigningKey.generate().sign(b"f")
    for wrong in (b"", b"\x00", signature[:-1], signature + b"\x00", other):
        with pytest.raises(SignatureInvalid, match="sign their SHA-256 digest"):
            again(one, encoded, wrong)


@settings(max_examples=50, deadline=None)
@given(stage=st.sampled_from(STAGES), data=st.data())
def test_altered_bytes_are_refused_or_mean_the_same(stage: tuple[Again, bytes, bytes], data: st.DataObject) -> None:
    """Whom to ask is not signed; everything else that can be altered is noticed before anything is sent."""
    again, encoded, signature = stage
    at = data.draw(st.integers(0, len(encoded) - 1))
    altered = encoded[:at] + bytes([encoded[at] ^ data.draw(st.integers(1, 255))]) + encoded[at + 1 :]
    one = keyless(ScriptedGateway())
    try:
        made = again(one, altered, signature)
    except (BytesInvalid, SignatureInvalid):
        return
    unaltered = again(one, encoded, signature)
    assert vars(made)["_content"] == vars(unaltered)["_content"]


@each_stage
def test_bytes_of_another_stage_channel_or_identity(again: Again, encoded: bytes, signature: bytes) -> None:
    for wrong in (b"", b"\xff", *(other for _, other, _ in STAGES if other != encoded)):
        with pytest.raises((BytesInvalid, SignatureInvalid)):
            again(keyless(ScriptedGateway()), wrong, signature)
    with pytest.raises(BytesInvalid, match="another channel"):
        again(keyless(ScriptedGateway(), channel="other"), encoded, signature)
    with pytest.raises(BytesInvalid, match="another identity"):
        again(keyless(ScriptedGateway(), creator=Creator("ClientMSP", b"other")), encoded, signature)


@pytest.mark.parametrize(
    ("again", "kind"),
    [(signed_proposal, gateway_pb2.ProposedTransaction), (signed_transaction, gateway_pb2.PreparedTransaction)],
)
def test_the_id_beside_the_signed_bytes_must_be_theirs(again: Again, kind: type[Message]) -> None:
    encoded, signature = next((one, signature) for made, one, signature in STAGES if made is again)
    told = kind.FromString(encoded)
    assert isinstance(told, gateway_pb2.ProposedTransaction | gateway_pb2.PreparedTransaction)
    told.transaction_id = "ab" * 32
    with pytest.raises(BytesInvalid, match="another transaction"):
        again(keyless(ScriptedGateway()), told.SerializeToString(), signature)
