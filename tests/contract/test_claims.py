"""Claims: every state with every step, who takes it, and what it is refused with; lines, decisions, deadlines."""

from __future__ import annotations

from typing import Any

import pytest

from healthchain.chaincode.stub import Caller
from healthchain.contract.claim_states import CLAIMS, TRANSITIONS, WAITS_FOR, ClaimState, Party, Step, When

from .chain import START_MS, Chain
from .claims_stage import (
    ALL_DENIED,
    E3,
    E_B,
    ERASED,
    FIRST,
    FUTURE,
    GRANTED,
    GUARDIAN,
    IN_STATE,
    MIXED,
    NARROW,
    NEW,
    OTHER_AGENT,
    PATHS,
    PENDING,
    PRIVATE,
    R1,
    READING_GUARDIAN,
    REFUSED,
    SECOND,
    STEPS,
    chosen,
    claimed,
    claims_chain,
    decision,
    digest,
    line,
    message,
    submit,
    take,
)
from .consortium import (
    ADMIN_A,
    ADMIN_I,
    AGENT,
    ALICE,
    BOB,
    CAROL,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    FORGED_PATIENT,
    HOUR,
    OFFICER,
    OTHER_PATIENT,
    PATIENT,
    STRANGER,
    K,
    person,
    write,
)
from .table import Row, Success, by_name, check_refused

UNLICENSED = person("HospitalA", "locum", "clinician")
SUBMIT = claimed(NEW)
BODY = message("claim", NEW)
OPEN = IN_STATE["submitted"]
SHORT = "eA=="  # one byte
WHO_STEPS = {
    Party.PAYER: [AGENT, ADMIN_I],
    Party.HOSPITAL: [DOCTOR_A, ADMIN_A],
    Party.CLAIMANT: [DOCTOR_A, PATIENT, GUARDIAN],
}


@pytest.fixture(scope="session")
def built_chain() -> Chain:
    return claims_chain()


def with_line(**changes: Any) -> dict[str, Any]:
    """The claim that succeeds, with its first line changed."""
    return claimed(NEW, line(NEW, 1) | changes, line(NEW, 2))


Request = tuple[Caller, str, dict[str, Any], dict[str, bytes]]


def text_of(state: str, step: str) -> str | None:
    """The message of this step as a claim in this state would take it next."""
    text = STEPS[step][3]
    path = PATHS[state]
    adjudicated = sum(one.startswith(("approve", "deny")) for one in path)
    if step in ("approve", "deny"):
        return f"explanation-{adjudicated + 1}"
    if step == "settle":
        return f"settlement-{adjudicated}"
    return text


def stepped(state: str, step: str, caller: Caller | None = None, **changes: Any) -> Request:
    """Caller, function, arguments and transient data of a step."""
    by, function, arguments, _ = STEPS[step]
    claim, text = IN_STATE[state], text_of(state, step)
    transient = message("claim", claim, text) if text else {}
    return caller or by, function, chosen(claim, **(arguments | changes)), transient


IMPOSSIBLE = [(state, step) for state in ClaimState for step in Step if (state, step) not in TRANSITIONS]
STATE_ROWS = [Row(f"when {state}", "CLAIM_STATE", *stepped(state, step)) for state, step in IMPOSSIBLE]

