"""Members that come later and members that are suspended, with real records: who joins reads what it is granted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from healthchain.app.consortium import CLINICIAN, LICENSED_MS, Consortium, stored_topology
from healthchain.app.joining import Joining, join, prepare_organisation
from healthchain.chaincode.membership import Standing
from healthchain.config import DEFAULT, Organisation
from healthchain.errors import BadInput
from healthchain.records import consenting, licensing
from healthchain.records.actor import now_ms

from .bundles import simple
from .consortium import (
    AGENCY,
    CLINIC,
    HOSPITAL,
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
from .governing import admit, decided, set_standing

CHILDREN = Organisation("childrens-hospital", "hospital", "Children's Hospital")


def prepared(folder: Path) -> Joining:
    return prepare_organisation(folder, stored_topology(folder), CHILDREN)


def test_a_hospital_joins_and_reads_what_was_written_before(folder: Path) -> None:
    first, second = simple(3), simple(2, patient=1)
    joining = prepared(folder)
    patients = []

    async def before(consortium: Consortium) -> None:
        patients.append((await imported(consortium, first)).patient)
        await admit(consortium, joining)
        assert consortium.network.channel.majority == 3, "of five"
        await set_standing(consortium, DEFAULT.organisation(CLINIC).msp_id, Standing.SUSPENDED)

    async def after(consortium: Consortium) -> None:
        assert_equal_peers(consortium)
        officer = consortium.staff(AGENCY, "administrator")
        for holder in (CHILDREN.msp_id, f"{CHILDREN.msp_id}/{CLINICIAN}"):
            await licensing.license_holder(officer, holder, now_ms(), now_ms() + LICENSED_MS)
        newcomer = clinician(consortium, CHILDREN.name)
        decision = consent(consortium, CHILDREN.name)
        await consenting.grant(consortium.patient(patients[0]), decision)
        assert await read(newcomer, patients[0]) == content(first)
        own = await imported(consortium, second, CHILDREN.name)
        assert await read(newcomer, own.patient) == content(second)
        assert_equal_peers(consortium)

    decided(folder, before)
    asyncio.run(join(folder, CHILDREN))
    assert stored_topology(folder).organisations == (*DEFAULT.organisations, CHILDREN)
    within(folder, after)
    assert_clean(folder)


def test_a_suspended_hospital_is_refused_and_what_it_wrote_stays(folder: Path) -> None:
    bundle = simple(2)

    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, bundle)).patient
        await consenting.grant(consortium.patient(patient), consent(consortium))
        msp_id = consortium.topology.organisation(HOSPITAL).msp_id
        await set_standing(consortium, consortium.topology.organisation(CLINIC).msp_id, Standing.SUSPENDED)
        assert await code(read(clinician(consortium, CLINIC), patient)) == "MEMBER_SUSPENDED"
        assert await code(imported(consortium, simple(1, patient=1), CLINIC)) == "MEMBER_SUSPENDED"
        assert await read(clinician(consortium), patient) == content(bundle)
        await set_standing(consortium, consortium.topology.organisation(CLINIC).msp_id, Standing.ACTIVE)
        assert await read(clinician(consortium, CLINIC), patient) == content(bundle)
        await set_standing(consortium, msp_id, Standing.REMOVED)
        assert await code(read(clinician(consortium), patient)) == "MEMBER_REMOVED"
        assert_equal_peers(consortium)

    decided(folder, work)
    assert_clean(folder)


def test_joining_needs_the_members_decision_and_can_be_repeated(folder: Path) -> None:
    with pytest.raises(BadInput, match="wait for their votes"):
        asyncio.run(join(folder, CHILDREN))
    joining = prepared(folder)
    assert prepared(folder) == joining, "what was prepared before may be in a proposal"
    with pytest.raises(BadInput, match="wait for their votes"):
        asyncio.run(join(folder, CHILDREN))
    assert stored_topology(folder) == DEFAULT

    async def work(consortium: Consortium) -> None:
        await admit(consortium, joining)

    decided(folder, work)
    for _ in range(2):
        asyncio.run(join(folder, CHILDREN))
    assert_clean(folder)


@pytest.mark.parametrize("name", [HOSPITAL, "abcdefghijklmnopqrs"])
def test_a_name_that_is_taken_or_of_a_pseudonyms_length_is_not_prepared(folder: Path, name: str) -> None:
    with pytest.raises(BadInput):
        prepare_organisation(folder, DEFAULT, msgspec.structs.replace(CHILDREN, name=name))
    assert not (folder / "organizations" / "peerOrganizations" / CHILDREN.domain).exists()
