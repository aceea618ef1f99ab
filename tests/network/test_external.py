"""Chaincodes outside the process: what works through a service as it does inside, and what a broken one cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from fabric_protos.peer import chaincode_shim_pb2

from healthchain.chaincode.serving import serving
from healthchain.client.errors import EndorseFailed, EvaluateFailed
from healthchain.client.gateway import Connection
from healthchain.config import CHAINCODE
from healthchain.errors import Refused
from healthchain.network.external import OFFERED, Endpoint, External
from healthchain.network.network import Network
from healthchain.wire.lifecycle import LIFECYCLE
from healthchain.wire.shim import (
    NO_TRANSACTION,
    ChaincodeMessage,
    Offered,
    TransactionKey,
    Type,
    message,
    transaction_key,
)

from .services import (
    NAMED,
    OK,
    PACKAGE_ID,
    Context,
    Talk,
    calling,
    registered,
    run_served,
    run_talking,
)
from .toy import (
    ALL,
    DEFINITION,
    SECONDS_MAX,
    TOPOLOGY,
    TOY,
    Toy,
    connect,
)


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


WRONG_QUESTIONS = {
    "a key that is empty": (Type.GET_STATE, chaincode_shim_pb2.GetState(), "must not be empty"),
    "a key that is too long": (Type.PUT_STATE, chaincode_shim_pb2.PutState(key="x" * 481, value=b"v"), "at most 480"),
    "a collection that is not declared": (
        Type.GET_STATE,
        chaincode_shim_pb2.GetState(key="k", collection="c"),
        "no col",
    ),
    "a range of a collection that is not declared": (
        Type.GET_STATE_BY_RANGE,
        chaincode_shim_pb2.GetStateByRange(collection="c"),
        "no col",
    ),
    "a page of nothing": (Type.GET_STATE_BY_RANGE, chaincode_shim_pb2.GetStateByRange(metadata=b"\x12\x01k"), "page"),
    "a page that does not decode": (
        Type.GET_STATE_BY_RANGE,
        chaincode_shim_pb2.GetStateByRange(metadata=b"\xff"),
        "dec",
    ),
    "an iterator that there is not": (Type.QUERY_STATE_NEXT, chaincode_shim_pb2.QueryStateNext(id="7"), "not found"),
    "a rich query": (Type.GET_QUERY_RESULT, chaincode_shim_pb2.GetQueryResult(query="{}"), "rich"),
    "a policy of no key": (Type.PUT_STATE_METADATA, chaincode_shim_pb2.PutStateMetadata(), "must not be empty"),
    "a policy in a collection that is not declared": (
        Type.PUT_STATE_METADATA,
        chaincode_shim_pb2.PutStateMetadata(key="k", collection="c"),
        "no col",
    ),
    "metadata in a collection that is not declared": (
        Type.GET_STATE_METADATA,
        chaincode_shim_pb2.GetStateMetadata(key="k", collection="c"),
        "no col",
    ),
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
