"""`protos.Endorser` and `orderer.AtomicBroadcast`, for clients that put a transaction together themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from fabric_protos.common import common_pb2, configtx_pb2, ledger_pb2
from fabric_protos.orderer.ab_pb2_grpc import AtomicBroadcastStub
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, query_pb2, transaction_pb2
from fabric_protos.peer.lifecycle import lifecycle_pb2
from fabric_protos.peer.peer_pb2_grpc import EndorserStub

from healthchain.identity.folders import SigningIdentity
from healthchain.network import qscc
from healthchain.wire.block import header_hash
from healthchain.wire.codes import Code
from healthchain.wire.lifecycle import LIFECYCLE, commit_arguments
from healthchain.wire.proposal import parse_proposal
from healthchain.wire.transaction import Endorsement, transaction_payload

from .served import SECONDS_MAX, Served, refused, serve, stub
from .toy import DEFINITION, MSP_IDS, TOY, Toy, block_codes, connect, endorse_request, issued, now, proposal

REQUIRED = ("north", "south", "payer")


async def process(served: Served, name: str, signed: proposal_pb2.SignedProposal) -> Any:
    async with served.channel(name) as channel:
        return await stub(EndorserStub, channel).ProcessProposal(signed)


def signed_proposal(
    who: SigningIdentity, *args: str | bytes, chaincode: str = TOY, channel: str = "health"
) -> proposal_pb2.SignedProposal:
    texts = [one.decode("latin-1") if isinstance(one, bytes) else one for one in args]
    return endorse_request(who, proposal(who, *texts, chaincode=chaincode, channel=channel)).proposed_transaction


async def broadcast(served: Served, *envelopes: common_pb2.Envelope) -> list[tuple[int, str]]:
    """Each envelope's status and words."""
    async with served.channel("south") as channel, asyncio.timeout(SECONDS_MAX):
        stream = stub(AtomicBroadcastStub, channel).Broadcast()
        for one in envelopes:
            await stream.write(one)
        await stream.done_writing()
        return [(one.status, one.info) async for one in stream]


def envelope(
    who: SigningIdentity, signed: proposal_pb2.SignedProposal, answers: list[proposal_response_pb2.ProposalResponse]
) -> common_pb2.Envelope:
    endorsements = [Endorsement(one.endorsement.endorser, one.endorsement.signature) for one in answers]
    payload = transaction_payload(parse_proposal(signed.proposal_bytes), answers[0].payload, endorsements)
    return common_pb2.Envelope(payload=payload, signature=who.key.sign(payload))


@pytest.mark.parametrize(
    ("endorsers", "code"), [(REQUIRED, Code.VALID), (REQUIRED[:1], Code.ENDORSEMENT_POLICY_FAILURE)]
)
def test_endorsements_gathered_by_the_client_count(folder: Path, endorsers: tuple[str, ...], code: int) -> None:
    async def scenario(served: Served) -> None:
        who = served.who()
        signed = signed_proposal(who, "Put", "k", "v")
        answers = [await process(served, name, signed) for name in endorsers]
        assert {one.response.status for one in answers} == {200}
        assert len({one.payload for one in answers}) == 1
        assert await broadcast(served, envelope(who, signed, answers)) == [(common_pb2.SUCCESS, "")]
        tx_id = parse_proposal(signed.proposal_bytes).tx_id
        await served.network.commits.wait_for(tx_id)
        assert block_codes(served.network, 2) == [code]

    serve(folder, scenario)


