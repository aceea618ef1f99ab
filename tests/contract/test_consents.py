"""Granting and listing consents: what succeeds, what is refused, and which envelopes must come along."""

from __future__ import annotations

from typing import Any

import pytest

from healthchain.chaincode.stub import Caller

from .chain import START_MS, Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    AGENT,
    ALICE,
    BOB,
    BY_B,
    CAROL,
    DAY,
    DOCTOR_A,
    EXPIRED,
    FORGED_PATIENT,
    HOUR,
    NEW,
    OFFICER,
    OTHER_PATIENT,
    PATIENT,
    REVOKED,
    STRANGER,
    TO_B,
    TO_INSURER,
    K,
    granted,
    person,
    sealed,
)
from .table import Row, Success, by_name, check_refused

GRANT = granted("new", "HospitalB", K[2:4], "TREAT")
ENVELOPES = sealed(K[2:3], 1, "HospitalB") | sealed(K[3:4], 2, "HospitalB")


def grant(name: str, code: str, caller: Caller = PATIENT, **changes: Any) -> Row:
    return Row(name, code, caller, "consents:Grant", {**GRANT, **changes}, ENVELOPES)


def grant_with(name: str, code: str, transient: dict[str, bytes]) -> Row:
    return Row(name, code, PATIENT, "consents:Grant", GRANT, transient)


ROWS = [
    grant("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    grant("by the custodian", "NOT_THE_PATIENT", ADMIN_A),
    grant("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    grant("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT),
    grant("by an insurer's patient", "ROLE_FORBIDDEN", person("Insurer", "alice", "patient", ALICE)),
    grant("for an unknown patient", "PATIENT_UNKNOWN", patient=CAROL),
    grant("for an erased patient", "PATIENT_ERASED", OTHER_PATIENT, patient=BOB),
    grant("to a stranger", "GRANTEE_UNKNOWN", grantee="Elsewhere"),
    grant("to the custodian", "GRANTEE_IS_CUSTODIAN", grantee="HospitalA"),
    grant("of no compartment of hers", "COMPARTMENT_UNKNOWN", compartments=[K[2], NEW]),
    grant("that ends as it starts", "PERIOD_INVALID", start_ms=START_MS + 5 * DAY, end_ms=START_MS + 5 * DAY),
    grant("that is over", "PERIOD_INVALID", end_ms=START_MS + HOUR),
    grant("a second time", "CONSENT_EXISTS", id=TO_B),
    grant("under another grantee's id", "CONSENT_EXISTS", id=TO_INSURER),
    grant("under a revoked id", "CONSENT_EXISTS", id=REVOKED),
    grant("of nothing", "ARGUMENTS_INVALID", compartments=[]),
    grant("for no purpose", "ARGUMENTS_INVALID", purposes=[]),
    grant("for an unknown purpose", "ARGUMENTS_INVALID", purposes=["HMARKT"]),
    grant("to do nothing", "ARGUMENTS_INVALID", actions=[]),
    grant("before 1970", "ARGUMENTS_INVALID", start_ms=-1),
    grant_with("without envelopes", "ENVELOPE_MISSING", {}),
    grant_with("one envelope empty", "ENVELOPE_MISSING", dict.fromkeys(ENVELOPES, b"")),
    grant_with("at an old epoch", "ENVELOPE_MISSING", sealed(K[2:4], 1, "HospitalB")),
    grant_with("to one more", "ENVELOPE_UNEXPECTED", ENVELOPES | sealed(K[2:3], 1, "Insurer")),
    grant_with("of one more", "ENVELOPE_UNEXPECTED", ENVELOPES | sealed(K[4:5], 1, "HospitalB")),
    grant_with("at a future epoch", "ENVELOPE_UNEXPECTED", ENVELOPES | sealed(K[2:3], 2, "HospitalB")),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "consents:List", {"patient": ALICE}),
    Row("unknown", "PATIENT_UNKNOWN", DOCTOR_A, "consents:List", {"patient": CAROL}),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "consents:List", {"patient": ALICE}),
    Row("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT, "consents:List", {"patient": ALICE}),
]

