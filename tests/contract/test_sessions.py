"""Opening and closing access sessions, and the keys handed out within them or for writing."""

from __future__ import annotations

import base64
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
    BY_A,
    BY_AGENT,
    BY_B,
    BY_B_NARROW,
    BY_PATIENT,
    CAROL,
    CLOSED,
    DOCTOR_A,
    DOCTOR_B,
    FORGED_PATIENT,
    HOUR,
    NEW,
    NOBODY,
    OFFICER,
    OTHER_PATIENT,
    OVER,
    PATIENT,
    STRANGER,
    K,
    granted,
    opened,
    person,
    sealed,
)
from .table import Row, by_name, check_refused

NOW = START_MS + HOUR


def opening(name: str, code: str, caller: Caller, purpose: str = "TREAT", **changes: Any) -> Row:
    return Row(name, code, caller, "sessions:Open", opened("new", purpose, **changes))


def closing(name: str, code: str, caller: Caller, session: str, patient: str = ALICE) -> Row:
    return Row(name, code, caller, "sessions:Close", {"id": session, "patient": patient})


def getting(name: str, code: str, caller: Caller, session: str) -> Row:
    return Row(name, code, caller, "keys:Get", {"session": session, "patient": ALICE})


def for_writing(name: str, code: str, caller: Caller, patient: str = ALICE) -> Row:
    return Row(name, code, caller, "keys:GetForWriting", {"patient": patient})


