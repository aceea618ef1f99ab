"""From started nodes to an agreed contract: all join, each organisation installs and approves, one commits.

Each step looks first at what is done already, so that all of it may be repeated.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from healthchain.client.errors import EvaluateFailed
from healthchain.client.gateway import Connection
from healthchain.fabric.approving import Approval
from healthchain.fabric.nodes import FabricFailed, Member
from healthchain.fabric.tools import Tools, eventually
from healthchain.wire.lifecycle import (
    LIFECYCLE,
    PUSHED_TO_PEERS,
    ChaincodeDefinition,
    Collection,
    queried_definition,
    query_arguments,
)

LEADER_S_MAX = 45.0  # until orderers that were just started have one
JOINED = "Status: 20"  # osnadmin's, for HTTP 200 and 201


async def join(programs: Path, members: Sequence[Member], channel: str, block: Path, newest: Path) -> None:
    """`block` is block 0, from which a peer starts; an orderer starts from the newest one with a configuration.

    Raises FabricFailed.
    """
    await asyncio.gather(*(_join_orderer(Tools(programs, one), channel, newest) for one in members))
    await asyncio.gather(*(_join_peer(Tools(programs, one), channel, block) for one in members))


async def _join_orderer(tools: Tools, channel: str, block: Path) -> None:
    async def joined() -> str:
        told = await tools.osnadmin("channel", "list", "--channelID", channel)
        if JOINED not in told:
            told = await tools.osnadmin("channel", "join", "--channelID", channel, "--config-block", str(block))
        if JOINED not in told:
            raise FabricFailed(f"an orderer does not join the channel: {told.strip()}")
        return told

    await eventually(joined)


async def _join_peer(tools: Tools, channel: str, block: Path) -> None:
    listed = await eventually(lambda: tools.peer("channel", "list"))
    if channel not in listed.split():
        await tools.peer("channel", "join", "-b", str(block))


async def install(programs: Path, member: Member, package: Path, package_id: str) -> None:
    tools = Tools(programs, member)
    if package_id not in await tools.peer("lifecycle", "chaincode", "queryinstalled"):
        await tools.peer("lifecycle", "chaincode", "install", str(package))


async def agree(
    programs: Path,
    members: Sequence[Member],
    channel: str,
    definition: ChaincodeDefinition,
    package_ids: Sequence[str],
    collections: Path,
) -> None:
    """Approve for each organisation that has not, and commit; `collections` is as `write_collections` leaves it.

    Raises FabricFailed.
    """
    agreeing = [
        Approval(Tools(programs, one), one, channel, definition, collections, through=members[0]) for one in members
    ]
    for one, package_id in zip(agreeing, package_ids, strict=True):
        await one.approve(package_id, LEADER_S_MAX)
    await agreeing[0].commit(members)


async def in_force(connection: Connection, chaincode: str) -> ChaincodeDefinition | None:
    """As the peer that is asked has it; None where there is none. Raises EvaluateFailed."""
    try:
        answer = await connection.to(LIFECYCLE).evaluate("QueryChaincodeDefinition", query_arguments(chaincode))
    except EvaluateFailed as failed:
        if "is not defined" in str(failed):
            return None
        raise
    return queried_definition(chaincode, answer)


def write_collections(path: Path, definition: ChaincodeDefinition) -> None:
    path.write_text(json.dumps([_described(one) for one in definition.collections], indent=1))


def _described(collection: Collection) -> dict[str, object]:
    """As `wire.lifecycle.collection_package` encodes it."""
    return {
        "name": collection.name,
        "policy": f"OR({', '.join(repr(f'{one}.member') for one in collection.member_msp_ids)})",
        "requiredPeerCount": 0,
        "maxPeerCount": PUSHED_TO_PEERS,
        "blockToLive": 0,
        "memberOnlyRead": True,
        "memberOnlyWrite": True,
    }
