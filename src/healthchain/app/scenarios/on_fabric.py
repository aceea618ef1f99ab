"""A real Fabric network as a scenario's stage: its peers are asked, as anybody may who is a member's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import events_pb2

from healthchain.app.consortium import ADMINISTRATOR, Consortium, opened, stored_topology
from healthchain.app.fabric import channel_membership, joining, local
from healthchain.app.fabric.compacting import compact
from healthchain.app.scenarios.embedded import any_file_has
from healthchain.app.scenarios.fabric_blocks import finding
from healthchain.app.scenarios.stage import Checked, Joined, Update
from healthchain.client.checkpoint import Position
from healthchain.client.events import Events
from healthchain.client.failover import RemoteGateway
from healthchain.client.gateway import Connection
from healthchain.client.remote import Endpoint, Peer
from healthchain.client.shapes import BLOCKS_WITH_PRIVATE_DATA
from healthchain.config import CHAINCODE, DEFAULT, Organisation
from healthchain.fabric.membership import members_of
from healthchain.fabric.nodes import FabricFailed, Member, Settings, members, read_settings, require_programs
from healthchain.identity.folders import OrganisationFolder
from healthchain.identity.policy import majority
from healthchain.network.provision import read_genesis_block
from healthchain.records.channel_membership import current_config
from healthchain.wire.block import header_hash
from healthchain.wire.transaction import decode_action, decode_header

EQUAL_S_MAX, PAUSE_S = 60.0, 0.5

Delivered = events_pb2.BlockAndPrivateData


class OnFabric:
    """Made in an empty folder; open with `on_fabric`, which ends its processes."""

    copied = "the blocks that a peer hands out"

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.memberships = ConfiguredMemberships(self)
        self.programs = programs

    async def found(self) -> None:
        await local.up(self.folder, self.programs, _unsaid)

    def opened(self) -> AbstractAsyncContextManager[Consortium]:
        return opened(self.folder)

    async def held(self, consortium: Consortium, organisation: str, collection: str, key: str) -> bytes | None:
        """What it hands out: values that were purged since are in no answer."""
        place, held = (CHAINCODE, collection, key), b""
        for found in await self._blocks(organisation):
            held = next((value for *where, value in _private_writes(found) if tuple(where) == place), held)
        return held or None  # what was deleted has an empty value

    async def let_go(self) -> None:
        """LevelDB is made to merge its files, which it does at its own time otherwise."""
        await compact(self.folder, self.programs, _unsaid)

    async def on_disk(self, traces: Collection[bytes]) -> bool:
        return any(any_file_has(one.ledger, traces) for one in self._members())

    async def check(self) -> Checked:
        chains, genesis = await self.equal_chains(), read_genesis_block(self.folder)
        findings = [f"{name}: {text}" for name, chain in chains.items() if (text := finding(chain, genesis))]
        if len({header_hash(chain[-1]) for chain in chains.values()}) != 1:
            findings.append("all peers: their newest blocks differ")
        told = f"Every block fetched from every peer, its hashes and signatures checked: {len(findings)} findings."
        chain = next(iter(chains.values()))
        return Checked(told, not findings, len(chain), sum(len(block.data.data) for block in chain))

    async def tampered(self, organisation: str) -> str:
        chain = [found.block for found in await self._blocks(organisation)]
        block = chain[len(chain) // 2]
        altered = bytearray(block.data.data[0])
        altered[len(altered) // 2] ^= 1
        block.data.data[0] = bytes(altered)
        return finding(chain, read_genesis_block(self.folder)) or "nothing found"

    def _members(self) -> list[Member]:
        return members(self.folder, stored_topology(self.folder), read_settings(self.folder))

    async def _blocks(self, organisation: str) -> list[Delivered]:
        """All that its own peer has, with the private values that it still hands out."""
        member = next(one for one in self._members() if one.name == organisation)
        credentials: OrganisationFolder = member.credentials
        identity = credentials.signing_identity(credentials.user(ADMINISTRATOR))
        channel_id, found = stored_topology(self.folder).channel, []
        async with Peer(Endpoint(member.peer, credentials.tls_authority(), msp_id=member.msp_id)) as peer:
            gateway = RemoteGateway([peer])
            connection = Connection(gateway, identity, channel_id, CHAINCODE)
            told = await connection.to("qscc").evaluate("GetChainInfo", channel_id.encode())
            height = ledger_pb2.BlockchainInfo.FromString(told).height
            blocks = Events(connection, gateway).blocks(BLOCKS_WITH_PRIVATE_DATA, Position(0))
            async with contextlib.aclosing(blocks) as delivered:
                async for one in delivered:
                    found.append(one)
                    if len(found) == height:
                        break
        return found

    async def equal_chains(self) -> Mapping[str, list[common_pb2.Block]]:
        """Of each peer; one that was just started is given time to have what the others have. Raises FabricFailed."""
        deadline = time.monotonic() + EQUAL_S_MAX
        while True:
            chains = {one.name: [found.block for found in await self._blocks(one.name)] for one in self._members()}
            if len({len(chain) for chain in chains.values()}) == 1:
                return chains
            if time.monotonic() > deadline:
                raise FabricFailed(
                    "the peers have chains of different lengths: see what `healthchain fabric status` says"
                )
            await asyncio.sleep(PAUSE_S)


class ConfiguredMemberships:
    """The channel's configuration says who takes part: administrators sign what follows from a vote, and submit it."""

    follow_votes = False

    def __init__(self, stage: OnFabric) -> None:
        self._stage = stage

    async def count(self, consortium: Consortium) -> int:
        anyone = consortium.staff(consortium.topology.organisations[0].name, ADMINISTRATOR)
        return len(members_of(await current_config(anyone)))

    async def join(self, spec: Organisation, proposal_id: str) -> Update:
        folder, names = self._stage.folder, [one.name for one in DEFAULT.organisations]
        envelope = await channel_membership.make(folder, names[0], proposal_id)
        for name in names[: majority(len(names))]:
            await channel_membership.sign(folder, name, proposal_id, envelope)
        await channel_membership.submit(folder, names[0], proposal_id, envelope)
        await joining.join(folder, spec, self._stage.programs, _unsaid)
        signed = len(envelope.signatures)
        told = f"The channel's configuration update is in force, signed by {signed} administrators"
        return Update(told, envelope.SerializeToString(), signed)

    async def joined(self, consortium: Consortium, spec: Organisation) -> Joined:
        chains = await self._stage.equal_chains()
        actions = [decode_action(decode_header(one)) for one in chains[spec.name][-1].data.data]
        signed = [one.endorser for action in actions for one in action.endorsements]
        endorsers = {identities_pb2.SerializedIdentity.FromString(one).mspid for one in signed}
        equal = len({header_hash(chain[-1]) for chain in chains.values()}) == 1
        return Joined(len(chains), spec.msp_id in endorsers, equal)


def _unsaid(step: str) -> None:
    """How nodes start and join is no part of a scenario."""


def _private_writes(found: Delivered) -> Iterator[tuple[str, str, str, bytes]]:
    """Chaincode, collection, key and value, in the order of writing."""
    for _, of_transaction in sorted(found.private_data_map.items()):
        for namespace in of_transaction.ns_pvt_rwset:
            for collection in namespace.collection_pvt_rwset:
                for write in kv_rwset_pb2.KVRWSet.FromString(collection.rwset).writes:
                    yield namespace.namespace, collection.collection_name, write.key, write.value


@contextlib.asynccontextmanager
async def on_fabric(folder: Path, programs: Path, settings: Settings) -> AsyncIterator[OnFabric]:
    """Whatever happens, its processes are ended; the folder stays. Raises BadInput."""
    require_programs(programs)
    local.init(folder, DEFAULT, settings)
    try:
        yield OnFabric(folder, programs)
    finally:
        local.down(folder)
