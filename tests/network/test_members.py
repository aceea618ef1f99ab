"""A network whose members change while it runs: who may ask, who endorses, who orders, and what a newcomer's peer gets.

The toy plays the governing chaincode too: it puts whatever membership row a test wants.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from healthchain.chaincode.membership import Membership, Standing, membership_key
from healthchain.client.errors import CommitFailed, CommitStatusFailed, EndorseFailed, EvaluateFailed, SubmitFailed
from healthchain.config import Organisation, Topology
from healthchain.errors import Refused
from healthchain.ledger import fsck
from healthchain.ledger.membership import GOVERNING
from healthchain.network.network import Network, peer_folder
from healthchain.network.provision import enrol_organisation, folder_of, read_genesis_block
from healthchain.wire.block import signatures
from healthchain.wire.codes import Code
from healthchain.wire.gateway import GatewayError, Status
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection, commit_arguments
from healthchain.wire.transaction import decode_header, envelope

from .test_faults import agreed
from .test_private import value_on
from .test_waiting import collect, events_request
from .toy import (
    ALL,
    DEFINITION,
    MSP_IDS,
    SOME,
    TOPOLOGY,
    TOY,
    block_codes,
    connect,
    copy_network,
    endorse_request,
    identity,
    now,
    proposal,
    run,
    status_request,
)

GOVERNED = ChaincodeDefinition(GOVERNING, "1", 1, ())
APPROVED = (DEFINITION, GOVERNED)
ACTIVE, SUSPENDED, REMOVED = (Membership(one) for one in Standing)
EAST = Organisation("east", "hospital")
LARGER = msgspec.structs.replace(TOPOLOGY, organisations=(*TOPOLOGY.organisations, EAST))

Scenario = Callable[[Network], Awaitable[None]]


@pytest.fixture(scope="session")
def governed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_network(made, tmp_path_factory.mktemp("governed") / "network")

    async def define(network: Network) -> None:
        administrator = connect(network, folder, "north", "administrator", chaincode=LIFECYCLE)
        await administrator.submit("CommitChaincodeDefinition", commit_arguments(GOVERNED))

    run(folder, define, approved=APPROVED)
    return folder


@pytest.fixture
def folder(governed: Path, tmp_path: Path) -> Path:
    return copy_network(governed, tmp_path / "network")


async def decide(network: Network, folder: Path, msp_id: str, row: Membership) -> int:
    """The block from which on it holds for the next one."""
    governing = connect(network, folder, "north", chaincode=GOVERNING)
    done = await governing.submit("Put", membership_key(msp_id).encode(), msgspec.json.encode(row))
    return done.block


def play(folder: Path, scenario: Scenario) -> None:
    """And afterwards every peer's folder is sound."""
    run(folder, scenario, approved=APPROVED)
    assert_sound(folder, TOPOLOGY)


def assert_sound(folder: Path, topology: Topology) -> None:
    genesis = read_genesis_block(folder)
    reports = [fsck.check(peer_folder(folder, one.name), genesis, msp_id=one.msp_id) for one in topology.organisations]
    assert [one.findings for one in reports] == [[]] * len(reports)
    assert len({(one.height, one.tip_hash, one.commit_hashes[-1]) for one in reports}) == 1


@pytest.mark.parametrize(("row", "code"), [(SUSPENDED, "MEMBER_SUSPENDED"), (REMOVED, "MEMBER_REMOVED")])
def test_one_that_is_out_is_refused_everywhere_at_once(folder: Path, row: Membership, code: str) -> None:
    async def scenario(network: Network) -> None:
        south, elsewhere = connect(network, folder, "south"), connect(network, folder, "south")
        elsewhere.service = network.gateway("north")
        endorsed = await south.proposal("Put", b"late", b"v").endorse()
        await decide(network, folder, "SouthMSP", row)
        for one in (south, elsewhere):
            with pytest.raises(Refused) as caught:
                await one.evaluate("Get", b"k")
            assert caught.value.code == code
            with pytest.raises(Refused) as caught:
                await one.submit("Put", b"k", b"v")
            assert caught.value.code == code
        with pytest.raises(Refused) as caught:
            await endorsed.submit()
        assert caught.value.code == code
        who = identity(folder, "south")
        with pytest.raises(GatewayError) as status:
            await network.gateway("north").commit_status(status_request(who, endorsed.transaction_id))
        assert status.value.status is Status.PERMISSION_DENIED
        with pytest.raises(GatewayError) as events:
            await collect(network, events_request(who, start=0), 1)
        assert events.value.status is Status.PERMISSION_DENIED
        await decide(network, folder, "SouthMSP", ACTIVE)
        await south.submit("Put", b"k", b"v")

    play(folder, scenario)


