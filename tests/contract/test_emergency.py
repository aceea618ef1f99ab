"""Breaking the glass: who may, how far, for how long; keys released into it; the review that falls due."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from healthchain.chaincode.stub import Caller

from .chain import START_MS, Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    ADMIN_I,
    AGENT,
    ALICE,
    BOB,
    BY_A,
    BY_B,
    CAROL,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    FORGED_PATIENT,
    HOUR,
    KEY,
    NEW,
    NOBODY,
    OFFICER,
    OTHER_PATIENT,
    PATIENT,
    R1,
    R3,
    STRANGER,
    K,
    body,
    disclosing,
    full_chain,
    granted,
    ident,
    licence,
    opened,
    person,
    register,
    sealed,
    written,
)
from .table import Row, Success, by_name, check_refused
from .test_governance import ADMIN_G, pass_change

NOW = START_MS + HOUR
WEEK = 7 * DAY
NURSE = person("HospitalB", "nurse", "clinician")  # licensed
LOCUM = person("HospitalB", "locum", "clinician")  # not
GUARDIAN = person("HospitalA", ident("guardian"), "guardian")  # of nobody
RELEASED, WAITING, CLOSED, OVER, DECIDED, OWN = (
    ident(f"emergency {one}") for one in ("released", "waiting", "closed", "over", "decided", "own")
)


def about(session: str, **changes: Any) -> dict[str, Any]:
    return {"id": session, "patient": ALICE} | changes


def opening(session: str = NEW, **changes: Any) -> dict[str, Any]:
    return about(session, end_ms=NOW + HOUR) | changes


def reason(session: str = NEW, patient: str = ALICE) -> dict[str, bytes]:
    return {f"emergency/{patient}/{session}/reason": f"sealed reason of {session}".encode()}


def released(session: str) -> dict[str, bytes]:
    return {f"emergency/{ALICE}/{session}/keys": f"sealed keys of {session}".encode()}


def open_row(name: str, code: str, caller: Caller, **changes: Any) -> Row:
    return Row(name, code, caller, "emergency:Open", opening(**changes), reason())


def audience_row(name: str, code: str, caller: Caller, **changes: Any) -> Row:
    return Row(name, code, caller, "emergency:Audience", {"patient": ALICE} | changes)


def release_row(name: str, code: str, caller: Caller, session: str = WAITING, later_ms: int = 0) -> Row:
    return Row(name, code, caller, "emergency:Release", about(session), released(session), later_ms)


def keys_row(name: str, code: str, caller: Caller, session: str = RELEASED, later_ms: int = 0) -> Row:
    return Row(name, code, caller, "emergency:Keys", about(session), {}, later_ms)


def reason_row(name: str, code: str, caller: Caller, session: str = RELEASED, **changes: Any) -> Row:
    return Row(name, code, caller, "emergency:Reason", about(session, **changes))


def review_row(name: str, code: str, caller: Caller, session: str = RELEASED, **changes: Any) -> Row:
    return Row(name, code, caller, "emergency:Review", about(session, justified=True, **changes))


ROWS = [
    open_row("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    open_row("without a role", "ROLE_FORBIDDEN", NOBODY),
    open_row("by an administrator", "ROLE_FORBIDDEN", ADMIN_B),
    open_row("by an agent", "ROLE_FORBIDDEN", AGENT),
    open_row("by an officer", "ROLE_FORBIDDEN", OFFICER),
    open_row("by the patient", "ROLE_FORBIDDEN", PATIENT),
    open_row("without a licence", "LICENCE_MISSING", LOCUM),
    open_row("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_B, patient=CAROL),
    open_row("of an erased patient", "PATIENT_ERASED", DOCTOR_B, patient=BOB),
    open_row("over at once", "PERIOD_INVALID", DOCTOR_B, end_ms=NOW),
    open_row("longer than 4 hours", "PERIOD_INVALID", DOCTOR_B, end_ms=NOW + 4 * HOUR + 1),
    open_row("of no compartment of hers", "COMPARTMENT_UNKNOWN", DOCTOR_B, compartments=[K[0], NEW]),
    open_row("under a session's id", "SESSION_EXISTS", DOCTOR_B, id=BY_A),
    open_row("under another emergency's id", "SESSION_EXISTS", DOCTOR_B, id=OWN),
    open_row("naming its user", "ARGUMENTS_INVALID", DOCTOR_B, user="HospitalB/other"),
    open_row("with the reason in the open", "ARGUMENTS_INVALID", DOCTOR_B, reason="unconscious"),
    Row(
        "a week after one that nobody reviewed",
        "REVIEW_OVERDUE",
        DOCTOR_B,
        "emergency:Open",
        opening(end_ms=NOW + WEEK + HOUR),
        reason(),
        WEEK,
    ),
    Row("without a reason", "MESSAGE_MISSING", DOCTOR_B, "emergency:Open", opening()),
    Row("with an empty reason", "MESSAGE_MISSING", DOCTOR_B, "emergency:Open", opening(), dict.fromkeys(reason(), b"")),
    Row("with another's reason", "MESSAGE_MISSING", DOCTOR_B, "emergency:Open", opening(), reason(RELEASED)),
    Row("with keys", "MESSAGE_UNEXPECTED", DOCTOR_B, "emergency:Open", opening(), reason() | released(NEW)),
    Row(
        "with 1 MiB of reason",
        "MESSAGE_TOO_LARGE",
        DOCTOR_B,
        "emergency:Open",
        opening(),
        dict.fromkeys(reason(), bytes(2**20 + 1)),
    ),
    audience_row("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    audience_row("by an administrator", "ROLE_FORBIDDEN", ADMIN_B),
    audience_row("by the patient", "ROLE_FORBIDDEN", PATIENT),
    audience_row("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_B, patient=CAROL),
    audience_row("of an erased patient", "PATIENT_ERASED", DOCTOR_B, patient=BOB),
    audience_row("naming somebody", "ARGUMENTS_INVALID", DOCTOR_B, recipients=["Insurer"]),
    release_row("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    release_row("without a role", "ROLE_FORBIDDEN", NOBODY),
    release_row("by the patient", "ROLE_FORBIDDEN", PATIENT),
    release_row("by an officer", "ROLE_FORBIDDEN", OFFICER),
    release_row("by the clinician's own hospital", "NOT_THE_CUSTODIAN", ADMIN_B),
    release_row("of none", "EMERGENCY_UNKNOWN", DOCTOR_A, NEW),
    release_row("into an ordinary session", "EMERGENCY_UNKNOWN", DOCTOR_A, BY_B),
    release_row("when closed", "SESSION_ENDED", DOCTOR_A, CLOSED),
    release_row("when decided", "SESSION_ENDED", DOCTOR_A, DECIDED),
    release_row("too late", "SESSION_ENDED", DOCTOR_A, WAITING, later_ms=HOUR),
    Row("of an erased patient", "PATIENT_ERASED", DOCTOR_A, "emergency:Release", about(NEW, patient=BOB)),
    Row("without keys", "MESSAGE_MISSING", DOCTOR_A, "emergency:Release", about(WAITING)),
    Row("with another's keys", "MESSAGE_MISSING", DOCTOR_A, "emergency:Release", about(WAITING), released(RELEASED)),
    Row(
        "with a reason",
        "MESSAGE_UNEXPECTED",
        DOCTOR_A,
        "emergency:Release",
        about(WAITING),
        released(WAITING) | reason(WAITING),
    ),
    Row("to somebody", "ARGUMENTS_INVALID", DOCTOR_A, "emergency:Release", about(WAITING, to="Insurer")),
    keys_row("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    keys_row("by an administrator", "ROLE_FORBIDDEN", ADMIN_B),
    keys_row("of none", "SESSION_UNKNOWN", DOCTOR_B, NEW),
    keys_row("by a colleague", "SESSION_OF_ANOTHER_USER", NURSE),
    keys_row("by who released them", "SESSION_OF_ANOTHER_USER", DOCTOR_A),
    keys_row("by the patient", "SESSION_OF_ANOTHER_USER", PATIENT),
    keys_row("in an ordinary session", "EMERGENCY_UNKNOWN", DOCTOR_B, BY_B),
    keys_row("before they are released", "MESSAGE_UNKNOWN", NURSE, WAITING),
    keys_row("when closed", "SESSION_ENDED", DOCTOR_B, CLOSED),
    keys_row("when decided", "SESSION_ENDED", DOCTOR_B, DECIDED),
    keys_row("when over", "SESSION_ENDED", DOCTOR_B, RELEASED, later_ms=HOUR),
    Row("of all", "ARGUMENTS_INVALID", DOCTOR_B, "emergency:Keys", {"patient": ALICE}),
    reason_row("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    reason_row("without a role", "ROLE_FORBIDDEN", NOBODY),
    reason_row("of an unknown patient", "PATIENT_UNKNOWN", OFFICER, patient=CAROL),
    reason_row("of none", "EMERGENCY_UNKNOWN", OFFICER, NEW),
    reason_row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    reason_row("by a forged patient of the clinician's hospital", "NOT_THE_PATIENT", FORGED_PATIENT),
    reason_row("by a guardian of nobody", "GUARDIAN_SCOPE", GUARDIAN),
    reason_row("by an insurer", "EMERGENCY_FORBIDDEN", AGENT),
    reason_row("by a hospital outside", "EMERGENCY_FORBIDDEN", ADMIN_B, OWN),
    review_row("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    review_row("without a role", "ROLE_FORBIDDEN", NOBODY),
    review_row("by the custodian's doctor", "ROLE_FORBIDDEN", DOCTOR_A),
    review_row("by the patient", "ROLE_FORBIDDEN", PATIENT),
    review_row("by an insurer", "ROLE_FORBIDDEN", ADMIN_I),
    review_row("by the clinician", "ROLE_FORBIDDEN", DOCTOR_B),
    review_row("by the clinician's own hospital", "REVIEW_FORBIDDEN", ADMIN_B),
    review_row("of the custodian's clinician, by the custodian", "REVIEW_FORBIDDEN", ADMIN_A, OWN),
    review_row("by a hospital that knows no reason", "REVIEW_FORBIDDEN", ADMIN_B, OWN),
    review_row("of an unknown patient", "EMERGENCY_UNKNOWN", OFFICER, patient=CAROL),
    review_row("of none", "EMERGENCY_UNKNOWN", OFFICER, NEW),
    review_row("of an ordinary session", "EMERGENCY_UNKNOWN", OFFICER, BY_B),
    review_row("twice", "REVIEW_DECIDED", ADMIN_A, DECIDED),
    Row("without a verdict", "ARGUMENTS_INVALID", OFFICER, "emergency:Review", about(RELEASED)),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "emergency:List", {"patient": ALICE}),
    Row("without a role", "ROLE_FORBIDDEN", NOBODY, "emergency:List", {"patient": ALICE}),
    Row("of an unknown patient", "PATIENT_UNKNOWN", OFFICER, "emergency:List", {"patient": CAROL}),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "emergency:List", {"patient": ALICE}),
    Row("by a guardian of nobody", "GUARDIAN_SCOPE", GUARDIAN, "emergency:List", {"patient": ALICE}),
    Row("by the clinician's hospital", "EMERGENCY_FORBIDDEN", ADMIN_B, "emergency:List", {"patient": ALICE}),
    Row("by an insurer", "EMERGENCY_FORBIDDEN", AGENT, "emergency:List", {"patient": ALICE}),
    Row("of nobody", "ARGUMENTS_INVALID", OFFICER, "emergency:List", {}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "emergency:Queue", {}),
    Row("by a hospital", "ROLE_FORBIDDEN", ADMIN_A, "emergency:Queue", {}),
    Row("by an insurer", "ROLE_FORBIDDEN", AGENT, "emergency:Queue", {}),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "emergency:Queue", {}),
    Row("of one patient", "ARGUMENTS_INVALID", OFFICER, "emergency:Queue", {"patient": ALICE}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "emergency:Waiting", {}),
    Row("by the agency", "ROLE_FORBIDDEN", OFFICER, "emergency:Waiting", {}),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "emergency:Waiting", {}),
    Row("of one patient", "ARGUMENTS_INVALID", DOCTOR_A, "emergency:Waiting", {"patient": ALICE}),
    Row("of an emergency", "SESSION_FIXED", DOCTOR_B, "sessions:Renew", about(RELEASED, end_ms=NOW + 2 * HOUR)),
    Row(
        "of an emergency",
        "SESSION_FIXED",
        DOCTOR_B,
        "sessions:Delegate",
        about(RELEASED, end_ms=NOW + 1, to="nurse", delegated=NEW),
    ),
    Row(
        "in an emergency of another",
        "SESSION_OF_ANOTHER_USER",
        NURSE,
        "records:Disclose",
        disclosing(RELEASED, (R1, 2)),
    ),
    Row(
        "in an emergency, undisclosed",
        "DISCLOSURE_MISSING",
        DOCTOR_B,
        "records:Read",
        {"session": RELEASED, "patient": ALICE, "records": [R3]},
    ),
]

SUCCESSES = [
    Success("by a clinician without any consent for it", DOCTOR_B, "emergency:Open", opening(), reason()),
    Success("for 4 hours", DOCTOR_B, "emergency:Open", opening(end_ms=NOW + 4 * HOUR), reason()),
    Success("by the custodian's own", DOCTOR_A, "emergency:Open", opening(), reason()),
    Success("at last", DOCTOR_A, "emergency:Release", about(WAITING), released(WAITING)),
    Success("by an administrator", ADMIN_A, "emergency:Release", about(WAITING), released(WAITING)),
    Success("again", DOCTOR_A, "emergency:Release", about(RELEASED), released(RELEASED)),
    Success("by the custodian", ADMIN_A, "emergency:Review", about(RELEASED, justified=True)),
    Success("by the agency, against", OFFICER, "emergency:Review", about(RELEASED, justified=False)),
    Success("of the custodian's own, by the agency", OFFICER, "emergency:Review", about(OWN, justified=True)),
    Success("of one that is over", OFFICER, "emergency:Review", about(OVER, justified=True)),
    Success("by the agency's administrator", person("Agency", "admin", "administrator"), "emergency:Queue", {}),
    Success("by the custodian's doctor", DOCTOR_A, "emergency:List", {"patient": ALICE}),
    Success("of an erased patient", OFFICER, "emergency:List", {"patient": BOB}),
]


@pytest.fixture(scope="module")
def stage() -> Chain:
    """Hospital B's doctor and nurse broke the glass, and Hospital A's doctor; one of each kind."""
    chain = full_chain()
    chain.submit(OFFICER, "licences:Issue", licence("HospitalB/nurse"))
    chain.now_ms = NOW - HOUR // 2
    chain.submit(DOCTOR_B, "emergency:Open", opening(OVER, end_ms=NOW), reason(OVER))
    for caller, session in (
        (DOCTOR_B, RELEASED), (NURSE, WAITING), (DOCTOR_B, CLOSED), (DOCTOR_B, DECIDED), (DOCTOR_A, OWN)
    ):  # fmt: skip
        chain.submit(caller, "emergency:Open", opening(session), reason(session))
    for session in (RELEASED, OVER, CLOSED, DECIDED):
        chain.submit(DOCTOR_A, "emergency:Release", about(session), released(session))
    chain.submit(DOCTOR_B, "sessions:Close", about(CLOSED))
    chain.submit(OFFICER, "emergency:Review", about(DECIDED, justified=True))
    chain.now_ms = NOW
    return chain


@pytest.fixture
def chain(stage: Chain) -> Chain:
    return stage.copy()


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def texts(chain: Chain, session: str) -> set[str]:
    """Which messages of this emergency the peers hold."""
    keys = {key for collection, key in chain.memory.values if collection == "messages"}
    return {key.rpartition("/")[2] for key in keys if f"/{session}/" in key}


def fetched(chain: Chain, caller: Caller, function: str, session: str) -> bytes:
    return base64.b64decode(chain.evaluate(caller, function, about(session))["ciphertext"])


def test_it_opens_what_no_consent_does_at_once_and_tells_when_the_review_is_due(chain: Chain) -> None:
    answer = chain.submit(DOCTOR_B, "emergency:Open", opening(), reason())
    assert answer == {"compartments": list(K), "due_ms": NOW + WEEK}
    assert chain.event == (
        "emergency:Opened",
        json.dumps({"patient": ALICE, "ids": [NEW]}, separators=(",", ":")).encode(),
    )
    chain.submit(DOCTOR_B, "records:Disclose", disclosing(NEW, (R3, 1)))
    read = chain.evaluate(DOCTOR_B, "records:Read", {"session": NEW, "patient": ALICE, "records": [R3]})
    assert base64.b64decode(read["records"][0]["body"]) == f"{R3} 1".encode()
    (listed,) = [
        one for one in chain.evaluate(PATIENT, "sessions:List", {"patient": ALICE})["sessions"] if one["id"] == NEW
    ]
    assert (listed["purpose"], listed["emergency"], listed["reads"]) == ("ETREAT", True, 1)


@pytest.mark.parametrize(
    ("caller", "audience"),
    [(DOCTOR_B, ["Agency", "HospitalA", "HospitalB", ALICE]), (DOCTOR_A, ["Agency", "HospitalA", ALICE])],
    ids=["another hospital's", "the custodian's"],
)
def test_the_reason_is_sealed_to_those_concerned(chain: Chain, caller: Caller, audience: list[str]) -> None:
    answer = chain.evaluate(caller, "emergency:Audience", {"patient": ALICE})
    assert answer == {"public_keys": dict.fromkeys(audience, KEY)}


def test_a_removed_custodian_is_told_nothing_more(chain: Chain) -> None:
    pass_change(chain, {"change": "remove-member", "msp_id": "HospitalA"}, "remove a", ADMIN_B, ADMIN_I, ADMIN_G)
    audience = chain.evaluate(DOCTOR_B, "emergency:Audience", {"patient": ALICE})["public_keys"]
    assert sorted(audience) == sorted(["Agency", "HospitalB", ALICE])


def test_a_guardian_who_reads_is_told_why(chain: Chain) -> None:
    ward = {"patient": ALICE, "guardian": GUARDIAN.common_name, "scopes": ["read"], "public_key": KEY}
    envelopes = sealed(K, 1, GUARDIAN.common_name) | sealed(K[3:4], 2, GUARDIAN.common_name)
    chain.submit(ADMIN_A, "guardians:Appoint", ward | {"start_ms": NOW, "end_ms": NOW + DAY}, envelopes)
    answer = chain.evaluate(DOCTOR_B, "emergency:Audience", {"patient": ALICE})
    assert GUARDIAN.common_name in answer["public_keys"]
    assert fetched(chain, GUARDIAN, "emergency:Reason", RELEASED) == reason(RELEASED).popitem()[1]
    assert chain.evaluate(GUARDIAN, "emergency:List", {"patient": ALICE})["emergencies"]
    chain.now_ms = NOW + DAY
    check_refused(chain, reason_row("over", "GUARDIAN_SCOPE", GUARDIAN))
    assert GUARDIAN.common_name not in chain.evaluate(DOCTOR_B, "emergency:Audience", {"patient": ALICE})["public_keys"]


def test_its_scope_is_as_narrow_as_was_asked_for(chain: Chain) -> None:
    answer = chain.submit(DOCTOR_B, "emergency:Open", opening(compartments=[K[3], K[0]]), reason())
    assert answer["compartments"] == [K[0], K[3]]
    check_refused(chain, Row("out of it", "SESSION_SCOPE", DOCTOR_B, "records:Disclose", disclosing(NEW, (R3, 1))))


def test_an_ordinary_session_for_an_emergency_still_needs_a_consent(chain: Chain) -> None:
    asked = opened("plain", "ETREAT", end_ms=NOW + HOUR)
    check_refused(chain, Row("no glass broken", "CONSENT_MISSING", DOCTOR_B, "sessions:Open", asked))


def test_one_whose_licence_ends_in_between_reads_no_more(chain: Chain) -> None:
    chain.submit(OFFICER, "licences:Suspend", {"holder": "HospitalB/doctor"})
    check_refused(chain, keys_row("suspended", "LICENCE_MISSING", DOCTOR_B))
    chain.submit(OFFICER, "licences:Reinstate", {"holder": "HospitalB/doctor"})
    assert fetched(chain, DOCTOR_B, "emergency:Keys", RELEASED) == released(RELEASED).popitem()[1]


def test_a_licence_for_records_alone_breaks_no_glass(chain: Chain) -> None:
    chain.submit(OFFICER, "licences:Issue", licence("HospitalB/doctor", acts=["record"]))
    check_refused(chain, open_row("other acts", "LICENCE_MISSING", DOCTOR_B))


def test_equal_ids_for_two_patients_keep_their_texts_apart(chain: Chain) -> None:
    register(chain, CAROL)
    chain.submit(NURSE, "emergency:Open", opening(RELEASED, patient=CAROL), reason(RELEASED, CAROL))
    assert fetched(chain, OFFICER, "emergency:Reason", RELEASED) == reason(RELEASED).popitem()[1]


@pytest.mark.parametrize("caller", [PATIENT, DOCTOR_A, ADMIN_A, DOCTOR_B, ADMIN_B, OFFICER])
def test_the_reason_is_for_patient_custodian_clinicians_hospital_and_agency(chain: Chain, caller: Caller) -> None:
    assert fetched(chain, caller, "emergency:Reason", RELEASED) == reason(RELEASED).popitem()[1]


def test_the_released_keys_are_for_the_clinician_until_it_closes(chain: Chain) -> None:
    assert fetched(chain, DOCTOR_B, "emergency:Keys", RELEASED) == released(RELEASED).popitem()[1]
    assert texts(chain, RELEASED) == {"reason", "keys"}
    chain.submit(DOCTOR_B, "sessions:Close", about(RELEASED))
    assert texts(chain, RELEASED) == {"reason"}


def test_what_is_released_again_takes_the_first_ones_place(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "records:Write", {"patient": ALICE, "records": [written(NEW, 1, K[0])]}, body(NEW, 1))
    chain.submit(ADMIN_A, "emergency:Release", about(RELEASED), dict.fromkeys(released(RELEASED), b"more keys"))
    assert fetched(chain, DOCTOR_B, "emergency:Keys", RELEASED) == b"more keys"


@pytest.mark.parametrize("session", [RELEASED, OVER], ids=["running", "over"])
@pytest.mark.parametrize("justified", [True, False])
def test_a_review_ends_the_emergency_and_purges_the_keys(chain: Chain, session: str, justified: bool) -> None:
    assert "keys" in texts(chain, session)
    chain.submit(ADMIN_A, "emergency:Review", about(session, justified=justified))
    assert texts(chain, session) == {"reason"}
    check_refused(chain, keys_row("reviewed", "SESSION_ENDED", DOCTOR_B, session))
    listed = {one["id"]: one for one in chain.evaluate(PATIENT, "emergency:List", {"patient": ALICE})["emergencies"]}
    assert listed[session]["justified"] is justified
    assert listed[session]["decided_by"] == "HospitalA/admin"
    assert listed[session]["closed_ms"] == (NOW if session == RELEASED else None)


def test_an_overdue_review_blocks_its_clinician_alone_until_it_is_decided(chain: Chain) -> None:
    chain.now_ms = NOW + WEEK - HOUR // 2
    later = opening(end_ms=chain.now_ms + HOUR)
    check_refused(chain, Row("overdue", "REVIEW_OVERDUE", NURSE, "emergency:Open", later, reason()))
    for session in (RELEASED, CLOSED, OVER):
        check_refused(chain, Row("overdue", "REVIEW_OVERDUE", DOCTOR_B, "emergency:Open", later, reason()))
        chain.submit(OFFICER, "emergency:Review", about(session, justified=False))
    chain.submit(DOCTOR_B, "emergency:Open", later, reason())


def test_a_moment_before_it_is_due_nothing_is_blocked(chain: Chain) -> None:
    chain.now_ms = NOW - HOUR // 2 + WEEK - 1
    chain.submit(DOCTOR_B, "emergency:Open", opening(end_ms=chain.now_ms + HOUR), reason())


def test_the_agencys_queue_has_what_is_pending_by_due_date(chain: Chain) -> None:
    chain.submit(NURSE, "emergency:Open", opening(), reason())
    queue = chain.evaluate(OFFICER, "emergency:Queue", {})["emergencies"]
    assert [one["id"] for one in queue] == [*sorted([RELEASED, WAITING, CLOSED, OVER, OWN]), NEW]
    assert not any(one["overdue"] for one in queue)
    chain.now_ms = queue[0]["due_ms"]
    overdue = [one["overdue"] for one in chain.evaluate(OFFICER, "emergency:Queue", {})["emergencies"]]
    assert overdue == [True] * 5 + [False]
    assert queue[-1] == {
        "user": "HospitalB/nurse",
        "custodian": "HospitalA",
        "start_ms": NOW,
        "due_ms": NOW + WEEK,
        "released_by": None,
        "released_ms": None,
        "justified": None,
        "decided_by": None,
        "decided_ms": None,
        "id": NEW,
        "patient": ALICE,
        "organisation": "HospitalB",
        "end_ms": NOW + HOUR,
        "closed_ms": None,
        "overdue": False,
    }


@pytest.mark.parametrize("caller", [PATIENT, ADMIN_A, OFFICER], ids=["patient", "custodian", "agency"])
def test_all_emergencies_of_a_patient_are_listed_in_order_of_time(chain: Chain, caller: Caller) -> None:
    chain.submit(NURSE, "emergency:Open", opening(), reason())
    listed = chain.evaluate(caller, "emergency:List", {"patient": ALICE})["emergencies"]
    assert [one["id"] for one in listed] == [*sorted([RELEASED, WAITING, CLOSED, OVER, DECIDED, OWN]), NEW]


def test_a_custodian_finds_who_waits_for_keys(chain: Chain) -> None:
    waiting = chain.evaluate(ADMIN_A, "emergency:Waiting", {})["emergencies"]
    assert waiting == [{"patient": ALICE, "id": WAITING, "recipient": "HospitalB", "compartments": list(K)}]
    assert chain.evaluate(ADMIN_B, "emergency:Waiting", {})["emergencies"] == []
    chain.now_ms = NOW + HOUR
    assert chain.evaluate(ADMIN_A, "emergency:Waiting", {})["emergencies"] == []


def test_no_keys_are_waited_for_once_the_patient_is_erased(chain: Chain) -> None:
    chain.submit(PATIENT, "patients:Erase", {"patient": ALICE})
    assert chain.evaluate(ADMIN_A, "emergency:Waiting", {})["emergencies"] == []


def test_an_erased_patients_reasons_and_keys_are_gone_but_not_the_review(chain: Chain) -> None:
    chain.submit(PATIENT, "patients:Erase", {"patient": ALICE})
    assert texts(chain, RELEASED) == texts(chain, DECIDED) == set()
    check_refused(chain, keys_row("erased", "PATIENT_ERASED", DOCTOR_B))
    check_refused(chain, reason_row("erased", "MESSAGE_UNKNOWN", OFFICER))
    chain.submit(OFFICER, "emergency:Review", about(RELEASED, justified=False))


def deny(chain: Chain, grantee: str, compartments: tuple[str, ...], purpose: str = "ETREAT", **changes: Any) -> None:
    denial = granted("denial", grantee, compartments, purpose, decision="deny", end_ms=NOW + DAY, **changes)
    chain.submit(PATIENT, "consents:Grant", denial)


def test_what_is_denied_even_in_an_emergency_stays_closed(chain: Chain) -> None:
    deny(chain, "HospitalB", K[2:3])
    answer = chain.submit(DOCTOR_B, "emergency:Open", opening(), reason())
    assert answer["compartments"] == [K[0], K[1], K[3], K[4]]
    check_refused(chain, Row("denied", "SESSION_SCOPE", DOCTOR_B, "records:Disclose", disclosing(NEW, (R3, 1))))


def test_one_person_can_be_kept_from_breaking_the_glass(chain: Chain) -> None:
    deny(chain, "HospitalB", K, person="doctor")
    check_refused(chain, open_row("denied", "CONSENT_MISSING", DOCTOR_B))
    chain.submit(NURSE, "emergency:Open", opening(), reason())


def test_a_denial_ends_what_was_opened_before_it(chain: Chain) -> None:
    chain.submit(DOCTOR_B, "records:Disclose", disclosing(RELEASED, (R3, 1)))
    deny(chain, "HospitalB", K[2:3])
    read = {"session": RELEASED, "patient": ALICE, "records": [R3]}
    check_refused(chain, Row("denied since", "CONSENT_MISSING", DOCTOR_B, "records:Read", read))


def test_the_custodians_own_clinician_breaks_the_glass_where_ordinary_care_is_denied(chain: Chain) -> None:
    deny(chain, "HospitalA", K, "TREAT", person="doctor")
    check_refused(chain, Row("denied", "CONSENT_MISSING", DOCTOR_A, "sessions:Open", opened("plain", "TREAT")))
    assert chain.submit(DOCTOR_A, "emergency:Open", opening(), reason())["compartments"] == list(K)
