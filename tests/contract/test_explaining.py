"""Consents for a role or a person, denials, and the dry run that says who could read and why."""

from __future__ import annotations

from typing import Any

import pytest

from healthchain.chaincode.stub import Caller

from .chain import Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    ADMIN_I,
    ALICE,
    BY_B,
    CAROL,
    DOCTOR_A,
    DOCTOR_B,
    HOUR,
    NEW,
    OFFICER,
    OTHER_PATIENT,
    PATIENT,
    R1,
    STRANGER,
    TO_B,
    K,
    body,
    granted,
    ident,
    opened,
    person,
    sealed,
    written,
)
from .table import Row, Success, by_name, check_refused
from .test_custody import suspend

NURSE_B = person("HospitalB", "nurse", "clinician")
ENVELOPES = sealed(K[2:3], 1, "HospitalB")
DENY = granted("new", "HospitalB", K[:2], "TREAT", decision="deny")
EXPLAIN = {"patient": ALICE, "purpose": "TREAT"}


def grant(name: str, code: str, transient: dict[str, bytes] = ENVELOPES, **changes: Any) -> Row:
    consent = granted("new", "HospitalB", K[2:3], "TREAT")
    return Row(name, code, PATIENT, "consents:Grant", consent | changes, transient)


def explain(name: str, code: str, caller: Caller = PATIENT, **changes: Any) -> Row:
    return Row(name, code, caller, "consents:Explain", EXPLAIN | changes)