PARTY_ROWS = [
    row
    for state, step in (
        ("submitted", "request-information"),
        ("information-requested", "answer"),
        ("submitted", "approve"),
        ("submitted", "deny"),
        ("submitted", "withdraw"),
        ("adjudicated", "appeal"),
        ("adjudicated", "settle"),
    )
    for by in (TRANSITIONS[ClaimState(state), Step(step)].by,)
    for row in (
        Row("by a stranger", "MEMBER_UNKNOWN", *stepped(state, step, STRANGER)),
        Row("by the agency", "ROLE_FORBIDDEN", *stepped(state, step, OFFICER)),
        Row(
            "by another payer",
            "CLAIM_PARTY" if by is Party.PAYER else "ROLE_FORBIDDEN",
            *stepped(state, step, OTHER_AGENT),
        ),
        Row(
            "by another hospital",
            "ROLE_FORBIDDEN" if by is Party.PAYER else "CLAIM_PARTY",
            *stepped(state, step, DOCTOR_B),
        ),
        Row(
            "by another patient",
            "NOT_THE_PATIENT" if by is Party.CLAIMANT else "ROLE_FORBIDDEN",
            *stepped(state, step, OTHER_PATIENT),
        ),
        Row(
            "by a patient of another's CA",
            "NOT_THE_PATIENT" if by is Party.CLAIMANT else "ROLE_FORBIDDEN",
            *stepped(state, step, FORGED_PATIENT),
        ),
        Row(
            "by a guardian for reading",
            "GUARDIAN_SCOPE" if by is Party.CLAIMANT else "ROLE_FORBIDDEN",
            *stepped(state, step, READING_GUARDIAN),
        ),
        Row(
            "by the other side",
            "ROLE_FORBIDDEN",
            *stepped(state, step, DOCTOR_A if by is Party.PAYER else AGENT),
        ),
        Row("of no such claim", "CLAIM_UNKNOWN", *stepped(state, step, id=NEW)),
        Row("of another patient's", "CLAIM_UNKNOWN", *stepped(state, step, patient=BOB)),
        Row("of more", "ARGUMENTS_INVALID", *stepped(state, step, note="x")),
    )
]

TEXT_ROWS = [
    row
    for state, step in (
        ("submitted", "request-information"),
        ("information-requested", "answer"),
        ("submitted", "approve"),
        ("submitted", "deny"),
        ("adjudicated", "appeal"),
        ("adjudicated", "settle"),
        ("appealed", "approve"),
    )
    for row in (
        Row("without its text", "MESSAGE_MISSING", *stepped(state, step)[:3]),
        Row("with another text", "MESSAGE_UNEXPECTED", *stepped(state, step)[:3], stepped(state, step)[3] | BODY),
    )
]

TIME_ROWS = [
    Row("while the hospital may answer", "CLAIM_DEADLINE", *stepped("information-requested", "approve")),
    Row("while the hospital may answer", "CLAIM_DEADLINE", *stepped("information-requested", "deny")),
    Row("too late", "CLAIM_DEADLINE", *stepped("adjudicated", "appeal"), later_ms=60 * DAY),
    Row("too late", "CLAIM_DEADLINE", *stepped("denied", "appeal"), later_ms=60 * DAY),
    Row("too late after the payment", "CLAIM_DEADLINE", *stepped("settled", "appeal", GUARDIAN), later_ms=60 * DAY),
    Row("to the minute", "CLAIM_DEADLINE", *stepped("denied", "appeal", DOCTOR_A), later_ms=60 * DAY - HOUR),
]

DECISION_ROWS = [
    *(
        Row(name, code, *stepped(state, "approve", decisions=decisions))
        for name, code, state, decisions in (
            ("of no line", "ARGUMENTS_INVALID", "submitted", []),
            ("of too few lines", "CLAIM_LINES", "submitted", MIXED[:2]),
            ("of too many lines", "CLAIM_LINES", "submitted", [*MIXED, decision(4, "approved")]),
            ("of a line twice", "CLAIM_LINES", "submitted", [*MIXED[:2], MIXED[1]]),
            ("of other lines", "CLAIM_LINES", "submitted", [*MIXED[:2], decision(9, "denied")]),
            ("approved, now reduced", "DECISION_WORSE", "appealed", [decision(1, "reduced"), *MIXED[1:]]),
            ("reduced, now denied", "DECISION_WORSE", "appealed", [MIXED[0], decision(2, "denied"), MIXED[2]]),
        )
    ),
    Row("paid, now denied", "DECISION_WORSE", *stepped("appealed", "deny", decisions=ALL_DENIED)),
    *(
        Row(name, code, *stepped("submitted", "approve", decisions=[decision(1, outcome, **changes), *MIXED[1:]]))
        for name, code, outcome, changes in (
            ("in no outcome", "ARGUMENTS_INVALID", "perhaps", {}),
            ("of a clear amount", "ARGUMENTS_INVALID", "approved", {"amount": 12500}),
            ("for a clear reason", "ARGUMENTS_INVALID", "denied", {"reason": "CO-45"}),
            ("approved without an amount", "DECISION_INCOMPLETE", "approved", {"amount": None}),
            ("approved for a reason", "DECISION_INCOMPLETE", "approved", {"reason": digest(1)}),
            ("reduced without a reason", "DECISION_INCOMPLETE", "reduced", {"reason": None}),
            ("reduced without an amount", "DECISION_INCOMPLETE", "reduced", {"amount": None}),
            ("denied without a reason", "DECISION_INCOMPLETE", "denied", {"reason": None}),
            ("denied with an amount", "DECISION_INCOMPLETE", "denied", {"amount": digest(1)}),
        )
    ),
]

