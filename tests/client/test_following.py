"""Followers of a chain whose streams end wherever they like: what comes is exactly the rest, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import TypeVar

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_event_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.client import events as events_module
from healthchain.client import patience
from healthchain.client.checkpoint import Position
from healthchain.client.errors import EventsFailed
from healthchain.client.events import Events
from healthchain.client.gateway import Connection
from healthchain.client.patience import LAG_S_MAX, STEADY_S, Patience
from healthchain.client.shapes import BLOCKS, Shape
from healthchain.errors import Refused
from healthchain.wire.gateway import GatewayError, Status

from .scripted import IDENTITY, ScriptedGateway

_Block = TypeVar("_Block")
Chain = Sequence[int]
"""How many transactions with events each block has."""


class Chained:
    """Implements `EventService`: each stream ends with an error after as many answers as `cuts` says, the last never.

    Where it has told everything, it ends with DONE, which no follower goes on after.
    """

    tls_certificate_hash = b""

    def __init__(self, chain: Chain, cuts: Sequence[int], lost: Status = Status.UNAVAILABLE) -> None:
        self._chain = chain
        self._cuts = iter(cuts)
        self._lost = lost
        self.asked: list[int] = []

    async def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> AsyncGenerator[gateway_pb2.ChaincodeEventsResponse, None]:
        start = gateway_pb2.ChaincodeEventsRequest.FromString(request.request).start_position.specified.number
        self.asked.append(start)
        for number in self._until_cut(iter(range(start, len(self._chain)))):
            if self._chain[number]:
                yield gateway_pb2.ChaincodeEventsResponse(events=self._events(number), block_number=number)
        raise DONE

    async def deliver(
        self, shape: Shape[_Block], envelope: common_pb2.Envelope, first: int | None
    ) -> AsyncGenerator[_Block, None]:
        payload = common_pb2.Payload.FromString(envelope.payload)
        assert ab_pb2.SeekInfo.FromString(payload.data).start.specified.number == first is not None
        self.asked.append(first)
        for number in self._until_cut(iter(range(first, len(self._chain)))):
            block: object = common_pb2.Block(header=common_pb2.BlockHeader(number=number))
            yield block  # type: ignore[misc]
        raise DONE

    def _until_cut(self, numbers: Iterator[int]) -> Iterator[int]:
        left = next(self._cuts, None)
        for number in numbers:
            if left == 0:
                break
            yield number
            left = None if left is None else left - 1
        if left == 0:
            raise GatewayError(self._lost, "the stream was lost")

    def _events(self, block: int) -> list[chaincode_event_pb2.ChaincodeEvent]:
        return [
            chaincode_event_pb2.ChaincodeEvent(chaincode_id="ehr", tx_id=f"{block}.{at}", event_name="told")
            for at in range(self._chain[block])
        ]


DONE = GatewayError(Status.FAILED_PRECONDITION, "all is told")
CHAINS = st.lists(st.integers(0, 3), min_size=1, max_size=8)
CUTS = st.lists(st.integers(0, 4), max_size=6)


def ids(chain: Chain) -> list[str]:
    return [f"{block}.{at}" for block, count in enumerate(chain) for at in range(count)]


@pytest.fixture(autouse=True, scope="module")
def no_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patience, "PAUSE_S", 0.0)
        yield


def events_of(service: Chained, outage_s_max: float = 60.0) -> Events:
    return Events(Connection(ScriptedGateway(), IDENTITY, "health", "ehr"), service, outage_s_max)


def everything(events: AsyncGenerator[_Block, None]) -> tuple[list[_Block], EventsFailed]:
    found: list[_Block] = []

    async def work() -> None:
        async with aclosing(events):
            async for one in events:
                found.append(one)  # noqa: PERF401 (what came before the error counts)

    with pytest.raises(EventsFailed) as caught:
        asyncio.run(work())
    return found, caught.value


@settings(max_examples=40, deadline=None)
@given(chain=CHAINS, cuts=CUTS, data=st.data())
def test_events_from_any_position_through_any_losses(chain: Chain, cuts: list[int], data: st.DataObject) -> None:
    expected = ids(chain)
    seen = data.draw(st.integers(0, len(expected)))
    start = Position(0) if seen == 0 else Position(int(expected[seen - 1].split(".")[0]), expected[seen - 1])
    found, failed = everything(events_of(Chained(chain, cuts)).chaincode_events(start))
    assert [one.transaction_id for one in found] == expected[seen:]
    assert (failed.status, failed.position) == (DONE.status, found[-1].position if found else start)


@settings(max_examples=40, deadline=None)
@given(chain=CHAINS, cuts=CUTS, data=st.data())
def test_blocks_from_any_number_through_any_losses(chain: Chain, cuts: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(chain)))
    found, failed = everything(events_of(Chained(chain, cuts)).blocks(BLOCKS, Position(start, "in the middle")))
    assert [one.header.number for one in found] == list(range(start, len(chain)))
    assert failed.position == (Position(len(chain)) if found else Position(start, "in the middle"))


@pytest.mark.parametrize("lost", [Status.UNAVAILABLE, Status.ABORTED, Status.INTERNAL, Status.RESOURCE_EXHAUSTED])
def test_losses_are_not_the_end(lost: Status) -> None:
    """The block of the last event is asked for again, since it may have more of them."""
    service = Chained([1, 1, 1], [2, 0, 2], lost)
    found, _ = everything(events_of(service).chaincode_events(Position(0)))
    assert ([one.transaction_id for one in found], service.asked) == (ids([1, 1, 1]), [0, 1, 1, 2])


@pytest.mark.parametrize("refused", [Status.PERMISSION_DENIED, Status.INVALID_ARGUMENT, Status.FAILED_PRECONDITION])
def test_refusals_are(refused: Status) -> None:
    found, failed = everything(events_of(Chained([1, 1], [1], refused)).chaincode_events(Position(0)))
    assert ([one.transaction_id for one in found], failed.status) == (["0.0"], refused)


def test_an_outage_ends_after_its_time_and_not_before_something_came() -> None:
    service = Chained([1] * 3, [2, 2, *[0] * 1_000_000])
    found, failed = everything(events_of(service, 0.05).chaincode_events(Position(0)))
    assert len(found) == 3
    assert (failed.status, failed.position) == (Status.UNAVAILABLE, Position(2, "2.0"))


def test_a_peer_that_lags_behind_is_waited_for_less_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LAG_S_MAX", 0.05)
    service = Chained([1], [0] * 1_000_000, Status.NOT_FOUND)
    assert everything(events_of(service).blocks(BLOCKS, Position(0)))[1].status is Status.NOT_FOUND


def test_a_member_that_is_suspended_meanwhile_is_refused_with_the_code() -> None:
    class Suspended(Chained):
        async def chaincode_events(
            self, request: gateway_pb2.SignedChaincodeEventsRequest
        ) -> AsyncGenerator[gateway_pb2.ChaincodeEventsResponse, None]:
            yield gateway_pb2.ChaincodeEventsResponse(events=self._events(0), block_number=0)
            raise GatewayError(Status.PERMISSION_DENIED, "MEMBER_SUSPENDED: the member is suspended")

    async def work() -> None:
        events = events_of(Suspended([1], [])).chaincode_events(Position(0))
        assert (await anext(events)).transaction_id == "0.0"
        with pytest.raises(Refused) as caught:
            await anext(events)
        assert caught.value.code == "MEMBER_SUSPENDED"

    asyncio.run(work())


def test_a_gateway_that_begins_too_early_repeats_nothing() -> None:
    class FromTheBeginning(Chained):
        def _until_cut(self, numbers: Iterator[int]) -> Iterator[int]:
            return super()._until_cut(iter(range(len(self._chain))))

    found, _ = everything(events_of(FromTheBeginning([1, 2, 1], [2])).chaincode_events(Position(1, "1.0")))
    assert [one.transaction_id for one in found] == ["1.1", "2.0"]


# Patience


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def fail(one: Patience, clock: Clock, after_s: float, status: Status = Status.UNAVAILABLE) -> bool:
    one.begins()
    clock.now += after_s
    return one.is_over(status)


def test_patience_lasts_from_the_last_event_on() -> None:
    clock = Clock()
    one = Patience(60.0, clock)
    assert [fail(one, clock, 10) for _ in range(7)] == [False] * 6 + [True]
    one.renewed()
    assert [fail(one, clock, 10) for _ in range(7)] == [False] * 6 + [True]


def test_every_event_renews_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(events_module, "Patience", lambda outage_s_max: Patience(outage_s_max, clock))

    class Slow(Chained):
        def _events(self, block: int) -> list[chaincode_event_pb2.ChaincodeEvent]:
            clock.now += 7
            return super()._events(block)

    found, failed = everything(events_of(Slow([1] * 6, [2] * 5), 20.0).chaincode_events(Position(0)))
    assert (len(found), failed.status) == (6, DONE.status)
    assert clock.now > 60


def test_a_stream_that_stood_in_silence_renews_patience() -> None:
    clock = Clock()
    one = Patience(60.0, clock)
    for _ in range(10):
        assert not fail(one, clock, 50)
        assert not fail(one, clock, STEADY_S)


def test_who_lags_behind_or_refuses() -> None:
    clock = Clock()
    one = Patience(60.0, clock)
    assert not fail(one, clock, LAG_S_MAX, Status.NOT_FOUND)
    assert fail(one, clock, 1, Status.NOT_FOUND)
    assert not fail(one, clock, 1)
    assert fail(one, clock, 0, Status.PERMISSION_DENIED)


def test_a_gateway_that_tells_nonsense_of_its_chain_is_an_error() -> None:
    """It is asked for the chain's height, and answers with something else."""
    with pytest.raises(EventsFailed, match="no chain's height"):
        asyncio.run(Events(Connection(ScriptedGateway(), IDENTITY, "health", "ehr"), Chained([1], [])).end())
