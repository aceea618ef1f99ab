"""Calls where one gateway of several is gone, hangs or comes back, and errors that name who refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import pytest
from fabric_protos.gateway import gateway_pb2
from google.protobuf.message import Message

from healthchain.client import failover, standing
from healthchain.client.errors import CommitFailed, EndorseFailed, EvaluateFailed, StageFailed
from healthchain.client.gateway import Connection, Transaction
from healthchain.client.remote import Endpoint, Peer
from healthchain.client.standing import PAUSE_S, PAUSE_S_MAX, Standing
from healthchain.identity.folders import SigningIdentity
from healthchain.wire.block import transaction_codes
from healthchain.wire.codes import Code
from healthchain.wire.gateway import ErrorDetail, GatewayError, Status

from . import told
from .told import MSP_IDS, TELLER, TOPOLOGY, Play, Told

ANSWER_S_MAX = 0.5
_Answer = TypeVar("_Answer", bound=Message)


async def took(call: Awaitable[object]) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await call
    return loop.time() - began


def test_who_is_gone_is_asked_after_the_others_and_again_when_it_is_back(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "PAUSE_S", 0.3)

    async def work(one: Told) -> None:
        north = await one.connection("north", "south")
        await north.submit("Put", b"gone", b"1")
        await one.relays["north"].gone()
        assert await north.evaluate("Get", b"gone") == b"1"
        await north.submit("Put", b"gone", b"2")
        peer = one.peers["north"]
        assert (peer.standing.failing, one.peers["south"].standing.failing) == (True, False)
        await one.relays["north"].back()
        async with asyncio.timeout(10):
            while peer.standing.failing:
                assert await north.evaluate("Get", b"gone") == b"2"
                await asyncio.sleep(0.05)
        await one.relays["south"].gone()
        assert await north.evaluate("Get", b"gone") == b"2"

    play(work)


def test_a_gateway_that_hangs_delays_one_call(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "PAUSE_S", 30.0)
    asked: list[str] = []

    class Counted(Peer):
        async def call(self, method: str, request: Message, answer: type[_Answer], seconds_max: float) -> _Answer:
            asked.append(self.endpoint.msp_id)
            return await super().call(method, request, answer, seconds_max)

    monkeypatch.setattr(told, "Peer", Counted)

    async def work(one: Told) -> None:
        north = await one.connection("north", "south", answer_s_max=ANSWER_S_MAX)
        one.relays["north"].hang()
        assert await took(north.evaluate("Get", b"k")) >= ANSWER_S_MAX
        await asyncio.gather(*[north.evaluate("Get", b"k") for _ in range(5)])
        assert asked == ["NorthMSP", *["SouthMSP"] * 6]
        one.relays["north"].resume()

    play(work)


def test_what_is_submitted_at_two_gateways_is_valid_once(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "EVERYBODY_S_MAX", 0.2)

    async def work(one: Told) -> None:
        north = await one.connection("north", "south", answer_s_max=ANSWER_S_MAX)
        transaction = await north.proposal("Put", b"twice", b"1").endorse()
        one.relays["north"].hang()
        committed = await (await transaction.submit()).committed()
        one.relays["north"].resume()
        again = Transaction(await one.connection("north"), transaction.transaction_id, transaction.payload)
        assert (await (await again.submit()).committed()) == committed
        await north.submit("Put", b"another", b"1")
        ledger = one.network.peers["north"].ledger
        codes = [
            code for number in range(committed.block, ledger.height) for code in transaction_codes(ledger.block(number))
        ]
        assert codes == [Code.VALID, Code.DUPLICATE_TXID, Code.VALID]

    play(work)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("failed to submit request: request already processed", 1),
        ("failed to submit request: request already exists", 1),
        ("no leader", 2),
    ],
)
def test_what_orderers_have_already_is_submitted(said: str, asked: int) -> None:
    """As Fabric's gateway says it on SmartBFT where the transaction was ordered faster than it was sent to all."""
    calls: list[str] = []
    info = f"received unsuccessful response from orderer: status=SERVICE_UNAVAILABLE, info={said}"

    class Quick(Peer):
        async def call(self, method: str, request: Message, answer: type[_Answer], seconds_max: float) -> _Answer:
            calls.append(method)
            raise GatewayError(Status.UNAVAILABLE, "insufficient number of orderers", [ErrorDetail("o", "M", info)])

    async def work() -> None:
        async with Quick(Endpoint("localhost:1", b"")) as one, Quick(Endpoint("localhost:2", b"")) as two:
            gateway = failover.RemoteGateway([one, two])
            if asked == 1:
                await gateway.submit(gateway_pb2.SubmitRequest())
            else:
                with pytest.raises(GatewayError):
                    await gateway.submit(gateway_pb2.SubmitRequest())
            with pytest.raises(GatewayError):
                await gateway.endorse(gateway_pb2.EndorseRequest())

    asyncio.run(work())
    assert calls == ["Submit"] * asked + ["Endorse"] * 2


