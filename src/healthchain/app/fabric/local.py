"""A consortium on a real Fabric network: made, started, stopped, looked at. Its ledgers are those of Fabric's peers."""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from healthchain.app.consortium import (
    ADMINISTRATOR,
    TOPOLOGY,
    Consortium,
    FolderTaken,
    definition,
    opened,
    stored_topology,
)
from healthchain.client.errors import EndorseFailed, EvaluateFailed
from healthchain.config import CHAINCODE, Topology, write_topology
from healthchain.errors import BadInput, Refused
from healthchain.fabric import deploying, nodes, processes
from healthchain.fabric.approving import Approval
from healthchain.fabric.channel import fabric_block
from healthchain.fabric.configs import write_configs
from healthchain.fabric.hosts import host_and_port
from healthchain.fabric.nodes import Member, Settings
from healthchain.fabric.package import write_builder, write_package
from healthchain.fabric.tools import LOGGING, Tools, eventually
from healthchain.identity.folders import write_private
from healthchain.network.provision import GENESIS, create, organisation_folder, read_genesis_block
from healthchain.records.keyring import Keyring
from healthchain.wire.channel import read_organizations
from healthchain.wire.lifecycle import ChaincodeDefinition

GOSSIP_S_MAX, CONNECT_S_MAX = 60.0, 1.0
ORDERER, PEER, SERVICE = "orderer", "peer", "chaincode"
NODES = (PEER, SERVICE, ORDERER)  # in the order in which they end
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    organisation: str
    node: str
    address: str
    running: bool


def init(folder: Path, topology: Topology, settings: Settings) -> None:
    """Credentials, keys and block 0. Raises BadInput."""
    nodes.require_possible(topology, settings)
    if folder.exists() and any(folder.iterdir()):
        raise FolderTaken("the folder is not empty: choose an empty one, or one that does not exist yet")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(folder / TOPOLOGY, write_topology(topology).encode())
    nodes.write_settings(folder, settings)
    for one in topology.organisations:
        Keyring(organisation_folder(folder, topology, one.name)).create()
    create(folder, topology, datetime.datetime.now(datetime.UTC))
    block = fabric_block(read_genesis_block(folder), nodes.members(folder, topology, settings), settings.consensus)
    write_private(folder / GENESIS, block.SerializeToString(deterministic=True))


async def up(folder: Path, programs: Path, say: Say) -> None:
    """Start what does not run, deploy what is not deployed, found the consortium if nobody did.

    Raises BadInput, or FabricFailed, which names a process that did not stay.
    """
    nodes.require_programs(programs)
    folder, programs = nodes.absolute(folder), nodes.absolute(programs)
    _require_free_ports(folder)
    try:
        await _up(folder, programs, say)
    except nodes.FabricFailed as failed:
        gone = [f"{one.name}'s {node}" for one in _members(folder) for node in NODES if _has_ended(one, node)]
        if not gone:
            raise
        log = folder / nodes.FOLDER / "ORGANISATION" / "NODE.log"
        raise nodes.FabricFailed(f"does not run: {', '.join(gone)}; see {log} ({failed})") from None


async def _up(folder: Path, programs: Path, say: Say) -> None:
    settings, topology = nodes.read_settings(folder), stored_topology(folder)
    nodes.require_all_here(settings)
    members = nodes.members(folder, topology, settings)
    builder = write_builder(folder / nodes.FOLDER / "builder")
    for one in members:
        write_configs(one, builder)
        _start(one, ORDERER, [str(programs / "orderer")])
        start_peer(one, programs)
    say(f"{len(members)} orderers ({settings.consensus}) and {len(members)} peers started")
    newest = folder / nodes.FOLDER / nodes.CHANNEL_BLOCK
    first_block = folder / GENESIS
    await deploying.join(programs, members, topology.channel, first_block, newest if newest.exists() else first_block)
    say(f"all joined the channel {topology.channel}")
    async with opened(folder) as consortium:
        agreed = await _agreed(consortium, programs, members)
        say(f"the contract is installed, approved and committed: version {agreed.version}, sequence {agreed.sequence}")
        founders = [one for one in topology.organisations if one.name in _founders(folder)]
        await eventually(partial(consortium.establish, founders), EndorseFailed, seconds_max=GOSSIP_S_MAX)
        for member in members:
            await knows_others(consortium, member.name)
    say("the consortium is founded, and every peer knows the others")


async def _agreed(consortium: Consortium, programs: Path, members: Sequence[Member]) -> ChaincodeDefinition:
    """Installed everywhere; the definition that names these members is committed, with the next sequence number."""
    agreed = definition(consortium.topology)
    package_ids = await asyncio.gather(*(_install(programs, one, f"{CHAINCODE}_{agreed.version}") for one in members))
    asking = consortium.connection(members[0].name, ADMINISTRATOR, CHAINCODE)
    before = await eventually(partial(deploying.in_force, asking, CHAINCODE), EvaluateFailed)
    following = replace(agreed, sequence=before.sequence) if before else agreed
    channel, collections = consortium.topology.channel, consortium.folder / nodes.FOLDER / "collections.json"
    deploying.write_collections(collections, following)
    if following != before:
        following = replace(agreed, sequence=before.sequence + 1 if before else 1)
        await deploying.agree(programs, members, channel, following, package_ids, collections)
        return following
    for one, package_id in zip(members, package_ids, strict=True):  # another one with a new certificate
        await Approval(Tools(programs, one), one, channel, following, collections).approve(package_id)
    return following


