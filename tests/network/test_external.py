"""Chaincodes outside the process: what works through a service as it does inside, and what a broken one cannot do."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from fabric_protos.peer import chaincode_pb2, chaincode_shim_pb2, proposal_response_pb2

from healthchain.chaincode.serving import serving
from healthchain.client.errors import EndorseFailed, EvaluateFailed
from healthchain.client.gateway import Connection
from healthchain.config import CHAINCODE
from healthchain.errors import Refused
from healthchain.identity.folders import SigningIdentity
from healthchain.ledger.private import PrivateDataMissing
from healthchain.network.execution import Chaincode, Service
from healthchain.network.external import OFFERED, Endpoint, External
from healthchain.network.network import Network
from healthchain.wire.channel import Role, role_policy
from healthchain.wire.gateway import GatewayError
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection, commit_arguments
from healthchain.wire.proposal import Proposal, build_proposal
from healthchain.wire.shim import (
    CONNECT,
    NO_TRANSACTION,
    ChaincodeMessage,
    Offered,
    TransactionKey,
    Type,
    message,
    transaction_key,
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

PACKAGE_ID = "toy:1"
Scenario = Callable[[Network, Connection], Awaitable[None]]
Context = Any  # gRPC's, whose stubs know no context that is read from
Talk = Callable[[Context], Awaitable[None]]
NAMED = chaincode_pb2.ChaincodeID(name=PACKAGE_ID).SerializeToString()
REGISTER = message(Type.REGISTER, NO_TRANSACTION, NAMED)
OK = proposal_response_pb2.Response(status=200, payload=b"fine").SerializeToString()


def run_dialled(folder: Path, endpoint: Endpoint, scenario: Scenario) -> Awaitable[None]:
    async def play() -> None:
        external = External(endpoint)
        async with external, Network.opened(folder, TOPOLOGY, {TOY: external}, [DEFINITION]) as network:
            await scenario(network, connect(network, folder, "north"))

    return play()


def run_served(folder: Path, scenario: Scenario, offered: Offered = OFFERED) -> None:
    """The toy as a service on loopback, dialled by all peers."""

    async def play() -> None:
        async with asyncio.timeout(SECONDS_MAX), serving(Toy(), PACKAGE_ID, "127.0.0.1:0") as service:
            await run_dialled(folder, Endpoint(service.address, PACKAGE_ID, offered=offered), scenario)

    asyncio.run(play())


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """The address of a service that does as `talk` says, on every stream."""

    async def connected(_: object, context: Context) -> None:
        await talk(context)

    service, method = CONNECT.strip("/").split("/")
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(connected)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)


def run_talking(folder: Path, talk: Talk, scenario: Scenario, seconds_max: float = 10) -> None:
    """`seconds_max`: what the peers grant, to register and to answer."""

    async def play() -> None:
        async with asyncio.timeout(SECONDS_MAX), talking(talk) as address:
            endpoint = Endpoint(address, PACKAGE_ID, dial_seconds_max=seconds_max, execute_seconds_max=seconds_max)
            await run_dialled(folder, endpoint, scenario)

    asyncio.run(play())


async def registered(context: Context) -> ChaincodeMessage:
    """The first transaction, after the handshake."""
    await context.write(REGISTER)
    assert ChaincodeMessage.FromString(await context.read()).type == Type.REGISTERED
    assert ChaincodeMessage.FromString(await context.read()).type == Type.READY
    return ChaincodeMessage.FromString(await context.read())


@pytest.mark.parametrize("offered", [OFFERED, Offered(writes_max=2, reads_max=2), Offered()], ids=str)
def test_a_service_does_what_a_chaincode_inside_does(folder: Path, offered: Offered) -> None:
    """Whether the peer takes many keys at once, few, or one only, as before Fabric 3.1."""

    async def scenario(network: Network, north: Connection) -> None:
        await asyncio.gather(*[north.submit("Put", f"k{index:03}".encode(), b"v") for index in range(130)])
        assert await north.evaluate("Get", b"k000") == b"v"
        assert await north.evaluate("Get", b"nothing") == b""
        await north.submit("Count", b"k", b"l", b"count")
        assert await north.evaluate("Get", b"count") == b"130"
        assert await north.evaluate("Who") == b"NorthMSP/clinician/clinician"
        await north.submit("PutPrivate", ALL.encode(), b"p", transient={"value": b"secret"})
        assert await north.evaluate("GetPrivate", ALL.encode(), b"p") == b"secret"
        await north.submit("Purge", ALL.encode(), b"p")
        assert await north.evaluate("GetPrivate", ALL.encode(), b"p") == b""
        await north.submit("Say", b"name", b"payload")
        with pytest.raises(Refused, match="NO: the toy's rules"):
            await north.submit("Refuse", b"NO")
        assert len({peer.ledger.state.commit_hash for peer in network.peers.values()}) == 1

    run_served(folder, scenario, offered)


def test_a_service_that_comes_back_is_dialled_again(folder: Path) -> None:
    async def play() -> None:
        async with serving(Toy(), PACKAGE_ID, "127.0.0.1:0") as service:
            address = service.address
        external = External(Endpoint(address, PACKAGE_ID))
        async with (
            asyncio.timeout(SECONDS_MAX),
            external,
            Network.opened(folder, TOPOLOGY, {TOY: external}, [DEFINITION]) as network,
        ):
            north = connect(network, folder, "north")
            for expected in (b"", b"v"):
                with pytest.raises(EvaluateFailed, match=r"cannot be reached|terminated"):
                    await north.evaluate("Get", b"k")
                async with serving(Toy(), PACKAGE_ID, address):
                    assert await north.evaluate("Get", b"k") == expected
                    await north.submit("Put", b"k", b"v")

    asyncio.run(play())


async def silent(context: Context) -> None:
    await context.read()


async def hangs_up(context: Context) -> None:
    await context.abort(grpc.StatusCode.UNAVAILABLE)


async def another_name(context: Context) -> None:
    await context.write(message(Type.REGISTER, NO_TRANSACTION, b"\x12\x05other"))
    await context.read()


async def no_name(context: Context) -> None:
    await context.write(message(Type.REGISTER, NO_TRANSACTION, b"\xff"))
    await context.read()


async def another_type(context: Context) -> None:
    await context.write(message(Type.COMPLETED, NO_TRANSACTION, NAMED))
    await context.read()


async def garbage_at_once(context: Context) -> None:
    await context.write(b"\xff\xff\xff")
    await context.read()


async def breaks_off(context: Context) -> None:
    await registered(context)


def answering(make: Callable[[TransactionKey], bytes]) -> Talk:
    """Registers, and has this one message for each transaction."""

    async def talk(context: Context) -> None:
        received = await registered(context)
        while True:
            await context.write(make(transaction_key(received)))
            encoded = await context.read()
            if encoded is grpc.aio.EOF:
                return
            received = ChaincodeMessage.FromString(encoded)

    return talk


stuck = answering(lambda key: message(Type.KEEPALIVE, NO_TRANSACTION))
garbage = answering(lambda key: b"\xff\xff\xff")
unexpected = answering(lambda key: message(Type.READY, key))
says_error = answering(lambda key: message(Type.ERROR, key, b"\xffno" + b"!" * 5000))
malformed_response = answering(lambda key: message(Type.COMPLETED, key, b"\xff"))
another_transaction = answering(lambda key: message(Type.COMPLETED, key._replace(tx_id="other"), OK))


@pytest.mark.parametrize(
    ("talk", "why"),
    [
        (silent, "did not register in time"),
        (hangs_up, "cannot be reached"),
        (another_name, "registers as another"),
        (no_name, "registers as another"),
        (another_type, "registers as another"),
        (garbage_at_once, "no message of a chaincode"),
        (stuck, "timeout expired"),
        (garbage, "no message of a chaincode"),
        (unexpected, "a type that no peer expects"),
        (breaks_off, "terminated"),
        (says_error, "transaction returned with failure: .no!"),
        (malformed_response, "does not decode"),
        (another_transaction, "timeout expired"),
    ],
)
def test_a_broken_service_fails_its_transactions_and_the_network_goes_on(folder: Path, talk: Talk, why: str) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        for _ in range(2):
            with pytest.raises(EvaluateFailed, match=why) as caught:
                await north.evaluate("Get", b"k")
            assert len(str(caught.value)) < 12_000
        with pytest.raises(EndorseFailed, match=why):
            await north.submit("Put", b"k", b"v")

    run_talking(folder, talk, scenario, 0.1 if "time" in why else 10)


def calling(name: str) -> chaincode_pb2.ChaincodeSpec:
    return chaincode_pb2.ChaincodeSpec(chaincode_id=chaincode_pb2.ChaincodeID(name=name))


WRONG_QUESTIONS = {
    "a key that is empty": (Type.GET_STATE, chaincode_shim_pb2.GetState(), "must not be empty"),
    "a key that is too long": (Type.PUT_STATE, chaincode_shim_pb2.PutState(key="x" * 481, value=b"v"), "at most 480"),
    "a collection that is not declared": (
        Type.GET_STATE,
        chaincode_shim_pb2.GetState(key="k", collection="c"),
        "no col",
    ),
    "a range of private data": (
        Type.GET_STATE_BY_RANGE,
        chaincode_shim_pb2.GetStateByRange(collection=ALL),
        "ranges of",
    ),
    "a page of nothing": (Type.GET_STATE_BY_RANGE, chaincode_shim_pb2.GetStateByRange(metadata=b"\x12\x01k"), "page"),
    "a page that does not decode": (
        Type.GET_STATE_BY_RANGE,
        chaincode_shim_pb2.GetStateByRange(metadata=b"\xff"),
        "dec",
    ),
    "an iterator that there is not": (Type.QUERY_STATE_NEXT, chaincode_shim_pb2.QueryStateNext(id="7"), "not found"),
    "a rich query": (Type.GET_QUERY_RESULT, chaincode_shim_pb2.GetQueryResult(query="{}"), "rich"),
    "a policy of a single key": (Type.PUT_STATE_METADATA, chaincode_shim_pb2.PutStateMetadata(key="k"), "single keys"),
    "a chaincode that there is not": (Type.INVOKE_CHAINCODE, calling("other"), "no chaincode"),
    "a chaincode of another channel": (Type.INVOKE_CHAINCODE, calling("toy/other"), "one channel only"),
    "the contract": (Type.INVOKE_CHAINCODE, calling(CHAINCODE), "by clients only"),
    "the definitions": (Type.INVOKE_CHAINCODE, calling(LIFECYCLE), "by clients only"),
    "itself": (Type.INVOKE_CHAINCODE, calling(TOY), "runs this transaction already"),
    "a write of no known type": (
        Type.WRITE_BATCH_STATE,
        chaincode_shim_pb2.WriteBatchState(rec=[chaincode_shim_pb2.WriteRecord(key="k")]),
        "type",
    ),
}


@pytest.mark.parametrize("name", WRONG_QUESTIONS)
def test_a_question_that_cannot_be_answered_is_an_error_and_the_stream_goes_on(folder: Path, name: str) -> None:
    kind, asked, why = WRONG_QUESTIONS[name]

    async def talk(context: Context) -> None:
        received = await registered(context)
        key = transaction_key(received)
        for payload, told in ((asked.SerializeToString(), why), (b"\xff", "")):
            await context.write(message(kind, key, payload))
            answer = ChaincodeMessage.FromString(await context.read())
            assert answer.type == Type.ERROR
            text = answer.payload.decode()
            assert text.startswith(f"{Type.Name(kind)} failed: transaction ID: {key.tx_id}: ")
            assert told in text
        await context.write(message(kind, key._replace(tx_id="other"), asked.SerializeToString()))
        assert b"no ledger context" in ChaincodeMessage.FromString(await context.read()).payload
        await context.write(message(Type.KEEPALIVE, NO_TRANSACTION))
        await context.write(message(Type.COMPLETED, key, OK))
        await context.read()

    async def scenario(network: Network, north: Connection) -> None:
        assert await north.evaluate("Anything") == b"fine"

    run_talking(folder, talk, scenario)


def test_pages_and_writes_exclude_each_other(folder: Path) -> None:
    """Nothing protects a page at validation, so what was decided by it must not be written."""
    page = chaincode_shim_pb2.GetStateByRange(
        metadata=chaincode_shim_pb2.QueryMetadata(pageSize=1).SerializeToString()
    ).SerializeToString()
    put = chaincode_shim_pb2.PutState(key="k", value=b"v").SerializeToString()

    async def talk(context: Context) -> None:
        received = await registered(context)
        first = [(Type.GET_STATE_BY_RANGE, page), (Type.PUT_STATE, put)]
        orders = iter((first, first[::-1]))
        while True:
            key = transaction_key(received)
            answers = []
            for kind, payload in next(orders):
                await context.write(message(kind, key, payload))
                answers.append(ChaincodeMessage.FromString(await context.read()).type)
            assert answers == [Type.RESPONSE, Type.ERROR]
            await context.write(message(Type.COMPLETED, key, OK))
            encoded = await context.read()
            if encoded is grpc.aio.EOF:
                return
            received = ChaincodeMessage.FromString(encoded)

    async def scenario(network: Network, north: Connection) -> None:
        assert [await north.evaluate("Anything") for _ in range(2)] == [b"fine", b"fine"]

    run_talking(folder, talk, scenario)


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
