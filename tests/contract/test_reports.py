"""Case reports: who files, confirms, asks, answers, withdraws and sees; what is late."""

from __future__ import annotations

import pytest

from healthchain.chaincode.stub import Caller

from .chain import Chain
from .consortium import (
    ADMIN_A,
    ADMIN_I,
    AGENT,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    HOUR,
    NOBODY,
    OFFICER,
    PATIENT,
    STRANGER,
    ident,
    person,
)
from .outbreak_stage import (
    ANSWER,
    ANSWERED,
    ASKED,
    BY_B,
    CONFIRMED,
    ELSEWHERE,
    FIRST_HOUR,
    LATE,
    OPEN,
    OTHER_OFFICER,
    WITHDRAWN,
    filed,
    outbreak_chain,
    text,
)
from .table import Row, Success, by_name, check_refused
from .test_governance import ADMIN_G, pass_change

UNLICENSED = person("HospitalA", "locum", "clinician")
NEW = ident("new")
FILE, BODY = filed(NEW), text(NEW, "body")
ADD, ADDED = {"id": NEW, "report": OPEN}, text(OPEN, "follow-up", NEW)
ASK, QUESTION = {"id": NEW, "report": OPEN, "due_ms": FIRST_HOUR + DAY}, text(OPEN, "request", NEW)
WHY = text(OPEN, "withdrawal")
ONE = {"id": OPEN}
READ = {"id": OPEN, "part": "body"}
NO_REQUEST = {"id": OPEN, "part": "request", "part_id": NEW}


@pytest.fixture(scope="session")
def built_chain() -> Chain:
    return outbreak_chain()


FILE_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "reports:File", FILE, BODY),
    Row("by an insurer", "ROLE_FORBIDDEN", AGENT, "reports:File", FILE, BODY),
    Row("by an agency", "ROLE_FORBIDDEN", OFFICER, "reports:File", FILE, BODY),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, "reports:File", FILE, BODY),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "reports:File", FILE, BODY),
    Row("without a licence", "LICENCE_MISSING", UNLICENSED, "reports:File", FILE, BODY),
    Row("after the licence lapsed", "LICENCE_MISSING", DOCTOR_A, "reports:File", FILE, BODY, later_ms=365 * DAY),
    Row("to a hospital", "REPORT_ADDRESSEE", DOCTOR_A, "reports:File", filed(NEW, agency="HospitalB"), BODY),
    Row("to a stranger", "REPORT_ADDRESSEE", DOCTOR_A, "reports:File", filed(NEW, agency="Elsewhere"), BODY),
    Row("of tomorrow", "REPORT_TIME", DOCTOR_A, "reports:File", filed(NEW, known_ms=FIRST_HOUR + DAY), BODY),
    Row("to the minute", "ARGUMENTS_INVALID", DOCTOR_A, "reports:File", filed(NEW, known_ms=FIRST_HOUR - 60_000), BODY),
    Row("with a patient", "ARGUMENTS_INVALID", DOCTOR_A, "reports:File", FILE | {"patient": NEW}, BODY),
    Row("with a condition", "ARGUMENTS_INVALID", DOCTOR_A, "reports:File", FILE | {"condition": "flu"}, BODY),
    Row("twice", "REPORT_EXISTS", DOCTOR_A, "reports:File", filed(OPEN), text(OPEN, "body")),
    Row("under another's id", "REPORT_EXISTS", DOCTOR_A, "reports:File", filed(BY_B), text(BY_B, "body")),
    Row("without a body", "MESSAGE_MISSING", DOCTOR_A, "reports:File", FILE),
    Row("with an empty body", "MESSAGE_MISSING", DOCTOR_A, "reports:File", FILE, dict.fromkeys(BODY, b"")),
    Row("with more", "MESSAGE_UNEXPECTED", DOCTOR_A, "reports:File", FILE, BODY | {"more": b"x"}),
    Row("too large", "MESSAGE_TOO_LARGE", DOCTOR_A, "reports:File", FILE, dict.fromkeys(BODY, bytes(1 + (1 << 20)))),
]

