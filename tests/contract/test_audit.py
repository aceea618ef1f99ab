"""Who sees a patient's trail and what the agency oversees; that the trail has what every area writes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from healthchain.chaincode.stub import Caller
from healthchain.contract import state

from .chain import START_MS, Chain
from .claims_stage import IN_STATE, claims_chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    ADMIN_I,
    AGENT,
    ALICE,
    BY_B,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    HOUR,
    KEY,
    NOBODY,
    OFFICER,
    PATIENT,
    STRANGER,
    K,
    granted,
    ident,
    person,
    sealed,
)
from .table import Row, Success, by_name, check_refused
from .test_reference import sections

GUARDIAN_ID, FORMER_ID, PAYING_ID = ident("guardian"), ident("former guardian"), ident("guardian for claims")
GUARDIAN = person("HospitalA", GUARDIAN_ID, "guardian")
FORMER = person("HospitalA", FORMER_ID, "guardian")
PAYING = person("HospitalA", PAYING_ID, "guardian")
FORGED_GUARDIAN = person("HospitalB", GUARDIAN_ID, "guardian")
OFFICE_ADMIN = person("Agency", "admin", "administrator")


def listing(name: str, code: str, caller: Caller, **changes: Any) -> Row:
    return Row(name, code, caller, "audit:List", {"patient": ALICE} | changes)


def overseeing(name: str, code: str, caller: Caller, **arguments: Any) -> Row:
    return Row(name, code, caller, "audit:Oversee", arguments)


ROWS = [
    listing("by a guardian for something else", "GUARDIAN_SCOPE", PAYING),
    listing("by a guardian whose office ended", "GUARDIAN_SCOPE", FORMER),
    listing("by a guardian of nobody", "GUARDIAN_SCOPE", person("HospitalA", ident("nobody"), "guardian")),
    listing("by a guardian from elsewhere", "GUARDIAN_SCOPE", FORGED_GUARDIAN),
    listing("by an agency's administrator", "AUDIT_FORBIDDEN", OFFICE_ADMIN),
    listing("by an insurer's administrator", "AUDIT_FORBIDDEN", ADMIN_I),
    listing("by a health officer", "ROLE_FORBIDDEN", OFFICER),
    listing("by another hospital's clinician", "ROLE_FORBIDDEN", DOCTOR_B),
    listing("in too large a page", "ARGUMENTS_INVALID", PATIENT, limit=1001),
    listing("in an empty page", "ARGUMENTS_INVALID", PATIENT, limit=0),
    overseeing("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    overseeing("without a role", "ROLE_FORBIDDEN", NOBODY),
    overseeing("by a clinician", "ROLE_FORBIDDEN", DOCTOR_A),
    overseeing("by a hospital's administrator", "ROLE_FORBIDDEN", ADMIN_A),
    overseeing("by an insurer's administrator", "ROLE_FORBIDDEN", ADMIN_I),
    overseeing("by a claims agent", "ROLE_FORBIDDEN", AGENT),
    overseeing("by a patient", "ROLE_FORBIDDEN", PATIENT),
    overseeing("by a guardian", "ROLE_FORBIDDEN", GUARDIAN),
    overseeing("of something", "ARGUMENTS_INVALID", OFFICER, patient=ALICE),
]

SUCCESSES = [
    Success("by the patient", PATIENT, "audit:List", {"patient": ALICE}),
    Success("by a guardian who may read", GUARDIAN, "audit:List", {"patient": ALICE}),
    Success("by the custodian's administrator", ADMIN_A, "audit:List", {"patient": ALICE}),
    Success("by a health officer", OFFICER, "audit:Oversee", {}),
    Success("by the agency's administrator", OFFICE_ADMIN, "audit:Oversee", {}),
]


@pytest.fixture(scope="session")
def staged(built_chain: Chain) -> Chain:
    """Alice has three guardians, the office of one is over."""
    chain = built_chain.copy()
    for one, scope in ((GUARDIAN_ID, "read"), (FORMER_ID, "read"), (PAYING_ID, "claims")):
        appointed = {
            "patient": ALICE,
            "guardian": one,
            "scopes": [scope],
            "start_ms": START_MS,
            "end_ms": START_MS + 30 * DAY,
            "public_key": KEY,
        }
        keys = {} if scope == "claims" else sealed(K, 1, one) | sealed(K[3:4], 2, one)
        chain.submit(DOCTOR_A, "guardians:Appoint", appointed, keys)
    chain.submit(ADMIN_A, "guardians:End", {"patient": ALICE, "guardian": FORMER_ID})
    return chain


@pytest.fixture
def stage(staged: Chain) -> Chain:
    return staged.copy()


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(stage: Chain, row: Row) -> None:
    check_refused(stage, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(stage: Chain, row: Success) -> None:
    assert stage.call(row.caller, row.function, row.arguments)


def told(chain: Chain, caller: Caller = PATIENT) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """What, of which detail, by whom, about what."""
    entries = chain.evaluate(caller, "audit:List", {"patient": ALICE, "limit": 1000})["entries"]
    return [(one["happening"], one["detail"], one["user"], tuple(one["ids"])) for one in entries]


def test_guardians_and_what_they_do_are_told(stage: Chain) -> None:
    assert ("life-event", "guardian-appointed", "HospitalA/doctor", (GUARDIAN_ID,)) in told(stage)
    assert ("life-event", "guardian-ended", "HospitalA/admin", (FORMER_ID,)) in told(stage)
    stage.submit(GUARDIAN, "sessions:Open", {"id": ident("g"), "patient": ALICE, "purpose": "PATRQT", **LATER})
    assert told(stage, GUARDIAN) == told(stage)
    assert told(stage)[-1] == ("session-opened", "", f"HospitalA/{GUARDIAN_ID}", (ident("g"),))


LATER = {"end_ms": START_MS + 3 * HOUR}


def test_sessions_are_told_from_their_start_to_their_end(stage: Chain) -> None:
    """Renewed twice, delegated, read in, closed."""
    before = len(told(stage))
    for hours in (4, 5):
        stage.now_ms += 1
        stage.submit(DOCTOR_B, "sessions:Renew", {"id": BY_B, "patient": ALICE, "end_ms": START_MS + hours * HOUR})
    delegated = {"id": BY_B, "patient": ALICE, "to": "nurse", "delegated": ident("d"), **LATER}
    stage.now_ms += 1
    stage.submit(DOCTOR_B, "sessions:Delegate", delegated)
    stage.now_ms += 1
    stage.submit(DOCTOR_B, "sessions:Close", {"id": BY_B, "patient": ALICE})
    assert told(stage)[before:] == [
        ("session-renewed", "", "HospitalB/doctor", (BY_B,)),
        ("session-renewed", "", "HospitalB/doctor", (BY_B,)),
        ("session-delegated", "", "HospitalB/nurse", (ident("d"),)),
        ("session-closed", "", "HospitalB/doctor", (BY_B,)),
    ]


def test_what_was_disclosed_is_told_with_the_records(stage: Chain) -> None:
    entries = stage.evaluate(PATIENT, "audit:List", {"patient": ALICE, "limit": 1000})["entries"]
    disclosed = [one for one in entries if one["happening"] == "disclosed"]
    assert {(one["user"], one["purpose"], len(one["ids"])) for one in disclosed} == {
        ("HospitalA/doctor", "TREAT", 4),
        ("HospitalB/doctor", "TREAT", 3),
        ("HospitalB/doctor", "TREAT", 2),
        ("Insurer/agent", "HPAYMT", 2),
    }


def test_an_emergency_is_told_with_its_keys_and_its_review(stage: Chain) -> None:
    before, glass = len(told(stage)), ident("glass")
    opened = {"id": glass, "patient": ALICE, "end_ms": stage.now_ms + HOUR}
    steps: list[tuple[Caller, str, dict[str, Any], dict[str, bytes]]] = [
        (DOCTOR_B, "emergency:Open", opened, {f"emergency/{ALICE}/{glass}/reason": b"sealed"}),
        (ADMIN_A, "emergency:Release", {"id": glass, "patient": ALICE}, {f"emergency/{ALICE}/{glass}/keys": b"k"}),
        (OFFICER, "emergency:Review", {"id": glass, "patient": ALICE, "justified": False}, {}),
    ]
    for caller, function, arguments, transient in steps:
        stage.now_ms += 1
        stage.submit(caller, function, arguments, transient)
    assert told(stage)[before:] == [
        ("glass-broken", "", "HospitalB/doctor", (glass,)),
        ("keys-released", "", "HospitalA/admin", (glass,)),
        ("session-closed", "", "HospitalB/doctor", (glass,)),
        ("reviewed", "not justified", "Agency/officer", (glass,)),
    ]


def test_denials_and_court_orders_are_told(stage: Chain) -> None:
    before, denial, order = len(told(stage)), granted("denial", "Agency", K[:1], "TREAT", decision="deny"), ident("o")
    stage.now_ms += 1
    stage.submit(PATIENT, "consents:Grant", denial)
    stage.now_ms += 1
    arguments = {"id": order, "patient": ALICE, "consents": [denial["id"]]}
    stage.submit(OFFICER, "consents:Order", arguments, {f"order/{ALICE}/{order}/text": b"sealed"})
    assert told(stage)[before:] == [
        ("denied", "", "HospitalA/alice", (denial["id"],)),
        ("revoked", "", "Agency/officer", (denial["id"],)),
        ("court-ordered", "", "Agency/officer", (order, denial["id"])),
    ]


def test_claims_are_told_with_each_of_their_states() -> None:
    chain = claims_chain()
    told_of = [(one[0], one[1], one[2]) for one in told(chain) if IN_STATE["closed"] in one[3]]
    assert [detail for happening, detail, _ in told_of] == list(dict.fromkeys(detail for _, detail, _ in told_of))
    assert told_of[0] == ("claim", "submitted", "HospitalA/doctor")
    assert told_of[-1][:2] == ("claim", "closed")
    happenings = {one[0] for one in told(chain)}
    assert happenings >= {"covered", "encounter-bound", "authorisation-requested", "authorisation-answered"}


def test_the_agency_sees_what_is_pending_and_who_is_out(stage: Chain) -> None:
    nothing = stage.evaluate(OFFICER, "audit:Oversee", {})
    assert (nothing["reviews"], nothing["claims"], nothing["barred"]) == ([], [], [])
    assert nothing["reports"] == {"hospitals": [], "late": [], "requests": []}
    glass = ident("glass")
    opened = {"id": glass, "patient": ALICE, "end_ms": stage.now_ms + HOUR}
    stage.submit(DOCTOR_B, "emergency:Open", opened, {f"emergency/{ALICE}/{glass}/reason": b"sealed"})
    decided_ms = enact(stage, {"change": "change-policies", "values": {"cell_min": 7}})
    suspended_ms = enact(stage, {"change": "suspend-member", "msp_id": "Insurer"})
    found = stage.evaluate(OFFICER, "audit:Oversee", {})
    assert [(one["id"], one["overdue"]) for one in found["reviews"]] == [(glass, False)]
    assert found["barred"] == [{"msp_id": "Insurer", "standing": "suspended", "since_ms": suspended_ms}]
    values = [(one["from_ms"], one["policies"]["cell_min"]) for one in found["policies"]]
    assert values == [(decided_ms, 7), (START_MS, 5)]
    stage.now_ms += 8 * DAY
    assert [one["overdue"] for one in stage.evaluate(OFFICER, "audit:Oversee", {})["reviews"]] == [True]


def enact(chain: Chain, change: dict[str, Any]) -> int:
    """Proposed, and voted for until it is decided: when that was."""
    proposal = ident(str(change))
    chain.submit(ADMIN_A, "governance:Propose", {"id": proposal, "change": change})
    for administrator in (ADMIN_A, ADMIN_B, OFFICE_ADMIN, ADMIN_I):
        chain.now_ms += 1
        outcome = chain.submit(administrator, "governance:Vote", {"id": proposal, "in_favour": True})
        if outcome["status"] != "open":
            assert outcome["status"] == "enacted"
            return chain.now_ms
    raise AssertionError("never decided")


UNTOLD = {
    "billed": "a line of a claim, which is told",
    "merge": "a life event tells it",
    "patient-key": "comes and goes with the patient",
    "transfer": "a life event tells it",
}
"""Tables whose keys begin with the patient, and that the trail need not read."""


def test_every_table_of_a_patient_is_in_the_trail() -> None:
    """A new one has to be put into `trail`, or above with a reason."""
    rows = re.findall(r"^\| ([a-z, -]+) \| patient\b", state.__doc__ or "", re.MULTILINE)
    tables = {name for row in rows for name in row.split(", ")}
    reads = re.findall(r"^- Reads: (.*)$", sections()["audit:List"], re.MULTILINE)
    assert tables - set(reads[0].split(", ")) == UNTOLD.keys()


def test_late_reports_are_among_what_the_agency_sees(stage: Chain) -> None:
    known = stage.now_ms - 40 * HOUR
    report = ident("report")
    filed = {"id": report, "agency": "Agency", "known_ms": known - known % HOUR}
    stage.submit(DOCTOR_A, "reports:File", filed, {f"report/{report}/body": b"sealed"})
    [late] = stage.evaluate(OFFICER, "audit:Oversee", {})["reports"]["late"]
    assert (late["id"], late["hospital"]) == (report, "HospitalA")
