"""One peer's stream to a chaincode's service, at the peer's end (Fabric core/chaincode/handler.go).

Everything happens on the event loop. A transaction has one question open at a time; a second one is dropped, as Fabric
does. Any message that a peer does not expect ends the stream, and fails the transactions on it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from fabric_protos.peer import chaincode_pb2, proposal_pb2, proposal_response_pb2
from grpc import aio

from healthchain.chaincode.dispatch import Response
from healthchain.errors import HealthChainError
from healthchain.network.chaincode_calls import ANSWERS, Calls
from healthchain.network.execution import ChaincodeFailed, Invocation
from healthchain.wire.shim import (
    NO_TRANSACTION,
    ChaincodeMessage,
    Offered,
    ShimMalformed,
    TransactionKey,
    Type,
    decoded,
    message,
    offer,
    transaction_key,
)

OUTGOING_MAX = 1000
WRITE_SECONDS_MAX = 30.0  # a service that reads nothing for so long is stuck
TEXT_MAX = 1000
TERMINATED = "chaincode stream terminated"
ERROR_FROM = 400


@dataclass(slots=True)
class _Running:
    """A transaction that waits for its response; `calling` is the task of a chaincode that it called."""

    invocation: Invocation
    calls: Calls
    outcome: asyncio.Future[Response]
    calling: asyncio.Task[None] | None = None


class ServiceStream:
    """`register` first; then `execute`, many at a time."""

    def __init__(
        self, channel: aio.Channel, call: aio.StreamStreamCall[bytes, bytes], execute_seconds_max: float
    ) -> None:
        self._channel = channel
        self._call = call
        self._execute_seconds_max = execute_seconds_max
        self._running: dict[TransactionKey, _Running] = {}
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(OUTGOING_MAX)
        self._tasks: list[asyncio.Task[None]] = []
        self.ended = False

    @property
    def in_flight(self) -> int:
        return len(self._running)

    async def register(self, package_id: str | None, offered: Offered) -> None:
        """REGISTER, REGISTERED, READY. Raises ChaincodeFailed."""
        received = await self._read()
        if received.type != Type.REGISTER or not _is_named(received.payload, package_id):
            raise ChaincodeFailed("the service registers as another chaincode: check address and package id")
        await self._write(message(Type.REGISTERED, NO_TRANSACTION))
        await self._write(message(Type.READY, NO_TRANSACTION, offer(offered)))
        self._tasks = [asyncio.create_task(self._receive_all()), asyncio.create_task(self._send_all())]

    async def execute(self, invocation: Invocation) -> Response:
        """Raises ChaincodeFailed."""
        simulator = invocation.simulator
        key = TransactionKey(simulator.channel_id, simulator.tx_id)
        if key in self._running:
            raise ChaincodeFailed("the chaincode runs this transaction already")
        outcome: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        running = _Running(invocation, Calls(simulator, invocation.chaincode), outcome)
        self._running[key] = running
        asked = chaincode_pb2.ChaincodeInput(args=invocation.args, is_init=invocation.is_init).SerializeToString()
        kind = Type.INIT if invocation.is_init else Type.TRANSACTION
        try:
            async with asyncio.timeout(self._execute_seconds_max):
                signed = proposal_pb2.SignedProposal(proposal_bytes=invocation.proposal, signature=invocation.signature)
                await self._send(message(kind, key, asked, proposal=signed))
                return await outcome  # which fails as well if the stream does
        except TimeoutError:
            raise ChaincodeFailed("timeout expired while executing transaction") from None
        finally:
            del self._running[key]
            running.calls.close()
            if running.calling is not None:
                running.calling.cancel()

    async def close(self) -> None:
        self._end("the network is being closed")
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._channel.close()

    async def _receive_all(self) -> None:
        try:
            while True:
                await self._receive(await self._read())
        except HealthChainError as failed:
            self._end(str(failed))

    async def _receive(self, received: ChaincodeMessage) -> None:
        key = transaction_key(received)
        running = self._running.get(key)
        match received.type:
            case Type.COMPLETED | Type.ERROR if running is not None:
                _finish(running, received)
            case Type.COMPLETED | Type.ERROR | Type.KEEPALIVE:
                pass  # of a transaction that was given up, or an echo
            case kind if kind in ANSWERS or kind == Type.INVOKE_CHAINCODE:
                if running is None:
                    await self._refuse(key, received.type, "no ledger context")
                elif running.calling is not None:
                    pass  # a second question at one time
                elif kind == Type.INVOKE_CHAINCODE:
                    running.calling = asyncio.create_task(self._invoke(key, running, received.payload))
                    running.calling.add_done_callback(partial(_called, running))
                else:
                    await self._answer(key, running, received)
            case _:
                raise ChaincodeFailed("the chaincode sent a message of a type that no peer expects")

    async def _answer(self, key: TransactionKey, running: _Running, received: ChaincodeMessage) -> None:
        try:
            answer = running.calls.answer(received.type, received.payload)
        except HealthChainError as failed:
            await self._refuse(key, received.type, str(failed))
            return
        await self._send(message(Type.RESPONSE, key, answer))

    async def _invoke(self, key: TransactionKey, running: _Running, payload: bytes) -> None:
        """Another chaincode, in the same simulation."""
        try:
            spec = decoded(chaincode_pb2.ChaincodeSpec, payload)
            response = await running.invocation.call(spec.chaincode_id.name, list(spec.input.args))
        except HealthChainError as failed:
            running.calling = None
            await self._refuse(key, Type.INVOKE_CHAINCODE, str(failed))
            return
        running.calling = None  # before the answer: the next question may follow at once
        encoded = proposal_response_pb2.Response(
            status=response.status, message=response.message, payload=response.payload
        ).SerializeToString()
        await self._send(message(Type.RESPONSE, key, message(Type.COMPLETED, key, encoded)))

    async def _refuse(self, key: TransactionKey, kind: Type, cause: str) -> None:
        text = f"{Type.Name(kind)} failed: transaction ID: {key.tx_id}: {cause}"
        await self._send(message(Type.ERROR, key, text.encode()))

    async def _send(self, encoded: bytes) -> None:
        """In its turn. Waits only while too much is on its way already: then nothing more is read, either."""
        await self._outgoing.put(encoded)

    async def _send_all(self) -> None:
        """One message at a time, as a stream needs it; reading goes on meanwhile."""
        try:
            while True:
                await self._write(await self._outgoing.get())
        except ChaincodeFailed as failed:
            self._end(str(failed))

    async def _write(self, encoded: bytes) -> None:
        """Raises ChaincodeFailed."""
        try:
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                await self._call.write(encoded)
        except (aio.AioRpcError, asyncio.InvalidStateError):
            raise ChaincodeFailed(TERMINATED) from None
        except TimeoutError:
            raise ChaincodeFailed("the chaincode reads nothing any more") from None

    async def _read(self) -> ChaincodeMessage:
        """Raises ChaincodeFailed."""
        try:
            received: object = await self._call.read()
        except (aio.AioRpcError, asyncio.InvalidStateError):
            raise ChaincodeFailed(f"{TERMINATED}, or the service cannot be reached") from None
        if not isinstance(received, bytes):  # gRPC's mark of the end
            raise ChaincodeFailed(TERMINATED)
        try:
            return decoded(ChaincodeMessage, received)
        except ShimMalformed:
            raise ChaincodeFailed("the chaincode sent what is no message of a chaincode") from None

    def _end(self, reason: str) -> None:
        self.ended = True
        self._call.cancel()
        for running in self._running.values():
            _fail(running, ChaincodeFailed(reason))


def _is_named(payload: bytes, package_id: str | None) -> bool:
    try:
        return decoded(chaincode_pb2.ChaincodeID, payload).name == package_id or package_id is None
    except ShimMalformed:
        return False


def _finish(running: _Running, received: ChaincodeMessage) -> None:
    """With the response of COMPLETED and its event, or the text of ERROR."""
    if received.type == Type.ERROR:
        text = received.payload[:TEXT_MAX].decode(errors="replace")
        _fail(running, ChaincodeFailed(f"transaction returned with failure: {text}"))
        return
    try:
        response = decoded(proposal_response_pb2.Response, received.payload)
    except ShimMalformed as malformed:
        _fail(running, ChaincodeFailed(str(malformed)))
        return
    event = received.chaincode_event
    if event.event_name and response.status < ERROR_FROM:
        running.invocation.simulator.set_event(event.event_name, event.payload)
    if not running.outcome.done():
        running.outcome.set_result(Response(response.status, response.message, response.payload))


def _called(running: _Running, task: asyncio.Task[None]) -> None:
    """A defect in a chaincode of this process is raised where a direct call of it would raise it."""
    defect = None if task.cancelled() else task.exception()
    if defect is not None:
        _fail(running, defect)


def _fail(running: _Running, failure: BaseException) -> None:
    if not running.outcome.done():
        running.outcome.set_exception(failure)
        running.outcome.exception()  # nobody may be waiting any more
