"""An organisation's steps to a running network on several machines; whoever comes last commits, and founds.

Each step looks first at what is done already: the command is run again until it says that nothing is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from healthchain.app.consortium import ADMINISTRATOR, Consortium, definition, opened
from healthchain.app.fabric.machines.enrolling import own_network, packaged
from healthchain.client.errors import EndorseFailed, EvaluateFailed
from healthchain.config import CHAINCODE
from healthchain.errors import BadInput
from healthchain.fabric import deploying, nodes
from healthchain.fabric.approving import Approval, NotOrdered
from healthchain.fabric.nodes import FabricFailed, Member
from healthchain.fabric.tools import Tools, eventually
from healthchain.network.provision import GENESIS
from healthchain.wire.lifecycle import ChaincodeDefinition

PROGRAMS = ("peer", "osnadmin")
COLLECTIONS = "collections.json"
GOSSIP_S_MAX = 60.0
Say = Callable[[str], None]


class Stage(StrEnum):
    """How far a network has come, seen from one organisation."""

    JOINED = "joined"  # too few orderers have
    APPROVED = "approved"  # not everybody has
    FOUNDED = "founded"


@dataclass(frozen=True, slots=True)
class Deployed:
    stage: Stage
    waiting_for: tuple[str, ...] = ()


async def deploy(folder: Path, programs: Path, say: Say) -> Deployed:
    """Join, install, approve; commit and found once everybody has approved.

    Raises BadInput, or FabricFailed with what one of Fabric's programs said.
    """
    nodes.require_programs(programs, PROGRAMS)
    folder, programs = nodes.absolute(folder), nodes.absolute(programs)
    topology, settings = own_network(folder)
    block = folder / GENESIS
    if not block.exists():
        raise BadInput("there is no block 0 here yet: run `healthchain fabric assemble` first")
    members = nodes.members(folder, topology, settings)
    own = next(one for one in members if one.name == settings.organisation)
    newest = folder / nodes.CHANNEL_BLOCK_FILE
    await deploying.join(programs, [own], topology.channel, block, newest if newest.exists() else block)
    say(f"the orderer and the peer of {own.name} are in the channel {topology.channel}")
    package, package_id = packaged(own)
    await deploying.install(programs, own, package, package_id)
    async with opened(folder) as consortium:
        agreed, committed = await _next_definition(consortium, own)
        collections = folder / nodes.FOLDER / COLLECTIONS
        deploying.write_collections(collections, agreed)
        approval = Approval(Tools(programs, own), own, topology.channel, agreed, collections)
        try:
            await approval.approve(package_id)
        except NotOrdered:
            return Deployed(Stage.JOINED)
        say(f"{own.name} approves the contract: version {agreed.version}, sequence {agreed.sequence}")
        lacking = [] if committed else await approval.lacking()
        if lacking:
            return Deployed(Stage.APPROVED, tuple(one.name for one in members if one.msp_id in lacking))
        if not committed:
            await _commit(approval, consortium, members)
        say("the contract is committed")
        found = partial(consortium.list_members, own.name, topology.organisations)
        await eventually(found, EndorseFailed, seconds_max=GOSSIP_S_MAX)
    say("the consortium is founded")
    return Deployed(Stage.FOUNDED)


async def _next_definition(consortium: Consortium, own: Member) -> tuple[ChaincodeDefinition, bool]:
    """What this program's contract asks for, and whether it is in force; if not, its sequence number is the next."""
    asking = consortium.connection(own.name, ADMINISTRATOR, CHAINCODE)
    before = await eventually(partial(deploying.in_force, asking, CHAINCODE), EvaluateFailed)
    agreed = definition(consortium.topology)
    if before is None:
        return agreed, False
    same = replace(agreed, sequence=before.sequence)
    return (same, True) if same == before else (replace(agreed, sequence=before.sequence + 1), False)


async def _commit(approval: Approval, consortium: Consortium, members: Sequence[Member]) -> None:
    """Another organisation may do so at the same time: then that one has."""
    try:
        await approval.commit(members)
    except FabricFailed:
        await asyncio.sleep(1)  # until the other one's block is here
        _, committed = await _next_definition(consortium, approval.own)
        if not committed:
            raise
