"""Coverages and prior authorisations: who enrols, asks, answers and sees, and with what each is refused."""

from __future__ import annotations

import pytest

from .chain import START_MS, Chain
from .claims_stage import (
    FIRST,
    FUTURE,
    GRANTED,
    GUARDIAN,
    OTHER_AGENT,
    PENDING,
    READING_GUARDIAN,
    SECOND,
    THIRD,
    claims_chain,
    enrolled,
    message,
)
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    ADMIN_I,
    AGENT,
    ALICE,
    CAROL,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    HOUR,
    NOBODY,
    OFFICER,
    OTHER_PATIENT,
    PATIENT,
    STRANGER,
    K,
    granted,
    ident,
    licence,
    person,
    sealed,
)
from .table import Row, Success, by_name, check_refused

UNLICENSED = person("HospitalA", "locum", "clinician")
NEW = ident("new")
ENROL = enrolled(NEW)
BODY = message("coverage", NEW)
END = {"id": FIRST, "patient": ALICE}
OF_ALICE = {"patient": ALICE}
ASK = {"id": NEW, "patient": ALICE, "coverage": FIRST}
ASKED = message("authorisation", NEW, "request")
ANSWER = {"id": PENDING, "patient": ALICE, "granted": True, "start_ms": START_MS, "end_ms": START_MS + DAY}
REFUSE = {"id": PENDING, "patient": ALICE, "granted": False}
ANSWERED = message("authorisation", PENDING, "answer")
TEXT = {"id": GRANTED, "patient": ALICE, "text": "request"}


@pytest.fixture(scope="session")
def built_chain() -> Chain:
    return claims_chain()


ENROL_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "coverage:Enrol", ENROL, BODY),
    Row("by a hospital", "ROLE_FORBIDDEN", DOCTOR_A, "coverage:Enrol", ENROL, BODY),
    Row("by an agency", "ROLE_FORBIDDEN", OFFICER, "coverage:Enrol", ENROL, BODY),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "coverage:Enrol", ENROL, BODY),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "coverage:Enrol", ENROL, BODY),
    Row("of nobody", "PATIENT_UNKNOWN", AGENT, "coverage:Enrol", ENROL | {"patient": CAROL}, BODY),
    Row("twice", "COVERAGE_EXISTS", AGENT, "coverage:Enrol", enrolled(FIRST), message("coverage", FIRST)),
    Row("of another's id", "COVERAGE_EXISTS", AGENT, "coverage:Enrol", enrolled(SECOND), message("coverage", SECOND)),
    Row("for no time", "PERIOD_INVALID", AGENT, "coverage:Enrol", ENROL | {"end_ms": START_MS}, BODY),
    Row("that is over", "PERIOD_INVALID", AGENT, "coverage:Enrol", ENROL | {"end_ms": START_MS + HOUR}, BODY),
    Row("of rank 0", "ARGUMENTS_INVALID", AGENT, "coverage:Enrol", ENROL | {"rank": 0}, BODY),
    Row("of rank 10", "ARGUMENTS_INVALID", AGENT, "coverage:Enrol", ENROL | {"rank": 10}, BODY),
    Row("with a plan in clear", "ARGUMENTS_INVALID", AGENT, "coverage:Enrol", ENROL | {"plan": "gold"}, BODY),
    Row("without a body", "MESSAGE_MISSING", AGENT, "coverage:Enrol", ENROL),
    Row("with an empty body", "MESSAGE_MISSING", AGENT, "coverage:Enrol", ENROL, dict.fromkeys(BODY, b"")),
    Row("with more", "MESSAGE_UNEXPECTED", AGENT, "coverage:Enrol", ENROL, BODY | {"more": b"x"}),
    Row("too large", "MESSAGE_TOO_LARGE", AGENT, "coverage:Enrol", ENROL, dict.fromkeys(BODY, bytes(1 + (1 << 20)))),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "coverage:End", END),
    Row("by a hospital", "ROLE_FORBIDDEN", ADMIN_A, "coverage:End", END),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "coverage:End", END),
    Row("by another payer", "CLAIM_PARTY", OTHER_AGENT, "coverage:End", END),
    Row("of no such id", "COVERAGE_UNKNOWN", AGENT, "coverage:End", END | {"id": NEW}),
    Row("of another patient", "COVERAGE_UNKNOWN", AGENT, "coverage:End", END | {"patient": CAROL}),
    Row("that is over", "COVERAGE_OVER", AGENT, "coverage:End", END, later_ms=365 * DAY),
]

