"""Founding the consortium, registration of patients: what succeeds and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from .chain import START_MS, Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    ADMIN_I,
    AGENT,
    ALICE,
    BOB,
    CAROL,
    DOCTOR_A,
    DOCTOR_B,
    FORGED_PATIENT,
    KEY,
    MEMBERS,
    NOBODY,
    OFFICER,
    OTHER_PATIENT,
    PATIENT,
    STRANGER,
    K,
    compartments_of,
    registered,
    sealed,
)
from .table import Row, Success, by_name, check_refused

FOUND = {"members": MEMBERS}
REGISTER = registered(CAROL)
ENVELOPES = sealed(compartments_of(CAROL), 1, "HospitalA", CAROL)
FIRST = next(iter(ENVELOPES))


def renamed(msp_id: str) -> dict[str, Any]:
    return {"members": [*MEMBERS[1:], {**MEMBERS[0], "msp_id": msp_id}]}


def without_first() -> dict[str, bytes]:
    return {key: value for key, value in ENVELOPES.items() if key != FIRST}


EMPTY_ROWS = [
    Row("by no administrator", "ROLE_FORBIDDEN", DOCTOR_A, "members:Found", FOUND),
    Row("by an organisation not listed", "FOUNDER_NOT_LISTED", STRANGER, "members:Found", FOUND),
    Row("twice the same", "MEMBER_DUPLICATE", ADMIN_A, "members:Found", {"members": [*MEMBERS, MEMBERS[0]]}),
    Row("nobody", "ARGUMENTS_INVALID", ADMIN_A, "members:Found", {"members": []}),
    Row("id like a pseudonym", "ARGUMENTS_INVALID", ADMIN_A, "members:Found", renamed(ALICE)),
    Row("id with a slash", "ARGUMENTS_INVALID", ADMIN_A, "members:Found", renamed("Hospital/A")),
    Row("id with a line break", "ARGUMENTS_INVALID", ADMIN_A, "members:Found", renamed("Agency\n")),
    Row(
        "with a policy for nobody",
        "POLICY_INVALID",
        ADMIN_A,
        "members:Found",
        FOUND | {"policies": {"roles": {"vote": []}}},
    ),
    Row(
        "with a policy for whom it can never be",
        "POLICY_INVALID",
        ADMIN_A,
        "members:Found",
        FOUND | {"policies": {"roles": {"license": ["clinician"]}}},
    ),
    Row(
        "with a policy out of bounds",
        "ARGUMENTS_INVALID",
        ADMIN_A,
        "members:Found",
        FOUND | {"policies": {"cell_min": 2}},
    ),
    Row("before the founding", "MEMBER_UNKNOWN", ADMIN_A, "governance:Policies", {}),
]

ROWS = [
    Row("a second time", "CONSORTIUM_FOUNDED", ADMIN_A, "members:Found", FOUND),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "patients:Register", REGISTER, ENVELOPES),
    Row("without a role", "ROLE_FORBIDDEN", NOBODY, "patients:Register", REGISTER, ENVELOPES),
    Row("by an insurer", "ROLE_FORBIDDEN", ADMIN_I, "patients:Register", REGISTER, ENVELOPES),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, "patients:Register", REGISTER, ENVELOPES),
    Row("twice", "PATIENT_EXISTS", DOCTOR_A, "patients:Register", {**REGISTER, "patient": ALICE}, ENVELOPES),
    Row(
        "once erased",
        "PATIENT_EXISTS",
        DOCTOR_A,
        "patients:Register",
        {**REGISTER, "patient": BOB},
        ENVELOPES,
    ),
    Row(
        "with a compartment twice",
        "COMPARTMENT_DUPLICATE",
        DOCTOR_A,
        "patients:Register",
        {**REGISTER, "compartments": [*compartments_of(CAROL)[:4], compartments_of(CAROL)[0]]},
        ENVELOPES,
    ),
    Row(
        "with another's compartment",
        "COMPARTMENT_EXISTS",
        DOCTOR_A,
        "patients:Register",
        {**REGISTER, "compartments": [*compartments_of(CAROL)[:4], K[0]]},
        sealed([*compartments_of(CAROL)[:4], K[0]], 1, "HospitalA", CAROL),
    ),
    Row("an envelope short", "ENVELOPE_MISSING", DOCTOR_A, "patients:Register", REGISTER, without_first()),
    Row(
        "an envelope empty",
        "ENVELOPE_MISSING",
        DOCTOR_A,
        "patients:Register",
        REGISTER,
        {**ENVELOPES, FIRST: b""},
    ),
    Row(
        "sealed to one more",
        "ENVELOPE_UNEXPECTED",
        DOCTOR_A,
        "patients:Register",
        REGISTER,
        ENVELOPES | sealed(compartments_of(CAROL), 1, "HospitalB"),
    ),
    Row(
        "an envelope too large",
        "ENVELOPE_TOO_LARGE",
        DOCTOR_A,
        "patients:Register",
        REGISTER,
        {**ENVELOPES, FIRST: bytes(16 * 1024 + 1)},
    ),
    Row("sealed to the wrong hospital", "ENVELOPE_MISSING", DOCTOR_B, "patients:Register", REGISTER, ENVELOPES),
    Row(
        "no pseudonym",
        "ARGUMENTS_INVALID",
        DOCTOR_A,
        "patients:Register",
        {**REGISTER, "patient": "Carol"},
        ENVELOPES,
    ),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "patients:Get", {"patient": ALICE}),
    Row("without a role", "ROLE_FORBIDDEN", NOBODY, "patients:Get", {"patient": ALICE}),
    Row("unknown", "PATIENT_UNKNOWN", DOCTOR_A, "patients:Get", {"patient": CAROL}),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "patients:Get", {"patient": ALICE}),
    Row("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT, "patients:Get", {"patient": ALICE}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "patients:List", {}),
    Row("by an insurer's agent", "ROLE_FORBIDDEN", AGENT, "patients:List", {}),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, "patients:List", {}),
    Row("a page of nothing", "ARGUMENTS_INVALID", DOCTOR_A, "patients:List", {"limit": 0}),
]

SUCCESSES = [
    Success("by a clinician", DOCTOR_A, "patients:Register", REGISTER, ENVELOPES),
    Success("by an administrator", ADMIN_A, "patients:Register", REGISTER, ENVELOPES),
    Success("by any member", OFFICER, "patients:Get", {"patient": ALICE}),
    Success("by the patient", PATIENT, "patients:Get", {"patient": ALICE}),
    Success("by a stranger", STRANGER, "members:List", {}),
]


@pytest.mark.parametrize("row", EMPTY_ROWS, ids=by_name)
def test_refused_before_the_founding(empty: Chain, row: Row) -> None:
    check_refused(empty, row)


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_members_are_listed_with_their_keys(empty: Chain) -> None:
    empty.submit(ADMIN_A, "members:Found", FOUND)
    assert empty.evaluate(STRANGER, "members:List", {})["members"][1] == {
        "msp_id": "HospitalA",
        "kind": "hospital",
        "name": "Hospital A",
        "standing": "active",
        "contact": "it@HospitalA.example",
        "key_version": 1,
        "public_key": KEY,
    }
    listed = empty.evaluate(STRANGER, "members:List", {})["members"]
    assert [one["msp_id"] for one in listed] == ["Agency", "HospitalA", "HospitalB", "Insurer"]


def test_a_registered_patient_and_its_envelopes(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "patients:Register", REGISTER, ENVELOPES)
    assert chain.evaluate(ADMIN_B, "patients:Get", {"patient": CAROL}) == {
        "patient": CAROL,
        "custodian": "HospitalA",
        "status": "active",
        "compartments": dict.fromkeys(compartments_of(CAROL), 1),
        "rekey": [],
        "merged_into": None,
        "public_key": KEY,
    }
    stored = {key: value for (collection, key), value in chain.memory.values.items() if collection == "keys"}
    assert ENVELOPES.items() <= stored.items()
    assert chain.evaluate(ADMIN_A, "audit:List", {"patient": CAROL})["entries"][0]["time_ms"] > START_MS


def test_the_patient_document_stays_small(chain: Chain) -> None:
    """It is read by each write of a record."""
    assert len(chain.memory.state[f"\0patient\0{ALICE}\0"].value) < 250


def test_patients_are_listed_page_by_page_to_their_own_hospital(chain: Chain) -> None:
    first = chain.evaluate(DOCTOR_A, "patients:List", {"limit": 1})
    second = chain.evaluate(DOCTOR_A, "patients:List", {"limit": 1, "start": first["next"]})
    assert [*first["patients"], *second["patients"]] == sorted([ALICE, BOB])
    assert second["next"] is None
    assert chain.evaluate(DOCTOR_B, "patients:List", {}) == {"patients": [], "next": None}