ROWS = [
    grant("to a role that an hospital has not", "GRANTEE_ROLE", role="claims-agent"),
    grant("to the role of a patient", "GRANTEE_ROLE", role="patient"),
    grant("to an unknown role", "ARGUMENTS_INVALID", role="surgeon"),
    grant("to a role and a person", "GRANTEE_AMBIGUOUS", role="clinician", person="doctor"),
    grant("to a person with exceptions", "GRANTEE_AMBIGUOUS", person="doctor", exceptions=["nurse"]),
    grant("denied with exceptions", "GRANTEE_AMBIGUOUS", {}, decision="deny", exceptions=["nurse"]),
    grant("to a person with a slash", "ARGUMENTS_INVALID", person="a/b"),
    grant("neither permitted nor denied", "ARGUMENTS_INVALID", decision="maybe"),
    grant("denied with an envelope", "ENVELOPE_UNEXPECTED", decision="deny"),
    grant("denied to a stranger", "GRANTEE_UNKNOWN", {}, decision="deny", grantee="Elsewhere"),
    grant("to one person of the custodian's", "GRANTEE_IS_CUSTODIAN", {}, grantee="HospitalA", person="doctor"),
    explain("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    explain("by the custodian's clinician", "NOT_THE_CUSTODIAN", DOCTOR_A),
    explain("by another hospital's administrator", "NOT_THE_CUSTODIAN", ADMIN_B),
    explain("by the agency", "NOT_THE_CUSTODIAN", OFFICER),
    explain("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    explain("of an unknown patient", "PATIENT_UNKNOWN", ADMIN_A, patient=CAROL),
    explain("for an unknown purpose", "ARGUMENTS_INVALID", purpose="X"),
    explain("for somebody of no role", "ARGUMENTS_INVALID", subjects=[{"msp_id": "HospitalB", "role": "king"}]),
    Row(
        "an amendment of the custodian's record by a contributor",
        "RECORD_OF_ANOTHER",
        DOCTOR_B,
        "records:Write",
        {"patient": ALICE, "records": [written(R1, 3, K[0])]},
        body(R1, 3),
    ),
]

SUCCESSES = [
    Success(
        "to a role",
        PATIENT,
        "consents:Grant",
        granted("new", "HospitalB", K[2:3], "TREAT", role="clinician"),
        ENVELOPES,
    ),
    Success(
        "to a person",
        PATIENT,
        "consents:Grant",
        granted("new", "HospitalB", K[2:3], "TREAT", person="nurse"),
        ENVELOPES,
    ),
    Success("denied", PATIENT, "consents:Grant", DENY),
    Success(
        "denied to the custodian's nurse",
        PATIENT,
        "consents:Grant",
        granted("new", "HospitalA", K, "TREAT", decision="deny", person="nurse"),
    ),
    Success("by the custodian's administrator", ADMIN_A, "consents:Explain", EXPLAIN),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_a_denied_person_is_refused_where_the_organisation_is_permitted(chain: Chain) -> None:
    denial = granted("new", "HospitalB", K[:1], "TREAT", decision="deny", person="nurse")
    chain.submit(PATIENT, "consents:Grant", denial)
    assert chain.submit(NURSE_B, "sessions:Open", opened("nurse", "TREAT"))["compartments"] == [K[1]]
    assert chain.submit(DOCTOR_B, "sessions:Open", opened("doctor", "TREAT"))["compartments"] == list(K[:2])


def test_a_denial_stops_a_session_that_runs(chain: Chain) -> None:
    chain.submit(PATIENT, "consents:Grant", DENY)
    check_refused(
        chain, Row("denied", "CONSENT_MISSING", DOCTOR_B, "records:List", {"patient": ALICE, "session": BY_B})
    )
    revoke = {"patient": ALICE, "consents": [NEW], "new_epochs": {K[0]: 2}}  # the agency's consent for it is over
    staying = ("HospitalA", "HospitalB", "Insurer", ALICE)
    chain.submit(PATIENT, "consents:Revoke", revoke, sealed(K[:1], 2, *staying))
    assert chain.evaluate(DOCTOR_B, "records:List", {"patient": ALICE, "session": BY_B})["records"]


def test_a_denied_custodian_does_not_read_and_still_writes(chain: Chain) -> None:
    denial = granted("new", "HospitalA", K, "TREAT", decision="deny", person="doctor")
    chain.submit(PATIENT, "consents:Grant", denial)
    check_refused(chain, Row("denied", "CONSENT_MISSING", DOCTOR_A, "sessions:Open", opened("x", "TREAT")))
    chain.submit(DOCTOR_A, "sessions:Open", opened("x", "HOPERAT"))
    arguments = {"patient": ALICE, "records": [written(ident("x"), 1, K[0])]}
    chain.submit(DOCTOR_A, "records:Write", arguments, body(ident("x"), 1))


def test_the_dry_run_says_who_could_read_and_why(chain: Chain) -> None:
    chain.submit(
        PATIENT, "consents:Grant", granted("new", "HospitalB", K[:1], "TREAT", decision="deny", person="nurse")
    )
    found = chain.evaluate(PATIENT, "consents:Explain", EXPLAIN)["subjects"]
    by_subject = {(one["msp_id"], one["role"], one["person"]): one["reasons"] for one in found}
    assert set(by_subject) == {
        *((msp, role, None) for msp in ("HospitalA", "HospitalB") for role in ("administrator", "clinician")),
        *(("HospitalB", role, "nurse") for role in ("administrator", "clinician")),
        ("Insurer", "administrator", None),
        ("Insurer", "claims-agent", None),
    }
    assert by_subject["HospitalB", "administrator", None] == []  # the policies let no administrator read
    custodian = by_subject["HospitalA", "clinician", None]
    assert {(one["permitted"], one["level"], one["consent"]) for one in custodian} == {(True, "default", None)}
    doctor = {one["compartment"]: one for one in by_subject["HospitalB", "clinician", None]}
    nurse = {one["compartment"]: one for one in by_subject["HospitalB", "clinician", "nurse"]}
    assert (doctor[K[0]]["permitted"], doctor[K[0]]["consent"]) == (True, TO_B)
    assert (nurse[K[0]]["permitted"], nurse[K[0]]["level"], nurse[K[0]]["consent"]) == (False, "person", NEW)
    assert (nurse[K[1]]["permitted"], nurse[K[1]]["level"]) == (True, "organisation")
    assert not doctor[K[2]]["permitted"]
    assert not any(one["permitted"] for one in by_subject["Insurer", "claims-agent", None])


@pytest.mark.parametrize("name", ["doctor", "nurse", "locum"])
@pytest.mark.parametrize("purpose", ["TREAT", "HPAYMT", "ETREAT"])
def test_the_dry_run_agrees_with_what_a_session_gets(chain: Chain, name: str, purpose: str) -> None:
    denial = granted("new", "HospitalB", K[:1], purpose, decision="deny", person="nurse")
    chain.submit(PATIENT, "consents:Grant", denial)
    subject = {"msp_id": "HospitalB", "role": "clinician", "person": name}
    [answer] = chain.evaluate(PATIENT, "consents:Explain", EXPLAIN | {"purpose": purpose, "subjects": [subject]})[
        "subjects"
    ]
    expected = [one["compartment"] for one in answer["reasons"] if one["permitted"]]
    opening = opened("x", purpose, end_ms=chain.now_ms + HOUR)
    if expected:
        assert (
            chain.submit(person("HospitalB", name, "clinician"), "sessions:Open", opening)["compartments"] == expected
        )
    else:
        row = Row("nothing", "CONSENT_MISSING", person("HospitalB", name, "clinician"), "sessions:Open", opening)
        check_refused(chain, row)


def test_a_suspended_member_is_no_grantee_and_reads_nothing(chain: Chain) -> None:
    asked = EXPLAIN | {"subjects": [{"msp_id": "HospitalB", "role": "clinician", "person": "doctor"}]}
    assert chain.evaluate(PATIENT, "consents:Explain", asked)["subjects"][0]["reasons"]
    suspend(chain, "HospitalB", ADMIN_A, ADMIN_I, person("Agency", "admin", "administrator"))
    assert chain.evaluate(PATIENT, "consents:Explain", asked)["subjects"][0]["reasons"] == []
    check_refused(chain, grant("to a suspended member", "GRANTEE_UNKNOWN"))
