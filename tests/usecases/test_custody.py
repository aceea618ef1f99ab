"""Custody passes with everything; guardians act in the patient's place; death and merge, on the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from healthchain.app.consortium import ADMINISTRATOR, Consortium
from healthchain.contract.amendments import SuspendMember
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import Action, Purpose
from healthchain.errors import BadInput
from healthchain.records import consenting, custody, governing, guardians, patients
from healthchain.records.actor import Actor, now_ms
from healthchain.records.importing import NotOurPatient
from healthchain.records.keyring import random_id

from .bundles import MENTAL_HEALTH, observation, parsed, simple
from .consortium import (
    AGENCY,
    CLINIC,
    DAY_MS,
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

MIXED = parsed(observation(1), observation(2, MENTAL_HEALTH))
GROWN = parsed(observation(1, status="amended"), observation(2, MENTAL_HEALTH), observation(3))


def msp(consortium: Consortium, organisation: str) -> str:
    return consortium.topology.organisation(organisation).msp_id


async def appointed(consortium: Consortium, patient: str, *scopes: Scope) -> Actor:
    """A guardian whom the hospital enrolled and named."""
    guardian = random_id()
    public_key = consortium.enrol_guardian(guardian, HOSPITAL)
    office = guardians.Office(guardian, public_key, scopes, now_ms() + DAY_MS)
    await guardians.appoint(clinician(consortium), patient, office)
    return consortium.guardian(guardian)


def test_custody_passes_and_everything_goes_on_at_the_new_hospital(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, MIXED)).patient
        to_insurer = consent(consortium, INSURER)
        await consenting.grant(consortium.patient(patient), to_insurer)
        guardian = await appointed(consortium, patient, Scope.READ)
        await custody.offer(clinician(consortium), patient, msp(consortium, CLINIC))
        await custody.accept(consortium.custodian(CLINIC), patient)
        assert await code(read(clinician(consortium), patient)) == "CONSENT_MISSING"
        assert await read(clinician(consortium, CLINIC), patient) == content(MIXED)
        assert await code(read(consortium.patient(patient), patient, Purpose.PATRQT)) == "NOT_THE_PATIENT"
        await consortium.move_wallets(patient, CLINIC)
        assert await read(consortium.patient(patient), patient, Purpose.PATRQT) == content(MIXED)
        assert await code(read(guardian, patient, Purpose.PATRQT)) == "GUARDIAN_SCOPE"
        guardian = consortium.guardian(guardian.recipient, CLINIC)
        assert await read(guardian, patient, Purpose.PATRQT) == content(MIXED)
        with pytest.raises(NotOurPatient):
            await imported(consortium, MIXED)
        again = await imported(consortium, GROWN, CLINIC)
        assert (again.patient, again.written, again.amended, again.unchanged) == (patient, 1, 1, 2)
        assert await read(clinician(consortium, CLINIC), patient) == content(GROWN)
        await consenting.grant(consortium.patient(patient), consent(consortium, HOSPITAL))
        assert await read(clinician(consortium), patient) == content(GROWN)
        assert_equal_peers(consortium)

    within(folder, work)
    assert_clean(folder)


def test_an_offer_is_refused_or_withdrawn(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        hospital, clinic = clinician(consortium), clinician(consortium, CLINIC)
        for end in (custody.withdraw(hospital, patient), custody.refuse(clinic, patient)):
            await custody.offer(hospital, patient, clinic.recipient)
            await end
            assert await code(custody.accept(consortium.custodian(CLINIC), patient)) == "TRANSFER_UNKNOWN"
        assert await code(custody.offer(hospital, patient, "NobodyMSP")) == "CUSTODIAN_INVALID"
        assert await read(hospital, patient) == content(simple(1))

    within(folder, work)


def test_the_agency_assigns_a_custodian_and_the_patient_hands_over_the_keys(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, MIXED)).patient
        officer, clinic = consortium.staff(AGENCY, "health-officer"), clinician(consortium, CLINIC)
        await _suspend(consortium, HOSPITAL)
        assert await patients.pseudonyms(officer, msp(consortium, HOSPITAL)) == [patient]
        await custody.assign(officer, patient, clinic.recipient)
        assert await read(clinic, patient) == {}  # no key of anything
        await consortium.move_wallets(patient, CLINIC)
        await custody.hand_keys(consortium.patient(patient), patient)
        await custody.settle(consortium.custodian(CLINIC), patient)
        assert await read(clinic, patient) == content(MIXED)
        again = await imported(consortium, GROWN, CLINIC)
        assert (again.patient, again.written, again.amended, again.unchanged) == (patient, 1, 1, 2)
        assert await read(consortium.patient(patient), patient, Purpose.PATRQT) == content(GROWN)

    within(folder, work)
    assert_clean(folder)


async def _suspend(consortium: Consortium, organisation: str) -> None:
    others = [one.name for one in consortium.topology.organisations if one.name != organisation]
    administrators = [consortium.staff(one, ADMINISTRATOR) for one in others]
    proposal = await governing.propose(administrators[0], SuspendMember(msp(consortium, organisation)))
    for one in administrators:
        await governing.vote(one, proposal, in_favour=True)


def test_a_guardian_reads_and_consents_until_its_end(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, MIXED)).patient
        clinic = clinician(consortium, CLINIC)
        guardian = await appointed(consortium, patient, Scope.READ, Scope.CONSENT)
        assert await read(guardian, patient, Purpose.PATRQT) == content(MIXED)
        await consenting.grant(guardian, consent(consortium, actions=(Action.READ, Action.CONTRIBUTE)), patient)
        assert await read(clinic, patient) == content(MIXED)
        await consenting.revoke(guardian, patient, everything=True)
        await imported(consortium, GROWN)
        assert await read(guardian, patient, Purpose.PATRQT) == content(GROWN)
        await guardians.end(consortium.patient(patient), patient, guardian.recipient)
        assert await code(read(guardian, patient, Purpose.PATRQT)) == "GUARDIAN_SCOPE"
        assert set((await patients.registered(clinic, patient)).compartments.values()) == {3}
        assert await read(consortium.patient(patient), patient, Purpose.PATRQT) == content(GROWN)
        listed = await guardians.list_guardians(clinician(consortium), patient)
        assert [(one.id, one.ended_by) for one in listed] == [
            (guardian.recipient, f"{msp(consortium, HOSPITAL)}/{patient}")
        ]
        assert_equal_peers(consortium)

    within(folder, work)


def test_a_guardian_for_claims_holds_no_key(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        guardian = await appointed(consortium, patient, Scope.CLAIMS)
        assert await code(read(guardian, patient, Purpose.PATRQT)) == "GUARDIAN_SCOPE"
        await guardians.end(clinician(consortium), patient, guardian.recipient)
        assert set((await patients.registered(clinician(consortium), patient)).compartments.values()) == {1}

    within(folder, work)


def test_after_death_and_after_a_merge(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        hospital, clinic = clinician(consortium), clinician(consortium, CLINIC)
        here = (await imported(consortium, MIXED)).patient
        there = (await imported(consortium, simple(1, patient=7), CLINIC)).patient
        await patients.propose_merge(hospital, here, there)
        await patients.confirm_merge(clinic, here, there)
        assert (await patients.registered(clinic, here)).merged_into == there
        assert await read(hospital, here) == content(MIXED)
        assert await code(imported(consortium, GROWN)) == "PATIENT_MERGED"
        await patients.record_death(clinic, there)
        assert await code(read(consortium.patient(here), here, Purpose.PATRQT)) == "PATIENT_DECEASED"
        await imported(consortium, simple(2, patient=7), CLINIC)
        await patients.revoke_death(clinic, there)
        assert await read(consortium.patient(here), here, Purpose.PATRQT) == content(MIXED)
        assert_equal_peers(consortium)

    within(folder, work)


def test_a_wallet_that_is_nowhere_does_not_move(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        with pytest.raises(BadInput):
            await consortium.move_wallets(random_id(), CLINIC)
        with pytest.raises(BadInput):
            consortium.guardian(random_id())

    within(folder, work)