SUBMIT_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "claims:Submit", SUBMIT, BODY),
    Row("by a payer", "ROLE_FORBIDDEN", AGENT, "claims:Submit", SUBMIT, BODY),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "claims:Submit", SUBMIT, BODY),
    Row("by a guardian", "ROLE_FORBIDDEN", GUARDIAN, "claims:Submit", SUBMIT, BODY),
    Row("by the agency", "ROLE_FORBIDDEN", OFFICER, "claims:Submit", SUBMIT, BODY),
    Row("without a licence", "LICENCE_MISSING", UNLICENSED, "claims:Submit", SUBMIT, BODY),
    Row("by another hospital", "ENCOUNTER_UNBOUND", DOCTOR_B, "claims:Submit", SUBMIT, BODY),
    Row("of nobody", "PATIENT_UNKNOWN", DOCTOR_A, "claims:Submit", SUBMIT | {"patient": CAROL}, BODY),
    Row("of another patient", "COVERAGE_UNKNOWN", DOCTOR_A, "claims:Submit", SUBMIT | {"patient": BOB}, BODY),
    Row("twice", "CLAIM_EXISTS", DOCTOR_A, "claims:Submit", claimed(OPEN), message("claim", OPEN)),
    Row("under no coverage", "COVERAGE_UNKNOWN", DOCTOR_A, "claims:Submit", SUBMIT | {"coverage": NEW}, BODY),
    Row("before the coverage", "COVERAGE_OVER", DOCTOR_A, "claims:Submit", SUBMIT | {"coverage": FUTURE}, BODY),
    Row("too late", "FILING_LATE", DOCTOR_A, "claims:Submit", SUBMIT, BODY, later_ms=365 * DAY - 2 * HOUR),
    Row("of no line", "ARGUMENTS_INVALID", DOCTOR_A, "claims:Submit", SUBMIT | {"lines": []}, BODY),
    Row("of a line twice", "CLAIM_LINES", DOCTOR_A, "claims:Submit", with_line(number=2), BODY),
    Row("of line 0", "ARGUMENTS_INVALID", DOCTOR_A, "claims:Submit", with_line(number=0), BODY),
    Row("with a clear amount", "ARGUMENTS_INVALID", DOCTOR_A, "claims:Submit", with_line(amount=12500), BODY),
    Row("with a clear code", "ARGUMENTS_INVALID", DOCTOR_A, "claims:Submit", with_line(code="99213"), BODY),
    Row("with a short token", "ARGUMENTS_INVALID", DOCTOR_A, "claims:Submit", with_line(token=SHORT), BODY),
    Row("of an unbound encounter", "ENCOUNTER_UNBOUND", DOCTOR_A, "claims:Submit", with_line(encounter=E3), BODY),
    Row("of no encounter", "ENCOUNTER_UNBOUND", DOCTOR_A, "claims:Submit", with_line(encounter=NEW), BODY),
    Row("of another's encounter", "ENCOUNTER_UNBOUND", DOCTOR_A, "claims:Submit", with_line(encounter=E_B), BODY),
    *(
        Row(f"with {name}", code, DOCTOR_A, "claims:Submit", with_line(records=records), BODY)
        for name, code, records in (
            ("no such record", "RECORD_UNKNOWN", [{"record": NEW, "version": 1}]),
            ("an erased record", "RECORD_ERASED", [{"record": ERASED, "version": 1}]),
            ("a later version", "VERSION_STALE", [{"record": R1, "version": 2}]),
            ("version 0", "ARGUMENTS_INVALID", [{"record": R1, "version": 0}]),
            ("a record twice", "RECORD_DUPLICATE", [{"record": R1, "version": 1}] * 2),
            ("what the payer is denied", "CONSENT_MISSING", [{"record": PRIVATE, "version": 1}]),
        )
    ),
    *(
        Row(f"with {name}", code, DOCTOR_A, "claims:Submit", with_line(authorisation=one), BODY)
        for name, code, one in (
            ("no such authorisation", "AUTHORISATION_UNKNOWN", NEW),
            ("a refused authorisation", "AUTHORISATION_MISSING", REFUSED),
            ("a pending authorisation", "AUTHORISATION_MISSING", PENDING),
            ("one for another time", "AUTHORISATION_MISSING", NARROW),
        )
    ),
    Row(
        "with one for another coverage",
        "AUTHORISATION_MISSING",
        DOCTOR_A,
        "claims:Submit",
        with_line(authorisation=GRANTED) | {"coverage": SECOND},
        BODY,
    ),
    Row("without a body", "MESSAGE_MISSING", DOCTOR_A, "claims:Submit", SUBMIT),
    Row("with more", "MESSAGE_UNEXPECTED", DOCTOR_A, "claims:Submit", SUBMIT, BODY | {"more": b"x"}),
]

