"""A Fabric network for recorded refusals: four organisations with nodes and four without; any time may be proposed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from fabric_protos.common import common_pb2, configtx_pb2, policies_pb2
from fabric_protos.peer.lifecycle import lifecycle_pb2

from healthchain.app import consortium as consortiums
from healthchain.app.fabric import local
from healthchain.client import failover
from healthchain.client.errors import EndorseFailed
from healthchain.client.failover import RemoteGateway
from healthchain.client.gateway import Connection, GatewayService
from healthchain.client.remote import Endpoint, Peer
from healthchain.config import CHAINCODE, Topology, write_topology
from healthchain.contract.ids import COLLECTIONS
from healthchain.fabric import configs, nodes
from healthchain.fabric.channel import fabric_block
from healthchain.fabric.nodes import Member, Settings
from healthchain.fabric.package import write_package
from healthchain.fabric.tools import eventually
from healthchain.network.provision import GENESIS, create, folder_of, read_genesis_block
from healthchain.records.keyring import Keyring
from healthchain.wire.block import new_block
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection, commit_arguments
from healthchain.wire.policy_text import read_policy

from .identities import ALL, WITH_NODES, WITHOUT_NODES, Identities, named_as_in_the_tests
from .refusals import Call

MS = 1_000_000  # nanoseconds
AT_ONCE = 8  # definitions
ANY_TIME = "876000h"
LAG_S_MAX = 60.0  # so that no peer answers from a state before the one that is asked about, however busy the machine
ENDORSEMENT = f"OutOf(3, {', '.join(repr('{}.peer') for _ in WITH_NODES)})"


class OnFabric:
    """Implements `playing.Network`."""

    def __init__(self, folder: Path, gateways: Mapping[str, GatewayService], members: Sequence[Member]) -> None:
        self._folder = folder
        self._gateways = gateways
        self._members = members
        self._identities = Identities(folder)

    async def deploy(self, names: Sequence[str]) -> None:
        """One package and one service for all: under each name they have other keys in the state."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with gate:
                await self._define(replace(_definition(), name=name))

        await asyncio.gather(*(one(name) for name in names))
        for name in names:
            for member in self._members:
                await eventually(partial(self._endorsed, name, member), EndorseFailed, seconds_max=60)

    def connection(self, call: Call, chaincode: str) -> Connection:
        own = self._gateways.get(self._identities.organisation(call).name)
        gateway = own or next(iter(self._gateways.values()))
        identity = self._identities.of(call)
        return Connection(gateway, identity, ALL.channel, chaincode, clock_ns=lambda: call.now_ms * MS)

    async def _define(self, agreed: ChaincodeDefinition) -> None:
        arguments = commit_arguments(agreed)
        await asyncio.gather(*(self._approve(one, arguments, agreed.version) for one in self._members))
        await self._administrator(self._members[0]).submit("CommitChaincodeDefinition", arguments)

    async def _approve(self, member: Member, arguments: bytes, version: str) -> None:
        _, package_id = write_package(member, f"{CHAINCODE}_{version}")
        approving = lifecycle_pb2.ApproveChaincodeDefinitionForMyOrgArgs.FromString(arguments)
        approving.source.local_package.package_id = package_id
        proposal = self._administrator(member).proposal(
            "ApproveChaincodeDefinitionForMyOrg", approving.SerializeToString(), organizations=[member.msp_id]
        )
        await (await (await proposal.endorse()).submit()).committed()

    async def _endorsed(self, name: str, member: Member) -> None:
        """By enough: each peer has to hear from the others that they have it."""
        await self._administrator(member).to(name).proposal("members:List", b"{}").endorse()

    def _administrator(self, member: Member) -> Connection:
        identity = member.credentials.signing_identity(member.credentials.user("administrator"))
        return Connection(self._gateways[member.name], identity, ALL.channel, LIFECYCLE)


def _definition() -> ChaincodeDefinition:
    agreed = consortiums.definition(ALL)
    everybody = tuple(one.msp_id for one in ALL.organisations)
    return replace(agreed, collections=tuple(Collection(name, everybody) for name in COLLECTIONS))


@contextlib.asynccontextmanager
async def on_fabric(folder: Path, programs: Path, settings: Settings) -> AsyncIterator[OnFabric]:
    with named_as_in_the_tests(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "write_configs", _write_configs)
        patch.setattr(failover, "EVERYBODY_S_MAX", LAG_S_MAX)
        _prepare(folder, settings)
        try:
            await local.up(folder, programs, lambda step: None)
            members = nodes.members(folder, Topology(organisations=WITH_NODES), settings)
            async with contextlib.AsyncExitStack() as stack:
                peers = {one.name: await stack.enter_async_context(Peer(_endpoint(one))) for one in members}
                gateways = {
                    name: RemoteGateway([peer, *(one for one in peers.values() if one is not peer)])
                    for name, peer in peers.items()
                }
                yield OnFabric(folder, gateways, members)
        finally:
            local.down(folder)


def _endpoint(member: Member) -> Endpoint:
    return Endpoint(member.peer, member.credentials.tls_authority())


def _write_configs(member: Member, builder: Path) -> None:
    """The tests' clock stands where it stands: the peers take proposals of any time."""
    configs.write_configs(member, builder)
    path = member.folder / "peer" / "core.yaml"
    core = json.loads(path.read_text())
    core["peer"]["authentication"]["timewindow"] = ANY_TIME
    path.write_text(json.dumps(core))


def _prepare(folder: Path, settings: Settings) -> None:
    """Credentials of all organisations, a block 0 that knows them, and a topology of those with nodes."""
    nodes.write_settings(folder, settings)
    for one in ALL.organisations:
        Keyring(folder_of(folder, one)).create()
    create(folder, ALL, datetime.datetime.now(datetime.UTC))
    some = Topology(organisations=WITH_NODES)
    block = _with_nodes_deciding(read_genesis_block(folder))
    block = fabric_block(block, nodes.members(folder, some, settings), settings.consensus)
    (folder / GENESIS).write_bytes(block.SerializeToString(deterministic=True))
    (folder / consortiums.TOPOLOGY).write_text(write_topology(some))


def _with_nodes_deciding(block: common_pb2.Block) -> common_pb2.Block:
    """Block 0 in which only organisations with nodes order, and three of their four peers endorse."""
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(block.data.data[0]).payload)
    config = configtx_pb2.ConfigEnvelope.FromString(payload.data)
    groups = config.config.channel_group.groups
    for one in WITHOUT_NODES:
        del groups["Orderer"].groups[one.name]
    endorsing = read_policy(ENDORSEMENT.format(*(one.msp_id for one in WITH_NODES))).SerializeToString()
    for name in ("Endorsement", "LifecycleEndorsement"):
        groups["Application"].policies[name].policy.CopyFrom(
            policies_pb2.Policy(type=policies_pb2.Policy.SIGNATURE, value=endorsing)
        )
    payload.data = config.SerializeToString(deterministic=True)
    envelope = common_pb2.Envelope(payload=payload.SerializeToString())
    return new_block(0, b"", [envelope.SerializeToString()])
