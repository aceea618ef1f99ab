"""Our client at the gateways of Fabric's own peers, which FABRIC_BIN has to name the folder of."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from healthchain.app.fabric.local import down, init, up
from healthchain.client.checkpoint import FileCheckpoint, Position, after_block
from healthchain.client.errors import EndorseFailed, EvaluateFailed, EventsFailed
from healthchain.client.events import Events
from healthchain.client.failover import RemoteGateway
from healthchain.client.gateway import Connection
from healthchain.client.offline import (
    signed_blocks,
    signed_chaincode_events,
    signed_commit,
    signed_proposal,
    signed_transaction,
)
from healthchain.client.remote import Endpoint, Peer
from healthchain.client.shapes import BLOCKS, BLOCKS_WITH_PRIVATE_DATA, FILTERED_BLOCKS
from healthchain.client.signing import Creator
from healthchain.config import CHAINCODE, DEFAULT
from healthchain.errors import Refused
from healthchain.fabric.nodes import Consensus, Settings, members, read_settings
from healthchain.identity.folders import SigningIdentity
from healthchain.wire.gateway import Status

_Event = TypeVar("_Event")

AGENCY, CLINIC, HOSPITAL, INSURER = "health-agency", "city-clinic", "general-hospital", "mutual-insurance"
HOLDER = b'{"holder":"CityClinicMSP/clinician"}'
SETTINGS = Settings(Consensus.BFT, 29451)
SECONDS_MAX = 120


def programs() -> Path:
    """FABRIC_BIN's folder, or the one on PATH that has an orderer."""
    found = os.environ.get("FABRIC_BIN") or shutil.which("osnadmin")
    folder = Path(found) if found else None
    folder = folder.parent if folder and folder.name == "osnadmin" else folder
    if folder is None or not (folder / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    return folder


def start(folder: Path) -> None:
    """What does not run."""
    asyncio.run(up(folder, programs(), lambda said: None))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    programs()
    folder = tmp_path_factory.mktemp("fabric") / "consortium"
    init(folder, DEFAULT, SETTINGS)
    try:
        start(folder)
        yield folder
    finally:
        down(folder)


class OnFabric:
    """The agency's administrator, and the peers in the order in which they are asked."""

    def __init__(self, identity: SigningIdentity, peers: Sequence[Peer]) -> None:
        self.identity = identity
        self.peers = peers
        self.gateway = gateway = RemoteGateway(peers)
        self.agency = Connection(gateway, identity, DEFAULT.channel, CHAINCODE)
        self.events = Events(self.agency, gateway)

    async def licence_changes(self, count: int) -> list[str]:
        """The clinician's licence, suspended and reinstated in turn: the transactions' ids."""
        functions = ["licences:Suspend", "licences:Reinstate"] * count
        return [(await self.agency.submit(one, HOLDER)).transaction_id for one in functions[: 2 * count]]


@asynccontextmanager
async def connected(folder: Path, *names: str) -> AsyncIterator[OnFabric]:
    """Their peers. A transaction is waited for at these: what follows it at once is endorsed by others that may lag."""
    async with asyncio.timeout(SECONDS_MAX), AsyncExitStack() as stack:
        listed = {one.name: one for one in members(folder, DEFAULT, read_settings(folder))}
        peers = []
        for one in [listed[name] for name in names]:
            endpoint = Endpoint(one.peer, one.credentials.tls_authority(), msp_id=one.msp_id)
            peers.append(await stack.enter_async_context(Peer(endpoint)))
        credentials = listed[AGENCY].credentials
        identity = credentials.signing_identity(credentials.user("administrator"))
        yield OnFabric(identity, peers)


def kill(folder: Path, organisation: str) -> None:
    os.kill(json.loads((folder / f"fabric/{organisation}/peer.pid").read_bytes())["pid"], signal.SIGKILL)


async def take(events: AsyncGenerator[_Event, None], count: int) -> list[_Event]:
    found: list[_Event] = []
    async with aclosing(events):
        async for one in events:
            found.append(one)
            if len(found) == count:
                break
    return found


@pytest.mark.fabric
def test_all_that_is_signed_may_be_signed_elsewhere(network: Path) -> None:
    async def work() -> None:
        async with connected(network, AGENCY, CLINIC) as one:
            key = one.identity.key
            ours = Connection(one.gateway, Creator(one.identity.msp_id, one.agency.creator), DEFAULT.channel, CHAINCODE)
            unsigned = ours.proposal("licences:Suspend", HOLDER)
            proposal = signed_proposal(ours, unsigned.to_bytes(), key.sign_digest(unsigned.digest))
            endorsed = await proposal.endorse()
            transaction = signed_transaction(ours, endorsed.to_bytes(), key.sign_digest(endorsed.digest))
            submitted = await transaction.submit()
            commit = signed_commit(ours, submitted.to_bytes(), key.sign_digest(submitted.digest))
            block = await commit.block()
            await transaction.submit()  # which the orderers refuse, for they have it
            assert await commit.block() == block

            events = Events(ours, one.gateway)
            asked = events.chaincode_events_request(Position(block))
            request = signed_chaincode_events(events, asked.to_bytes(), key.sign_digest(asked.digest))
            [event] = await take(request.events(), 1)
            assert (event.transaction_id, event.block, event.name) == (commit.transaction_id, block, "licences:Changed")
            wanted = events.blocks_request(BLOCKS, Position(block))
            blocks = signed_blocks(events, BLOCKS, wanted.to_bytes(), key.sign_digest(wanted.digest))
            assert [each.header.number for each in await take(blocks.events(), 1)] == [block]
            await one.agency.submit("licences:Reinstate", HOLDER)

    asyncio.run(work())


@pytest.mark.fabric
def test_errors_name_who_refused(network: Path) -> None:
    async def work() -> None:
        async with connected(network, AGENCY, CLINIC) as one:
            with pytest.raises(Refused) as refused:
                await one.agency.submit("licences:Reinstate", HOLDER)
            assert refused.value.code == "LICENCE_STATUS"
            with pytest.raises(EvaluateFailed) as unknown:
                await one.agency.to("nothing").evaluate("members:List", b"{}")
            assert unknown.value.status is Status.FAILED_PRECONDITION
            assert [node.msp_id for node in unknown.value.details] == ["HealthAgencyMSP"]
            other = members(network, DEFAULT, SETTINGS)[0].credentials
            key = other.signing_identity(other.user("administrator")).key
            stolen = SigningIdentity(one.identity.msp_id, one.agency.creator, key)
            forged = Connection(one.gateway, stolen, DEFAULT.channel, CHAINCODE)
            with pytest.raises(EndorseFailed) as failed:
                await forged.submit("licences:Suspend", HOLDER)
            assert failed.value.status is Status.ABORTED
            assert [(node.address != "", node.msp_id) for node in failed.value.details] == [(True, "HealthAgencyMSP")]
            elsewhere = Events(Connection(one.gateway, one.identity, "elsewhere", CHAINCODE), one.gateway, 1.0)
            for asked in (elsewhere.chaincode_events(Position(0)), elsewhere.blocks(FILTERED_BLOCKS, Position(0))):
                with pytest.raises(EventsFailed) as ended:
                    await anext(asked)
                assert ended.value.details[0].msp_id in ("HealthAgencyMSP", "CityClinicMSP")

    asyncio.run(work())


@pytest.mark.fabric
def test_peers_that_are_killed_in_the_middle_of_a_stream(network: Path, tmp_path: Path) -> None:
    """None twice and none left out, while one peer after another ends and is started again; then on from the file."""
    path = tmp_path / "checkpoint.json"

    async def follow(*names: str) -> None:
        async with connected(network, *names) as one:
            checkpoint = FileCheckpoint(path)
            begin = checkpoint.position or await one.events.end()
            blocks = asyncio.ensure_future(take(one.events.blocks(FILTERED_BLOCKS, Position(begin.block)), 8))
            private = asyncio.ensure_future(take(one.events.blocks(BLOCKS_WITH_PRIVATE_DATA, Position(begin.block)), 8))
            events = one.events.chaincode_events(begin)
            found = []
            async with aclosing(events):
                made = await one.licence_changes(2)
                found = [await anext(events) for _ in range(2)]
                kill(network, names[0])
                made += await one.licence_changes(2)
                found += [await anext(events) for _ in range(6)]
            assert [each.transaction_id for each in found] == made
            assert [peer.standing.failing for peer in one.peers] == [True, False, False, False]
            numbers = [each.number for each in await blocks]
            assert numbers == [each.block.header.number for each in await private]
            assert numbers == list(range(begin.block, begin.block + 8))
            checkpoint.store(found[-1].position)

    asyncio.run(follow(AGENCY, CLINIC, HOSPITAL, INSURER))
    start(network)
    asyncio.run(follow(CLINIC, AGENCY, HOSPITAL, INSURER))
    start(network)

    async def rest() -> None:
        async with connected(network, CLINIC, AGENCY, HOSPITAL, INSURER) as one:
            position = FileCheckpoint(path).position
            made = await one.licence_changes(1)
            assert [each.transaction_id for each in await take(one.events.chaincode_events(position), 2)] == made
            assert position is not None
            [block] = await take(one.events.blocks(FILTERED_BLOCKS, after_block(position.block)), 1)
            assert block.number == position.block + 1

    asyncio.run(rest())