AGENCY_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "reports:Acknowledge", ONE),
    Row("by the reporter", "ROLE_FORBIDDEN", DOCTOR_A, "reports:Acknowledge", ONE),
    Row("by an insurer", "ROLE_FORBIDDEN", AGENT, "reports:Acknowledge", ONE),
    Row("by another agency", "REPORT_OF_ANOTHER", OTHER_OFFICER, "reports:Acknowledge", ONE),
    Row("of no such id", "REPORT_UNKNOWN", OFFICER, "reports:Acknowledge", {"id": NEW}),
    Row("twice", "REPORT_ACKNOWLEDGED", OFFICER, "reports:Acknowledge", {"id": CONFIRMED}),
    Row("withdrawn", "REPORT_WITHDRAWN", OFFICER, "reports:Acknowledge", {"id": WITHDRAWN}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "reports:Request", ASK, QUESTION),
    Row("by the reporter", "ROLE_FORBIDDEN", DOCTOR_A, "reports:Request", ASK, QUESTION),
    Row("by an insurer", "ROLE_FORBIDDEN", ADMIN_I, "reports:Request", ASK, QUESTION),
    Row("by another agency", "REPORT_OF_ANOTHER", OTHER_OFFICER, "reports:Request", ASK, QUESTION),
    Row("of no such report", "REPORT_UNKNOWN", OFFICER, "reports:Request", ASK | {"report": NEW}, QUESTION),
    Row("withdrawn", "REPORT_WITHDRAWN", OFFICER, "reports:Request", ASK | {"report": WITHDRAWN}, QUESTION),
    Row("due at once", "PERIOD_INVALID", OFFICER, "reports:Request", ASK | {"due_ms": FIRST_HOUR}, QUESTION),
    Row("due never", "PERIOD_INVALID", OFFICER, "reports:Request", ASK | {"due_ms": FIRST_HOUR + 91 * DAY}, QUESTION),
    Row("twice", "REPORT_EXISTS", OFFICER, "reports:Request", ASK | {"id": ASKED}, text(OPEN, "request", ASKED)),
    Row("without a text", "MESSAGE_MISSING", OFFICER, "reports:Request", ASK),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "reports:Overdue", {}),
    Row("by a hospital", "ROLE_FORBIDDEN", ADMIN_A, "reports:Overdue", {}),
    Row("by an insurer", "ROLE_FORBIDDEN", ADMIN_I, "reports:Overdue", {}),
]

FOLLOW_UP_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "reports:FollowUp", ADD, ADDED),
    Row("by the agency", "ROLE_FORBIDDEN", OFFICER, "reports:FollowUp", ADD, ADDED),
    Row("by an insurer", "ROLE_FORBIDDEN", AGENT, "reports:FollowUp", ADD, ADDED),
    Row("without a licence", "LICENCE_MISSING", UNLICENSED, "reports:FollowUp", ADD, ADDED),
    Row("by another hospital", "REPORT_OF_ANOTHER", DOCTOR_B, "reports:FollowUp", ADD, ADDED),
    Row("of no such report", "REPORT_UNKNOWN", DOCTOR_A, "reports:FollowUp", ADD | {"report": NEW}, ADDED),
    Row("withdrawn", "REPORT_WITHDRAWN", DOCTOR_A, "reports:FollowUp", ADD | {"report": WITHDRAWN}, ADDED),
    Row("twice", "REPORT_EXISTS", DOCTOR_A, "reports:FollowUp", ADD | {"id": ANSWER}, ADDED),
    Row("to no request", "REQUEST_UNKNOWN", DOCTOR_A, "reports:FollowUp", ADD | {"request": NEW}, ADDED),
    Row("to an answered one", "REQUEST_UNKNOWN", DOCTOR_A, "reports:FollowUp", ADD | {"request": ANSWERED}, ADDED),
    Row("without a text", "MESSAGE_MISSING", DOCTOR_A, "reports:FollowUp", ADD),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "reports:Withdraw", ONE, WHY),
    Row("by the agency", "ROLE_FORBIDDEN", OFFICER, "reports:Withdraw", ONE, WHY),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, "reports:Withdraw", ONE, WHY),
    Row("by another hospital", "REPORT_OF_ANOTHER", DOCTOR_B, "reports:Withdraw", ONE, WHY),
    Row("of no such id", "REPORT_UNKNOWN", DOCTOR_A, "reports:Withdraw", {"id": NEW}, WHY),
    Row("twice", "REPORT_WITHDRAWN", DOCTOR_A, "reports:Withdraw", {"id": WITHDRAWN}, WHY),
    Row("without a reason", "MESSAGE_MISSING", DOCTOR_A, "reports:Withdraw", ONE),
]