SUCCESSES = [
    Success("with what is required", PATIENT, "consents:Grant", GRANT, ENVELOPES),
    Success(
        "with an older epoch too",
        PATIENT,
        "consents:Grant",
        GRANT,
        ENVELOPES | sealed(K[3:4], 1, "HospitalB"),
    ),
    Success("of what it holds already", PATIENT, "consents:Grant", {**GRANT, "compartments": list(K[:2])}),
    Success(
        "sealed again",
        PATIENT,
        "consents:Grant",
        {**GRANT, "compartments": [K[0]]},
        sealed(K[:1], 1, "HospitalB"),
    ),
    Success("that starts later", PATIENT, "consents:Grant", {**GRANT, "start_ms": START_MS + DAY}, ENVELOPES),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (PATIENT, [EXPIRED, REVOKED, TO_B, TO_INSURER]),
        (DOCTOR_A, [EXPIRED, REVOKED, TO_B, TO_INSURER]),
        (ADMIN_B, [TO_B]),
        (AGENT, [REVOKED, TO_INSURER]),
        (OFFICER, [EXPIRED]),
    ],
    ids=lambda one: one.msp_id + " " + one.common_name if isinstance(one, Caller) else "",
)
def test_each_sees_the_consents_that_concern_it(chain: Chain, caller: Caller, expected: list[str]) -> None:
    listed = chain.evaluate(caller, "consents:List", {"patient": ALICE})["consents"]
    assert sorted(one["id"] for one in listed) == sorted(expected)


def test_a_consent_is_stored_sorted_and_without_repetition(chain: Chain) -> None:
    shuffled = {
        "compartments": [K[3], K[2], K[3]],
        "purposes": ["TREAT", "HRESCH"],
        "actions": ["read", "contribute"],
    }
    chain.submit(PATIENT, "consents:Grant", {**GRANT, **shuffled}, ENVELOPES)
    (stored,) = [
        one for one in chain.evaluate(ADMIN_B, "consents:List", {"patient": ALICE})["consents"] if one["id"] == NEW
    ]
    expected = GRANT | {
        "compartments": [K[2], K[3]],
        "purposes": ["HRESCH", "TREAT"],
        "actions": ["contribute", "read"],
        "decision": "permit",
        "role": None,
        "person": None,
        "exceptions": [],
        "later_compartments": False,
        "status": "active",
        "granted_by": "HospitalA/alice",
        "granted_ms": chain.now_ms,
        "ended_by": None,
        "ended_ms": None,
    }
    expected.pop("patient")  # it is in the key
    assert stored == expected


def test_a_grant_of_an_older_epoch_hands_out_both_keys(chain: Chain) -> None:
    chain.submit(PATIENT, "consents:Grant", GRANT, ENVELOPES | sealed(K[3:4], 1, "HospitalB"))
    handed = chain.evaluate(ADMIN_B, "keys:GetForWriting", {"patient": ALICE})["envelopes"]
    assert [(one["compartment"], one["epoch"]) for one in handed] == [(K[0], 1), (K[1], 1)]
    session = {"id": NEW, "patient": ALICE, "purpose": "TREAT", "end_ms": chain.now_ms + HOUR}
    doctor = person("HospitalB", "doctor", "clinician")
    chain.submit(doctor, "sessions:Open", session)
    handed = chain.evaluate(doctor, "keys:Get", {"patient": ALICE, "session": NEW})["envelopes"]
    assert [(one["compartment"], one["epoch"]) for one in handed] == [
        (K[0], 1),
        (K[1], 1),
        (K[2], 1),
        (K[3], 1),
        (K[3], 2),
    ]
    assert len(chain.evaluate(doctor, "keys:Get", {"patient": ALICE, "session": BY_B})["envelopes"]) == 2