def test_a_commit_does_not_wait_for_who_says_nothing(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "EVERYBODY_S_MAX", 0.3)

    async def work(one: Told) -> None:
        north = await one.connection("north", "south", "payer")
        await north.submit("Put", b"k", b"u")
        one.relays["payer"].hang()
        assert await took(north.submit("Put", b"k", b"v")) >= 0.3
        assert one.peers["payer"].standing.failing
        monkeypatch.setattr(failover, "EVERYBODY_S_MAX", 30.0)
        assert await took(north.submit("Put", b"k", b"w")) < 5
        one.relays["payer"].resume()

    play(work)


def test_nobody_can_be_reached_and_the_error_names_them_all(play: Play) -> None:
    async def work(one: Told) -> None:
        north = await one.connection("north", "south")
        for name in ("north", "south"):
            await one.relays[name].gone()
        for call in (north.evaluate("Get", b"k"), north.submit("Put", b"k", b"v")):
            with pytest.raises(StageFailed, match="none of 2 gateways could answer") as caught:
                await call
            assert caught.value.status is Status.UNAVAILABLE
            asked = [(one.relays[name].address, f"{name.capitalize()}MSP") for name in ("north", "south")]
            assert sorted((node.address, node.msp_id) for node in caught.value.details) == sorted(asked)
            assert all(f"{msp_id} {address}: " in str(caught.value) for address, msp_id in asked)

    play(work)


def test_every_peer_that_refused_is_named(play: Play) -> None:
    async def work(one: Told) -> None:
        north = await one.connection("north", "south")
        other = SigningIdentity("NorthMSP", north.creator, one.who("north", "administrator").key)
        forged = Connection(north.service, other, TOPOLOGY.channel, TELLER)
        with pytest.raises(EndorseFailed) as caught:
            await forged.submit("Put", b"k", b"v")
        assert caught.value.status is Status.ABORTED
        assert [node.msp_id for node in caught.value.details] == list(MSP_IDS)
        assert all(node.address and "signature" in node.message for node in caught.value.details)
        with pytest.raises(EvaluateFailed) as evaluated:
            await forged.evaluate("Get", b"k")
        assert evaluated.value.details[0].msp_id == "NorthMSP"

    play(work)


def test_a_gateway_that_refuses_by_itself_is_named_and_no_other_is_asked(play: Play) -> None:
    async def work(one: Told) -> None:
        nothing = (await one.connection("north", "south")).to("nothing")
        with pytest.raises(EvaluateFailed) as caught:
            await nothing.evaluate("Get", b"k")
        address = one.relays["north"].address
        assert caught.value.status is Status.FAILED_PRECONDITION
        assert caught.value.details == (ErrorDetail(address, "NorthMSP", caught.value.message),)
        assert str(caught.value) == f"{caught.value.message} (NorthMSP {address})"
        assert one.relays["south"].connections == 0

    play(work)


def test_too_few_endorsements_are_a_failed_commit_with_its_code(play: Play) -> None:
    async def work(one: Told) -> None:
        north = await one.connection("north")
        transaction = await north.proposal("Put", b"k", b"v", organizations=["NorthMSP"]).endorse()
        with pytest.raises(CommitFailed) as caught:
            await (await transaction.submit()).committed()
        assert caught.value.code == Code.ENDORSEMENT_POLICY_FAILURE

    play(work)


# Standing


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_pauses_grow_and_end_with_an_answer() -> None:
    clock = Clock()
    one = Standing(clock)
    assert (one.failing, one.down_s) == (False, 0.0)
    pauses = []
    for _ in range(8):
        one.failed()
        one.failed()  # another call that failed with it
        pauses.append(one.down_s)
        clock.now += one.down_s
        assert (one.failing, one.down_s) == (True, 0.0)
    assert pauses == [min(PAUSE_S * 2**count, PAUSE_S_MAX) for count in range(8)]
    one.answered()
    one.failed()
    assert one.down_s == PAUSE_S


def test_one_call_at_a_time_tries_who_failed() -> None:
    clock = Clock()
    one = Standing(clock)
    one.tried()
    assert one.down_s == 0
    one.failed()
    clock.now += PAUSE_S
    assert one.down_s == 0
    one.tried()
    assert one.down_s == 2 * PAUSE_S
    one.answered()
    assert one.down_s == 0
