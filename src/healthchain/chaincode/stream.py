"""One peer's stream, at the chaincode's end: its transactions run side by side, each on a thread of its own.

The contract is synchronous, and the event loop only passes messages on: a transaction's thread hands its question
over, and waits until the loop hands it the answer. Nothing that a message holds is ever logged.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from fabric_protos.peer import chaincode_pb2, proposal_response_pb2

from healthchain.chaincode.dispatch import Response
from healthchain.chaincode.remote import CallFailed, RemoteStub
from healthchain.chaincode.stub import Caller, Stub
from healthchain.errors import HealthChainError
from healthchain.identity.msp import claimed_identity
from healthchain.wire.proposal import parse_proposal
from healthchain.wire.shim import (
    NO_TRANSACTION,
    ChaincodeMessage,
    Offered,
    TransactionKey,
    Type,
    decoded,
    message,
    read_offer,
    transaction_key,
)

ANSWER_SECONDS_MAX = 60.0  # twice what a peer gives a whole transaction
HANDSHAKE_SECONDS_MAX = 30.0
CALLERS_MAX = 1000
ERROR_FROM = 400

Read = Callable[[], Awaitable[bytes | None]]
"""The next message; None at the end of the stream."""
Write = Callable[[bytes], Awaitable[None]]

_Answers = SimpleQueue[ChaincodeMessage | None]
_LOG = logging.getLogger(__name__)


class Invocable(Protocol):
    """A contract, as far as serving it takes."""

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response: ...


class StreamEnded(HealthChainError):
    """The peer hung up, or does not speak the protocol."""


class Stream:
    """`run` it once. State is a stream's own: several peers run one transaction, under one id."""

    def __init__(
        self, contract: Invocable, package_id: str, threads: ThreadPoolExecutor, read: Read, write: Write
    ) -> None:
        self._contract = contract
        self._package_id = package_id
        self._threads = threads
        self._read = read
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._offered = Offered()
        self._running: dict[TransactionKey, _Answers] = {}
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._stopping = False
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until the peer hangs up, or `stop` and the last transaction. Raises StreamEnded, ShimMalformed."""
        async with asyncio.timeout(HANDSHAKE_SECONDS_MAX):
            await self._register()
        parts = [asyncio.ensure_future(one) for one in (self._receive_all(), self._send_all(), self._stopped.wait())]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for one in parts:
                one.cancel()
            for answers in self._running.values():
                answers.put(None)

    def stop(self) -> None:
        """Take no more transactions, and end once those that run have their answers on the way."""
        self._stopping = True
        self._end_if_idle()

    async def _register(self) -> None:
        """REGISTER, REGISTERED, READY."""
        named = chaincode_pb2.ChaincodeID(name=self._package_id).SerializeToString()
        await self._write(message(Type.REGISTER, NO_TRANSACTION, named))
        for expected in (Type.REGISTERED, Type.READY):
            encoded = await self._read()
            received = decoded(ChaincodeMessage, encoded or b"")
            if received.type != expected:
                raise StreamEnded("the peer did not accept the chaincode: is it installed there under this package id?")
        self._offered = read_offer(received.payload)

    async def _receive_all(self) -> None:
        while (encoded := await self._read()) is not None:
            self._receive(decoded(ChaincodeMessage, encoded))

    def _receive(self, received: ChaincodeMessage) -> None:
        key = transaction_key(received)
        match received.type:
            case Type.TRANSACTION | Type.INIT:
                self._start(key, received)
            case Type.RESPONSE | Type.ERROR:
                answers = self._running.get(key)
                if answers is not None:
                    answers.put(received)
            case Type.KEEPALIVE:
                self._outgoing.put_nowait(message(Type.KEEPALIVE, NO_TRANSACTION))
            case _:
                raise StreamEnded("the peer sent a message of a type that no chaincode expects")

    def _start(self, key: TransactionKey, received: ChaincodeMessage) -> None:
        if key in self._running:
            raise StreamEnded("the peer sent a transaction that runs already")
        if self._stopping:
            self._outgoing.put_nowait(message(Type.ERROR, key, b"the chaincode is about to stop: try again"))
            return
        answers: _Answers = SimpleQueue()
        self._running[key] = answers
        self._threads.submit(self._execute, key, received, answers)

    async def _send_all(self) -> None:
        """One after the other: a stream takes one message at a time."""
        while True:
            await self._write(await self._outgoing.get())
            self._end_if_idle()

    def _finish(self, key: TransactionKey, outcome: bytes) -> None:
        del self._running[key]
        self._outgoing.put_nowait(outcome)

    def _end_if_idle(self) -> None:
        if self._stopping and not self._running and self._outgoing.empty():
            self._stopped.set()

    # On the transaction's thread

    def _execute(self, key: TransactionKey, received: ChaincodeMessage, answers: _Answers) -> None:
        outcome = self._outcome(key, received, answers)
        self._loop.call_soon_threadsafe(self._finish, key, outcome)

    def _outcome(self, key: TransactionKey, received: ChaincodeMessage, answers: _Answers) -> bytes:
        """COMPLETED with the contract's response, a refusal too; ERROR where there is none."""

        def ask(kind: Type, payload: bytes) -> bytes:
            self._loop.call_soon_threadsafe(self._outgoing.put_nowait, message(kind, key, payload))
            return _answer(answers)

        try:
            proposal = parse_proposal(received.proposal.proposal_bytes)
            args = list(decoded(chaincode_pb2.ChaincodeInput, received.payload).args)
            stub = RemoteStub(ask, self._offered, proposal, _caller(proposal.creator))
            response = self._invoked(stub, args)
        except HealthChainError as failed:
            return message(Type.ERROR, key, str(failed).encode())
        except Exception as defect:  # noqa: BLE001 (the outermost edge of a transaction)
            _LOG.error("a defect in the contract: %s at %s", type(defect).__name__, _place(defect))
            return message(Type.ERROR, key, b"a defect in the chaincode: its log says where")
        encoded = proposal_response_pb2.Response(
            status=response.status, message=response.message, payload=response.payload
        ).SerializeToString()
        event = stub.event if response.status < ERROR_FROM else None
        return message(Type.COMPLETED, key, encoded, event=event)

    def _invoked(self, stub: RemoteStub, args: list[bytes]) -> Response:
        try:
            response = self._contract.invoke(stub, args)
            if response.status < ERROR_FROM:
                stub.send_writes()
            return response
        finally:
            stub.end()


def _answer(answers: _Answers) -> bytes:
    try:
        answer = answers.get(timeout=ANSWER_SECONDS_MAX)
    except Empty:
        raise CallFailed("the peer did not answer in time") from None
    if answer is None:
        raise CallFailed("the stream ended before the peer answered")
    if answer.type == Type.ERROR:
        raise CallFailed(answer.payload.decode(errors="replace"))
    return answer.payload


@functools.lru_cache(CALLERS_MAX)
def _caller(creator: bytes) -> Caller:
    """The peer has validated the certificate; here it is only read. Raises IdentityRefused."""
    found = claimed_identity(creator)
    return Caller(found.msp_id, found.common_name, found.attributes, found.role.value)


def _place(defect: BaseException) -> str:
    """File and line only: an exception's text may quote what it was raised for."""
    place = defect.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else "?"