READ_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "reports:Get", ONE),
    Row("by an insurer", "ROLE_FORBIDDEN", AGENT, "reports:Get", ONE),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, "reports:Get", ONE),
    Row("by another hospital", "REPORT_OF_ANOTHER", DOCTOR_B, "reports:Get", ONE),
    Row("by another agency", "REPORT_OF_ANOTHER", OTHER_OFFICER, "reports:Get", ONE),
    Row("of no such id", "REPORT_UNKNOWN", OFFICER, "reports:Get", {"id": NEW}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "reports:List", {}),
    Row("by an insurer", "ROLE_FORBIDDEN", ADMIN_I, "reports:List", {}),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, "reports:List", {}),
    Row("of none", "ARGUMENTS_INVALID", OFFICER, "reports:List", {"limit": 0}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "reports:Message", READ),
    Row("by an insurer", "ROLE_FORBIDDEN", AGENT, "reports:Message", READ),
    Row("by another hospital", "REPORT_OF_ANOTHER", DOCTOR_B, "reports:Message", READ),
    Row("by another agency", "REPORT_OF_ANOTHER", OTHER_OFFICER, "reports:Message", READ),
    Row("body, by the reporter", "REPORT_SEALED", DOCTOR_A, "reports:Message", READ),
    Row(
        "follow-up, by the reporter",
        "REPORT_SEALED",
        DOCTOR_A,
        "reports:Message",
        {"id": OPEN, "part": "follow-up", "part_id": ANSWER},
    ),
    Row("of no such report", "REPORT_UNKNOWN", OFFICER, "reports:Message", READ | {"id": NEW}),
    Row("not withdrawn", "MESSAGE_UNKNOWN", OFFICER, "reports:Message", READ | {"part": "withdrawal"}),
    Row(
        "no such request",
        "MESSAGE_UNKNOWN",
        DOCTOR_A,
        "reports:Message",
        {"id": OPEN, "part": "request", "part_id": NEW},
    ),
    Row("no such part", "ARGUMENTS_INVALID", OFFICER, "reports:Message", READ | {"part": "all"}),
]

SUCCESSES = [
    Success("by a clinician", DOCTOR_A, "reports:File", FILE, BODY),
    Success("by an administrator", ADMIN_A, "reports:File", FILE, BODY),
    Success("to the other agency", DOCTOR_A, "reports:File", filed(NEW, agency="CityAgency"), BODY),
    Success("by the agency", OFFICER, "reports:Acknowledge", ONE),
    Success("by the other agency", OTHER_OFFICER, "reports:Acknowledge", {"id": ELSEWHERE}),
    Success("by the agency", OFFICER, "reports:Request", ASK, QUESTION),
    Success("of its own accord", DOCTOR_A, "reports:FollowUp", ADD, ADDED),
    Success("to a request", DOCTOR_A, "reports:FollowUp", ADD | {"request": ASKED}, ADDED),
    Success("unlicensed by now", UNLICENSED, "reports:Withdraw", ONE, WHY),
    Success("by the reporter", DOCTOR_A, "reports:Get", ONE),
    Success("body, by the agency", OFFICER, "reports:Message", READ),
    Success("request, by the reporter", DOCTOR_A, "reports:Message", {"id": OPEN, "part": "request", "part_id": ASKED}),
]


