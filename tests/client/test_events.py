"""Events and blocks through gateways that end, hang and come back: every one, once, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import pytest
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from healthchain.client import remote
from healthchain.client.checkpoint import FileCheckpoint, Position, after_block
from healthchain.client.errors import BytesInvalid, EventsFailed, KeyMissing, SignatureInvalid
from healthchain.client.event_requests import ChaincodeEvent
from healthchain.client.events import Events
from healthchain.client.gateway import Connection
from healthchain.client.offline import signed_blocks, signed_chaincode_events
from healthchain.client.shapes import BLOCKS, BLOCKS_WITH_PRIVATE_DATA, FILTERED_BLOCKS
from healthchain.client.signing import Creator
from healthchain.errors import Refused
from healthchain.wire.gateway import Status

from .told import TELLER, TOPOLOGY, Play, Told

_Event = TypeVar("_Event")


async def take(events: AsyncGenerator[_Event, None], count: int) -> list[_Event]:
    found: list[_Event] = []
    async with aclosing(events):
        async for one in events:
            found.append(one)
            if len(found) == count:
                break
    return found


async def followed(one: Told, *names: str, outage_s_max: float = 10.0, user: str = "clinician") -> Events:
    return Events(await one.connection(*names, user=user), await one.gateway(*names), outage_s_max)


def names(events: list[ChaincodeEvent]) -> list[str]:
    return [one.name for one in events]


def test_events_say_what_was_told_and_where(play: Play) -> None:
    async def work(one: Told) -> None:
        start = one.end
        ids = await one.tell("a", "b", "c")
        found = await take((await followed(one, "north")).chaincode_events(start), 3)
        assert sorted((event.transaction_id, event.name, event.payload) for event in found) == sorted(
            zip(ids, "abc", (b"payload of a", b"payload of b", b"payload of c"), strict=True)
        )
        assert {event.chaincode for event in found} == {TELLER}
        ledger = one.network.peers["north"].ledger
        placed = [ledger.transaction(event.transaction_id) for event in found]
        assert [event.block for event in found] == [place.block for place in placed if place is not None]

    play(work)


def test_without_a_start_what_comes_from_now_on_whoever_tells_it(play: Play) -> None:
    """The next block is that of the first gateway's chain, also where another one tells it."""

    async def work(one: Told) -> None:
        await one.tell("before")
        events = (await followed(one, "north", "south")).chaincode_events()
        first = asyncio.ensure_future(anext(events))
        while one.network.commits._height_changed is None:  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.01)  # until the stream stands, and waits for the next block
        for name in ("north", "south"):
            await one.relays[name].gone()
        await one.tell("in between")
        await one.relays["south"].back()
        assert (await first).name == "in between"
        await events.aclose()

    play(work)


def test_blocks_in_their_shapes_are_those_of_the_ledger(play: Play) -> None:
    async def work(one: Told) -> None:
        north = await one.connection("north")
        hidden = await north.submit("Hide", b"k", transient={"value": b"secret"})
        events = await followed(one, "north", user="administrator")
        ledger = one.network.peers["north"].ledger
        blocks = await take(events.blocks(BLOCKS, Position(0)), hidden.block + 1)
        assert blocks == [ledger.block(number) for number in range(hidden.block + 1)]
        [filtered] = await take(events.blocks(FILTERED_BLOCKS, Position(hidden.block)), 1)
        assert [each.txid for each in filtered.filtered_transactions] == [hidden.transaction_id]
        [private] = await take(events.blocks(BLOCKS_WITH_PRIVATE_DATA, Position(hidden.block)), 1)
        assert private.block == blocks[-1]
        [collection] = private.private_data_map[0].ns_pvt_rwset[0].collection_pvt_rwset
        [write] = kv_rwset_pb2.KVRWSet.FromString(collection.rwset).writes
        assert (write.key, write.value) == ("k", b"secret")

    play(work)


def test_a_gateway_that_ends_in_the_middle_leaves_nothing_out_and_repeats_nothing(play: Play) -> None:
    """Two followers; each gateway in turn is cut off while transactions go on."""

    async def work(one: Told) -> None:
        start = one.end
        events = await followed(one, "north", "south", "payer")
        chaincode = asyncio.ensure_future(take(events.chaincode_events(start), 60))
        blocks = asyncio.ensure_future(take(events.blocks(FILTERED_BLOCKS, start), 12))
        for turn in range(12):
            await one.tell(*[f"{turn}.{each}" for each in range(5)])
            relay = one.relays[("north", "south", "payer")[turn % 3]]
            await relay.gone()
            await relay.back()
        found = await chaincode
        assert sorted(names(found)) == sorted(f"{turn}.{each}" for turn in range(12) for each in range(5))
        assert [event.block for event in found] == sorted(event.block for event in found)
        assert [block.number for block in await blocks] == list(range(start.block, start.block + 12))

    play(work)