LIST_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "coverage:List", OF_ALICE),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "coverage:List", OF_ALICE),
    Row("of nobody", "PATIENT_UNKNOWN", DOCTOR_A, "coverage:List", {"patient": CAROL}),
    Row("by a hospital without consent", "CLAIM_PARTY", DOCTOR_B, "coverage:List", OF_ALICE),
    Row("by the agency", "CLAIM_PARTY", OFFICER, "coverage:List", OF_ALICE),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "coverage:List", OF_ALICE),
    Row("by a guardian for reading", "GUARDIAN_SCOPE", READING_GUARDIAN, "coverage:List", OF_ALICE),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "coverage:Body", END),
    Row("by another payer", "CLAIM_PARTY", OTHER_AGENT, "coverage:Body", END),
    Row("by another hospital", "CLAIM_PARTY", DOCTOR_B, "coverage:Body", END),
    Row("by the agency", "CLAIM_PARTY", OFFICER, "coverage:Body", END),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "coverage:Body", END),
    Row("by a guardian for reading", "GUARDIAN_SCOPE", READING_GUARDIAN, "coverage:Body", END),
    Row("of no such id", "COVERAGE_UNKNOWN", AGENT, "coverage:Body", END | {"id": NEW}),
]

REQUEST_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "authorisations:Request", ASK, ASKED),
    Row("by the payer", "ROLE_FORBIDDEN", AGENT, "authorisations:Request", ASK, ASKED),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "authorisations:Request", ASK, ASKED),
    Row("by an agency", "ROLE_FORBIDDEN", OFFICER, "authorisations:Request", ASK, ASKED),
    Row("without a licence", "LICENCE_MISSING", UNLICENSED, "authorisations:Request", ASK, ASKED),
    Row("of nobody", "PATIENT_UNKNOWN", DOCTOR_A, "authorisations:Request", ASK | {"patient": CAROL}, ASKED),
    Row("under none", "COVERAGE_UNKNOWN", DOCTOR_A, "authorisations:Request", ASK | {"coverage": NEW}, ASKED),
    Row("too early", "COVERAGE_OVER", DOCTOR_A, "authorisations:Request", ASK | {"coverage": FUTURE}, ASKED),
    Row("twice", "AUTHORISATION_EXISTS", DOCTOR_A, "authorisations:Request", ASK | {"id": GRANTED}, ASKED),
    Row("without a text", "MESSAGE_MISSING", DOCTOR_A, "authorisations:Request", ASK),
    Row("with more", "MESSAGE_UNEXPECTED", DOCTOR_A, "authorisations:Request", ASK, ASKED | {"more": b"x"}),
]

ANSWER_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "authorisations:Answer", ANSWER, ANSWERED),
    Row("by the hospital", "ROLE_FORBIDDEN", DOCTOR_A, "authorisations:Answer", ANSWER, ANSWERED),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "authorisations:Answer", ANSWER, ANSWERED),
    Row("by another payer", "CLAIM_PARTY", OTHER_AGENT, "authorisations:Answer", ANSWER, ANSWERED),
    Row("of no such id", "AUTHORISATION_UNKNOWN", AGENT, "authorisations:Answer", ANSWER | {"id": NEW}, ANSWERED),
    Row("twice", "AUTHORISATION_ANSWERED", AGENT, "authorisations:Answer", ANSWER | {"id": GRANTED}, ANSWERED),
    Row("for no time", "PERIOD_INVALID", AGENT, "authorisations:Answer", ANSWER | {"end_ms": START_MS}, ANSWERED),
    Row("refused for a time", "PERIOD_INVALID", AGENT, "authorisations:Answer", ANSWER | REFUSE, ANSWERED),
    Row("without a text", "MESSAGE_MISSING", AGENT, "authorisations:Answer", ANSWER),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "authorisations:List", OF_ALICE),
    Row("by an agency", "CLAIM_PARTY", OFFICER, "authorisations:List", OF_ALICE),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "authorisations:List", OF_ALICE),
    Row("by a guardian for reading", "GUARDIAN_SCOPE", READING_GUARDIAN, "authorisations:List", OF_ALICE),
    Row("of nobody", "PATIENT_UNKNOWN", DOCTOR_A, "authorisations:List", {"patient": CAROL}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "authorisations:Message", TEXT),
    Row("by another hospital", "CLAIM_PARTY", DOCTOR_B, "authorisations:Message", TEXT),
    Row("by another payer", "CLAIM_PARTY", OTHER_AGENT, "authorisations:Message", TEXT),
    Row("by an agency", "CLAIM_PARTY", OFFICER, "authorisations:Message", TEXT),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "authorisations:Message", TEXT),
    Row("of no such id", "AUTHORISATION_UNKNOWN", AGENT, "authorisations:Message", TEXT | {"id": NEW}),
    Row("of no such text", "ARGUMENTS_INVALID", AGENT, "authorisations:Message", TEXT | {"text": "body"}),
    Row(
        "not answered yet", "MESSAGE_UNKNOWN", AGENT, "authorisations:Message", TEXT | {"id": PENDING, "text": "answer"}
    ),
]