def test_a_stream_of_events_ends_with_the_membership(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        await connect(network, folder, "north").submit("Say", b"first", b"payload")
        stream = asyncio.create_task(collect(network, events_request(identity(folder, "south"), start=0), 2))
        await asyncio.sleep(0)
        await decide(network, folder, "SouthMSP", SUSPENDED)
        await connect(network, folder, "north").submit("Say", b"second", b"payload")
        with pytest.raises(GatewayError, match="MEMBER_SUSPENDED"):
            await stream

    play(folder, scenario)


def test_what_was_in_flight_is_invalid_on_every_peer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepted by the orderers before the block that suspends its creator, and cut after it."""

    async def scenario(network: Network) -> None:
        south = connect(network, folder, "south")
        endorsed = await south.proposal("Put", b"late", b"v").endorse()
        height = await decide(network, folder, "SouthMSP", SUSPENDED)
        late = envelope(endorsed.payload, south.identity.key.sign(endorsed.payload))
        monkeypatch.setattr(network._ordering, "_is_kept", lambda _: True)  # what an honest orderer leaves out
        network._ordering._accept(late, decode_header(late))
        await connect(network, folder, "north").submit("Put", b"k", b"v")
        assert Code.BAD_CREATOR_SIGNATURE in block_codes(network, height)
        assert [one.ledger.get(TOY, "late") for one in network.peers.values()] == [None] * 4
        agreed(network)

    play(folder, scenario)


def test_whoever_waits_is_told_that_it_waits_in_vain(folder: Path) -> None:
    """What it sent is settled by no block any more; others may wait on."""

    async def scenario(network: Network) -> None:
        asked = [
            asyncio.create_task(
                network.gateway("north").commit_status(status_request(identity(folder, name), "0" * 64))
            )
            for name in ("south", "north")
        ]
        await asyncio.sleep(0.05)
        await decide(network, folder, "SouthMSP", SUSPENDED)
        with pytest.raises(GatewayError, match="MEMBER_SUSPENDED"):
            await asked[0]
        assert not asked[1].done()
        asked[1].cancel()

    play(folder, scenario)


def test_the_others_go_on_without_its_peer_and_its_orderer(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        height = await decide(network, folder, "NorthMSP", ACTIVE)
        assert len(signatures(network.peers["payer"].ledger.block(height))[1]) == 3
        await decide(network, folder, "SouthMSP", SUSPENDED)
        asked = await north.proposal("Put", b"k", b"v").endorse()
        done = await (await asked.submit()).committed()
        signed = signatures(network.peers["south"].ledger.block(done.block))[1]
        assert [one.consenter for one in signed] == [1, 3], "two of three suffice, and the second is not among them"
        built = proposal(north.identity, "Put", "k", "v")
        request = endorse_request(north.identity, built, organizations=["NorthMSP", "SouthMSP"])
        with pytest.raises(GatewayError) as caught:
            await network.gateway("north").endorse(request)
        assert [(one.msp_id, "takes no part" in one.message) for one in caught.value.details] == [("SouthMSP", True)]
        borrowed = connect(network, folder, "south", identity(folder, "north"))
        with pytest.raises(EvaluateFailed, match="another's gateway"):
            await borrowed.evaluate("Get", b"k")
        network.orderers[3].stopped = True
        await north.submit("Put", b"k", b"w")
        network.orderers[2].stopped = True
        with pytest.raises(SubmitFailed, match="too few orderers"):
            await north.submit("Put", b"k", b"x")
        network.orderers[2].stopped = network.orderers[3].stopped = False
        assert agreed(network) == network.height

    play(folder, scenario)


def test_members_change_under_load(folder: Path) -> None:
    """Many transactions of everybody, among them decisions: each is committed or refused, and the peers agree."""

    async def scenario(network: Network) -> None:
        async def put(name: str, number: int) -> str:
            try:
                connection = connect(network, folder, name, "administrator")
                await connection.submit("Put", f"{name} {number}".encode(), b"v")
            except (Refused, CommitFailed, EndorseFailed, CommitStatusFailed) as refused:
                return type(refused).__name__
            return "committed"

        async def decisions() -> None:
            for row in (SUSPENDED, ACTIVE, REMOVED):
                await decide(network, folder, "SouthMSP", row)

        names = [name for _ in range(40) for name in ("north", "south", "payer")]
        outcomes, _ = await asyncio.gather(
            asyncio.gather(*[put(name, number) for number, name in enumerate(names)]), decisions()
        )
        outcomes.append(await put("south", len(names)))  # after its removal, however fast the others were
        assert outcomes.count("committed") >= 60
        assert "Refused" in outcomes
        agreed(network)

    play(folder, scenario)


def test_what_a_member_sent_before_its_suspension_is_told_that_it_comes_no_more(folder: Path) -> None:
    """To whoever waits for it, and to its sender that asks once it is a member again."""

    async def scenario(network: Network) -> None:
        south = connect(network, folder, "south")
        endorsed = await south.proposal("Put", b"late", b"v").endorse()
        await decide(network, folder, "SouthMSP", SUSPENDED)
        late = envelope(endorsed.payload, south.identity.key.sign(endorsed.payload))
        waiting = asyncio.create_task(
            network.gateway("north").commit_status(status_request(identity(folder, "north"), endorsed.transaction_id))
        )
        await asyncio.sleep(0.05)
        network._ordering._accept(late, decode_header(late))
        with pytest.raises(GatewayError, match="not ordered"):
            await waiting
        await decide(network, folder, "SouthMSP", ACTIVE)
        with pytest.raises(GatewayError, match="not ordered"):
            await network.gateway("south").commit_status(
                status_request(identity(folder, "south"), endorsed.transaction_id)
            )

    play(folder, scenario)


def test_a_suspended_members_peer_follows_and_serves_again(folder: Path) -> None:
    """Also over a restart, and when it has to fetch everything: its private values too."""

    async def suspend(network: Network) -> None:
        await decide(network, folder, "SouthMSP", SUSPENDED)
        north = connect(network, folder, "north")
        await north.submit("PutPrivate", ALL.encode(), b"p", transient={"value": b"a private value"})
        assert network.peers["south"].member is None
        assert value_on(network.peers["south"].ledger, ALL, "p") == b"a private value"

    async def resume(network: Network) -> None:
        assert network.channel.msp_ids == ("NorthMSP", "PayerMSP", "StateMSP")
        await decide(network, folder, "SouthMSP", ACTIVE)
        assert await connect(network, folder, "south").evaluate("GetPrivate", ALL.encode(), b"p") == b"a private value"
        agreed(network)

    play(folder, suspend)
    shutil.rmtree(peer_folder(folder, "south"))
    play(folder, resume)


def test_new_certificates_while_the_network_runs(folder: Path) -> None:
    """The old ones end with the block; the organisation's nodes take part again once they are started with the new."""
    old = identity(folder, "south")

    async def rotate(network: Network) -> None:
        credentials = enrol_organisation(folder, TOPOLOGY.organisation("south"), now())
        row = Membership(Standing.ACTIVE, credentials.msp_config(), credentials.orderer_certificate())
        before = connect(network, folder, "south", old)
        await before.submit("Put", b"k", b"v")
        await decide(network, folder, "SouthMSP", row)
        with pytest.raises(EvaluateFailed, match="was not issued by"):
            await before.evaluate("Get", b"k")
        assert network.peers["south"].member is None, "it has its old keys still"
        done = await connect(network, folder, "north").submit("Put", b"k", b"w")
        assert [one.consenter for one in signatures(network.peers["south"].ledger.block(done.block))[1]] == [1, 3, 4]

    async def restarted(network: Network) -> None:
        assert await connect(network, folder, "south").evaluate("Get", b"k") == b"w"
        done = await connect(network, folder, "south").submit("Put", b"k", b"x")
        assert [one.consenter for one in signatures(network.peers["south"].ledger.block(done.block))[1]] == [1, 2, 3]

    play(folder, rotate)
    play(folder, restarted)


def test_a_newcomer_fetches_everything_and_then_counts(folder: Path) -> None:
    everybody = (*MSP_IDS, EAST.msp_id)
    extended = replace(DEFINITION, sequence=2, collections=(Collection(ALL, everybody), DEFINITION.collections[1]))
    approved = (extended, GOVERNED)

    async def add(network: Network) -> None:
        north = connect(network, folder, "north")
        await north.submit("PutPrivate", ALL.encode(), b"p", transient={"value": b"for all members"})
        await north.submit("PutPrivate", SOME.encode(), b"p", transient={"value": b"for some"})
        credentials = enrol_organisation(folder, EAST, now())
        row = Membership(Standing.ACTIVE, credentials.msp_config(), credentials.orderer_certificate())
        await decide(network, folder, EAST.msp_id, row)
        administrator = connect(network, folder, "north", "administrator", chaincode=LIFECYCLE)
        await administrator.submit("CommitChaincodeDefinition", commit_arguments(extended))

    async def joined(network: Network) -> None:
        agreed(network)
        east = network.peers["east"]
        assert value_on(east.ledger, ALL, "p") == b"for all members"
        assert value_on(east.ledger, SOME, "p") == "missing", "it is in one collection only"
        credentials = folder_of(folder, EAST)
        newcomer = connect(network, folder, "east", credentials.signing_identity(credentials.user("clinician")))
        assert await newcomer.evaluate("GetPrivate", ALL.encode(), b"p") == b"for all members"
        await newcomer.submit("PutPrivate", ALL.encode(), b"q", transient={"value": b"its own"})
        network.orderers[0].stopped = True
        done = await newcomer.submit("Put", b"k", b"v")
        assert [one.consenter for one in signatures(east.ledger.block(done.block))[1]] == [2, 3, 4, 5]

    run(folder, add, approved=approved)
    run(folder, joined, approved=approved, topology=LARGER)
    assert_sound(folder, LARGER)
