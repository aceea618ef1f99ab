"""Sessions that are renewed, delegated to a colleague, and listed with what was read in them."""

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
    BY_A,
    BY_AGENT,
    BY_B,
    BY_B_NARROW,
    BY_OFFICER,
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
    R1,
    R2,
    R3,
    STRANGER,
    K,
    disclosing,
    ident,
    opened,
    person,
)
from .table import Row, Success, by_name, check_refused

NOW = START_MS + HOUR
NURSE = person("HospitalB", "nurse", "clinician")
DELEGATED = ident("delegated")


def renewal(name: str, code: str, caller: Caller, session: str, **changes: Any) -> Row:
    return Row(name, code, caller, "sessions:Renew", renewing(session, **changes))


def renewing(session: str, **changes: Any) -> dict[str, Any]:
    return {"id": session, "patient": ALICE, "end_ms": NOW + 12 * HOUR} | changes


def delegation(name: str, code: str, caller: Caller, session: str, **changes: Any) -> Row:
    return Row(name, code, caller, "sessions:Delegate", delegating(session, **changes))


def delegating(session: str, **changes: Any) -> dict[str, Any]:
    new = {"delegated": NEW, "end_ms": NOW + 2 * HOUR}
    return {"id": session, "patient": ALICE, "to": "nurse"} | new | changes


def listing(name: str, code: str, caller: Caller, patient: str = ALICE, **changes: Any) -> Row:
    return Row(name, code, caller, "sessions:List", {"patient": patient} | changes)


