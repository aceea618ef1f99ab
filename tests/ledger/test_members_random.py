"""Members that come, go and change keys at random: codes and quorums against twins that know only who is active."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.chaincode.membership import Standing
from healthchain.ledger import fsck
from healthchain.ledger.quorum import BlockRefused
from healthchain.ledger.recovery import close_ledger

from .chain_builder import CHANNEL, COLLECTION, TOY, Organisation
from .members_chain import VALID, Story, as_member
from .plain_validation import plain_codes

MEMBERS_MAX = 7


def plain_quorum(active: set[int], signers: list[int]) -> bool:
    """More than two thirds of the active must have signed, by Fabric's count: 2f + 1 of 3f + 1."""
    faulty = (len(active) - 1) // 3
    return len(active & set(signers)) * 2 >= len(active) + faulty + 1


def plain_majority(active: set[int], endorsers: list[int]) -> bool:
    return len(active & set(endorsers)) * 2 > len(active)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_codes_and_quorums_are_those_of_the_plain_twins(seed: int) -> None:
    check_random_story(seed)


@pytest.mark.fuzz
def test_codes_and_quorums_are_those_of_the_plain_twins_for_long() -> None:
    for seed in range(500):
        check_random_story(seed)


def check_random_story(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        story = Story.begin(Path(folder) / "peer", chance.randint(1, 4))
        active = set(range(len(story.consortium.organisations)))
        for number in range(chance.randint(2, 6)):
            active = random_block(story, chance, active, number)
        close_ledger(story.ledger)
        assert fsck.check(story.ledger.folder, story.consortium.genesis).findings == [], seed


def random_block(story: Story, chance: random.Random, active: set[int], number: int) -> set[int]:
    """A few writes and a decision, endorsed, ordered and sent by anybody; who is active afterwards."""
    organisations = story.consortium.organisations
    everybody = range(len(organisations))
    puts = [
        story.put(some(chance, everybody), chance.choice(everybody), f"{number} {index}")
        for index in range(chance.randint(1, 3))
    ]
    roots = {organisations[one].msp_id: organisations[one].authority.certificate for one in active}
    expected = plain_codes([one.envelope for one in puts], CHANNEL, roots, {TOY: {COLLECTION}}, set())
    concerned, organisation, standing = random_change(story, chance, active)
    endorsers, signers = some(chance, everybody), some(chance, everybody)
    row = msgspec.structs.replace(as_member(organisation), standing=standing)
    decision = story.decide(endorsers, min(active), **{organisation.msp_id: row})
    if not plain_quorum(active, signers):
        with pytest.raises(BlockRefused):
            story.commit([*puts, decision], signers)
        return active
    found = story.commit([*puts, decision], signers)
    assert found[:-1] == expected
    assert (found[-1] == VALID) == plain_majority(active, endorsers)
    if found[-1] != VALID:
        return active
    organisations[concerned : concerned + 1] = [organisation]
    return active | {concerned} if standing is Standing.ACTIVE else active - {concerned}


def some(chance: random.Random, everybody: range) -> list[int]:
    return chance.sample(everybody, chance.randint(max(0, len(everybody) - 3), len(everybody)))


def random_change(story: Story, chance: random.Random, active: set[int]) -> tuple[int, Organisation, Standing]:
    """Of whom, with which certificates; never of the last one that is active, so that the story goes on."""
    organisations = story.consortium.organisations
    concerned = chance.randint(0, min(len(organisations), MEMBERS_MAX - 1))
    if concerned == len(organisations):
        return concerned, Organisation.create(f"Org{concerned}"), Standing.ACTIVE
    organisation = organisations[concerned]
    if chance.random() < 0.3:
        organisation = Organisation.create(f"Org{concerned}")
    standing = Standing.ACTIVE if active == {concerned} else chance.choice(list(Standing))
    return concerned, organisation, standing
