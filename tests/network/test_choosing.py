"""Whom the gateway asks: by the policy, by who may see the private data, by the client's list, and who answers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fabric_protos.gateway import gateway_pb2

from healthchain.client.errors import EvaluateFailed
from healthchain.identity.folders import SigningIdentity
from healthchain.ledger.channel import Channel
from healthchain.ledger.validate import SignatureCheck
from healthchain.network.endorser import Endorser
from healthchain.network.execution import ChaincodeFailed
from healthchain.network.network import Network
from healthchain.network.peer import Endorsed
from healthchain.wire.gateway import GatewayError, Status
from healthchain.wire.proposal import ParsedProposal, Proposal, build_proposal

from .toy import ALL, MSP_IDS, NAMES, SOME, TOY, connect, endorse_request, identity, run
from .toy import proposal as built_proposal


def private_write(who: SigningIdentity, collection: str) -> Proposal:
    return build_proposal(
        creator=who.serialized,
        nonce=time.time_ns().to_bytes(24, "big"),
        channel_id="health",
        chaincode=TOY,
        args=[b"PutPrivate", collection.encode(), b"k"],
        transient={"value": b"v"},
        timestamp_ns=time.time_ns(),
    )


def out_of_order(network: Network, *names: str) -> list[str]:
    """These peers' chaincodes do not answer; the list fills with the peers that were asked."""
    asked: list[str] = []

    def broken(name: str) -> None:
        peer = network.peers[name]
        endorse = peer.endorse

        async def counted(proposal: ParsedProposal, check: SignatureCheck) -> Endorsed:
            asked.append(name)
            if name in names:
                raise ChaincodeFailed("the chaincode took too long")
            return await endorse(proposal, check)

        peer.endorse = counted  # type: ignore[method-assign]

    for one in NAMES:
        broken(one)
    return asked


def test_only_members_of_the_collection_are_asked(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        who, gateway = identity(folder, "north"), network.gateway("north")
        asked = out_of_order(network, "south")
        with pytest.raises(GatewayError) as caught:
            await gateway.endorse(endorse_request(who, private_write(who, SOME)))
        assert (caught.value.status, asked) == (Status.ABORTED, ["north", "south", "payer"])
        assert [one.msp_id for one in caught.value.details] == ["SouthMSP"]
        await gateway.endorse(endorse_request(who, private_write(who, ALL)))  # the agency may see this one

    run(folder, scenario)


def test_where_the_members_are_too_few_the_client_has_to_say_who_endorses(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Channel, "majority", 4)

    async def scenario(network: Network) -> None:
        who, gateway = identity(folder, "north"), network.gateway("north")
        built = private_write(who, SOME)
        with pytest.raises(GatewayError, match="name the endorsing organisations") as caught:
            await gateway.endorse(endorse_request(who, built))
        assert (caught.value.status, caught.value.details) == (Status.FAILED_PRECONDITION, ())
        await gateway.endorse(endorse_request(who, built, organizations=MSP_IDS))

    run(folder, scenario)


def test_another_peer_answers_where_a_chaincode_does_not(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        await north.submit("Put", b"k", b"v")
        asked = out_of_order(network, "north", "south")
        assert await north.evaluate("Get", b"k") == b"v"
        assert asked == ["north", "south", "payer"]

    run(folder, scenario)


def test_transient_data_is_shown_to_the_own_peer_only_unless_others_are_named(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        who = identity(folder, "north")
        north = connect(network, folder, "north")
        asked = out_of_order(network, "north")
        with pytest.raises(EvaluateFailed) as caught:
            await north.evaluate("Get", b"k", transient={"value": b"v"})
        assert (caught.value.status, asked) == (Status.ABORTED, ["north"])
        assert [one.message for one in caught.value.details] == ["the chaincode took too long"]
        built = private_write(who, ALL)
        signed = endorse_request(who, built).proposed_transaction
        request = gateway_pb2.EvaluateRequest(proposed_transaction=signed, target_organizations=["SouthMSP"])
        await network.gateway("north").evaluate(request)
        assert asked == ["north", "south"]

    run(folder, scenario)


def test_where_nobodys_chaincode_answers_each_peer_is_named(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        out_of_order(network, *NAMES)
        with pytest.raises(EvaluateFailed) as caught:
            await connect(network, folder, "north").evaluate("Get", b"k")
        assert [one.msp_id for one in caught.value.details] == list(MSP_IDS)

    run(folder, scenario)


def test_an_endorser_whose_chaincode_does_not_answer_has_a_response_without_endorsement(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        out_of_order(network, "north")
        who = identity(folder, "north")
        endorser: Endorser = network.endorser("north")
        signed = endorse_request(who, built_proposal(who, "Put", "k", "v")).proposed_transaction
        answer = await endorser.process_proposal(signed)
        assert (answer.response.status, answer.response.message) == (500, "the chaincode took too long")
        assert (answer.payload, answer.HasField("endorsement")) == (b"", False)

    run(folder, scenario)