ROWS = [
    renewal("by a stranger", "MEMBER_UNKNOWN", STRANGER, BY_A),
    renewal("without a role", "ROLE_FORBIDDEN", NOBODY, BY_A),
    renewal("by an administrator", "ROLE_FORBIDDEN", ADMIN_A, BY_A),
    renewal("unknown", "SESSION_UNKNOWN", DOCTOR_A, NEW),
    renewal("another patient's", "SESSION_UNKNOWN", DOCTOR_A, BY_A, patient=BOB),
    renewal("another's", "SESSION_OF_ANOTHER_USER", DOCTOR_B, BY_A),
    renewal("by the patient", "SESSION_OF_ANOTHER_USER", PATIENT, BY_A),
    renewal("closed", "SESSION_ENDED", DOCTOR_A, CLOSED),
    renewal("over", "SESSION_ENDED", DOCTOR_A, OVER),
    renewal("for no time", "PERIOD_INVALID", DOCTOR_A, BY_A, end_ms=NOW),
    renewal("for longer than 12 hours from now", "PERIOD_INVALID", DOCTOR_A, BY_A, end_ms=NOW + 12 * HOUR + 1),
    renewal("a delegated one past its origin", "PERIOD_INVALID", NURSE, DELEGATED, end_ms=NOW + 2 * HOUR + 1),
    renewal("for another purpose", "ARGUMENTS_INVALID", DOCTOR_A, BY_A, purpose="HRESCH"),
    delegation("by a stranger", "MEMBER_UNKNOWN", STRANGER, BY_B),
    delegation("without a role", "ROLE_FORBIDDEN", NOBODY, BY_B),
    delegation("by an administrator", "ROLE_FORBIDDEN", ADMIN_B, BY_B),
    delegation("by the patient", "ROLE_FORBIDDEN", PATIENT, BY_PATIENT),
    delegation("unknown", "SESSION_UNKNOWN", DOCTOR_B, NEW),
    delegation("another's", "SESSION_OF_ANOTHER_USER", DOCTOR_A, BY_B),
    delegation("by the colleague itself", "SESSION_OF_ANOTHER_USER", NURSE, BY_B),
    delegation("closed", "SESSION_ENDED", DOCTOR_A, CLOSED),
    delegation("over", "SESSION_ENDED", DOCTOR_A, OVER),
    delegation("further", "SESSION_FIXED", NURSE, DELEGATED, to="other"),
    delegation("to oneself", "ARGUMENTS_INVALID", DOCTOR_B, BY_B, to="doctor"),
    delegation("to another organisation", "ARGUMENTS_INVALID", DOCTOR_B, BY_B, to="HospitalA/doctor"),
    delegation("to nobody", "ARGUMENTS_INVALID", DOCTOR_B, BY_B, to=""),
    delegation("for no time", "PERIOD_INVALID", DOCTOR_B, BY_B, end_ms=NOW),
    delegation("for longer than it lasts", "PERIOD_INVALID", DOCTOR_B, BY_B, end_ms=NOW + 2 * HOUR + 1),
    delegation("under a used id", "SESSION_EXISTS", DOCTOR_B, BY_B, delegated=BY_A),
    delegation("of more compartments", "ARGUMENTS_INVALID", DOCTOR_B, BY_B, compartments=list(K)),
    listing("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    listing("without a role", "ROLE_FORBIDDEN", NOBODY),
    listing("of an unknown patient", "PATIENT_UNKNOWN", ADMIN_A, CAROL),
    listing("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    listing("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT),
    listing("by a guardian of nobody", "GUARDIAN_SCOPE", person("HospitalA", ident("g"), "guardian")),
    listing("of one user", "ARGUMENTS_INVALID", ADMIN_A, user="HospitalA/doctor"),
    listing("too many", "ARGUMENTS_INVALID", ADMIN_A, limit=1001),
    Row(
        "by the one that delegated",
        "SESSION_OF_ANOTHER_USER",
        DOCTOR_B,
        "keys:Get",
        {"session": DELEGATED, "patient": ALICE},
    ),
    Row(
        "by the delegate in another role",
        "SESSION_OF_ANOTHER_USER",
        person("HospitalB", "nurse", "patient", ALICE),
        "sessions:Close",
        {"id": DELEGATED, "patient": ALICE},
    ),
    Row(
        "by the delegate's name elsewhere",
        "SESSION_OF_ANOTHER_USER",
        person("HospitalA", "nurse", "clinician"),
        "keys:Get",
        {"session": DELEGATED, "patient": ALICE},
    ),
]

SUCCESSES = [
    Success("for longer", DOCTOR_A, "sessions:Renew", renewing(BY_A)),
    Success("for less", DOCTOR_B, "sessions:Renew", renewing(BY_B, end_ms=NOW + 1)),
    Success("by the patient", PATIENT, "sessions:Renew", renewing(BY_PATIENT)),
    Success(
        "by the delegate, up to the origin's end", NURSE, "sessions:Renew", renewing(DELEGATED, end_ms=NOW + 2 * HOUR)
    ),
    Success("by a clinician", DOCTOR_B, "sessions:Delegate", delegating(BY_B)),
    Success("by the custodian's", DOCTOR_A, "sessions:Delegate", delegating(BY_A)),
    Success("by an agent", AGENT, "sessions:Delegate", delegating(BY_AGENT)),
    Success("by the patient", PATIENT, "sessions:List", {"patient": ALICE}),
    Success("of an erased patient", ADMIN_A, "sessions:List", {"patient": BOB}),
]


@pytest.fixture
def chain(chain: Chain) -> Chain:
    """Hospital B's doctor has delegated its session to a nurse, for an hour."""
    chain.submit(DOCTOR_B, "sessions:Delegate", delegating(BY_B, delegated=DELEGATED, end_ms=NOW + HOUR))
    return chain


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def reading(session: str, *records: str) -> dict[str, Any]:
    return {"session": session, "patient": ALICE, "records": list(records)}


def test_a_renewed_session_goes_on_past_its_first_end(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "sessions:Renew", renewing(BY_A))
    chain.now_ms = NOW + 12 * HOUR - 1
    chain.evaluate(DOCTOR_A, "records:Read", reading(BY_A, R1))
    chain.now_ms += 1
    check_refused(chain, Row("past the new end", "SESSION_ENDED", DOCTOR_A, "records:Read", reading(BY_A, R1)))


def test_a_shortened_session_ends_sooner(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "sessions:Renew", renewing(BY_A, end_ms=NOW + 1))
    chain.now_ms = NOW + 1
    check_refused(chain, Row("past the new end", "SESSION_ENDED", DOCTOR_A, "records:Read", reading(BY_A, R1)))


def test_a_delegate_reads_within_the_scope_and_discloses_by_itself(chain: Chain) -> None:
    check_refused(chain, Row("not yet", "DISCLOSURE_MISSING", NURSE, "records:Read", reading(DELEGATED, R1)))
    check_refused(chain, Row("wider", "SESSION_SCOPE", NURSE, "records:Disclose", disclosing(DELEGATED, (R3, 1))))
    chain.submit(NURSE, "records:Disclose", disclosing(DELEGATED, (R1, 2)))
    chain.evaluate(NURSE, "records:Read", reading(DELEGATED, R1))


def test_a_narrow_session_is_delegated_as_narrow(chain: Chain) -> None:
    chain.submit(DOCTOR_B, "sessions:Delegate", delegating(BY_B_NARROW))
    check_refused(chain, Row("wider", "SESSION_SCOPE", NURSE, "records:Disclose", disclosing(NEW, (R1, 2))))
    chain.submit(NURSE, "records:Disclose", disclosing(NEW, (R2, 1)))


@pytest.mark.parametrize("ended", ["closed", "shortened"])
def test_a_delegated_session_ends_with_its_origin(chain: Chain, ended: str) -> None:
    chain.submit(NURSE, "records:Disclose", disclosing(DELEGATED, (R1, 2)))
    if ended == "closed":
        chain.submit(DOCTOR_B, "sessions:Close", {"id": BY_B, "patient": ALICE})
    else:
        chain.submit(DOCTOR_B, "sessions:Renew", renewing(BY_B, end_ms=NOW + 1))
        chain.now_ms += 1
    for function, arguments in (
        ("records:Read", reading(DELEGATED, R1)),
        ("records:Disclose", disclosing(DELEGATED, (R1, 2))),
        ("sessions:Renew", renewing(DELEGATED, end_ms=NOW + HOUR)),
    ):
        check_refused(chain, Row(ended, "SESSION_ENDED", NURSE, function, arguments))


def test_a_renewed_origin_lets_the_delegate_renew(chain: Chain) -> None:
    chain.submit(DOCTOR_B, "sessions:Renew", renewing(BY_B))
    chain.submit(NURSE, "sessions:Renew", renewing(DELEGATED, end_ms=NOW + 12 * HOUR))


def test_the_patient_sees_every_session_with_what_was_read(chain: Chain) -> None:
    chain.submit(NURSE, "records:Disclose", disclosing(DELEGATED, (R1, 2)))
    chain.submit(NURSE, "records:Disclose", disclosing(DELEGATED, (R2, 1), (R1, 2)))
    chain.submit(NURSE, "sessions:Renew", renewing(DELEGATED, end_ms=NOW + 2 * HOUR))
    chain.submit(NURSE, "sessions:Close", {"id": DELEGATED, "patient": ALICE})
    listed = chain.evaluate(PATIENT, "sessions:List", {"patient": ALICE})
    everything = [BY_A, OVER, CLOSED, BY_B, BY_B_NARROW, BY_AGENT, BY_OFFICER, BY_PATIENT, DELEGATED]
    assert [one["id"] for one in listed["sessions"]] == sorted(everything)
    assert listed["next"] is None
    assert listed == chain.evaluate(ADMIN_A, "sessions:List", {"patient": ALICE})
    (found,) = [one for one in listed["sessions"] if one["id"] == DELEGATED]
    assert found == {
        "id": DELEGATED,
        "organisation": "HospitalB",
        "user": "HospitalB/nurse",
        "role": "clinician",
        "patient": ALICE,
        "purpose": "TREAT",
        "compartments": list(K[:2]),
        "start_ms": NOW,
        "end_ms": NOW + 2 * HOUR,
        "closed_ms": NOW,
        "renewals": 1,
        "delegated_from": BY_B,
        "emergency": False,
        "reads": 3,
        "disclosed": [list(one) for one in sorted([(R1, 2), (R2, 1)])],
    }


@pytest.mark.parametrize(
    ("caller", "own"),
    [
        (NURSE, [DELEGATED]),
        (DOCTOR_A, [BY_A, OVER, CLOSED]),
        (DOCTOR_B, [BY_B, BY_B_NARROW]),
        (OFFICER, [BY_OFFICER]),
        (ADMIN_B, []),
    ],
    ids=["delegate", "custodian's doctor", "doctor", "officer", "administrator elsewhere"],
)
def test_others_see_their_own_sessions(chain: Chain, caller: Caller, own: list[str]) -> None:
    listed = chain.evaluate(caller, "sessions:List", {"patient": ALICE})["sessions"]
    assert [one["id"] for one in listed] == sorted(own)


def test_sessions_are_listed_page_by_page(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "sessions:Open", opened("more", "TREAT"))
    found: list[str] = []
    start: str | None = ""
    while start is not None:
        page = chain.evaluate(PATIENT, "sessions:List", {"patient": ALICE, "start": start, "limit": 3})
        assert len(page["sessions"]) <= 3
        found += [one["id"] for one in page["sessions"]]
        start = page["next"]
    assert len(found) == 10
    assert found == sorted(found)
