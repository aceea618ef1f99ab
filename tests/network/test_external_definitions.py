"""What a definition asks of a chaincode, inside or outside: to be initialised first, and whose endorsements."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from healthchain.client.gateway import Connection
from healthchain.identity.folders import SigningIdentity
from healthchain.ledger.private import PrivateDataMissing
from healthchain.network.execution import Chaincode, Service
from healthchain.network.external import Endpoint, External
from healthchain.network.network import Network
from healthchain.wire.channel import Role, role_policy
from healthchain.wire.gateway import GatewayError
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection, commit_arguments
from healthchain.wire.proposal import Proposal, build_proposal
from healthchain.wire.shim import (
    ChaincodeMessage,
    Type,
    message,
    transaction_key,
)

from .services import (
    OK,
    Context,
    calling,
    registered,
    run_served,
    talking,
)
from .toy import (
    ALL,
    DEFINITION,
    MSP_IDS,
    SECONDS_MAX,
    TOPOLOGY,
    TOY,
    Toy,
    connect,
    endorse_request,
    identity,
    status_request,
    submit_request,
)


def test_a_definition_that_requires_it_is_initialised_once_before_anything_else(folder: Path) -> None:
    """A chaincode inside, and one outside, which is told that it is to initialise."""
    told: list[int] = []

    async def talk(context: Context) -> None:
        received = await registered(context)
        while True:
            told.append(received.type)
            await context.write(message(Type.COMPLETED, transaction_key(received), OK))
            encoded = await context.read()
            if encoded is grpc.aio.EOF:
                return
            received = ChaincodeMessage.FromString(encoded)

    agreed = [
        replace(DEFINITION, version="2", sequence=2, init_required=True),
        ChaincodeDefinition("inside", "1", 1, (), init_required=True),
    ]

    async def play() -> None:
        async with asyncio.timeout(SECONDS_MAX), talking(talk) as address, External(Endpoint(address)) as external:
            chaincodes: dict[str, Chaincode | Service] = {TOY: external, "inside": Toy()}
            async with Network.opened(folder, TOPOLOGY, chaincodes, agreed) as network:
                administrator = connect(network, folder, "north", "administrator", chaincode=LIFECYCLE)
                for one in agreed:
                    await administrator.submit("CommitChaincodeDefinition", commit_arguments(one))
                for one in agreed:
                    await initialised_once(network, folder, one.name)

    asyncio.run(play())
    assert told[0] == Type.INIT
    assert set(told) == {Type.INIT, Type.TRANSACTION}


async def initialised_once(network: Network, folder: Path, chaincode: str) -> None:
    who, gateway = identity(folder, "north"), network.gateway("north")

    async def call(*, is_init: bool) -> None:
        built = put(who, chaincode, is_init=is_init)
        payload = (await gateway.endorse(endorse_request(who, built))).prepared_transaction.payload
        await gateway.submit(submit_request(payload, who.key.sign(payload)))
        assert (await gateway.commit_status(status_request(who, built.tx_id))).result == 0

    with pytest.raises(GatewayError) as caught:
        await call(is_init=False)
    assert "call as init first" in caught.value.details[0].message
    await call(is_init=True)
    await call(is_init=False)
    with pytest.raises(GatewayError) as caught:
        await call(is_init=True)
    assert "already initialized" in caught.value.details[0].message


def put(who: SigningIdentity, chaincode: str, *, is_init: bool) -> Proposal:
    return build_proposal(
        creator=who.serialized,
        nonce=secrets.token_bytes(24),
        channel_id=TOPOLOGY.channel,
        chaincode=chaincode,
        args=[b"Put", b"k", b"v"],
        transient={},
        timestamp_ns=time.time_ns(),
        is_init=is_init,
    )


def test_a_definition_that_does_not_require_it_is_not_initialised(folder: Path) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        asked = endorse_request(north.identity, put(north.identity, TOY, is_init=True))
        with pytest.raises(GatewayError) as caught:
            await network.gateway("north").endorse(asked)
        assert "does not require initialization" in caught.value.details[0].message

    run_served(folder, scenario)


def test_what_is_written_by_calling_another_is_endorsed_and_handed_out_by_its_definition(folder: Path) -> None:
    """One peer may endorse the caller; the called one asks for a majority, and its private values go to its members."""
    called = calling("inside")
    called.input.args.extend([b"PutPrivate", ALL.encode(), b"p"])
    anybody = role_policy(MSP_IDS, Role.PEER).SerializeToString()
    agreed = [
        replace(DEFINITION, version="2", sequence=2, collections=(), signature_policy=anybody),
        ChaincodeDefinition("inside", "1", 1, (Collection(ALL, MSP_IDS[:3]),)),
    ]

    async def talk(context: Context) -> None:
        received = await registered(context)
        key = transaction_key(received)
        await context.write(message(Type.INVOKE_CHAINCODE, key, called.SerializeToString()))
        answer = ChaincodeMessage.FromString(await context.read())
        completed = ChaincodeMessage.FromString(answer.payload)
        assert (answer.type, completed.type) == (Type.RESPONSE, Type.COMPLETED)
        await context.write(message(Type.COMPLETED, key, completed.payload))
        await context.read()

    async def play() -> None:
        async with asyncio.timeout(SECONDS_MAX), talking(talk) as address, External(Endpoint(address)) as external:
            chaincodes: dict[str, Chaincode | Service] = {TOY: external, "inside": Toy()}
            async with Network.opened(folder, TOPOLOGY, chaincodes, agreed) as network:
                administrator = connect(network, folder, "north", "administrator", chaincode=LIFECYCLE)
                for one in agreed:
                    await administrator.submit("CommitChaincodeDefinition", commit_arguments(one))
                await connect(network, folder, "north").submit("Anything", transient={"value": b"secret"})
                ledgers = {name: peer.ledger for name, peer in network.peers.items()}
                for name in ("north", "south", "payer"):
                    assert ledgers[name].private("inside", ALL, "p") == b"secret"
                with pytest.raises(PrivateDataMissing):
                    ledgers["state"].private("inside", ALL, "p")

    asyncio.run(play())
