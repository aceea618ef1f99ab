"""Events of a chaincode, and blocks, one after another from whichever gateway has them: none twice, none left out.

    events = Events(connection, gateway)
    async with aclosing(events.chaincode_events(checkpoint.position or Position(0))) as found:
        async for event in found:
            ...                                # handled, durably
            checkpoint.store(event.position)

Where a stream is lost, the next gateway goes on after what was handed out last; after a crash, the checkpoint says
where (`client.checkpoint`). A gateway can keep an event of a chaincode back: only blocks are counted.

Sources: fabric-gateway node/src/network.ts; Fabric internal/pkg/gateway/chaincodeevents.go, common/deliver/deliver.go.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from fabric_protos.common import ledger_pb2
from google.protobuf.message import DecodeError

from healthchain.client.checkpoint import Position
from healthchain.client.errors import EvaluateFailed, EventsFailed, refusal
from healthchain.client.event_requests import (
    BlocksRequest,
    ChaincodeEvent,
    ChaincodeEventsRequest,
    EventService,
    ask_for_blocks,
    ask_for_chaincode_events,
)
from healthchain.client.gateway import Connection
from healthchain.client.patience import Patience
from healthchain.client.shapes import Shape
from healthchain.wire.gateway import GatewayError, Status

OUTAGE_S_MAX = 60.0

_Block = TypeVar("_Block")
_Event = TypeVar("_Event")
_Attempt = Callable[[Position], AsyncGenerator[tuple[Position, _Event], None]]


class Events:
    """Of the connection's channel. All end only by an error: EventsFailed, Refused or KeyMissing."""

    def __init__(self, connection: Connection, service: EventService, outage_s_max: float = OUTAGE_S_MAX) -> None:
        """`outage_s_max`: for how long no gateway at all may be reached, in seconds."""
        self.connection = connection
        self.service = service
        self._outage_s_max = outage_s_max

    def chaincode_events(self, start: Position | None = None) -> AsyncGenerator[ChaincodeEvent, None]:
        """Of valid transactions of the connection's chaincode; without a start, of the blocks to come."""

        async def attempt(position: Position) -> AsyncGenerator[tuple[Position, ChaincodeEvent], None]:
            request = ask_for_chaincode_events(self.connection, self.service, position)
            async with aclosing(request.delivered()) as found:
                async for event in found:
                    yield event.position, event

        return self._following(start, attempt)

    def blocks(self, shape: Shape[_Block], start: Position | None = None) -> AsyncGenerator[_Block, None]:
        """BLOCKS, FILTERED_BLOCKS or BLOCKS_WITH_PRIVATE_DATA; without a start, those to come."""

        async def attempt(position: Position) -> AsyncGenerator[tuple[Position, _Block], None]:
            request = ask_for_blocks(self.connection, self.service, shape, position)
            async with aclosing(request.delivered()) as found:
                async for one in found:
                    yield one

        return self._following(start, attempt)

    def chaincode_events_request(self, start: Position | None = None) -> ChaincodeEventsRequest:
        """To be signed elsewhere, see `client.offline`. The start's transaction, if any, is one that had an event."""
        after = start.transaction_id if start else ""
        return ask_for_chaincode_events(self.connection, self.service, start, after)

    def blocks_request(self, shape: Shape[_Block], start: Position | None = None) -> BlocksRequest[_Block]:
        """To be signed elsewhere, see `client.offline`."""
        return ask_for_blocks(self.connection, self.service, shape, start)

    async def _following(self, start: Position | None, attempt: _Attempt[_Event]) -> AsyncGenerator[_Event, None]:
        position, patience = start, Patience(self._outage_s_max)
        while True:
            patience.begins()
            try:
                if position is None:
                    position = await self.end()
                async with aclosing(attempt(position)) as found:
                    async for after, event in found:
                        position = after
                        patience.renewed()
                        yield event
            except GatewayError as error:
                if patience.is_over(error.status):
                    raise refusal(error) or EventsFailed(position, error) from error
            await patience.pause()

    async def end(self) -> Position:
        """Of the chain, as of now: another gateway that is asked later would take its own end, and leave blocks out."""
        asked = self.connection.to("qscc").proposal("GetChainInfo", self.connection.channel_id.encode())
        try:
            return Position(ledger_pb2.BlockchainInfo.FromString(await asked.evaluate()).height)
        except EvaluateFailed as failed:
            error = GatewayError(failed.status, failed.message, failed.details)
            if failed.status is not Status.UNAVAILABLE:
                raise EventsFailed(None, error) from failed
            raise error from failed
        except DecodeError as nonsense:
            raise EventsFailed(None, GatewayError(Status.INTERNAL, "the gateway told no chain's height")) from nonsense