def _founders(folder: Path) -> set[str]:
    """Names of the members in block 0: who came later is licensed by the agency, not by being started."""
    return {one.name for one in read_organizations(read_genesis_block(folder))}


def down(folder: Path) -> int:
    """How many processes of this network ended. Raises BadInput."""
    members = _members(folder)
    return processes.stop([_pid_file(one, node) for node in NODES for one in members])


def end(folder: Path, organisation: str) -> int:
    """How many processes of this organisation ended. Raises BadInput."""
    listed = nodes.members(folder, stored_topology(folder), nodes.read_settings(folder))
    return processes.stop([_pid_file(one, node) for node in NODES for one in listed if one.name == organisation])


def status(folder: Path) -> list[NodeStatus]:
    """Raises BadInput."""
    return [
        NodeStatus(one.name, node, address, processes.running(_pid_file(one, node)) is not None)
        for one in _members(folder)
        for node, address in ((PEER, one.peer), (ORDERER, one.orderer), (SERVICE, one.chaincode))
    ]


def _members(folder: Path) -> list[Member]:
    """Raises BadInput."""
    settings = nodes.read_settings(folder)
    nodes.require_all_here(settings)
    return nodes.members(folder, stored_topology(folder), settings)


def _require_free_ports(folder: Path) -> None:
    """Of nodes that do not run yet. Raises BadInput, which names what is taken."""
    for one in _members(folder):
        for node, addresses in (
            (PEER, (one.peer, one.nodes.callback)),
            (ORDERER, (one.orderer, one.orderer_admin)),
            (SERVICE, (one.chaincode,)),
        ):
            if processes.running(_pid_file(one, node)) is not None:
                continue
            for address in filter(_listens, addresses):
                raise BadInput(
                    f"{address}, which {one.name}'s {node} needs, is taken: end what listens there, or make the network"
                    " in a new folder with another --base-port"
                )


def _listens(address: str) -> bool:
    """Whether somebody takes connections at this HOST:PORT of this machine."""
    with suppress(OSError), socket.create_connection(host_and_port(address), timeout=CONNECT_S_MAX):
        return True
    return False


def _has_ended(member: Member, node: str) -> bool:
    """Whether it was started, and does not run any more."""
    pid_file = _pid_file(member, node)
    return pid_file.exists() and processes.running(pid_file) is None


async def knows_others(consortium: Consortium, organisation: str) -> None:
    """Wait until its peer finds enough endorsers, as one that was just started does not. Raises EndorseFailed."""
    await eventually(partial(_endorsed, consortium, organisation), EndorseFailed, seconds_max=GOSSIP_S_MAX)


async def _endorsed(consortium: Consortium, organisation: str) -> None:
    """Endorsed as the policy asks, and not submitted."""
    administrator = consortium.staff(organisation, ADMINISTRATOR)
    with suppress(Refused):  # of a member that was suspended
        await administrator.connection.proposal("members:List", b"{}").endorse()


async def _install(programs: Path, member: Member, label: str) -> str:
    """The package, and the service that it leads to."""
    package, package_id = write_package(member, label)
    await deploying.install(programs, member, package, package_id)
    tls = member.credentials.peer / "tls"
    options = {
        "--address": member.chaincode,
        "--package-id": package_id,
        "--tls-cert": str(tls / "server.crt"),
        "--tls-key": str(tls / "server.key"),
        "--tls-client-ca": str(tls / "ca.crt"),
    }
    serve = [sys.executable, "-m", "healthchain.cli", "chaincode", "serve"]
    _start(member, SERVICE, [*serve, *(part for option in options.items() for part in option)])
    return package_id


def start_peer(member: Member, programs: Path) -> None:
    """Unless it runs."""
    _start(member, PEER, [str(programs / "peer"), "node", "start"])


def stop_peer(member: Member) -> None:
    processes.stop([_pid_file(member, PEER)])


def _start(member: Member, node: str, arguments: list[str]) -> None:
    kept = {name: value for name in ("PATH", "HOME", "PYTHONPATH") if (value := os.environ.get(name))}
    environment = {**kept, "FABRIC_CFG_PATH": str(member.folder / node), **LOGGING}
    runs_in = member.folder / node if node in (ORDERER, PEER) else member.folder
    processes.start(_pid_file(member, node), member.folder / f"{node}.log", arguments, environment, runs_in)


def _pid_file(member: Member, node: str) -> Path:
    return member.folder / f"{node}.pid"
