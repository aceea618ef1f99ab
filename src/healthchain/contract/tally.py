"""Whether votes decide a proposal: enough members overall, and enough of each kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from healthchain.contract.ids import Kind
from healthchain.contract.policies import DecisionRule


def decided(rule: DecisionRule, eligible: Mapping[str, Kind], votes: Mapping[str, bool]) -> bool | None:
    """True: it has passed. False: it can no longer pass. None: it is open.

    Members by MSP id. Votes of members that are not eligible, or no longer, count for nothing.
    """
    in_favour = [one for one in eligible if votes.get(one)]
    not_against = [one for one in eligible if votes.get(one, True)]
    if _suffice(rule, eligible, in_favour):
        return True
    return None if _suffice(rule, eligible, not_against) else False


def _suffice(rule: DecisionRule, eligible: Mapping[str, Kind], members: Collection[str]) -> bool:
    """Whether these members' votes would be enough. Where a kind has fewer than the rule asks for, all of it is."""
    if len(members) < rule.share.of(len(eligible)):
        return False
    for kind in Kind:
        there_are = sum(one is kind for one in eligible.values())
        if sum(eligible[one] is kind for one in members) < min(rule.of_kind(kind), there_are):
            return False
    return True