PURGE_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "claims:Purge", chosen(IN_STATE["closed"])),
    Row("by another payer", "CLAIM_PARTY", OTHER_AGENT, "claims:Purge", chosen(IN_STATE["closed"]), later_ms=90 * DAY),
    Row("by another hospital", "CLAIM_PARTY", DOCTOR_B, "claims:Purge", chosen(IN_STATE["closed"]), later_ms=90 * DAY),
    Row("by the agency", "CLAIM_PARTY", OFFICER, "claims:Purge", chosen(IN_STATE["closed"]), later_ms=90 * DAY),
    Row("of no such claim", "CLAIM_UNKNOWN", AGENT, "claims:Purge", chosen(NEW)),
    Row("too early", "CLAIM_KEPT", AGENT, "claims:Purge", chosen(IN_STATE["closed"]), later_ms=89 * DAY),
    *(
        Row(f"while {state}", "CLAIM_KEPT", AGENT, "claims:Purge", chosen(IN_STATE[state]), later_ms=1000 * DAY)
        for state in WAITS_FOR
    ),
    *(
        Row(f"soon after {state}", "CLAIM_KEPT", AGENT, "claims:Purge", chosen(IN_STATE[state]), later_ms=149 * DAY)
        for state in ("denied", "settled")
    ),
]

TABLES = (STATE_ROWS, PARTY_ROWS, TEXT_ROWS, TIME_ROWS, DECISION_ROWS, SUBMIT_ROWS, PURGE_ROWS)

SUCCESSES = [
    Success("by the hospital's clinician", DOCTOR_A, "claims:Submit", SUBMIT, BODY),
    Success("by the hospital's administrator", ADMIN_A, "claims:Submit", SUBMIT, BODY),
    Success("with an authorisation", DOCTOR_A, "claims:Submit", with_line(authorisation=GRANTED), BODY),
    Success("without records", DOCTOR_A, "claims:Submit", with_line(records=[]), BODY),
    Success(
        "to a payer that is not denied",
        DOCTOR_A,
        "claims:Submit",
        with_line(records=[{"record": PRIVATE, "version": 1}]) | {"coverage": SECOND},
        BODY,
    ),
    *(
        Success(f"when {state} by {caller.common_name}", *stepped(state, step, caller))
        for (state, step), transition in TRANSITIONS.items()
        if transition.when is not When.OVERDUE and (state, step) != ("appealed", "deny")
        for caller in WHO_STEPS[transition.by]
    ),
]


