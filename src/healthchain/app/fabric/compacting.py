"""Erased on Fabric is gone from its files too: what the peers' LevelDB still holds, and making it let go of it.

A peer that is started merges its files (`fabric.leveldb.database`). So one peer after another is stopped and started,
while the others go on. What Fabric's transient store keeps of transactions that nobody submitted is not erased data: it
is counted, and Fabric drops it after `transientstoreMaxBlockRetention` blocks.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from healthchain.app.consortium import Consortium, opened, stored_topology
from healthchain.app.fabric import local
from healthchain.errors import BadInput
from healthchain.fabric import nodes
from healthchain.fabric.leveldb.database import Changing
from healthchain.fabric.nodes import FabricFailed, Member
from healthchain.fabric.tools import Tools, eventually
from healthchain.fabric.traces import Traces, merge_at_next_start, traces

CAUGHT_UP_S_MAX, PURGED_S_MAX, MERGED_S_MAX = 120.0, 60.0, 600.0
_HEIGHT = re.compile(r'"height":(\d+)')


@dataclass(frozen=True, slots=True)
class OnDisk:
    """How many private values are in the files of this organisation's peer: see `fabric.traces.Traces`."""

    organisation: str
    dead: int
    marked: int
    waiting: int

    @property
    def clean(self) -> bool:
        """Whether all that was purged is gone."""
        return not self.dead and not self.marked


@dataclass(frozen=True, slots=True)
class Compacted:
    """`dead` is how many values its files hold no more, `seconds` how long its peer was away."""

    organisation: str
    dead: int
    seconds: float


def on_disk(folder: Path, organisations: Sequence[str] = ()) -> list[OnDisk]:
    """Of these organisations, or of all whose peers have their ledgers in this folder. Raises BadInput."""
    found = []
    for one in _members(folder, organisations):
        here = traces(one.ledger)
        found.append(OnDisk(one.name, len(here.dead), here.marked, len(here.waiting)))
    return found


def runs_all_peers(folder: Path) -> bool:
    """Whether all are processes of this folder's network. Raises BadInput."""
    return not nodes.read_settings(folder).organisation


def prepare(folder: Path, organisations: Sequence[str] = ()) -> list[str]:
    """For peers that others stop and start: they have to be stopped now. Whose they are. Raises BadInput."""
    members = _members(folder, organisations)
    if not members:
        raise BadInput("no peer has a ledger in this folder: there is nothing to compact")
    for one in members:
        merge_at_next_start(one.ledger)
    return [one.name for one in members]


async def compact(folder: Path, programs: Path, say: local.Say, organisations: Sequence[str] = ()) -> list[Compacted]:
    """Until no peer's files hold what is purged by now; peers with nothing of it are left alone.

    Raises BadInput, and FabricFailed for a peer that does not get there.
    """
    nodes.require_programs(programs)
    nodes.require_all_here(nodes.read_settings(folder))
    members, programs = _members(folder, organisations), nodes.absolute(programs)
    done = []
    async with opened(folder) as consortium:
        height = await _highest(folder, programs, consortium)
        for one in members:
            compacted = await _compact(one, programs, consortium, height)
            say(f"{one.name}: {compacted.dead} values removed from its peer's files")
            done.append(compacted)
    return done


async def _compact(member: Member, programs: Path, consortium: Consortium, height: int) -> Compacted:
    channel = consortium.topology.channel
    local.start_peer(member, programs)
    await eventually(partial(_reached, member, programs, channel, height), seconds_max=CAUGHT_UP_S_MAX)
    before = await eventually(partial(_purged, member), seconds_max=PURGED_S_MAX)
    if not before.dead:
        return Compacted(member.name, 0, 0.0)
    stopped = time.monotonic()
    local.stop_peer(member)
    try:
        merge_at_next_start(member.ledger)
    finally:
        local.start_peer(member, programs)
    await eventually(partial(_reached, member, programs, channel, height), seconds_max=CAUGHT_UP_S_MAX)
    await local.knows_others(consortium, member.name)
    seconds = time.monotonic() - stopped
    await eventually(partial(_gone, member, before.dead), seconds_max=MERGED_S_MAX)
    return Compacted(member.name, len(before.dead), round(seconds, 3))


async def _highest(folder: Path, programs: Path, consortium: Consortium) -> int:
    """The height of the peer that is furthest: what it has purged, the others have to. Raises FabricFailed."""
    channel, heights, failed = consortium.topology.channel, [], FabricFailed("no peer runs: `healthchain fabric up`")
    for one in _members(folder, ()):
        try:
            heights.append(await _height(one, programs, channel))
        except FabricFailed as failure:
            failed = failure
    if not heights:
        raise failed
    return max(heights)


async def _reached(member: Member, programs: Path, channel: str, height: int) -> None:
    if (there := await _height(member, programs, channel)) < height:
        raise FabricFailed(f"{member.name}'s peer has {there} of {height} blocks: see its log, and try again")


async def _height(member: Member, programs: Path, channel: str) -> int:
    told = await Tools(programs, member).peer("channel", "getinfo", "-c", channel)
    found = _HEIGHT.search(told)
    if found is None:
        raise FabricFailed(f"{member.name}'s peer does not tell how many blocks it has")
    return int(found[1])


async def _purged(member: Member) -> Traces:
    """The private data store deletes beside the blocks."""
    found = await _traces(member)
    if found.marked:
        raise FabricFailed(f"{member.name}'s peer has {found.marked} keys still to purge: see its log, and try again")
    return found


async def _gone(member: Member, dead: frozenset[bytes]) -> None:
    """What was purged since is none of this."""
    left = len(dead & (await _traces(member)).dead)
    if left:
        raise FabricFailed(f"{member.name}'s peer still has {left} erased values in its files: see its log, try again")


async def _traces(member: Member) -> Traces:
    try:
        return await asyncio.to_thread(traces, member.ledger)
    except Changing as changing:
        raise FabricFailed(f"{member.name}: {changing}") from None


def _members(folder: Path, organisations: Sequence[str]) -> list[Member]:
    """Raises BadInput for a name that is none, or whose peer has its ledger elsewhere."""
    settings, topology = nodes.read_settings(folder), stored_topology(folder)
    for name in organisations:
        topology.organisation(name)
    wanted = [
        one for one in nodes.members(folder, topology, settings) if not organisations or one.name in organisations
    ]
    here = [one for one in wanted if one.ledger.is_dir()]
    if organisations and len(here) < len(wanted):
        raise BadInput("an organisation's peer has no ledger in this folder: name one whose peer runs here")
    return here