SUCCESSES = [
    Success("by the payer's agent", AGENT, "coverage:Enrol", ENROL, BODY),
    Success("by the payer's administrator", ADMIN_I, "coverage:Enrol", ENROL, BODY),
    Success("of a past start", AGENT, "coverage:Enrol", ENROL | {"start_ms": 0}, BODY),
    Success("by the payer", AGENT, "coverage:End", END),
    Success("before it starts", AGENT, "coverage:End", END | {"id": FUTURE}),
    Success("by the custodian", DOCTOR_A, "coverage:List", OF_ALICE),
    Success("by the patient", PATIENT, "coverage:List", OF_ALICE),
    Success("by a guardian for claims", GUARDIAN, "coverage:List", OF_ALICE),
    Success("by the payer", AGENT, "coverage:Body", END),
    Success("by the custodian", ADMIN_A, "coverage:Body", END),
    Success("by the patient", PATIENT, "coverage:Body", END),
    Success("by the hospital", DOCTOR_A, "authorisations:Request", ASK, ASKED),
    Success("by another hospital", ADMIN_B, "authorisations:Request", ASK, ASKED),
    Success("granted", AGENT, "authorisations:Answer", ANSWER, ANSWERED),
    Success("refused", AGENT, "authorisations:Answer", REFUSE, ANSWERED),
    Success("by a guardian for claims", GUARDIAN, "authorisations:Message", TEXT),
    Success("by the hospital", DOCTOR_A, "authorisations:Message", TEXT),
]


@pytest.mark.parametrize("row", [*ENROL_ROWS, *LIST_ROWS, *REQUEST_ROWS, *ANSWER_ROWS], ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_a_payer_sees_its_own_coverages_by_rank(chain: Chain) -> None:
    def seen(caller: object) -> list[str]:
        listed = chain.evaluate(caller, "coverage:List", OF_ALICE)["coverages"]  # type: ignore[arg-type]
        assert [one["rank"] for one in listed] == sorted(one["rank"] for one in listed)
        return [one["id"] for one in listed]

    assert set(seen(PATIENT)) == {FIRST, SECOND, THIRD, FUTURE}
    assert set(seen(AGENT)) == {FIRST, THIRD, FUTURE}
    assert seen(OTHER_AGENT) == [SECOND]


def test_a_hospital_that_may_read_for_payment_sees_them(chain: Chain) -> None:
    consent = granted("payment", "HospitalB", K[1:2], "HPAYMT")
    chain.submit(PATIENT, "consents:Grant", consent, sealed(K[1:2], 1, "HospitalB"))
    assert len(chain.evaluate(DOCTOR_B, "coverage:List", OF_ALICE)["coverages"]) == 4


def test_what_has_ended_covers_nothing_from_then_on(chain: Chain) -> None:
    chain.submit(AGENT, "coverage:End", END)
    check_refused(chain, Row("ended", "COVERAGE_OVER", DOCTOR_A, "authorisations:Request", ASK, ASKED))
    check_refused(chain, Row("twice", "COVERAGE_OVER", AGENT, "coverage:End", END))
    (ended,) = [one for one in chain.evaluate(AGENT, "coverage:List", OF_ALICE)["coverages"] if one["id"] == FIRST]
    assert (ended["end_ms"], ended["ended_by"]) == (START_MS + 2 * HOUR, "Insurer/agent")


def test_a_hospital_and_a_payer_see_their_own_authorisations(chain: Chain) -> None:
    chain.submit(ADMIN_B, "authorisations:Request", ASK, ASKED)

    def seen(caller: object) -> set[str]:
        listed = chain.evaluate(caller, "authorisations:List", OF_ALICE)["authorisations"]  # type: ignore[arg-type]
        return {one["id"] for one in listed}

    assert seen(DOCTOR_B) == {NEW}
    assert NEW not in seen(DOCTOR_A)
    assert len(seen(PATIENT)) == len(seen(AGENT)) == 5
    assert seen(OTHER_AGENT) == set()


def test_an_unanswered_one_falls_due(chain: Chain) -> None:
    def due() -> dict[str, bool]:
        return {one["id"]: one["overdue"] for one in chain.evaluate(AGENT, "claims:Due", {})["due"]}

    assert due()[PENDING] is False
    chain.now_ms = START_MS + HOUR + 30 * DAY
    assert due()[PENDING] is True
    chain.submit(AGENT, "authorisations:Answer", ANSWER, ANSWERED)
    assert PENDING not in due()


def test_a_suspended_licence_asks_for_nothing(chain: Chain) -> None:
    chain.submit(OFFICER, "licences:Issue", licence("HospitalA", acts=["record"]))
    check_refused(chain, Row("record only", "LICENCE_MISSING", DOCTOR_A, "authorisations:Request", ASK, ASKED))
