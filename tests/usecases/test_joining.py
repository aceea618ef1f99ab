"""Members that come later and members that are suspended, with real records: who joins reads what it is granted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from healthchain.app.consortium import ADMINISTRATOR, CLINICIAN, LICENSED_MS, Consortium, stored_topology
from healthchain.app.joining import join, prepare_organisation
from healthchain.config import DEFAULT, Organisation
from healthchain.contract.amendments import AddMember, Amendment, RemoveMember, ResumeMember, SuspendMember
from healthchain.contract.governance import ProposalStatus
from healthchain.errors import BadInput
from healthchain.records import consenting, governing, licensing
from healthchain.records.actor import now_ms

from .bundles import simple
from .consortium import (
    AGENCY,
    CLINIC,
    HOSPITAL,
    INSURER,
    assert_clean,
    assert_equal_peers,
    clinician,
    code,
    consent,
    content,
    imported,
    read,
    within,
)

THREE = (HOSPITAL, INSURER, AGENCY)
CHILDREN = Organisation("childrens-hospital", "hospital", "Children's Hospital")


async def decide(consortium: Consortium, change: Amendment, voters: Sequence[str]) -> None:
    """Proposed by the first of these organisations; the last vote enacts it."""
    proposal = await governing.propose(consortium.staff(voters[0], ADMINISTRATOR), change)
    for name in voters:
        outcome = await governing.vote(consortium.staff(name, ADMINISTRATOR), proposal, in_favour=True)
    assert outcome.status is ProposalStatus.ENACTED


def prepared(folder: Path) -> AddMember:
    return prepare_organisation(folder, stored_topology(folder), CHILDREN)


def test_a_hospital_joins_and_reads_what_was_written_before(folder: Path) -> None:
    first, second = simple(3), simple(2, patient=1)
    change = prepared(folder)
    patients = []

    async def before(consortium: Consortium) -> None:
        patients.append((await imported(consortium, first)).patient)
        await decide(consortium, change, THREE)
        assert consortium.network.channel.majority == 3, "of five"
        await decide(consortium, SuspendMember(DEFAULT.organisation(CLINIC).msp_id), THREE)

    async def after(consortium: Consortium) -> None:
        assert_equal_peers(consortium)
        officer = consortium.staff(AGENCY, ADMINISTRATOR)
        for holder in (CHILDREN.msp_id, f"{CHILDREN.msp_id}/{CLINICIAN}"):
            await licensing.license_holder(officer, holder, now_ms(), now_ms() + LICENSED_MS)
        newcomer = clinician(consortium, CHILDREN.name)
        decision = consent(consortium, CHILDREN.name)
        await consenting.grant(consortium.patient(patients[0]), decision)
        assert await read(newcomer, patients[0]) == content(first)
        own = await imported(consortium, second, CHILDREN.name)
        assert await read(newcomer, own.patient) == content(second)
        assert_equal_peers(consortium)

    within(folder, before)
    asyncio.run(join(folder, CHILDREN))
    assert stored_topology(folder).organisations == (*DEFAULT.organisations, CHILDREN)
    within(folder, after)
    assert_clean(folder)


def test_a_suspended_hospital_is_refused_and_what_it_wrote_stays(folder: Path) -> None:
    bundle = simple(2)

    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, bundle)).patient
        await consenting.grant(consortium.patient(patient), consent(consortium))
        await decide(consortium, SuspendMember(DEFAULT.organisation(CLINIC).msp_id), THREE)
        assert await code(read(clinician(consortium, CLINIC), patient)) == "MEMBER_SUSPENDED"
        assert await code(imported(consortium, simple(1, patient=1), CLINIC)) == "MEMBER_SUSPENDED"
        assert await read(clinician(consortium), patient) == content(bundle)
        await decide(consortium, ResumeMember(DEFAULT.organisation(CLINIC).msp_id), THREE)
        assert await read(clinician(consortium, CLINIC), patient) == content(bundle)
        await decide(consortium, RemoveMember(DEFAULT.organisation(HOSPITAL).msp_id), (CLINIC, INSURER, AGENCY))
        assert await code(read(clinician(consortium), patient)) == "MEMBER_REMOVED"
        assert_equal_peers(consortium)

    within(folder, work)
    assert_clean(folder)


def test_joining_needs_the_members_decision_and_can_be_repeated(folder: Path) -> None:
    with pytest.raises(BadInput, match="wait for their votes"):
        asyncio.run(join(folder, CHILDREN))
    change = prepared(folder)
    assert prepared(folder) == change, "what was prepared before may be in a proposal"
    with pytest.raises(BadInput, match="wait for their votes"):
        asyncio.run(join(folder, CHILDREN))
    assert stored_topology(folder) == DEFAULT

    async def work(consortium: Consortium) -> None:
        await decide(consortium, change, THREE)

    within(folder, work)
    for _ in range(2):
        asyncio.run(join(folder, CHILDREN))
    assert_clean(folder)


@pytest.mark.parametrize("name", [HOSPITAL, "abcdefghijklmnopqrs"])
def test_a_name_that_is_taken_or_of_a_pseudonyms_length_is_not_prepared(folder: Path, name: str) -> None:
    with pytest.raises(BadInput):
        prepare_organisation(folder, DEFAULT, msgspec.structs.replace(CHILDREN, name=name))
    assert not (folder / "organizations" / "peerOrganizations" / CHILDREN.domain).exists()
