"""Licences: who gives them, who is refused without one, and that a lapsed one stops tomorrow's acts only."""

from __future__ import annotations

from typing import Any

import pytest

from .chain import START_MS, Chain
from .consortium import (
    ADMIN_A,
    ADMIN_I,
    AGENT,
    ALICE,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    HOUR,
    NEW,
    NOBODY,
    OFFICER,
    PATIENT,
    R1,
    STRANGER,
    K,
    body,
    disclosing,
    granted,
    licence,
    opened,
    person,
    sealed,
    written,
)
from .table import Row, Success, by_name, check_refused

UNLICENSED = person("HospitalA", "locum", "clinician")
ISSUE = licence("HospitalB/nurse")
WRITE = {"patient": ALICE, "records": [written(NEW, 1, K[0])]}
HOLDER = {"holder": "HospitalA"}

ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "licences:Issue", ISSUE),
    Row("by a hospital", "ROLE_FORBIDDEN", ADMIN_A, "licences:Issue", ISSUE),
    Row("by an insurer", "ROLE_FORBIDDEN", ADMIN_I, "licences:Issue", ISSUE),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, "licences:Issue", ISSUE),
    Row("to an insurer", "LICENCE_HOLDER", OFFICER, "licences:Issue", licence("Insurer")),
    Row("to an insurer's agent", "LICENCE_HOLDER", OFFICER, "licences:Issue", licence("Insurer/agent")),
    Row("to a stranger", "LICENCE_HOLDER", OFFICER, "licences:Issue", licence("Elsewhere/doctor")),
    Row("to no name", "ARGUMENTS_INVALID", OFFICER, "licences:Issue", ISSUE | {"holder": ""}),
    Row("to a line break", "ARGUMENTS_INVALID", OFFICER, "licences:Issue", ISSUE | {"holder": "HospitalA/x\ny"}),
    Row("for no act", "ARGUMENTS_INVALID", OFFICER, "licences:Issue", ISSUE | {"acts": []}),
    Row("for an unknown act", "ARGUMENTS_INVALID", OFFICER, "licences:Issue", ISSUE | {"acts": ["fly"]}),
    Row("without a number", "ARGUMENTS_INVALID", OFFICER, "licences:Issue", ISSUE | {"number": ""}),
    Row("for no time", "PERIOD_INVALID", OFFICER, "licences:Issue", ISSUE | {"end_ms": START_MS}),
    Row("that is over", "PERIOD_INVALID", OFFICER, "licences:Issue", ISSUE | {"start_ms": 0, "end_ms": START_MS}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "licences:Suspend", HOLDER),
    Row("by its holder", "ROLE_FORBIDDEN", ADMIN_A, "licences:Suspend", HOLDER),
    Row("that nobody has", "LICENCE_UNKNOWN", OFFICER, "licences:Suspend", {"holder": "HospitalA/locum"}),
    Row("of no name", "ARGUMENTS_INVALID", OFFICER, "licences:Suspend", {}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "licences:Reinstate", HOLDER),
    Row("by its holder", "ROLE_FORBIDDEN", ADMIN_A, "licences:Reinstate", HOLDER),
    Row("that nobody has", "LICENCE_UNKNOWN", OFFICER, "licences:Reinstate", {"holder": "HospitalA/locum"}),
    Row("that is not suspended", "LICENCE_STATUS", OFFICER, "licences:Reinstate", HOLDER),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "licences:List", {}),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "licences:List", {}),
    Row("of one", "ARGUMENTS_INVALID", OFFICER, "licences:List", HOLDER),
    Row("from no holder on", "ARGUMENTS_INVALID", OFFICER, "licences:List", {"start": "/doctor"}),
    Row("too many", "ARGUMENTS_INVALID", OFFICER, "licences:List", {"limit": 1001}),
    Row("by one without a licence", "LICENCE_MISSING", UNLICENSED, "records:Write", WRITE, body(NEW, 1)),
    Row("after it lapsed", "LICENCE_MISSING", DOCTOR_A, "records:Write", WRITE, body(NEW, 1), later_ms=365 * DAY),
]

SUCCESSES = [
    Success("by an officer", OFFICER, "licences:Issue", ISSUE),
    Success("by the agency's administrator", person("Agency", "admin", "administrator"), "licences:Issue", ISSUE),
    Success("to a hospital", OFFICER, "licences:Issue", licence("HospitalB")),
    Success("of a hospital", OFFICER, "licences:Suspend", HOLDER),
    Success("by an insurer", AGENT, "licences:List", {}),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


@pytest.mark.parametrize("holder", ["HospitalA", "HospitalA/doctor"])
def test_both_licences_are_needed_until_reinstated(chain: Chain, holder: str) -> None:
    chain.submit(OFFICER, "licences:Suspend", {"holder": holder})
    check_refused(chain, Row("suspended", "LICENCE_MISSING", DOCTOR_A, "records:Write", WRITE, body(NEW, 1)))
    check_refused(chain, Row("twice", "LICENCE_STATUS", OFFICER, "licences:Suspend", {"holder": holder}))
    chain.submit(OFFICER, "licences:Reinstate", {"holder": holder})
    chain.submit(DOCTOR_A, "records:Write", WRITE, body(NEW, 1))


def test_a_licence_for_other_acts_is_none(chain: Chain) -> None:
    chain.submit(OFFICER, "licences:Issue", licence("HospitalA/doctor", acts=["claim"]))
    check_refused(chain, Row("other acts", "LICENCE_MISSING", DOCTOR_A, "records:Write", WRITE, body(NEW, 1)))


def test_a_lapsed_licence_leaves_yesterdays_records_readable(chain: Chain) -> None:
    """The author's licence ends; somebody else still reads what was written before."""
    chain.submit(OFFICER, "licences:Issue", licence("HospitalA/doctor", end_ms=START_MS + 2 * HOUR))
    chain.now_ms = START_MS + 2 * HOUR
    check_refused(chain, Row("lapsed", "LICENCE_MISSING", DOCTOR_A, "records:Write", WRITE, body(NEW, 1)))
    consent = granted("later", "HospitalB", K[:1], "TREAT", end_ms=START_MS + 30 * DAY)
    chain.submit(PATIENT, "consents:Grant", consent, sealed([], 1))
    later = opened("later", "TREAT", end_ms=START_MS + 4 * HOUR)
    chain.submit(DOCTOR_B, "sessions:Open", later)
    chain.submit(DOCTOR_B, "records:Disclose", disclosing(later["id"], (R1, 2)))
    read = chain.evaluate(DOCTOR_B, "records:Read", {"session": later["id"], "patient": ALICE, "records": [R1]})
    assert [one["id"] for one in read["records"]] == [R1]


def test_licences_are_listed_by_holder(chain: Chain) -> None:
    whole = chain.evaluate(AGENT, "licences:List", {})
    listed = whole["licences"]
    assert [one["holder"] for one in listed] == sorted(one["holder"] for one in listed)
    assert listed[0]["holder"] == "HospitalA"
    assert listed[0]["by"] == "Agency/officer"
    assert whole["next"] is None
    pages: list[Any] = [{"next": ""}]
    while pages[-1]["next"] is not None:
        pages.append(chain.evaluate(AGENT, "licences:List", {"start": pages[-1]["next"], "limit": 1}))
    assert [one for page in pages[1:] for one in page["licences"]] == listed
    assert len(pages) == len(listed) + 1
