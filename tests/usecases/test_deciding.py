"""Denials, orders, due keys and later compartments on the network, with real keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from healthchain.app.consortium import Consortium
from healthchain.contract import consents, records
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import Purpose, Role
from healthchain.records import consenting, emergency, guardians, keys
from healthchain.records.keyring import random_id
from healthchain.records.patients import registered
from healthchain.records.sealing import SealBroken

from .bundles import GENETIC, observation, parsed, simple, urn
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
from .disk import envelopes

DENY = consents.Decision.DENY


def test_denied_where_another_is_permitted(folder: Path) -> None:
    """One person in general, and the custodian's own clinician for one compartment; nobody's keys are touched."""

    async def work(consortium: Consortium) -> None:
        bundle = parsed(observation(1), observation(2, GENETIC))
        patient = (await imported(consortium, bundle)).patient
        owner, clinic = consortium.patient(patient), clinician(consortium, CLINIC)
        await consenting.grant(owner, consent(consortium))
        assert await read(clinic, patient) == content(bundle)
        denial = replace(consent(consortium), decision=DENY, person="clinician")
        denied = await consenting.grant(owner, denial)
        assert await code(read(clinic, patient)) == "CONSENT_MISSING"
        [explained] = [
            one
            for one in await consenting.explain(owner, patient, Purpose.TREAT)
            if (one.msp_id, one.role, one.person) == (clinic.recipient, Role.CLINICIAN, "clinician")
        ]
        assert {(one.permitted, one.consent) for one in explained.reasons} == {(False, denied)}
        await consenting.revoke(owner, consent_ids=[denied])
        assert await read(clinic, patient) == content(bundle)
        assert set((await registered(owner, patient)).compartments.values()) == {1}

        own = replace(consent(consortium, HOSPITAL, compartments=("genetic",)), decision=DENY)
        await consenting.grant(owner, own)
        assert (await read(clinician(consortium), patient)).keys() == {urn(0), urn(1)}
        assert await read(owner, patient, Purpose.PATRQT) == content(bundle)
        assert_equal_peers(consortium)

    within(folder, work)


def test_after_an_order_the_next_import_makes_new_keys(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(2))).patient
        owner, clinic = consortium.patient(patient), clinician(consortium, CLINIC)
        officer = consortium.staff(AGENCY, "health-officer")
        await consenting.grant(owner, consent(consortium))
        await consenting.grant(owner, consent(consortium, INSURER))
        order = await consenting.order(officer, patient, "The court orders.", grantee=clinic.recipient)
        for actor in (owner, officer, clinician(consortium)):
            assert await consenting.text_of_order(actor, patient, order) == "The court orders."
        assert await code(consenting.text_of_order(clinic, patient, order)) == "NOT_THE_CUSTODIAN"
        assert await code(read(clinic, patient)) == "CONSENT_MISSING"
        about = await registered(owner, patient)
        assert len(about.rekey) == 5
        ledger = consortium.network.peers[CLINIC].ledger
        assert envelopes(ledger, about.compartments, clinic.recipient) == {}
        assert await code(_write_without_rotation(consortium, patient)) == "REKEY_DUE"

        longer = simple(4)
        await imported(consortium, longer)
        about = await registered(owner, patient)
        assert (about.rekey, set(about.compartments.values())) == ((), {2})
        assert await read(clinician(consortium), patient) == content(longer)
        assert await read(owner, patient, Purpose.PATRQT) == content(longer)
        assert await read(consortium.staff(INSURER, "claims-agent"), patient) == content(longer)
        assert_equal_peers(consortium)

    within(folder, work)
    assert_clean(folder)


async def _write_without_rotation(consortium: Consortium, patient: str) -> None:
    custodian = clinician(consortium)
    key = next(iter((await keys.for_writing(custodian, patient)).newest().values()))
    record = random_id()
    write = records.RecordWrite(record, 1, key.compartment, key.epoch, records.WrittenStatus.ACTIVE)
    await custodian.submit("records:Write", records.Write(patient, (write,)), {f"{record}/1": b"x"})


def test_a_custodian_who_may_not_read_rotates_and_writes(folder: Path) -> None:
    """A denial ends neither its duty to document nor what keeps the keys in order."""

    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        owner, custodian = consortium.patient(patient), clinician(consortium)
        denial = replace(consent(consortium, HOSPITAL), decision=DENY, purposes=(Purpose.HOPERAT, Purpose.TREAT))
        await consenting.grant(owner, denial)
        assert await code(read(custodian, patient, Purpose.HOPERAT)) == "CONSENT_MISSING"
        compartment = next(iter((await registered(owner, patient)).compartments))
        await consenting.rotate(custodian, patient, [compartment])
        assert (await registered(owner, patient)).compartments[compartment] == 2
        assert len((await keys.for_writing(custodian, patient)).newest()) == 5

    within(folder, work)


def test_a_later_compartment_reaches_those_whose_consent_says_so(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        owner = consortium.patient(patient)
        await consenting.grant(owner, replace(consent(consortium), later_compartments=True))
        await consenting.grant(owner, consent(consortium, INSURER))
        added = await consenting.add_compartment(owner, patient)
        await consenting.add_compartment(clinician(consortium), patient)
        names = await consenting.names_of_compartments(owner, patient)
        assert sorted(names.values())[:2] == ["further-6", "further-7"]
        assert names[added] == "further-6"
        ledger = consortium.network.peers[HOSPITAL].ledger
        holders = {key.split("/")[2] for key in envelopes(ledger, [added])}
        assert holders == {patient, "GeneralHospitalMSP", "CityClinicMSP"}
        longer = simple(2)
        await imported(consortium, longer)  # it is the hospital's patient still
        assert await read(clinician(consortium, CLINIC), patient) == content(longer)
        await consenting.grant(owner, consent(consortium, INSURER, compartments=("further-6",)))
        assert consortium.topology.organisation(INSURER).msp_id in {
            key.split("/")[2] for key in envelopes(ledger, [added])
        }

    within(folder, work)


def test_everything_at_once(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        owner = consortium.patient(patient)
        for grantee in (CLINIC, INSURER, AGENCY):
            await consenting.grant(owner, consent(consortium, grantee))
        await consenting.revoke(owner, everything=True)
        compartments = (await registered(owner, patient)).compartments
        held = envelopes(consortium.network.peers[AGENCY].ledger, compartments)
        assert {key.split("/")[2] for key in held} == {patient, "GeneralHospitalMSP"}
        assert await code(consenting.revoke(owner, everything=True)) == "CONSENT_UNKNOWN"

    within(folder, work)


def test_an_order_is_sealed_to_those_whom_it_concerns_alone(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        owner, clinic = consortium.patient(patient), clinician(consortium, CLINIC)
        await consenting.grant(owner, consent(consortium))
        officer = consortium.staff(AGENCY, "health-officer")
        order = await consenting.order(officer, patient, "The court orders.", everything=True)
        as_the_clinic = replace(officer, recipient=clinic.recipient, key=clinic.key)
        with pytest.raises(SealBroken):
            await consenting.text_of_order(as_the_clinic, patient, order)

    within(folder, work)


def test_one_patients_denial_keeps_no_others_keys_from_an_emergency(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        clinic, custodian = clinician(consortium, CLINIC), clinician(consortium)
        waiting = []
        for number in (1, 2, 3):
            patient = (await imported(consortium, simple(1, patient=number))).patient
            waiting.append((await emergency.break_glass(clinic, patient, "Unconscious.")).id)
            if number == 2:
                denial = replace(consent(consortium, HOSPITAL), decision=DENY, purposes=(Purpose.HOPERAT,))
                await consenting.grant(consortium.patient(patient), denial)
        assert set(await emergency.release_waiting(custodian)) == {waiting[0], waiting[2]}

    within(folder, work)


def test_a_guardian_who_only_consents_seals_keys_and_reads_nothing(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        bundle = simple(1)
        patient = (await imported(consortium, bundle)).patient
        name = random_id()
        public_key = consortium.enrol_guardian(name, HOSPITAL)
        office = guardians.Office(name, public_key, (Scope.CONSENT,), consent(consortium).end_ms)
        await guardians.appoint(clinician(consortium), patient, office)
        guardian, clinic = consortium.guardian(name), clinician(consortium, CLINIC)
        assert await code(read(guardian, patient, Purpose.PATRQT)) == "GUARDIAN_SCOPE"
        await consenting.grant(guardian, consent(consortium), patient)
        assert await read(clinic, patient) == content(bundle)
        officer = consortium.staff(AGENCY, "health-officer")
        order = await consenting.order(officer, patient, "The court orders.", everything=True)
        assert await consenting.text_of_order(guardian, patient, order) == "The court orders."
        await consenting.rotate(guardian, patient)
        assert (await registered(guardian, patient)).rekey == ()
        await imported(consortium, simple(2))
        assert await code(read(clinic, patient)) == "CONSENT_MISSING"
        assert_equal_peers(consortium)

    within(folder, work)