def test_private_values_reach_the_peers_that_hold_them(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        north = connect(served.network, folder, "north")
        built = north.proposal("PutPrivate", b"all", b"k", transient={"value": b"secret"})
        who = served.who()
        signed = proposal_pb2.SignedProposal(proposal_bytes=built.bytes_, signature=who.key.sign(built.bytes_))
        answers = [await process(served, name, signed) for name in REQUIRED]
        await broadcast(served, envelope(who, signed, answers))
        await served.network.commits.wait_for(built.transaction_id)
        state = connect(served.network, folder, "state", "administrator")
        assert await state.evaluate("GetPrivate", b"all", b"k") == b"secret"

    serve(folder, scenario)


def test_what_is_refused_is_not_endorsed(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        who = served.who()
        answer = await process(served, "north", signed_proposal(who, "Refuse", "NO"))
        assert (answer.response.status, answer.response.message) == (403, "NO: the toy's rules forbid it")
        assert (answer.payload, answer.HasField("endorsement")) == (b"", False)
        for signed in (
            signed_proposal(who, "Put", "k", "v", chaincode="none"),
            signed_proposal(who, "Put", "k", "v", channel="other"),
            signed_proposal(who, "Put", "k", "v", channel=""),
            proposal_pb2.SignedProposal(proposal_bytes=signed_proposal(who, "Get", "k").proposal_bytes),
            proposal_pb2.SignedProposal(),
        ):
            message, _ = await refused(process(served, "north", signed), grpc.StatusCode.UNKNOWN)
            assert message

    serve(folder, scenario)


def test_the_answer_to_a_query_cannot_be_made_a_transaction(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "only_reads", lambda self, args: args[0] == b"Get")

    async def scenario(served: Served) -> None:
        await connect(served.network, folder, "north").submit("Put", b"k", b"v")
        answer = await process(served, "north", signed_proposal(served.who(), "Get", "k"))
        assert (answer.response.status, answer.response.payload) == (200, b"v")
        assert answer.endorsement.endorser
        assert (answer.payload, answer.endorsement.signature) == (b"", b"")

    serve(folder, scenario)


def test_the_orderers_answer_each_envelope(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        who = served.who()
        signed = signed_proposal(who, "Put", "k", "v")
        good = envelope(who, signed, [await process(served, name, signed) for name in REQUIRED])
        unsigned = common_pb2.Envelope(payload=good.payload, signature=b"false")
        answers = await broadcast(served, common_pb2.Envelope(payload=b"\xff"), unsigned, good)
        assert [status for status, _ in answers] == [400, 403, 200]
        assert all(info for status, info in answers if status != common_pb2.SUCCESS)

    serve(folder, scenario)


async def evaluated(
    served: Served, chaincode: str, *args: str | bytes, who: SigningIdentity | None = None, channel: str = "health"
) -> proposal_response_pb2.Response:
    signed = signed_proposal(who or served.who(), *args, chaincode=chaincode, channel=channel)
    response: proposal_response_pb2.Response = (await process(served, "south", signed)).response
    return response


def test_qscc_answers_from_the_peers_ledger(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        committed = await connect(served.network, folder, "north").submit("Put", b"k", b"v")
        ledger = served.network.peers["south"].ledger
        newest = ledger.block(2)
        info = await evaluated(served, "qscc", "GetChainInfo", "health", channel="")
        told = ledger_pb2.BlockchainInfo.FromString(info.payload)
        assert (told.height, told.currentBlockHash, told.previousBlockHash) == (
            3,
            header_hash(newest),
            newest.header.previous_hash,
        )
        for function, asked in (
            ("GetBlockByNumber", "2"),
            ("GetBlockByNumber", str(2**64 - 1)),
            ("GetBlockByTxID", committed.transaction_id),
        ):
            found = await evaluated(served, "qscc", function, "health", asked)
            assert common_pb2.Block.FromString(found.payload) == newest, function
        sent = await evaluated(served, "qscc", "GetTransactionByID", "health", committed.transaction_id)
        processed = transaction_pb2.ProcessedTransaction.FromString(sent.payload)
        assert processed.transactionEnvelope.SerializeToString() == newest.data.data[0]
        assert processed.validationCode == Code.VALID

    serve(folder, scenario)


def test_qscc_finds_any_block_by_its_hash(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        ledger = served.network.peers["south"].ledger
        north = connect(served.network, folder, "north")
        for value in (b"1", b"2", b"3"):
            await north.submit("Put", b"k", value)
        found = qscc.Qscc(ledger)._block_by_hash
        for number in range(5):
            assert found(header_hash(ledger.block(number))) == ledger.block(number)

    serve(folder, scenario)


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("GetChainInfo",),
        ("GetChainInfo", "other"),
        ("Guess", "health", "1"),
        ("GetBlockByNumber", "health"),
        ("GetBlockByNumber", "health", "3"),
        ("GetBlockByNumber", "health", "-1"),
        ("GetBlockByNumber", "health", "1" * 400),
        ("GetBlockByHash", "health", "no hash"),
        ("GetBlockByTxID", "health", "a" * 64),
        ("GetTransactionByID", "health", "no id"),
    ],
)
def test_qscc_has_500_for_what_is_not_there(folder: Path, args: tuple[str, ...]) -> None:
    async def scenario(served: Served) -> None:
        assert (await evaluated(served, "qscc", *args)).status == 500

    serve(folder, scenario)


def test_qscc_is_for_no_patient(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        patient = issued(folder, "north", at=now(), days=5, patient="A" * 22)
        answer = await evaluated(served, "qscc", "GetBlockByNumber", "health", "1", who=patient)
        assert (answer.status, answer.payload) == (500, b"")

    serve(folder, scenario)


def test_cscc_tells_the_channel_and_its_configuration(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        listed = await evaluated(served, "cscc", "GetChannels", channel="")
        channels = query_pb2.ChannelQueryResponse.FromString(listed.payload).channels
        assert [one.channel_id for one in channels] == ["health"]
        block = await evaluated(served, "cscc", "GetConfigBlock", "health", channel="")
        assert common_pb2.Block.FromString(block.payload) == served.network.peers["south"].ledger.block(0)
        config = await evaluated(served, "cscc", "GetChannelConfig", "health")
        groups = configtx_pb2.Config.FromString(config.payload).channel_group.groups["Application"].groups
        assert set(groups) == {"north", "south", "payer", "state"}
        for args in ((), ("GetConfigBlock", "other"), ("JoinChain", "health")):
            assert (await evaluated(served, "cscc", *args)).status == 500

    serve(folder, scenario)


def test_lifecycle_tells_what_is_defined(folder: Path) -> None:
    async def scenario(served: Served) -> None:
        who = served.who()

        async def asked(function: str, arguments: bytes) -> proposal_response_pb2.Response:
            built = connect(served.network, folder, "north", who, chaincode=LIFECYCLE).proposal(function, arguments)
            signed = proposal_pb2.SignedProposal(proposal_bytes=built.bytes_, signature=who.key.sign(built.bytes_))
            response: proposal_response_pb2.Response = (await process(served, "north", signed)).response
            return response

        one = lifecycle_pb2.QueryChaincodeDefinitionArgs(name=TOY).SerializeToString()
        told = lifecycle_pb2.QueryChaincodeDefinitionResult.FromString(
            (await asked("QueryChaincodeDefinition", one)).payload
        )
        assert (told.version, told.sequence, set(told.approvals)) == ("1", 1, set(MSP_IDS))
        assert [c.static_collection_config.name for c in told.collections.config] == ["all", "some"]
        listed = lifecycle_pb2.QueryChaincodeDefinitionsResult.FromString(
            (await asked("QueryChaincodeDefinitions", b"")).payload
        )
        assert [(each.name, each.sequence) for each in listed.chaincode_definitions] == [(TOY, 1)]
        none = lifecycle_pb2.QueryChaincodeDefinitionArgs(name="none").SerializeToString()
        assert (await asked("QueryChaincodeDefinition", none)).status == 404
        assert (await asked("QueryChaincodeDefinition", b"\xff")).status == 500

        following = lifecycle_pb2.CheckCommitReadinessArgs.FromString(commit_arguments(DEFINITION))
        assert (await asked("CheckCommitReadiness", following.SerializeToString())).status == 500  # it is sequence 1
        following.sequence = 2
        ready = await asked("CheckCommitReadiness", following.SerializeToString())
        approvals = lifecycle_pb2.CheckCommitReadinessResult.FromString(ready.payload).approvals
        assert dict(approvals) == dict.fromkeys(MSP_IDS, True)
        following.version = "2"
        other = await asked("CheckCommitReadiness", following.SerializeToString())
        approvals = lifecycle_pb2.CheckCommitReadinessResult.FromString(other.payload).approvals
        assert dict(approvals) == dict.fromkeys(MSP_IDS, False)

    serve(folder, scenario)