def test_all_gateways_gone_for_a_while(play: Play) -> None:
    async def work(one: Told) -> None:
        start = one.end
        events = (await followed(one, "north", "south")).chaincode_events(start)
        await one.tell("a")
        assert (await anext(events)).name == "a"
        for name in ("north", "south"):
            await one.relays[name].gone()
        await one.tell("b")
        next_one = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.5)
        assert not next_one.done()
        await one.relays["south"].back()
        assert (await next_one).name == "b"
        await events.aclose()

    play(work)


def test_a_gateway_that_says_nothing_any_more_is_noticed(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """By pings, also where there were no events: 75 s and 20 s outside of this test."""
    often = {
        "grpc.keepalive_time_ms": 300,
        "grpc.keepalive_timeout_ms": 300,
        "grpc.http2.ping_timeout_ms": 300,
    }
    monkeypatch.setattr(remote, "OPTIONS", tuple((name, often.get(name, value)) for name, value in remote.OPTIONS))

    async def work(one: Told) -> None:
        start = one.end
        events = (await followed(one, "north", "south")).chaincode_events(start)
        await one.tell("a")
        assert (await anext(events)).name == "a"
        one.relays["north"].hang()
        await one.tell("b")
        assert (await anext(events)).name == "b"
        assert one.relays["south"].connections == 1
        await events.aclose()

    play(work)


def test_an_outage_without_end_is_an_error_that_says_where_to_go_on(play: Play) -> None:
    async def work(one: Told) -> None:
        start = one.end
        events = (await followed(one, "north", "south", outage_s_max=0.5)).chaincode_events(start)
        [told_id] = await one.tell("a")
        event = await anext(events)
        for name in ("north", "south"):
            await one.relays[name].gone()
        with pytest.raises(EventsFailed) as caught:
            await anext(events)
        assert caught.value.status is Status.UNAVAILABLE
        assert caught.value.position == Position(event.block, told_id)
        [detail] = caught.value.details
        assert detail.msp_id in {"NorthMSP", "SouthMSP"}
        assert detail.address in {one.relays[name].address for name in ("north", "south")}

    play(work)


@pytest.mark.parametrize(
    ("channel", "user", "status"),
    [("other", "clinician", Status.NOT_FOUND), ("health", "administrator", Status.PERMISSION_DENIED)],
)
def test_what_another_gateway_would_refuse_too_ends_the_events(
    play: Play, channel: str, user: str, status: Status
) -> None:
    """The second: private values are for the peer's own organisation."""

    async def work(one: Told) -> None:
        start = one.end
        who = one.who("south", user)
        gateway = await one.gateway("north")
        events = Events(Connection(gateway, who, channel, TELLER), gateway, 0.5)
        with pytest.raises(EventsFailed) as caught:
            await take(events.blocks(BLOCKS_WITH_PRIVATE_DATA, start), 1)
        assert caught.value.status is status
        assert "NorthMSP" in str(caught.value)
        assert caught.value.position == start

    play(work)


def test_without_a_key_nothing_is_asked(play: Play) -> None:
    async def work(one: Told) -> None:
        start = one.end
        gateway = await one.gateway("north")
        creator = Creator("NorthMSP", one.who("north").serialized)
        events = Events(Connection(gateway, creator, TOPOLOGY.channel, TELLER), gateway)
        for asked in (events.chaincode_events(start), events.chaincode_events(), events.blocks(BLOCKS, start)):
            with pytest.raises(KeyMissing):
                await take(asked, 1)
        assert one.relays["north"].connections == 0

    play(work)


def test_a_block_that_is_not_there_yet_is_waited_for(play: Play) -> None:
    """A peer that lags behind answers NOT_FOUND to who asks for more than its next block."""

    async def work(one: Told) -> None:
        height = one.network.height
        events = await followed(one, "north")
        waiting = asyncio.ensure_future(take(events.blocks(FILTERED_BLOCKS, Position(height + 1)), 1))
        await asyncio.sleep(0.3)
        await one.tell("a")
        await one.tell("b")
        assert [block.number for block in await waiting] == [height + 1]

    play(work)


def test_mutual_tls_binds_block_requests_to_the_clients_certificate(play: Play) -> None:
    async def work(one: Told) -> None:
        start = one.end
        events = await followed(one, "north", "south")
        assert [block.header.number for block in await take(events.blocks(BLOCKS, Position(0)), 2)] == [0, 1]
        await one.tell("a")
        assert names(await take(events.chaincode_events(start), 1)) == ["a"]
        assert (await (await one.connection("north")).submit("Put", b"k", b"v")).result == b"done"

    play(work, mutual_tls=True)


def test_refusals_keep_their_code_and_failures_name_the_node_that_refused(play: Play) -> None:
    async def work(one: Told) -> None:
        north = await one.connection("north")
        with pytest.raises(Refused) as refused:
            await north.submit("Refuse", b"NO")
        assert refused.value.code == "NO"

    play(work)


def test_every_position_goes_on_with_exactly_the_rest(play: Play, tmp_path: Path) -> None:
    """Of any event, through a file; at another gateway than told it."""

    async def work(one: Told) -> None:
        start = one.end
        await one.tell("a", "b", "c")
        await one.tell("d")
        await one.tell("e", "f")
        south, north = await followed(one, "south"), await followed(one, "north")
        found = await take(south.chaincode_events(start), 6)
        for at, event in enumerate(found[:-1]):
            checkpoint = FileCheckpoint(tmp_path / "checkpoint.json")
            checkpoint.store(event.position)
            position = FileCheckpoint(tmp_path / "checkpoint.json").position
            assert await take(north.chaincode_events(position), 5 - at) == found[at + 1 :]
        for at in range(start.block, one.network.height - 1):
            [block] = await take(north.blocks(FILTERED_BLOCKS, after_block(at)), 1)
            assert block.number == at + 1

    play(work)


def test_a_position_whose_transaction_had_no_event_repeats_its_block(play: Play) -> None:
    """Fabric's gateway, named such a transaction, would tell nothing for ever."""

    async def work(one: Told) -> None:
        [_] = await one.tell("a")
        silent = await (await one.connection("north")).submit("Put", b"k", b"v")
        await one.tell("b")
        events = await followed(one, "north")
        position = Position(silent.block, silent.transaction_id)
        assert names(await take(events.chaincode_events(position), 1)) == ["b"]

    play(work)


def test_who_crashes_before_the_checkpoint_gets_the_event_again(play: Play, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"

    async def work(one: Told) -> None:
        start = one.end
        for each in "abc":
            await one.tell(each, each.upper())
        handled: list[str] = []

        async def consume(crash_before_the_checkpoint: bool) -> None:
            checkpoint = FileCheckpoint(path)
            events = (await followed(one, "south")).chaincode_events(checkpoint.position or start)
            event = (await take(events, 1))[0]
            handled.append(event.name)
            if not crash_before_the_checkpoint:
                checkpoint.store(event.position)

        for _ in range(6):
            await consume(crash_before_the_checkpoint=True)
            await consume(crash_before_the_checkpoint=False)
        assert handled[0::2] == handled[1::2]
        assert sorted(handled[::2]) == sorted("aAbBcC")

    play(work)


# Signed on another machine


def test_requests_signed_elsewhere_tell_what_was_asked_for(play: Play) -> None:
    async def work(one: Told) -> None:
        start = one.end
        await one.tell("a", "b")
        await one.tell("c")
        key = one.who("north").key
        gateway = await one.gateway("north")
        creator = Creator("NorthMSP", one.who("north").serialized)
        events = Events(Connection(gateway, creator, TOPOLOGY.channel, TELLER), gateway)
        found = await take((await followed(one, "north")).chaincode_events(start), 3)

        for position, rest in ((start, found), (found[0].position, found[1:])):
            asked = events.chaincode_events_request(position)
            signed = signed_chaincode_events(events, asked.to_bytes(), key.sign_digest(asked.digest))
            assert await take(signed.events(), len(rest)) == rest
        unsigned = events.blocks_request(FILTERED_BLOCKS, after_block(start.block))
        request = signed_blocks(events, FILTERED_BLOCKS, unsigned.to_bytes(), key.sign_digest(unsigned.digest))
        assert [block.number for block in await take(request.events(), 1)] == [start.block + 1]
        with pytest.raises(SignatureInvalid):
            signed_chaincode_events(events, asked.to_bytes(), key.sign_digest(unsigned.digest))
        with pytest.raises(SignatureInvalid):
            signed_blocks(events, BLOCKS, unsigned.to_bytes(), key.sign_digest(asked.digest))
        with pytest.raises(BytesInvalid, match="another identity"):
            signed_blocks(await followed(one, "south"), BLOCKS, request.to_bytes())

    play(work)


def test_a_request_signed_elsewhere_ends_where_a_new_one_has_to_go_on(play: Play) -> None:
    async def work(one: Told) -> None:
        start = one.end
        await one.tell("a")
        events = await followed(one, "north", "south")
        found = events.chaincode_events_request(start).events()
        event = await anext(found)
        await one.relays["north"].gone()
        with pytest.raises(EventsFailed) as caught:
            await anext(found)
        await one.tell("b")
        position = caught.value.position
        assert position == event.position
        assert names(await take(events.chaincode_events_request(position).events(), 1)) == ["b"]

    play(work)
