"""Blocks: where they are cut, at which load, by which orderers, and what stops when too few of them run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthchain.client.errors import SubmitFailed
from healthchain.identity.folders import SigningIdentity
from healthchain.ledger.cutter import BlockCutter
from healthchain.network.network import Network
from healthchain.wire.block import header_hash, signatures
from healthchain.wire.channel import BatchSize
from healthchain.wire.codes import Code
from healthchain.wire.gateway import Status

from .toy import TOPOLOGY, connect, endorse_request, identity, proposal, run, status_request, submit_request

BATCH = TOPOLOGY.blocks


def plain_batches(sizes: list[int], limits: BatchSize) -> list[list[int]]:
    """The slow, obvious twin: each batch is the longest run that fits, and never empty."""
    batches, rest = [], list(sizes)
    while rest:
        count = 1
        while (
            count < len(rest)
            and count < limits.max_message_count
            and sum(rest[: count + 1]) <= limits.preferred_max_bytes
        ):
            count += 1
        batches.append(rest[:count])
        rest = rest[count:]
    return batches


@given(
    sizes=st.lists(st.integers(1, 40), max_size=40),
    count=st.integers(1, 6),
    preferred=st.integers(1, 60),
)
def test_batches_are_those_of_the_plain_twin(sizes: list[int], count: int, preferred: int) -> None:
    limits = BatchSize(count, 1000, preferred, 200)
    cutter = BlockCutter(limits)
    for size in sizes:
        cutter.order(bytes(size))
    taken = []
    while not cutter.is_empty:
        taken.append([len(one) for one in cutter.take()])
    assert taken == plain_batches(sizes, limits)
    assert cutter.take() == []


@given(st.lists(st.one_of(st.none(), st.integers(1, 40)), max_size=60), st.integers(1, 5), st.integers(1, 60))
def test_nothing_is_lost_or_reordered_whenever_batches_are_taken(
    events: list[int | None], count: int, preferred: int
) -> None:
    """None takes a batch, a number orders an envelope of that size; envelopes are numbered by their content."""
    cutter = BlockCutter(BatchSize(count, 1000, preferred, 200))
    ordered: list[bytes] = []
    taken: list[bytes] = []
    for event in events:
        if event is None:
            batch = cutter.take()
            assert len(batch) <= count
            assert len(batch) == 1 or sum(map(len, batch)) <= preferred
            taken += batch
        else:
            envelope = len(ordered).to_bytes(2) + bytes(event)
            ordered.append(envelope)
            cutter.order(envelope)
    while not cutter.is_empty:
        taken += cutter.take()
    assert taken == ordered


def test_an_oversized_envelope_is_alone_in_its_block(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        sizes = [10, BATCH.bytes_preferred + 1, 10]
        transactions = [
            await north.proposal("Put", str(index).encode(), b"v" * size).endorse() for index, size in enumerate(sizes)
        ]
        commits = await asyncio.gather(*[one.submit() for one in transactions])
        blocks = [(await one.committed()).block for one in commits]
        assert len(network.peers["north"].ledger.block(blocks[1]).data.data) == 1

    run(folder, scenario)


def test_an_envelope_larger_than_a_block_is_refused(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        with pytest.raises(SubmitFailed, match="split it"):
            await north.submit("Put", b"k", b"v" * BATCH.bytes_max)
        await north.submit("Put", b"k", b"v")

    run(folder, scenario)


def test_an_idle_network_cuts_at_once_and_a_busy_one_by_count(folder: Path) -> None:
    many = 3 * BATCH.transactions_max + 5

    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        height = network.height
        for index in range(3):
            await north.submit("Put", str(index).encode(), b"v")
        assert network.height == height + 3
        transactions = [await north.proposal("Put", f"m{index}".encode(), b"v").endorse() for index in range(many)]
        commits = await asyncio.gather(*[one.submit() for one in transactions])
        await asyncio.gather(*[one.committed() for one in commits])
        counts = [len(network.peers["state"].ledger.block(n).data.data) for n in range(height + 3, network.height)]
        assert sum(counts) == many
        assert max(counts) == BATCH.transactions_max
        assert len(counts) <= many // 4

    run(folder, scenario)


def test_blocks_are_linked_and_signed_by_a_quorum(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        await connect(network, folder, "north").submit("Put", b"k", b"v")
        ledger = network.peers["payer"].ledger
        for number in range(1, network.height):
            block = ledger.block(number)
            assert block.header.previous_hash == header_hash(ledger.block(number - 1))
            assert len({one.consenter for one in signatures(block)[1]}) == network.channel.quorum == 3

    run(folder, scenario)


@pytest.mark.parametrize("stopped", range(4))
def test_one_orderer_of_four_may_stop(folder: Path, stopped: int) -> None:
    async def scenario(network: Network) -> None:
        network.orderers[stopped].stopped = True
        committed = await connect(network, folder, "north").submit("Put", b"k", b"v")
        signers = {one.consenter for one in signatures(network.peers["north"].ledger.block(committed.block))[1]}
        assert network.channel.consenter_id(network.orderers[stopped].identity.serialized) not in signers
        network.orderers[stopped].stopped = False
        network.orderers[(stopped + 1) % 4].stopped = True
        await connect(network, folder, "south").submit("Put", b"k", b"w")

    run(folder, scenario)


def test_without_a_quorum_nothing_is_accepted_and_nothing_is_lost(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        await north.submit("Put", b"before", b"v")
        transaction = await north.proposal("Put", b"during", b"v").endorse()
        for one in network.orderers[:2]:
            one.stopped = True
        with pytest.raises(SubmitFailed) as caught:
            await transaction.submit()
        assert caught.value.status is Status.UNAVAILABLE
        assert await north.evaluate("Get", b"before") == b"v"
        network.orderers[0].stopped = False
        await (await transaction.submit()).committed()
        assert await north.evaluate("Get", b"during") == b"v"

    run(folder, scenario)


def test_what_was_accepted_before_the_quorum_was_lost_comes_when_it_is_back(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        transaction = await north.proposal("Put", b"k", b"v").endorse()
        commit = await transaction.submit()
        for one in network.orderers[:2]:
            one.stopped = True  # before the orderers' turn comes
        waiting = asyncio.create_task(commit.committed())
        await asyncio.sleep(0.2)
        assert not waiting.done()
        network.orderers[0].stopped = False
        await waiting
        assert await north.evaluate("Get", b"k") == b"v"

    run(folder, scenario)


def test_many_clients_on_one_key_lose_no_update(folder: Path) -> None:
    """Every one of them repeats on a conflict; what was acknowledged is what was counted."""
    clients, each = 12, 4

    async def scenario(network: Network) -> None:
        done = 0

        async def client(who: SigningIdentity, name: str) -> None:
            nonlocal done
            gateway = network.gateway(name)
            for _ in range(each):
                while True:
                    built = proposal(who, "Add", "hot")
                    endorsed = await gateway.endorse(endorse_request(who, built))
                    payload = endorsed.prepared_transaction.payload
                    await gateway.submit(submit_request(payload, who.key.sign(payload)))
                    status = await gateway.commit_status(status_request(who, built.tx_id))
                    if status.result == Code.VALID:
                        done += 1
                        break
                    assert status.result == Code.MVCC_READ_CONFLICT

        names = ("north", "south")
        people = [(identity(folder, names[index % 2]), names[index % 2]) for index in range(clients)]
        await asyncio.gather(*[client(*one) for one in people])
        assert done == clients * each
        assert await connect(network, folder, "south").evaluate("Get", b"hot") == str(done).encode()

    run(folder, scenario)
