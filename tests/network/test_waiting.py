"""Commit status and events: who waits is told, once, what every peer has; who gives up leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from fabric_protos.gateway import gateway_pb2

from healthchain.client.errors import CommitStatusFailed
from healthchain.client.gateway import Submitted
from healthchain.identity.folders import SigningIdentity
from healthchain.network.commits import Commits
from healthchain.network.network import Network, NetworkClosed
from healthchain.wire.codes import Code
from healthchain.wire.gateway import GatewayError, Status

from .toy import TOPOLOGY, TOY, connect, identity, issued, now, run, status_request

UNKNOWN = "ab" * 32


def waiting_ids(network: Network) -> int:
    return len(network.commits._waiting)


def test_the_status_is_the_same_before_and_after_and_at_every_gateway(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        transaction = await north.proposal("Put", b"k", b"v").endorse()
        asked = status_request(identity(folder, "south"), transaction.transaction_id)
        early = [asyncio.create_task(network.gateway(name).commit_status(asked)) for name in ("north", "south") * 2]
        await asyncio.sleep(0)
        await transaction.submit()
        answers = [await one for one in early]
        answers += [await network.gateway(name).commit_status(asked) for name in ("north", "state")]
        assert {(one.result, one.block_number) for one in answers} == {(Code.VALID, network.height - 1)}
        assert waiting_ids(network) == 0

    run(folder, scenario)


def test_waiting_for_what_never_comes_leaves_nothing_behind(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        gateway, who = network.gateway("north"), identity(folder, "north")
        tasks = [
            asyncio.create_task(gateway.commit_status(status_request(who, f"{index:064x}")))
            for index in [*range(50)] * 3
        ]
        while sum(map(len, network.commits._waiting.values())) < len(tasks):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)
        for one in tasks[:100]:
            one.cancel()
        await asyncio.gather(*tasks[:100], return_exceptions=True)
        assert waiting_ids(network) == 50
        for one in tasks[100:]:
            one.cancel()
        await asyncio.gather(*tasks[100:], return_exceptions=True)
        assert waiting_ids(network) == 0

    run(folder, scenario)


def test_one_who_gives_up_does_not_take_the_answer_from_the_others(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        transaction = await north.proposal("Put", b"k", b"v").endorse()
        asked = status_request(identity(folder, "north"), transaction.transaction_id)
        first, second = (asyncio.create_task(network.gateway("north").commit_status(asked)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await transaction.submit()
        assert (await second).result == Code.VALID
        with pytest.raises(asyncio.CancelledError):
            await first
        assert waiting_ids(network) == 0

    run(folder, scenario)


def test_who_still_waits_when_the_network_closes_learns_it(folder: Path) -> None:
    tasks: list[asyncio.Task[gateway_pb2.CommitStatusResponse]] = []

    async def scenario(network: Network) -> None:
        request = status_request(identity(folder, "north"), UNKNOWN)
        tasks.append(asyncio.create_task(network.gateway("north").commit_status(request)))
        await asyncio.sleep(0.01)

        async def afterwards() -> None:
            with pytest.raises(NetworkClosed):
                await tasks[0]

        tasks.append(asyncio.create_task(afterwards()))  # type: ignore[arg-type]

    run(folder, scenario)
    assert tasks[0].done()
    assert not tasks[0].cancelled()


def test_a_failure_ends_every_wait_now_and_later() -> None:
    async def play() -> None:
        commits = Commits()
        waits = [asyncio.create_task(one) for one in (commits.wait_for("a"), commits.wait_for("b"))]
        block = asyncio.create_task(commits.next_block())
        await asyncio.sleep(0)
        commits.failed(OSError("disk"))
        for one in (*waits, block):
            with pytest.raises(OSError, match="disk"):
                await one
        with pytest.raises(OSError, match="disk"):
            await commits.wait_for("c")
        with pytest.raises(OSError, match="disk"):
            await commits.next_block()

    asyncio.run(play())


# Events


def events_request(
    who: SigningIdentity, *, start: int | None = None, after: str = "", chaincode: str = TOY, signature: bytes = b""
) -> gateway_pb2.SignedChaincodeEventsRequest:
    asked = gateway_pb2.ChaincodeEventsRequest(
        channel_id=TOPOLOGY.channel, chaincode_id=chaincode, identity=who.serialized, after_transaction_id=after
    )
    if start is not None:
        asked.start_position.specified.number = start
    encoded = asked.SerializeToString()
    return gateway_pb2.SignedChaincodeEventsRequest(request=encoded, signature=signature or who.key.sign(encoded))


async def collect(
    network: Network, request: gateway_pb2.SignedChaincodeEventsRequest, count: int
) -> list[tuple[int, str, bytes]]:
    """(block, name, payload) of the first `count` events."""
    found: list[tuple[int, str, bytes]] = []
    stream: AsyncIterator[gateway_pb2.ChaincodeEventsResponse] = network.gateway("south").chaincode_events(request)
    async with asyncio.timeout(5), aclosing(stream) as responses:  # type: ignore[type-var]
        async for response in responses:
            found += [(response.block_number, one.event_name, one.payload) for one in response.events]
            if len(found) >= count:
                break
    return found


def test_events_come_from_any_block_on_again_and_again(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north, who = connect(network, folder, "north"), identity(folder, "south")
        said = []
        for index in range(4):
            committed = await north.submit("Say", f"event{index}".encode(), b"payload")
            said.append((committed.block, f"event{index}", b"payload"))
            await north.submit("Put", b"silent", str(index).encode())
        for start in (0, 1, said[0][0]):
            assert await collect(network, events_request(who, start=start), 4) == said
        assert await collect(network, events_request(who, start=said[2][0]), 2) == said[2:]
        assert await collect(network, events_request(who, start=said[2][0] + 1), 1) == said[3:]

    run(folder, scenario)


def test_a_checkpoint_continues_after_its_transaction(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north, who = connect(network, folder, "north"), identity(folder, "south")
        transactions = [await north.proposal("Say", f"e{index}".encode(), b"").endorse() for index in range(5)]
        commits = [await one.submit() for one in transactions]
        committed = [await one.committed() for one in commits]
        names = [f"e{index}" for index in range(5)]
        for index, one in enumerate(committed[:-1]):
            found = await collect(network, events_request(who, start=0, after=one.transaction_id), 4 - index)
            assert [name for _, name, _ in found] == names[index + 1 :]
        silent = await north.submit("Put", b"k", b"v")
        later = await north.submit("Say", b"later", b"")
        found = await collect(network, events_request(who, after=silent.transaction_id), 1)
        assert found == [(later.block, "later", b"")]

    run(folder, scenario)


def test_new_events_come_as_they_are_committed_and_invalid_ones_never(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north, who = connect(network, folder, "north"), identity(folder, "south")
        listening = asyncio.create_task(collect(network, events_request(who), 2))
        await asyncio.sleep(0.01)
        transaction = await north.proposal("Say", b"once", b"1").endorse()
        commit = await transaction.submit()
        await transaction.submit()  # a duplicate, in a block too
        await commit.committed()
        await north.submit("Say", b"twice", b"2")
        assert [name for _, name, _ in await listening] == ["once", "twice"]

    run(folder, scenario)


def test_events_of_another_chaincode_are_not_mixed_in(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        await connect(network, folder, "north").submit("Say", b"e", b"")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await collect(network, events_request(identity(folder, "south"), start=0, chaincode="other"), 1)

    run(folder, scenario)


Ask = Callable[[Path], gateway_pb2.SignedChaincodeEventsRequest]


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda folder: events_request(identity(folder, "south"), signature=b"wrong"), Status.PERMISSION_DENIED),
        (
            lambda folder: events_request(issued(folder, "south", at=now().replace(year=2020), days=3)),
            Status.PERMISSION_DENIED,
        ),
        (
            lambda folder: events_request(issued(folder, "south", at=now(), days=3, patient="p")),
            Status.PERMISSION_DENIED,  # a patient, to whom they would tell of all others
        ),
        (
            lambda folder: events_request(issued(folder, "south", at=now(), days=3, role="guardian")),
            Status.PERMISSION_DENIED,  # whose certificate names no patient
        ),
        (lambda folder: gateway_pb2.SignedChaincodeEventsRequest(request=b"\xff"), Status.INVALID_ARGUMENT),
    ],
)
def test_events_are_for_members_only(folder: Path, ask: Ask, status: Status) -> None:
    async def scenario(network: Network) -> None:
        with pytest.raises(GatewayError) as caught:
            await collect(network, ask(folder), 1)
        assert caught.value.status is status

    run(folder, scenario)


def test_a_start_position_that_is_no_block_is_refused(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        who = identity(folder, "south")
        asked = gateway_pb2.ChaincodeEventsRequest(
            channel_id=TOPOLOGY.channel, chaincode_id=TOY, identity=who.serialized
        )
        asked.start_position.oldest.SetInParent()
        encoded = asked.SerializeToString()
        request = gateway_pb2.SignedChaincodeEventsRequest(request=encoded, signature=who.key.sign(encoded))
        with pytest.raises(GatewayError) as caught:
            await collect(network, request, 1)
        assert caught.value.status is Status.INVALID_ARGUMENT

    run(folder, scenario)


def test_a_client_sees_why_it_got_no_status(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        transaction = await north.proposal("Put", b"k", b"v").endorse()
        await transaction.submit()
        other = SigningIdentity("NorthMSP", north.creator, identity(folder, "north", "administrator").key)
        stolen = connect(network, folder, "north", other)
        with pytest.raises(CommitStatusFailed) as caught:
            await Submitted(stolen, transaction.transaction_id, transaction.payload).status()
        assert caught.value.status is Status.PERMISSION_DENIED

    run(folder, scenario)
