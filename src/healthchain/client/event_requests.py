"""One request for events, at one gateway: what is signed, and what the answers are. `client.events` follows further.

    async for event in request.events():      # ends with EventsFailed, which says where to ask on

The bytes are those of Fabric's SDKs: pb(gateway.SignedChaincodeEventsRequest), pb(common.Envelope).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_event_pb2

from healthchain.client.checkpoint import Position, after_block
from healthchain.client.errors import EventsFailed, refusal
from healthchain.client.gateway import Connection
from healthchain.client.shapes import Shape
from healthchain.client.signing import Signed, Signer
from healthchain.wire.gateway import GatewayError
from healthchain.wire.seek import NEXT_BLOCK, block_position, seek_payload

_Block = TypeVar("_Block")


class EventService(Protocol):
    """`client.failover.RemoteGateway`. Failures are `GatewayError`."""

    @property
    def tls_certificate_hash(self) -> bytes: ...
    def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> AsyncGenerator[gateway_pb2.ChaincodeEventsResponse, None]: ...
    def deliver(
        self, shape: Shape[_Block], envelope: common_pb2.Envelope, first: int | None
    ) -> AsyncGenerator[_Block, None]: ...


@dataclass(frozen=True, slots=True)
class ChaincodeEvent:
    block: int
    transaction_id: str
    chaincode: str
    name: str
    payload: bytes

    @property
    def position(self) -> Position:
        """After this event."""
        return Position(self.block, self.transaction_id)


class ChaincodeEventsRequest(Signed):
    """What gets signed is pb(gateway.ChaincodeEventsRequest)."""

    def __init__(
        self, signer: Signer, service: EventService, asked: bytes, start: Position | None, signature: bytes = b""
    ) -> None:
        """`start` is what was asked for, None for the next block: events up to there are passed over."""
        super().__init__(signer, asked, signature)
        self._service = service
        self._asked = asked
        self._start = start

    def to_bytes(self) -> bytes:
        """The SDKs' `getBytes`."""
        return self._signed_with(self._own_signature).SerializeToString()

    async def events(self) -> AsyncGenerator[ChaincodeEvent, None]:
        """Raises EventsFailed or Refused."""
        position = self._start
        try:
            async with aclosing(self.delivered()) as found:
                async for event in found:
                    position = event.position
                    yield event
        except GatewayError as error:
            raise refusal(error) or EventsFailed(position, error) from error

    async def delivered(self) -> AsyncGenerator[ChaincodeEvent, None]:
        """Raises GatewayError."""
        request = self._signed_with(await self._signature())
        async with aclosing(self._service.chaincode_events(request)) as responses:
            async for response in responses:
                for one in _unseen(response.block_number, response.events, self._start):
                    yield ChaincodeEvent(
                        response.block_number, one.tx_id, one.chaincode_id, one.event_name, one.payload
                    )

    def _signed_with(self, signature: bytes) -> gateway_pb2.SignedChaincodeEventsRequest:
        return gateway_pb2.SignedChaincodeEventsRequest(request=self._asked, signature=signature)


class BlocksRequest(Signed, Generic[_Block]):
    """What gets signed is pb(common.Payload) with a SeekInfo; it is good for 15 minutes."""

    def __init__(
        self,
        signer: Signer,
        service: EventService,
        shape: Shape[_Block],
        payload: bytes,
        start: Position | None,
        signature: bytes = b"",
    ) -> None:
        """`start` is what was asked for, None for the next block."""
        super().__init__(signer, payload, signature)
        self._service = service
        self._shape = shape
        self._payload = payload
        self._start = start

    def to_bytes(self) -> bytes:
        """The SDKs' `getBytes`."""
        return self._signed_with(self._own_signature).SerializeToString()

    async def events(self) -> AsyncGenerator[_Block, None]:
        """Raises EventsFailed or Refused."""
        position = self._start
        try:
            async with aclosing(self.delivered()) as found:
                async for after, block in found:
                    position = after
                    yield block
        except GatewayError as error:
            raise refusal(error) or EventsFailed(position, error) from error

    async def delivered(self) -> AsyncGenerator[tuple[Position, _Block], None]:
        """Each with the position after it. Raises GatewayError."""
        envelope = self._signed_with(await self._signature())
        first = None if self._start is None else self._start.block
        async with aclosing(self._service.deliver(self._shape, envelope, first)) as blocks:
            async for block in blocks:
                yield after_block(self._shape.number(block)), block

    def _signed_with(self, signature: bytes) -> common_pb2.Envelope:
        return common_pb2.Envelope(payload=self._payload, signature=signature)


def ask_for_chaincode_events(
    connection: Connection, service: EventService, start: Position | None, after_transaction_id: str = ""
) -> ChaincodeEventsRequest:
    """What was seen of the position's block is passed over here. The gateway need not be told of the transaction: if
    that had no event, it would look for it in vain and tell nothing (Fabric internal/pkg/gateway/chaincodeevents.go).
    """
    asked = gateway_pb2.ChaincodeEventsRequest(
        channel_id=connection.channel_id,
        chaincode_id=connection.chaincode,
        identity=connection.creator,
        start_position=_sought(start),
        after_transaction_id=after_transaction_id,
    ).SerializeToString()
    return ChaincodeEventsRequest(connection, service, asked, start)


def ask_for_blocks(
    connection: Connection, service: EventService, shape: Shape[_Block], start: Position | None
) -> BlocksRequest[_Block]:
    """From the position's block on, the whole of it."""
    payload = seek_payload(
        connection.creator, connection.channel_id, _sought(start), connection.now_ns, service.tls_certificate_hash
    )
    return BlocksRequest(connection, service, shape, payload, start)


def _sought(start: Position | None) -> ab_pb2.SeekPosition:
    return NEXT_BLOCK if start is None else block_position(start.block)


def _unseen(
    block: int, events: Sequence[chaincode_event_pb2.ChaincodeEvent], start: Position | None
) -> Sequence[chaincode_event_pb2.ChaincodeEvent]:
    """A transaction has one event at most."""
    if start is None or block > start.block:
        return events
    if block < start.block:
        return ()
    seen = [one.tx_id for one in events]
    return events[seen.index(start.transaction_id) + 1 :] if start.transaction_id in seen else events
