"""Whether the nodes' clocks and this machine's agree.

A peer names its time when it refuses a proposal of 1970. An orderer does not: it is asked for a block with two times,
one at each end of the window in which it accepts any (orderer.yaml, `General.Authentication.TimeWindow`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from healthchain.app.doctor.findings import Code, Finding
from healthchain.client.asking import Node

OFF_S_MAX = 60.0
WINDOW_S = 15 * 60.0
HERE = "this machine"
ACCEPTED, BAD_REQUEST = 200, 400


@dataclass(frozen=True, slots=True)
class PeerClock:
    """`ahead_s`: of this machine's clock; to the second."""

    organisation: str
    ahead_s: float


@dataclass(frozen=True, slots=True)
class OrdererClock:
    """Which of three times the orderer accepted: this machine's, the earliest and the latest that it should."""

    organisation: str
    now: bool
    early: bool
    late: bool


async def ask_peer(organisation: str, node: Node, clock_ns: Callable[[], int]) -> PeerClock | None:
    """None if it does not tell. Raises NodeSilent or NodeRefuses."""
    before_s = clock_ns() / 1e9
    told = await node.peer_time()
    after_s = clock_ns() / 1e9
    if told is None:
        return None
    # It names whole seconds, cut off.
    return PeerClock(organisation, told.timestamp() + 0.5 - (before_s + after_s) / 2)


async def ask_orderer(organisation: str, node: Node, channel: str, clock_ns: Callable[[], int]) -> OrdererClock:
    """Raises NodeSilent or NodeRefuses."""

    async def accepts(seconds: float) -> bool:
        return await node.deliver_status(channel, clock_ns() + int(seconds * 1e9)) != BAD_REQUEST

    reach_s = WINDOW_S - OFF_S_MAX
    return OrdererClock(organisation, await accepts(0), await accepts(-reach_s), await accepts(reach_s))


def judge(peers: Sequence[PeerClock], orderers: Sequence[OrdererClock]) -> list[Finding]:
    """Where most peers agree against this machine, it is this machine's clock that is off."""
    common_s = _agreed([one.ahead_s for one in peers])
    here = abs(common_s) > OFF_S_MAX
    found = [Finding(Code.CLOCK_OFF, "", HERE, f"its clock is {_shown(-common_s)} the peers'")] if here else []
    for one in peers:
        if abs(one.ahead_s - common_s) > OFF_S_MAX:
            what = f"its clock is {_shown(one.ahead_s)} this machine's"
            found.append(Finding(Code.CLOCK_OFF, one.organisation, "peer", what))
    if not here:
        found += [
            Finding(Code.CLOCK_OFF, one.organisation, "orderer", f"its clock is {how} this machine's")
            for one in orderers
            if (how := _told(one))
        ]
    return found


def _agreed(ahead_s: Sequence[float]) -> float:
    """By how much most of two or more peers are ahead; 0 where they do not agree among themselves."""
    common_s = median(ahead_s) if len(ahead_s) > 1 else 0.0
    agree = sum(abs(one - common_s) <= OFF_S_MAX for one in ahead_s)
    return common_s if 2 * agree > len(ahead_s) else 0.0


def _told(one: OrdererClock) -> str:
    """Empty if it accepts both ends; one of another window tells by the end that it refuses alone."""
    if not one.now:
        return f"{_duration(WINDOW_S)} or more from"
    if one.early == one.late:
        return ""
    return f"{_duration(OFF_S_MAX)} or more {'ahead of' if one.late else 'behind'}"


def _shown(ahead_s: float) -> str:
    return f"{_duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'}"


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
