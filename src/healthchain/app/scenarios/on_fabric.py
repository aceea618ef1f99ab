"""A real Fabric network as a scenario's stage: its peers are asked, as anybody may who is a member's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from fabric_protos.common import common_pb2
from fabric_protos.peer import events_pb2

from healthchain.app import fabric
from healthchain.app.consortium import ADMINISTRATOR, Consortium, opened, stored_topology
from healthchain.app.scenarios.stage import Checked
from healthchain.client.delivered import blocks_with_private, private_writes
from healthchain.client.remote import Endpoint, channel
from healthchain.config import CHAINCODE, DEFAULT
from healthchain.fabric.nodes import Consensus, FabricFailed, Member, Settings, members, require_programs
from healthchain.identity.folders import OrganisationFolder
from healthchain.ledger.channel import Channel
from healthchain.ledger.quorum import BlockRefused, check_link, check_quorum
from healthchain.ledger.validate import SignatureCheck
from healthchain.network.provision import read_genesis_block
from healthchain.wire.block import header_hash

EQUAL_S_MAX, PAUSE_S = 60.0, 0.5

Delivered = events_pb2.BlockAndPrivateData


class OnFabric:
    """Made in an empty folder; open with `on_fabric`, which ends its processes."""

    where_erased = "no peer hands them out any more"
    copied = "the blocks that a peer hands out"
    memberships = None  # the channel's configuration says who takes part

    def __init__(self, folder: Path, programs: Path, settings: Settings) -> None:
        self.folder = folder
        self._programs = programs
        self._settings = settings

    async def found(self) -> None:
        await fabric.up(self.folder, self._programs, lambda step: None)

    def opened(self) -> AbstractAsyncContextManager[Consortium]:
        return opened(self.folder)

    async def held(self, consortium: Consortium, organisation: str, collection: str, key: str) -> bytes | None:
        """What it hands out: values that were purged since are in no answer."""
        place, held = (CHAINCODE, collection, key), b""
        async for found in self._blocks(organisation):
            held = next((value for *where, value in private_writes(found) if tuple(where) == place), held)
        return held or None

    async def any_left(self, traces: Collection[bytes]) -> bool:
        for one in self._members():
            async for found in self._blocks(one.name):
                if any(trace in value for *_, value in private_writes(found) for trace in traces):
                    return True
        return False

    async def check(self) -> Checked:
        chains = await self._equal_chains()
        findings = [f"{name}: {text}" for name, chain in chains.items() if (text := self._finding(chain))]
        if len({header_hash(chain[-1]) for chain in chains.values()}) != 1:
            findings.append("all peers: their newest blocks differ")
        signed = " and the orderers' signatures" if self._settings.consensus == Consensus.BFT else ""
        told = f"Every block fetched from every peer, its hashes{signed} checked: {len(findings)} findings."
        chain = next(iter(chains.values()))
        return Checked(told, not findings, len(chain), sum(len(block.data.data) for block in chain))

    async def tampered(self, organisation: str) -> str:
        chain = [found.block async for found in self._blocks(organisation)]
        block = chain[len(chain) // 2]
        altered = bytearray(block.data.data[0])
        altered[len(altered) // 2] ^= 1
        block.data.data[0] = bytes(altered)
        return self._finding(chain) or "nothing found"

    def _members(self) -> list[Member]:
        return members(self.folder, stored_topology(self.folder), self._settings)

    async def _blocks(self, organisation: str) -> AsyncIterator[Delivered]:
        member = next(one for one in self._members() if one.name == organisation)
        credentials: OrganisationFolder = member.credentials
        identity = credentials.signing_identity(credentials.user(ADMINISTRATOR))
        async with channel(Endpoint(member.peer, credentials.tls_authority())) as at:
            async for found in blocks_with_private(at, identity, stored_topology(self.folder).channel):
                yield found

    async def _equal_chains(self) -> Mapping[str, list[common_pb2.Block]]:
        """Of each peer; one that was just started is given time to have what the others have. Raises FabricFailed."""
        deadline = time.monotonic() + EQUAL_S_MAX
        while True:
            chains = {one.name: [found.block async for found in self._blocks(one.name)] for one in self._members()}
            if len({len(chain) for chain in chains.values()}) == 1:
                return chains
            if time.monotonic() > deadline:
                raise FabricFailed(
                    "the peers have chains of different lengths: see what `healthchain fabric status` says"
                )
            await asyncio.sleep(PAUSE_S)

    def _finding(self, chain: list[common_pb2.Block]) -> str:
        """The first thing wrong with it, from block 0 that was agreed on; "" if nothing is."""
        if chain[0].header != read_genesis_block(self.folder).header:
            return "block 0 is another one than was agreed on"
        agreed = Channel(chain[0]) if self._settings.consensus == Consensus.BFT else None
        previous = b""
        try:
            for number, block in enumerate(chain):
                check_link(block, number, previous)
                if number and agreed:
                    check_quorum(block, agreed, SignatureCheck.holds)
                previous = header_hash(block)
        except BlockRefused as refused:
            return str(refused)
        return ""


@contextlib.asynccontextmanager
async def on_fabric(folder: Path, programs: Path, settings: Settings) -> AsyncIterator[OnFabric]:
    """Whatever happens, its processes are ended; the folder stays. Raises BadInput."""
    require_programs(programs)
    fabric.init(folder, DEFAULT, settings)
    try:
        yield OnFabric(folder, programs, settings)
    finally:
        fabric.down(folder)
