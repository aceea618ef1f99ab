"""Audit on the embedded network: a patient's trail, an organisation's own acts, what the agency oversees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from healthchain.app.acts import own_acts
from healthchain.app.consortium import ADMINISTRATOR, Consortium
from healthchain.cli.commands import run
from healthchain.contract.trail import Happening
from healthchain.records import consenting, emergency
from healthchain.records.auditing import oversee, trail

from .bundles import simple
from .consortium import AGENCY, CLINIC, HOSPITAL, clinician, code, consent, imported, read, within


def test_the_patient_sees_who_did_what(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(2))).patient
        owner = consortium.patient(patient)
        await consenting.grant(owner, consent(consortium))
        assert await read(clinician(consortium, CLINIC), patient)
        entries = await trail(owner, patient)
        clinic = consortium.keyring(CLINIC).msp_id
        seen = [(one.happening, one.purpose) for one in entries if one.organisation == clinic]
        assert seen[0] == (Happening.SESSION_OPENED, "TREAT")
        assert (Happening.DISCLOSED, "TREAT") in seen
        assert entries == await trail(consortium.staff(HOSPITAL, ADMINISTRATOR), patient)
        assert await code(trail(consortium.staff(CLINIC, ADMINISTRATOR), patient)) == "AUDIT_FORBIDDEN"

    within(folder, work)


def test_an_organisations_own_acts_are_those_of_its_people(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        owner = consortium.patient(patient)
        given = await consenting.grant(owner, consent(consortium))
        assert await read(clinician(consortium, CLINIC), patient)
        await consenting.revoke(owner, consent_ids=[given])
        hospital, clinic = [consortium.keyring(one).msp_id for one in (HOSPITAL, CLINIC)]
        ledger = consortium.network.peers[CLINIC].ledger
        acts = list(own_acts(ledger, clinic, ledger.height))
        assert [one.function for one in acts][:2] == ["sessions:Open", "records:Disclose"]
        assert {(one.user, one.code) for one in acts} == {(f"{clinic}/clinician", "VALID")}
        elsewhere = list(own_acts(ledger, hospital, ledger.height))
        assert {one.user for one in elsewhere} == {
            f"{hospital}/{name}" for name in ("clinician", ADMINISTRATOR, patient)
        }
        functions = [one.function for one in elsewhere]
        assert {"patients:Register", "records:Write", "consents:Grant", "consents:Revoke"} <= set(functions)
        assert [one.function for one in own_acts(ledger, hospital, 1)] == functions[-1:]
        everybody = [
            len(list(own_acts(ledger, one.msp_id, ledger.height))) for one in consortium.topology.organisations
        ]
        codes = sum(len(ledger.block(number).data.data) for number in range(1, ledger.height))
        assert sum(everybody) == codes

    within(folder, work)


def test_the_commands_say_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def work(consortium: Consortium) -> tuple[str, str]:
        patient = (await imported(consortium, simple(1))).patient
        doctor, officer = clinician(consortium, CLINIC), consortium.staff(AGENCY, ADMINISTRATOR)
        broken = await emergency.break_glass(doctor, patient, "Unconscious.")
        assert [one.id for one in (await oversee(officer)).reviews] == [broken.id]
        assert await code(oversee(consortium.staff(HOSPITAL, ADMINISTRATOR))) == "ROLE_FORBIDDEN"
        return patient, broken.id

    def shown(*words: str) -> str:
        assert run(["audit", words[0], "--dir", str(folder), *words[1:]]) == 0
        return capsys.readouterr().out

    patient, broken = within(folder, work)
    entries = json.loads(shown("patient", "--patient", patient, "--json"))["entries"]
    assert entries[0]["happening"] == "registered"
    assert "glass-broken" in shown("patient", "--patient", patient, "--org", HOSPITAL)
    assert "emergency:Open" in shown("own", "--org", CLINIC)
    [act] = json.loads(shown("own", "--org", CLINIC, "--last", "1", "--json"))["acts"]
    assert (act["function"], act["code"]) == ("emergency:Open", "VALID")
    assert f"review   {broken}" in shown("oversee", "--org", AGENCY)
    found = json.loads(shown("oversee", "--org", AGENCY, "--json"))
    assert [one["id"] for one in found["reviews"]] == [broken]
    assert len(found["policies"]) == 1
