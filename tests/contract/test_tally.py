"""When votes decide, in a consortium of several members of a kind; compared with counting all ways it could go on."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthchain.contract.ids import Kind
from healthchain.contract.policies import DecisionRule, Share
from healthchain.contract.tally import decided

SEVEN = dict.fromkeys("hijk", Kind.HOSPITAL) | dict.fromkeys("xy", Kind.INSURER) | {"a": Kind.AGENCY}


def votes(in_favour: str, against: str = "") -> dict[str, bool]:
    return dict.fromkeys(in_favour, True) | dict.fromkeys(against, False)


@pytest.mark.parametrize(
    ("rule", "cast", "expected"),
    [
        (DecisionRule(), votes("hxa"), None),  # one of each kind, but three of seven
        (DecisionRule(), votes("hixa"), True),
        (DecisionRule(), votes("hijk"), None),  # a majority, but hospitals only
        (DecisionRule(), votes("hijk", "a"), False),
        (DecisionRule(), votes("hijk", "x"), None),
        (DecisionRule(), votes("hijk", "xy"), False),
        (DecisionRule(), votes("", "hijk"), False),
        (DecisionRule(Share.TWO_THIRDS), votes("hixa"), None),
        (DecisionRule(Share.TWO_THIRDS), votes("hijxa"), True),
        (DecisionRule(Share.TWO_THIRDS), votes("", "hij"), False),
        (DecisionRule(Share.ALL), votes("hijkxy"), None),
        (DecisionRule(Share.ALL), votes("hijkxya"), True),
        (DecisionRule(Share.ALL), votes("", "k"), False),
        (DecisionRule(hospitals=3, agencies=5), votes("hixa"), None),
        (DecisionRule(hospitals=3, agencies=5), votes("hijxa"), True),  # five agencies are all that there are
        (DecisionRule(hospitals=0, insurers=0, agencies=0), votes("hijk"), True),
        (DecisionRule(), votes("hixz"), None),  # z is no member
    ],
)
def test_decided(rule: DecisionRule, cast: dict[str, bool], expected: bool | None) -> None:
    assert decided(rule, SEVEN, cast) is expected


SHARES = {Share.MAJORITY: (1, 2, 2, 3, 3, 4), Share.TWO_THIRDS: (1, 2, 2, 3, 4, 4), Share.ALL: (1, 2, 3, 4, 5, 6)}


@pytest.mark.parametrize("share", SHARES)
def test_a_share_of_one_to_six_members(share: Share) -> None:
    assert tuple(share.of(members) for members in range(1, 7)) == SHARES[share]


@given(
    rule=st.builds(DecisionRule, st.sampled_from(Share), *[st.integers(0, 3)] * 3),
    kinds=st.lists(st.sampled_from(Kind), min_size=1, max_size=6),
    cast=st.lists(st.none() | st.booleans(), min_size=6, max_size=6),
)
def test_open_means_that_it_could_end_either_way(
    rule: DecisionRule, kinds: list[Kind], cast: list[bool | None]
) -> None:
    eligible = {str(number): kind for number, kind in enumerate(kinds)}
    so_far = {str(number): one for number, one in enumerate(cast) if one is not None}
    silent = [one for one in eligible if one not in so_far]
    ends = {
        decided(rule, eligible, so_far | dict(zip(silent, rest, strict=True)))
        for rest in product((True, False), repeat=len(silent))
    }
    assert None not in ends
    if ends == {False}:
        assert decided(rule, eligible, so_far) is False
    elif ends == {True}:
        assert decided(rule, eligible, so_far) is True
    else:
        assert decided(rule, eligible, so_far) is None