ROWS = [
    opening("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    opening("without a role", "ROLE_FORBIDDEN", NOBODY),
    opening("by an administrator", "ROLE_FORBIDDEN", ADMIN_A),
    opening("by an insurer's clinician", "ROLE_FORBIDDEN", person("Insurer", "x", "clinician"), "HPAYMT"),
    opening("by a hospital's officer", "ROLE_FORBIDDEN", person("HospitalB", "x", "health-officer")),
    opening("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_A, patient=CAROL),
    opening("of an erased patient", "PATIENT_ERASED", DOCTOR_A, patient=BOB),
    opening("over at once", "PERIOD_INVALID", DOCTOR_A, end_ms=NOW),
    opening("longer than 12 hours", "PERIOD_INVALID", DOCTOR_A, end_ms=NOW + 12 * HOUR + 1),
    opening("of no compartment of hers", "COMPARTMENT_UNKNOWN", DOCTOR_A, compartments=[K[0], NEW]),
    opening("under a used id", "SESSION_EXISTS", DOCTOR_A, id=BY_B),
    opening("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "PATRQT"),
    opening("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT, "PATRQT"),
    opening("by the patient, to treat", "PURPOSE_FORBIDDEN", PATIENT),
    opening("at the patient's request, by a doctor", "PURPOSE_FORBIDDEN", DOCTOR_A, "PATRQT"),
    opening("by the custodian, for research", "CONSENT_MISSING", DOCTOR_A, "HRESCH"),
    opening("by the custodian, for payment", "CONSENT_MISSING", DOCTOR_A, "HPAYMT"),
    opening("without consent", "CONSENT_MISSING", OFFICER, "HRESCH"),
    opening("consent expired", "CONSENT_MISSING", OFFICER, "PUBHLTH"),
    opening("for another purpose", "CONSENT_MISSING", DOCTOR_B, "ETREAT"),
    opening("of other compartments", "CONSENT_MISSING", DOCTOR_B, compartments=[K[2]]),
    opening("consent revoked", "CONSENT_MISSING", AGENT, "HPAYMT", compartments=[K[3]]),
    opening("an unknown purpose", "ARGUMENTS_INVALID", DOCTOR_A, "HMARKT"),
    opening("naming its user", "ARGUMENTS_INVALID", DOCTOR_A, user="HospitalA/other"),
    closing("by a stranger", "MEMBER_UNKNOWN", STRANGER, BY_A),
    closing("without a role", "ROLE_FORBIDDEN", NOBODY, BY_A),
    closing("unknown", "SESSION_UNKNOWN", DOCTOR_A, NEW),
    closing("another patient's", "SESSION_UNKNOWN", DOCTOR_A, BY_A, BOB),
    closing("another's", "SESSION_OF_ANOTHER_USER", DOCTOR_A, BY_B),
    closing("twice", "SESSION_ENDED", DOCTOR_A, CLOSED),
    closing("when over", "SESSION_ENDED", DOCTOR_A, OVER),
    getting("by a stranger", "MEMBER_UNKNOWN", STRANGER, BY_A),
    getting("by an administrator", "ROLE_FORBIDDEN", ADMIN_A, BY_A),
    getting("unknown", "SESSION_UNKNOWN", DOCTOR_A, NEW),
    getting("another's", "SESSION_OF_ANOTHER_USER", DOCTOR_B, BY_A),
    getting("over", "SESSION_ENDED", DOCTOR_A, OVER),
    for_writing("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    for_writing("by the patient", "ROLE_FORBIDDEN", PATIENT),
    for_writing("of an unknown patient", "PATIENT_UNKNOWN", ADMIN_A, CAROL),
    for_writing("of an erased patient", "PATIENT_ERASED", ADMIN_A, BOB),
    for_writing("by an insurer", "ROLE_FORBIDDEN", person("Insurer", "admin", "administrator")),
    Row("without consent", "CONSENT_MISSING", ADMIN_B, "keys:GetForWriting", {"patient": ALICE}, {}, 720 * HOUR),
]

OPENED = [
    ("the custodian, to treat", DOCTOR_A, "TREAT", [], K),
    ("the custodian, in an emergency", DOCTOR_A, "ETREAT", [], K),
    ("the custodian, to operate", DOCTOR_A, "HOPERAT", [K[4], K[1]], (K[1], K[4])),
    ("the patient", PATIENT, "PATRQT", [], K),
    ("a grantee", DOCTOR_B, "TREAT", [], K[:2]),
    ("a grantee who asks for more", DOCTOR_B, "TREAT", list(K), K[:2]),
    ("a grantee who asks for less", DOCTOR_B, "TREAT", [K[1]], K[1:2]),
    ("an insurer", AGENT, "HPAYMT", [], K[:1]),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize(("name", "caller", "purpose", "asked", "scope"), OPENED, ids=[one[0] for one in OPENED])
def test_opened(
    chain: Chain, name: str, caller: Caller, purpose: str, asked: list[str], scope: tuple[str, ...]
) -> None:
    arguments = opened("new", purpose, compartments=asked, end_ms=NOW + 12 * HOUR)
    assert chain.submit(caller, "sessions:Open", arguments) == {"compartments": list(scope)}
    assert chain.event == ("sessions:Opened", f'{{"patient":"{ALICE}","ids":["{NEW}"]}}'.encode())


def test_a_consent_ahead_opens_nothing_until_it_starts(chain: Chain) -> None:
    later = granted("later", "Agency", K[4:], "PUBHLTH", start_ms=NOW + HOUR)
    chain.submit(PATIENT, "consents:Grant", later, sealed(K[4:], 1, "Agency"))
    check_refused(chain, opening("ahead", "CONSENT_MISSING", OFFICER, "PUBHLTH", end_ms=NOW + 2 * HOUR))
    chain.now_ms = NOW + HOUR
    answer = chain.submit(OFFICER, "sessions:Open", opened("new", "PUBHLTH", end_ms=NOW + 2 * HOUR))
    assert answer == {"compartments": list(K[4:])}


@pytest.mark.parametrize(
    ("caller", "session", "recipient", "expected"),
    [
        (DOCTOR_A, BY_A, "HospitalA", [(K[0], 1), (K[1], 1), (K[2], 1), (K[3], 1), (K[3], 2), (K[4], 1)]),
        (PATIENT, BY_PATIENT, ALICE, [(K[0], 1), (K[1], 1), (K[2], 1), (K[3], 1), (K[3], 2), (K[4], 1)]),
        (DOCTOR_B, BY_B, "HospitalB", [(K[0], 1), (K[1], 1)]),
        (DOCTOR_B, BY_B_NARROW, "HospitalB", [(K[1], 1)]),
        (AGENT, BY_AGENT, "Insurer", [(K[0], 1)]),
    ],
    ids=["custodian", "patient", "grantee", "narrowed", "insurer"],
)
def test_each_gets_its_own_envelopes_only(
    chain: Chain, caller: Caller, session: str, recipient: str, expected: list[tuple[str, int]]
) -> None:
    envelopes = chain.evaluate(caller, "keys:Get", {"session": session, "patient": ALICE})["envelopes"]
    assert [(one["compartment"], one["epoch"]) for one in envelopes] == expected
    texts = [base64.b64decode(one["ciphertext"]).decode() for one in envelopes]
    assert texts == [f"{compartment} {epoch} {recipient}" for compartment, epoch in expected]


@pytest.mark.parametrize(
    ("caller", "expected"),
    [(ADMIN_A, [(one, 2 if one == K[3] else 1) for one in K]), (ADMIN_B, [(K[0], 1), (K[1], 1)])],
    ids=["custodian", "contributor"],
)
def test_a_writer_gets_the_current_keys(chain: Chain, caller: Caller, expected: list[tuple[str, int]]) -> None:
    envelopes = chain.evaluate(caller, "keys:GetForWriting", {"patient": ALICE})["envelopes"]
    assert [(one["compartment"], one["epoch"]) for one in envelopes] == expected


def test_closing_ends_the_session(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "sessions:Close", {"id": BY_A, "patient": ALICE})
    check_refused(chain, getting("closed", "SESSION_ENDED", DOCTOR_A, BY_A))