@pytest.mark.parametrize("row", [*FILE_ROWS, *AGENCY_ROWS, *FOLLOW_UP_ROWS, *READ_ROWS], ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_each_party_lists_its_own(chain: Chain) -> None:
    def listed(caller: Caller) -> set[str]:
        return {one["id"] for one in chain.evaluate(caller, "reports:List", {})["reports"]}

    assert listed(DOCTOR_A) == {OPEN, CONFIRMED, WITHDRAWN, LATE}
    assert listed(DOCTOR_B) == {BY_B, ELSEWHERE}
    assert listed(OFFICER) == {OPEN, CONFIRMED, WITHDRAWN, LATE, BY_B}
    assert listed(OTHER_OFFICER) == {ELSEWHERE}


def test_a_list_has_pages(chain: Chain) -> None:
    start, found = "", []
    while True:
        page = chain.evaluate(OFFICER, "reports:List", {"start": start, "limit": 2})
        found += [one["id"] for one in page["reports"]]
        start = page["next"]
        if not start:
            break
    assert found == sorted({OPEN, CONFIRMED, WITHDRAWN, LATE, BY_B})


def test_the_deadline_is_kept_to_the_millisecond_and_measured(chain: Chain) -> None:
    chain.now_ms = FIRST_HOUR + DAY
    for name, more in (("in time", 0), ("too late", 1)):
        chain.now_ms += more
        report = ident(name)
        chain.submit(DOCTOR_B, "reports:File", filed(report, known_ms=FIRST_HOUR), text(report, "body"))
        assert chain.evaluate(DOCTOR_B, "reports:Get", {"id": report})["report"]["late"] == more
    found = chain.evaluate(OFFICER, "reports:Overdue", {})
    assert found["hospitals"] == [
        {"hospital": "HospitalA", "late": 1, "late_ms_max": 2 * DAY},
        {"hospital": "HospitalB", "late": 1, "late_ms_max": 1},
    ]
    assert [(one["id"], one["late_ms"]) for one in found["late"]] == [(LATE, 2 * DAY), (ident("too late"), 1)]
    assert chain.evaluate(OTHER_OFFICER, "reports:Overdue", {}) == {"hospitals": [], "late": [], "requests": []}


def test_a_request_is_overdue_until_it_is_answered(chain: Chain) -> None:
    chain.now_ms = FIRST_HOUR + DAY - 1
    assert chain.evaluate(OFFICER, "reports:Overdue", {})["requests"] == []
    chain.now_ms += 1
    due = {"report": OPEN, "id": ASKED, "hospital": "HospitalA", "due_ms": FIRST_HOUR + DAY}
    assert chain.evaluate(OFFICER, "reports:Overdue", {})["requests"] == [due]
    chain.submit(DOCTOR_A, "reports:FollowUp", ADD | {"request": ASKED}, ADDED)
    assert chain.evaluate(OFFICER, "reports:Overdue", {})["requests"] == []


def test_nothing_waits_for_a_report_that_was_withdrawn(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "reports:Withdraw", ONE, WHY)
    chain.now_ms = FIRST_HOUR + 2 * DAY
    assert chain.evaluate(OFFICER, "reports:Overdue", {})["requests"] == []
    shown = chain.evaluate(OFFICER, "reports:Get", ONE)["report"]
    assert (shown["withdrawn_by"], shown["withdrawn_ms"]) == ("HospitalA/doctor", FIRST_HOUR)


def test_the_receipt_is_shown_to_both(chain: Chain) -> None:
    chain.now_ms += HOUR
    chain.submit(OFFICER, "reports:Acknowledge", ONE)
    for caller in (DOCTOR_A, OFFICER):
        shown = chain.evaluate(caller, "reports:Get", ONE)
        report = shown["report"]
        assert (report["acknowledged_by"], report["acknowledged_ms"]) == ("Agency/officer", FIRST_HOUR + HOUR)
        assert [one["request"] for one in shown["follow_ups"]] == [ANSWERED]
        assert {one["id"] for one in shown["requests"]} == {ASKED, ANSWERED}


def test_nothing_is_reported_to_a_suspended_agency(chain: Chain) -> None:
    suspend = {"change": "suspend-member", "msp_id": "CityAgency"}
    pass_change(chain, suspend, "suspend", ADMIN_A, ADMIN_I, ADMIN_G)
    sent = filed(NEW, agency="CityAgency")
    check_refused(chain, Row("suspended", "REPORT_ADDRESSEE", DOCTOR_A, "reports:File", sent, BODY))
    chain.submit(DOCTOR_A, "reports:File", FILE, BODY)