@pytest.mark.parametrize("row", [row for rows in TABLES for row in rows], ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


@pytest.mark.parametrize("state", IN_STATE)
def test_each_step_leads_where_the_table_says(chain: Chain, state: str) -> None:
    assert chain.evaluate(AGENT, "claims:Get", chosen(IN_STATE[state]))["state"] == state


def test_the_table_has_no_dead_end() -> None:
    """Every state but the last two leads somewhere, every state is reached, and each step is one party's."""
    left = {state for state, _ in TRANSITIONS}
    reached = {transition.to for transition in TRANSITIONS.values()} | {ClaimState.SUBMITTED}
    assert set(ClaimState) - left == {ClaimState.CLOSED, ClaimState.WITHDRAWN}
    assert reached == set(ClaimState)
    for step in Step:
        assert len({transition.by for (_, one), transition in TRANSITIONS.items() if one is step}) == 1


def test_deadlines_are_the_policys(chain: Chain) -> None:
    def claim(state: str) -> dict[str, Any]:
        found: dict[str, Any] = chain.evaluate(AGENT, "claims:Get", chosen(IN_STATE[state]))
        return found

    hour_on = START_MS + HOUR
    assert (claim("submitted")["due_ms"], claim("submitted")["appeal_ms"]) == (hour_on + 30 * DAY, None)
    assert claim("adjudicated")["appeal_ms"] == claim("denied")["appeal_ms"] == hour_on + 60 * DAY
    assert [claim(state)["due_ms"] for state in ("denied", "settled", "closed", "withdrawn")] == [None] * 4


def test_what_the_hospital_does_not_answer_is_decided_without_it(chain: Chain) -> None:
    chain.now_ms = START_MS + HOUR + 30 * DAY
    by, function, arguments, transient = stepped("information-requested", "deny")
    chain.submit(by, function, arguments, transient)
    assert chain.evaluate(AGENT, "claims:Get", chosen(arguments["id"]))["state"] == "denied"


def test_an_appeal_may_better_every_line_and_is_the_last(chain: Chain) -> None:
    better = [decision(number, "approved") for number in (1, 2, 3)]
    by, function, arguments, transient = stepped("appealed", "approve", decisions=better)
    chain.submit(by, function, arguments, transient)
    claim = chain.evaluate(PATIENT, "claims:Get", chosen(arguments["id"]))
    assert (claim["state"], claim["adjudications"]) == ("final", 2)
    assert [one["outcome"] for one in claim["decisions"]] == ["approved"] * 3
    again = message("claim", arguments["id"], "appeal-1")
    check_refused(chain, Row("again", "CLAIM_STATE", PATIENT, "claims:Appeal", chosen(arguments["id"]), again))


def test_an_appeal_against_a_denial_may_be_denied(chain: Chain) -> None:
    claim = IN_STATE["denied"]
    take(chain, claim, "appeal")
    take(chain, claim, "deny-2")
    assert chain.evaluate(AGENT, "claims:Get", chosen(claim))["state"] == "closed"


def test_questions_are_numbered(chain: Chain) -> None:
    claim = IN_STATE["information-requested"]
    take(chain, claim, "answer")
    chain.submit(AGENT, "claims:RequestInformation", chosen(claim), message("claim", claim, "request-2"))
    chain.submit(ADMIN_A, "claims:Answer", chosen(claim), message("claim", claim, "answer-2"))
    assert chain.evaluate(AGENT, "claims:Get", chosen(claim))["requests"] == 2


def test_public_state_and_events_tell_no_amount_code_or_text(chain: Chain) -> None:
    """Only ids, numbers of lines, 32-byte commitments, states and times."""
    submit(chain, NEW)
    raw = chain.memory.state[CLAIMS.key(ALICE, NEW)].value
    fields = set(CLAIMS.decode(raw).__struct_fields__)  # type: ignore[union-attr]
    assert fields == {
        *("hospital", "payer", "coverage", "rank", "primary", "lines", "total", "by", "time_ms", "state", "state_by"),
        *("state_ms", "due_ms", "appeal_ms", "requests", "adjudications", "decisions", "settlement", "purged_ms"),
    }
    assert chain.event is not None
    assert chain.event[0] == "claims:Submitted"
    assert BODY[f"claim/{ALICE}/{NEW}/body"] not in raw


def test_who_took_each_step_is_in_the_history(chain: Chain) -> None:
    past = reversed(chain.memory.past[CLAIMS.key(ALICE, IN_STATE["final"])])
    steps = [(one.state, one.state_by) for one in map(CLAIMS.decode, (value for *_, value in past)) if one is not None]
    assert steps[::-1] == [
        ("submitted", "HospitalA/doctor"),
        ("adjudicated", "Insurer/agent"),
        ("appealed", "HospitalA/alice"),
        ("final", "Insurer/agent"),
    ]


def test_what_is_purged_is_gone_and_only_that(chain: Chain) -> None:
    claim = IN_STATE["closed"]
    texts = {key for collection, key in chain.memory.values if collection == "messages" and claim in key}
    assert {key.rsplit("/", 1)[1] for key in texts} == {
        *("body", "explanation-1", "explanation-2", "appeal-1", "settlement-2")
    }
    chain.now_ms = START_MS + HOUR + 90 * DAY
    chain.submit(PATIENT, "claims:Purge", chosen(claim))
    left = {key for collection, key in chain.memory.values if collection == "messages"}
    assert not [key for key in left if claim in key]
    assert [key for key in left if IN_STATE["final"] in key]
    check_refused(chain, Row("twice", "CLAIM_PURGED", AGENT, "claims:Purge", chosen(claim)))
    asked = chosen(claim, name="body")
    check_refused(chain, Row("gone", "MESSAGE_UNKNOWN", AGENT, "claims:Message", asked))
    check_refused(chain, Row("gone", "CLAIM_PURGED", AGENT, "claims:Records", chosen(claim, line=1)))


@pytest.mark.parametrize(("state", "days"), [("withdrawn", 90), ("denied", 150), ("settled", 150)])
def test_a_claim_that_ends_by_time_is_purged_after_that(chain: Chain, state: str, days: int) -> None:
    chain.now_ms = START_MS + HOUR + days * DAY
    chain.submit(DOCTOR_A, "claims:Purge", chosen(IN_STATE[state]))


def test_an_amended_encounter_counts_from_its_first_version(chain: Chain) -> None:
    """E1 has two versions; the second was written a millisecond later."""
    late = Row("late", "FILING_LATE", DOCTOR_A, "claims:Submit", SUBMIT, BODY)
    chain.now_ms = START_MS + 365 * DAY - 1
    copy = chain.copy()
    copy.submit(DOCTOR_A, "claims:Submit", SUBMIT, BODY)
    chain.now_ms += 1
    check_refused(chain, late)


def test_another_hospitals_authorisation_is_none(chain: Chain) -> None:
    """Hospital B bills its own encounter, which A's authorisation does not cover and its own does."""
    bind = {"patient": ALICE, "record": E_B, "commitment": digest("secret", E_B)}
    chain.submit(DOCTOR_B, "claims:BindEncounter", bind)

    def billed(authorisation: str) -> dict[str, Any]:
        return claimed(NEW, line(NEW, 1, encounter=E_B, records=[], authorisation=authorisation))

    check_refused(chain, Row("A's", "AUTHORISATION_MISSING", DOCTOR_B, "claims:Submit", billed(GRANTED), BODY))
    own = {"id": NEW, "patient": ALICE}
    chain.submit(
        DOCTOR_B, "authorisations:Request", own | {"coverage": FIRST}, message("authorisation", NEW, "request")
    )
    answer = own | {"granted": True, "start_ms": START_MS, "end_ms": START_MS + DAY}
    chain.submit(AGENT, "authorisations:Answer", answer, message("authorisation", NEW, "answer"))
    chain.submit(DOCTOR_B, "claims:Submit", billed(NEW), BODY)


def test_a_claim_outlives_the_erasure_of_its_patient(chain: Chain) -> None:
    """Coverages and authorisations lose their texts at once, claims when the payer is done and the time is over."""
    chain.submit(PATIENT, "patients:Erase", {"patient": ALICE})

    def texts(area: str) -> list[str]:
        return [key for collection, key in chain.memory.values if collection == "messages" and key.startswith(area)]

    assert texts("coverage/") == texts("authorisation/") == []
    assert len(texts("claim/")) > len(IN_STATE)
    take(chain, OPEN, "approve")
    take(chain, OPEN, "settle")
    row = Row("erased", "PATIENT_ERASED", DOCTOR_A, "claims:Submit", SUBMIT, BODY)
    check_refused(chain, row)
    chain.now_ms = START_MS + 2 * HOUR + 150 * DAY
    chain.submit(AGENT, "claims:Purge", chosen(OPEN))


def test_an_erasure_takes_the_claims_that_nobody_has_to_keep(chain: Chain) -> None:
    """No party may ever purge them of its own accord."""
    chain.now_ms = START_MS + HOUR + 90 * DAY
    chain.submit(PATIENT, "patients:Erase", {"patient": ALICE})
    texts = [key for collection, key in chain.memory.values if collection == "messages" and key.startswith("claim/")]
    left = {state for state, claim in IN_STATE.items() if any(claim in key for key in texts)}
    assert left == set(IN_STATE) - {"closed", "withdrawn"}
    assert chain.evaluate(AGENT, "claims:Get", chosen(IN_STATE["closed"]))["purged_ms"] == chain.now_ms


def test_an_authorisation_is_answered_no_more_once_its_patient_is_erased(chain: Chain) -> None:
    """The answer would be a text that no erasure finds."""
    chain.submit(PATIENT, "patients:Erase", {"patient": ALICE})
    answer = {"id": PENDING, "patient": ALICE, "granted": False}
    text = message("authorisation", PENDING, "answer")
    check_refused(chain, Row("erased", "PATIENT_ERASED", AGENT, "authorisations:Answer", answer, text))
    assert PENDING not in {one["id"] for one in chain.evaluate(AGENT, "claims:Due", {})["due"]}


def test_a_late_payment_is_kept_as_long_as_any(chain: Chain) -> None:
    """From the payment on, not from the end of an appeal that lay before it."""
    claim = IN_STATE["adjudicated"]
    chain.now_ms = START_MS + HOUR + 200 * DAY
    take(chain, claim, "settle")
    chain.now_ms += 90 * DAY - 1
    check_refused(chain, Row("kept", "CLAIM_KEPT", AGENT, "claims:Purge", chosen(claim)))
    chain.now_ms += 1
    chain.submit(AGENT, "claims:Purge", chosen(claim))


def test_an_encounter_that_the_payer_is_denied_is_not_billed_to_it(chain: Chain) -> None:
    """Not even without the record: that it took place, and what was done, is in the claim."""
    bind = {"patient": ALICE, "record": PRIVATE, "commitment": digest("secret", PRIVATE)}
    chain.submit(DOCTOR_A, "claims:BindEncounter", bind)
    private = line(NEW, 1, encounter=PRIVATE, records=[])
    row = Row("private", "CONSENT_MISSING", DOCTOR_A, "claims:Submit", claimed(NEW, private), BODY)
    check_refused(chain, row)
    submit(chain, NEW, private, coverage=SECOND)


def test_a_claim_is_not_hidden_behind_an_authorisation_of_the_same_id(chain: Chain) -> None:
    same = {"id": OPEN, "patient": ALICE}

    def due() -> list[tuple[str, int]]:
        found = [one for one in chain.evaluate(AGENT, "claims:Due", {})["due"] if one["id"] == OPEN]
        return [(one["asked"], one["due_ms"]) for one in found]

    (claim_due,) = due()
    request = same | {"coverage": FIRST}
    chain.submit(DOCTOR_B, "authorisations:Request", request, message("authorisation", OPEN, "request"))
    assert claim_due in due()
    answer = same | {"granted": False}
    chain.submit(AGENT, "authorisations:Answer", answer, message("authorisation", OPEN, "answer"))
    assert due() == [claim_due]


def test_an_amended_attachment_must_be_sealed_anew(chain: Chain) -> None:
    write(chain, R1, 2, K[0])
    check_refused(chain, Row("stale", "VERSION_STALE", DOCTOR_A, "claims:Submit", SUBMIT, BODY))
