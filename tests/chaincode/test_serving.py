"""The contract's service under peers that are old, hostile or gone, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import pytest
from fabric_protos.peer import chaincode_pb2, chaincode_shim_pb2, proposal_pb2, proposal_response_pb2

from healthchain.chaincode.dispatch import Response
from healthchain.chaincode.serving import STREAMS_MAX, AddressUnusable, Service, serving
from healthchain.chaincode.stub import Stub
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.msp import serialize_identity
from healthchain.wire.proposal import build_proposal
from healthchain.wire.shim import (
    CONNECT,
    NO_TRANSACTION,
    ChaincodeMessage,
    Offered,
    TransactionKey,
    Type,
    message,
    offer,
    transaction_key,
)

SECONDS_MAX = 20.0
PRIVATE = "a word of a patient's"


class Asking:
    """args[0] names what to do; `waiting` is set while a transaction is stuck until `go_on`."""

    def __init__(self) -> None:
        self.waiting, self.go_on = threading.Event(), threading.Event()

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        match args[0]:
            case b"Copy":
                stub.put_state("copy", stub.get_state("k") or b"nothing")
                stub.set_event("copied", b"k")
            case b"Refuse":
                stub.put_state("k", b"v")
                stub.set_event("refused", b"")
                return Response(403, "NO: not today", b"")
            case b"Wait":
                self.waiting.set()
                assert self.go_on.wait(SECONDS_MAX)
            case b"First":
                return Response(200, "", next(iter(stub.range_states("", "")))[1])
            case b"Who":
                return Response(200, "", f"{stub.caller.msp_id}/{stub.caller.common_name}/{stub.caller.role}".encode())
            case _:
                raise RuntimeError(PRIVATE)
        return Response(200, "", b"done")


class PeerEnd:
    """A stream as a peer has it."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def register(self, offered: Offered = Offered()) -> None:  # noqa: B008 (a value)
        assert (await self.read()).type == Type.REGISTER
        await self.write(message(Type.REGISTERED, NO_TRANSACTION))
        await self.write(message(Type.READY, NO_TRANSACTION, offer(offered)))

    async def read(self) -> ChaincodeMessage:
        encoded = await self._call.read()
        assert encoded is not grpc.aio.EOF, "the stream ended"
        return ChaincodeMessage.FromString(encoded)

    async def write(self, encoded: bytes) -> None:
        await self._call.write(encoded)

    async def ended(self) -> str:
        """With which words of the service."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await self._call.read() is not grpc.aio.EOF:
                pass
        details: str = await self._call.details()
        return details

    def hang_up(self) -> None:
        self._call.cancel()


@pytest.fixture(scope="module")
def creator() -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    authority = CertificateAuthority.create("ca.north", "north", now)
    enrolled = authority.issue("clinician", NodeOU.CLIENT, now, {"hc.role": "clinician"})
    return serialize_identity("NorthMSP", enrolled.certificate)


@pytest.fixture
def transaction(creator: bytes) -> Callable[..., tuple[TransactionKey, bytes]]:
    def make(function: str, *, proposal: bytes | None = None) -> tuple[TransactionKey, bytes]:
        built = build_proposal(
            creator=creator,
            nonce=secrets.token_bytes(24),
            channel_id="health",
            chaincode="ehr",
            args=[function.encode()],
            transient={},
            timestamp_ns=time.time_ns(),
        )
        key = TransactionKey("health", built.tx_id)
        signed = proposal_pb2.SignedProposal(proposal_bytes=built.bytes_ if proposal is None else proposal)
        asked = chaincode_pb2.ChaincodeInput(args=[function.encode()]).SerializeToString()
        return key, message(Type.TRANSACTION, key, asked, proposal=signed)

    return make


@asynccontextmanager
async def peer_of(service: Service) -> AsyncIterator[PeerEnd]:
    async with grpc.aio.insecure_channel(service.address) as channel:
        yield PeerEnd(channel.stream_stream(CONNECT)())


def run(scenario: Callable[[Asking, Service], Coroutine[Any, Any, None]]) -> None:
    async def play() -> None:
        contract = Asking()
        try:
            async with asyncio.timeout(SECONDS_MAX), serving(contract, "ehr:1", "127.0.0.1:0") as service:
                await scenario(contract, service)
        finally:
            contract.go_on.set()

    asyncio.run(play())


def response(received: ChaincodeMessage) -> tuple[int, str, bytes]:
    found = proposal_response_pb2.Response.FromString(received.payload)
    return found.status, found.message, found.payload


Transaction = Callable[..., tuple[TransactionKey, bytes]]


def test_questions_writes_and_event_of_a_transaction(transaction: Transaction) -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        async with peer_of(service) as peer:
            await peer.register(Offered(writes_max=10))
            key, started = transaction("Copy")
            await peer.write(started)
            asked = await peer.read()
            assert (asked.type, transaction_key(asked)) == (Type.GET_STATE, key)
            await peer.write(message(Type.RESPONSE, key, b"v"))
            batch = await peer.read()
            assert batch.type == Type.WRITE_BATCH_STATE
            (record,) = chaincode_shim_pb2.WriteBatchState.FromString(batch.payload).rec
            assert (record.key, record.value) == ("copy", b"v")
            await peer.write(message(Type.RESPONSE, key))
            done = await peer.read()
            assert (done.type, transaction_key(done), response(done)) == (Type.COMPLETED, key, (200, "", b"done"))
            assert (done.chaincode_event.event_name, done.chaincode_event.payload) == ("copied", b"k")

    run(scenario)


def test_what_the_contract_refuses_is_a_response_without_writes_or_event(transaction: Transaction) -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        async with peer_of(service) as peer:
            await peer.register()
            await peer.write(transaction("Refuse")[1])
            done = await peer.read()
            assert (done.type, response(done)) == (Type.COMPLETED, (403, "NO: not today", b""))
            assert not done.HasField("chaincode_event")
            await peer.write(transaction("Who")[1])
            assert response(await peer.read()) == (200, "", b"NorthMSP/clinician/clinician")

    run(scenario)


def test_many_transactions_share_a_stream_and_one_that_waits_holds_up_none(transaction: Transaction) -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        async with peer_of(service) as peer:
            await peer.register()
            waiting, started = transaction("Wait")
            await peer.write(started)
            keys = set()
            for _ in range(20):
                key, started = transaction("Who")
                keys.add(key)
                await peer.write(started)
            assert {transaction_key(await peer.read()) for _ in range(20)} == keys
            contract.go_on.set()
            assert transaction_key(await peer.read()) == waiting

    run(scenario)


def test_an_iterator_that_is_not_read_to_its_end_is_closed(transaction: Transaction) -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        async with peer_of(service) as peer:
            await peer.register()
            key, started = transaction("First")
            await peer.write(started)
            assert (await peer.read()).type == Type.GET_STATE_BY_RANGE
            row = b"\x12\x01k\x1a\x01v"
            results = chaincode_shim_pb2.QueryResponse(results=[{"resultBytes": row}], has_more=True, id="1")
            await peer.write(message(Type.RESPONSE, key, results.SerializeToString()))
            closing = await peer.read()
            assert closing.type == Type.QUERY_STATE_CLOSE
            await peer.write(message(Type.RESPONSE, key, chaincode_shim_pb2.QueryResponse().SerializeToString()))
            assert response(await peer.read()) == (200, "", b"v")

    run(scenario)


def test_a_defect_is_an_error_and_neither_it_nor_the_log_says_what_it_was_about(
    transaction: Transaction, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "healthchain")

    async def scenario(contract: Asking, service: Service) -> None:
        async with peer_of(service) as peer:
            await peer.register()
            await peer.write(transaction("Fail")[1])
            failed = await peer.read()
            assert failed.type == Type.ERROR
            assert b"a defect" in failed.payload
            assert PRIVATE.encode() not in failed.payload

    run(scenario)
    assert "RuntimeError at test_serving.py:" in caplog.text
    assert PRIVATE not in caplog.text


def test_what_the_peer_refuses_ends_the_transaction_with_its_words(transaction: Transaction) -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        async with peer_of(service) as peer:
            await peer.register()
            key, started = transaction("Copy")
            await peer.write(started)
            await peer.read()
            await peer.write(message(Type.ERROR, key, b"GET_STATE failed: why"))
            failed = await peer.read()
            assert (failed.type, failed.payload) == (Type.ERROR, b"GET_STATE failed: why")

    run(scenario)


def test_a_proposal_that_does_not_decode_is_an_error(transaction: Transaction) -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        async with peer_of(service) as peer:
            await peer.register()
            for proposal in (b"", b"\xff", b"\x0a\x00"):
                await peer.write(transaction("Who", proposal=proposal)[1])
                assert (await peer.read()).type == Type.ERROR
            await peer.write(message(Type.KEEPALIVE, NO_TRANSACTION))
            assert (await peer.read()).type == Type.KEEPALIVE

    run(scenario)


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"\xff\xff", "does not decode"),
        (message(Type.READY, NO_TRANSACTION), "did not accept"),
        (message(Type.ERROR, NO_TRANSACTION, b"duplicate"), "did not accept"),
    ],
)
def test_a_handshake_that_is_none_ends_the_stream(first: bytes, why: str) -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        async with peer_of(service) as peer:
            await peer.write(first)
            assert why in await peer.ended()

    run(scenario)


@pytest.mark.parametrize(
    ("sent", "why"),
    [(b"\xff\xff", "does not decode"), (message(Type.REGISTERED, NO_TRANSACTION), "a type that no chaincode expects")],
)
def test_what_no_peer_sends_ends_the_stream_and_its_transactions_but_no_other(
    transaction: Transaction, sent: bytes, why: str
) -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        async with peer_of(service) as peer, peer_of(service) as other:
            await peer.register()
            await other.register()
            await peer.write(transaction("Copy")[1])
            assert (await peer.read()).type == Type.GET_STATE
            await peer.write(sent)
            assert why in await peer.ended()
            await other.write(transaction("Who")[1])
            assert (await other.read()).type == Type.COMPLETED

    run(scenario)


def test_peers_that_hang_up_leave_no_thread_behind(transaction: Transaction) -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        for _ in range(5):
            async with peer_of(service) as peer:
                await peer.register()
                for _ in range(30):  # each waits for an answer that will not come
                    await peer.write(transaction("Copy")[1])
                    await peer.read()
                peer.hang_up()
        async with peer_of(service) as peer:
            await peer.register()
            await peer.write(transaction("Who")[1])
            assert (await peer.read()).type == Type.COMPLETED

    run(scenario)


def test_more_streams_than_there_may_be_are_refused() -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        async with grpc.aio.insecure_channel(service.address) as channel:
            calls: list[Any] = [channel.stream_stream(CONNECT)() for _ in range(STREAMS_MAX)]
            for one in calls:
                await PeerEnd(one).register()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.stream_stream(CONNECT)().read()
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    run(scenario)


def test_stopping_lets_what_runs_come_to_its_end_and_takes_nothing_new(transaction: Transaction) -> None:
    async def scenario(contract: Asking, service: Service) -> None:
        async with peer_of(service) as peer:
            await peer.register()
            waiting, started = transaction("Wait")
            await peer.write(started)
            await asyncio.to_thread(contract.waiting.wait, SECONDS_MAX)
            stopping = asyncio.create_task(service.stop())
            await asyncio.sleep(0)
            await peer.write(transaction("Who")[1])
            refused = await peer.read()
            assert (refused.type, b"about to stop" in refused.payload) == (Type.ERROR, True)
            contract.go_on.set()
            done = await peer.read()
            assert (done.type, transaction_key(done)) == (Type.COMPLETED, waiting)
            assert await peer.ended() == ""
            await stopping

    run(scenario)


@contextmanager
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_an_address_that_cannot_be_served_is_refused() -> None:
    async def serve(address: str) -> None:
        async with serving(Asking(), "ehr:1", address):
            pass

    with taken() as address:
        for one in (address, "nowhere.invalid:0", "127.0.0.1"):
            with pytest.raises(AddressUnusable):
                asyncio.run(serve(one))
