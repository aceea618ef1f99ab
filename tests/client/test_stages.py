"""A transaction's stages: what is sent and signed at each, and which error each of them raises."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TypeVar

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2

import healthchain.client.gateway as client
from healthchain.client.errors import (
    CommitFailed,
    CommitStatusFailed,
    EndorseFailed,
    EvaluateFailed,
    StageFailed,
    SubmitFailed,
    refusal,
)
from healthchain.client.gateway import Connection, Transaction
from healthchain.errors import HealthChainError, Refused
from healthchain.identity.keys import signature_holds
from healthchain.wire.codes import Code
from healthchain.wire.gateway import ErrorDetail, GatewayError, Status
from healthchain.wire.proposal import parse_proposal, transaction_id

from .scripted import IDENTITY, MEMBER, NOW_NS, ScriptedGateway, connection, endorsed

_Result = TypeVar("_Result")

DETAILS = (
    ErrorDetail("peer0.north:7051", "NorthMSP", "the clock is wrong"),
    ErrorDetail("orderers", "", "received status 503"),
)


def run(work: Callable[[Connection], Awaitable[_Result]], gateway: ScriptedGateway) -> _Result:
    async def main() -> _Result:
        return await work(connection(gateway))

    return asyncio.run(main())


def signed_by_us(message: bytes, signature: bytes) -> bool:
    return signature_holds(MEMBER.public_key, sha256(message).digest(), signature)


def test_every_stage_signs_what_it_sends() -> None:
    gateway = ScriptedGateway()

    async def work(one: Connection) -> None:
        proposal = one.proposal("records:Write", b"{}", transient={"r/1": b"body"})
        transaction = await proposal.endorse()
        assert transaction.result == b"result"
        commit = await transaction.submit()
        committed = await commit.committed()
        assert (committed.transaction_id, committed.block, committed.result) == (proposal.transaction_id, 7, b"result")

    run(work, gateway)
    endorse, submit, status = gateway.asked
    assert isinstance(endorse, gateway_pb2.EndorseRequest)
    assert isinstance(submit, gateway_pb2.SubmitRequest)
    assert isinstance(status, gateway_pb2.SignedCommitStatusRequest)
    signed = endorse.proposed_transaction
    assert signed_by_us(signed.proposal_bytes, signed.signature)
    assert signed_by_us(submit.prepared_transaction.payload, submit.prepared_transaction.signature)
    assert signed_by_us(status.request, status.signature)
    asked = gateway_pb2.CommitStatusRequest.FromString(status.request)
    assert {endorse.transaction_id, submit.transaction_id, asked.transaction_id} == {endorse.transaction_id}
    assert {endorse.channel_id, submit.channel_id, asked.channel_id} == {"health"}
    assert asked.identity == IDENTITY.serialized


def test_a_proposal_says_who_what_and_when() -> None:
    gateway = ScriptedGateway()
    proposal = connection(gateway).proposal("records:Write", b"{}", transient={"r/1": b"body"})
    parsed = parse_proposal(proposal.bytes_)
    assert parsed.args == (b"records:Write", b"{}")
    assert parsed.transient == {"r/1": b"body"}
    assert (parsed.channel_id, parsed.chaincode, parsed.creator) == ("health", "ehr", IDENTITY.serialized)
    assert parsed.timestamp_ns == NOW_NS
    assert parsed.tx_id == proposal.transaction_id == transaction_id(parsed.nonce, parsed.creator)
    assert len(parsed.nonce) == 24


def test_no_two_proposals_have_one_id() -> None:
    one = connection(ScriptedGateway())
    assert len({one.proposal("f").transaction_id for _ in range(1000)}) == 1000


def test_an_evaluation_ends_after_one_stage() -> None:
    gateway = ScriptedGateway()
    assert run(lambda one: one.evaluate("members:List", b"{}"), gateway) == b"answer"
    assert [type(one) for one in gateway.asked] == [gateway_pb2.EvaluateRequest]


@pytest.mark.parametrize(
    ("stage", "error", "asked"),
    [
        ("endorse", EndorseFailed, 1),
        ("submit", SubmitFailed, 2),
        ("commit_status", CommitStatusFailed, 3),
    ],
)
def test_each_stage_has_its_error_which_names_the_nodes(stage: str, error: type[StageFailed], asked: int) -> None:
    gateway = ScriptedGateway()
    gateway.fails[stage] = GatewayError(Status.ABORTED, "failed", DETAILS)
    with pytest.raises(error) as caught:
        run(lambda one: one.submit("f"), gateway)
    assert type(caught.value) is error
    assert caught.value.status is Status.ABORTED
    assert caught.value.details == DETAILS
    assert str(caught.value) == "failed (NorthMSP peer0.north:7051: the clock is wrong; orderers: received status 503)"
    request = gateway.asked[0]
    assert isinstance(request, gateway_pb2.EndorseRequest)
    assert caught.value.transaction_id == request.transaction_id
    assert len(gateway.asked) == asked


def test_an_evaluations_error() -> None:
    gateway = ScriptedGateway()
    gateway.fails["evaluate"] = GatewayError(Status.UNAVAILABLE, "nobody is there")
    with pytest.raises(EvaluateFailed, match=r"^nobody is there$") as caught:
        run(lambda one: one.evaluate("f"), gateway)
    assert (caught.value.status, caught.value.details) == (Status.UNAVAILABLE, ())


@pytest.mark.parametrize("stage", ["evaluate", "endorse"])
@pytest.mark.parametrize("code", ["CONSENT_MISSING", "A", "X9_Y"])
def test_a_refusal_of_the_contract_keeps_its_code(stage: str, code: str) -> None:
    said = f"chaincode response 403, {code}: no consent in force\npermits this: nor another"
    gateway = ScriptedGateway()
    gateway.fails[stage] = GatewayError(Status.ABORTED, "failed", [*DETAILS, ErrorDetail("p", "M", said)])
    with pytest.raises(Refused) as caught:
        run(lambda one: one.evaluate("f") if stage == "evaluate" else one.submit("f"), gateway)
    assert (caught.value.code, caught.value.message) == (code, "no consent in force\npermits this: nor another")
    assert isinstance(caught.value.__cause__, GatewayError)


def test_a_refusal_without_details_is_found_in_the_message() -> None:
    text = "evaluate call to endorser returned error: chaincode response 404, RECORD_UNKNOWN: none"
    found = refusal(GatewayError(Status.UNKNOWN, text))
    assert found is not None
    assert found.code == "RECORD_UNKNOWN"


@pytest.mark.parametrize(
    "text",
    [
        "chaincode response 500, panic",
        "chaincode response 500, the chaincode definition has no collection of that name",
        "chaincode response 403, lower: case",
        "CONSENT_MISSING: but no chaincode said so",
        "ProposalResponsePayloads do not match",
    ],
)
def test_other_failures_are_no_refusals(text: str) -> None:
    assert refusal(GatewayError(Status.ABORTED, text, [ErrorDetail("p", "M", text)])) is None


@pytest.mark.parametrize("code", [code for name, code in vars(Code).items() if name.isupper() and code])
def test_an_invalid_transaction_is_a_failed_commit(code: int) -> None:
    gateway = ScriptedGateway()
    gateway.code = code
    with pytest.raises(CommitFailed) as caught:
        run(lambda one: one.submit("f"), gateway)
    assert (caught.value.code, caught.value.block) == (code, 7)
    assert caught.value.is_conflict == (code in (11, 12))
    assert caught.value.transaction_id
    assert "was not committed" in str(caught.value)


def test_the_status_itself_is_no_error() -> None:
    gateway = ScriptedGateway()
    gateway.code = Code.MVCC_READ_CONFLICT

    async def work(one: Connection) -> int:
        commit = await (await one.proposal("f").endorse()).submit()
        return (await commit.status()).result

    assert run(work, gateway) == Code.MVCC_READ_CONFLICT


# A gateway that answers with something else


def _another() -> bytes:
    """Endorsed too, and of the same client: it was proposed before and never sent."""
    proposal = connection(ScriptedGateway()).proposal("patients:Erase", b"{}")
    return endorsed(proposal_pb2.SignedProposal(proposal_bytes=proposal.bytes_))


@pytest.mark.parametrize(
    "answer", [b"", b"\xff", b"\x12\x00", _another()], ids=["empty", "nonsense", "none", "another"]
)
def test_a_client_signs_only_what_it_proposed(answer: bytes) -> None:
    gateway = ScriptedGateway()
    gateway.answers = answer
    with pytest.raises(EndorseFailed, match="another transaction"):
        run(lambda one: one.submit("records:Write", b"{}"), gateway)
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("part", ["channel_header", "signature_header"])
def test_nor_does_it_sign_another_header_above_what_it_proposed(part: str) -> None:
    """As of an administrator's configuration update, or of another channel's transaction."""

    class Turned(ScriptedGateway):
        async def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
            response = await super().endorse(request)
            payload = common_pb2.Payload.FromString(response.prepared_transaction.payload)
            setattr(payload.header, part, getattr(payload.header, part) + b"\x08\x02")
            response.prepared_transaction.payload = payload.SerializeToString()
            return response

    gateway = Turned()
    with pytest.raises(EndorseFailed, match="another transaction"):
        run(lambda one: one.submit("records:Write", b"{}"), gateway)
    assert len(gateway.asked) == 1


def test_without_that_check_a_gateway_has_another_transaction_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = ScriptedGateway()
    gateway.answers = _another()
    monkeypatch.setattr(client, "_is_of", lambda *_: True)
    run(lambda one: one.submit("records:Write", b"{}"), gateway)
    sent = gateway.asked[1]
    assert isinstance(sent, gateway_pb2.SubmitRequest)
    assert b"patients:Erase" in sent.prepared_transaction.payload


def test_a_transaction_can_be_sent_again_as_it_was() -> None:
    """After an uncertain answer: the same bytes, so that it counts once."""
    gateway = ScriptedGateway()

    async def work(one: Connection) -> Transaction:
        transaction = await one.proposal("f").endorse()
        gateway.fails["submit"] = GatewayError(Status.UNAVAILABLE, "no orderers could process it")
        with pytest.raises(SubmitFailed):
            await transaction.submit()
        del gateway.fails["submit"]
        await (await transaction.submit()).committed()
        return transaction

    transaction = run(work, gateway)
    sent = [one.prepared_transaction.payload for one in gateway.asked if isinstance(one, gateway_pb2.SubmitRequest)]
    assert sent == [transaction.payload] * 2


def test_all_errors_are_ours() -> None:
    for error in (EvaluateFailed, EndorseFailed, SubmitFailed, CommitStatusFailed, CommitFailed, Refused):
        assert issubclass(error, HealthChainError)
