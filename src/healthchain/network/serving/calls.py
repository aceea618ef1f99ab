"""A gRPC method out of a function on messages: decoding, limits, and how a failure leaves.

Nobody waits for ever for a request that does not come. What comes is decoded here and not by gRPC, so that bytes which
are no message are an INVALID_ARGUMENT. A defect becomes INTERNAL with its kind and place only: its text may quote data.
The network goes on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from healthchain.errors import HealthChainError
from healthchain.wire.gateway import GatewayError, Status
from healthchain.wire.rpc_status import METADATA_KEY, encode_status

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
Method: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"

REQUEST_S_MAX = 60.0
"""For one request to come, however large it is."""

_Request = TypeVar("_Request", bound=Message)


class Limit:
    """So many calls of one service at once (Fabric's `peer.limits.concurrency`)."""

    def __init__(self, calls_max: int) -> None:
        self.calls_max = calls_max
        self.calls = 0

    @contextmanager
    def call(self) -> Iterator[None]:
        """Raises GatewayError where there are too many already."""
        if self.calls >= self.calls_max:
            raise GatewayError(
                Status.RESOURCE_EXHAUSTED, "too many requests: the service is at its limit, try again later"
            )
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1


def unary(message: type[_Request], run: Callable[[_Request], Awaitable[Message]], limit: Limit) -> Method:
    """One request, one answer."""

    async def serve(context: Context) -> None:
        request = decoded(message, await _first_request(context))
        await context.write((await run(request)).SerializeToString())

    return _method(serve, limit)


def streamed(message: type[_Request], run: Callable[[_Request], AsyncGenerator[Message, None]], limit: Limit) -> Method:
    """One request, answers until the client has enough."""

    async def serve(context: Context) -> None:
        await _write_all(run(decoded(message, await _first_request(context))), context)

    return _method(serve, limit)


def conversation(
    run: Callable[[bytes, Context], AsyncGenerator[Message, None]], limit: Limit, idle_s_max: float
) -> Method:
    """Requests one after another, each with its answers; `run` raises StreamEnds after the last.

    A client that sends nothing for `idle_s_max` seconds, with no answer under way, is cut off.
    """

    async def serve(context: Context) -> None:
        with suppress(StreamEnds):
            while (encoded := await _next_request(context, idle_s_max)) is not None:
                await _write_all(run(encoded, context), context)

    return _method(serve, limit)


def _method(serve: Callable[[Context], Awaitable[None]], limit: Limit) -> Method:
    """Every method is a stream for gRPC, which has no other way to end the wait for a request that does not come."""

    async def answer(_: AsyncIterator[bytes], context: Context) -> None:
        try:
            with limit.call():
                await serve(context)
        except Exception as error:  # noqa: BLE001 (the outermost edge)
            await refuse(context, error)

    return grpc.stream_stream_rpc_method_handler(answer)


class StreamEnds(Exception):
    """What the client asked for ends the stream, without an error of gRPC's."""


async def _write_all(answers: AsyncGenerator[Message, None], context: Context) -> None:
    """The generator is closed here and now, also where the client goes away."""
    async with aclosing(answers):
        async for one in answers:
            await context.write(one.SerializeToString())


async def _first_request(context: Context) -> bytes:
    """Raises GatewayError."""
    encoded = await _next_request(context, REQUEST_S_MAX)
    if encoded is None:
        raise GatewayError(Status.INVALID_ARGUMENT, "the call ended without a request")
    return encoded


async def _next_request(context: Context, idle_s_max: float) -> bytes | None:
    """None at the stream's end. Raises GatewayError."""
    try:
        async with asyncio.timeout(idle_s_max):
            read: object = await context.read()  # or grpc.aio.EOF
    except TimeoutError:
        raise GatewayError(Status.DEADLINE_EXCEEDED, "nothing was sent on this stream for too long") from None
    return read if isinstance(read, bytes) else None


def decoded(message: type[_Request], encoded: bytes) -> _Request:
    """Raises GatewayError."""
    try:
        return message.FromString(encoded)
    except (DecodeError, UnicodeDecodeError):
        raise GatewayError(Status.INVALID_ARGUMENT, "the request does not decode") from None


async def refuse(context: Context, error: Exception) -> NoReturn:
    """End the call with what the error says. Raises gRPC's AbortError."""
    refused = _as_gateway_error(error)
    details = [(METADATA_KEY, encode_status(refused))] if refused.details else []
    await context.abort(_CODES[refused.status], refused.message, tuple(details))


def _as_gateway_error(error: Exception) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, HealthChainError):  # the network was closed, or a peer's disk is full
        return GatewayError(Status.UNAVAILABLE, str(error))
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else "?"
    text = f"a defect in HealthChain ({type(error).__name__} at {where}): please report it"
    print(text, file=sys.stderr, flush=True)
    return GatewayError(Status.INTERNAL, text)


_CODES = {code.value[0]: code for code in grpc.StatusCode}
"""google.rpc.Code -> gRPC's own enumeration of the same numbers."""
