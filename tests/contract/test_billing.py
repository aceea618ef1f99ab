"""One service is billed once: encounters are bound once, tokens taken once, and a secondary follows its primary."""

from __future__ import annotations

from typing import Any

import pytest

from .chain import START_MS, Chain
from .claims_stage import (
    E1,
    E2,
    E3,
    E_B,
    ERASED,
    IN_STATE,
    NEW,
    OTHER_AGENT,
    SECOND,
    THIRD,
    chosen,
    claimed,
    claims_chain,
    digest,
    line,
    message,
    submit,
    take,
)
from .consortium import (
    ADMIN_A,
    AGENT,
    ALICE,
    BOB,
    CAROL,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    HOUR,
    OFFICER,
    PATIENT,
    STRANGER,
    K,
    ident,
    write,
)
from .table import Row, Success, by_name, check_refused

BIND = {"patient": ALICE, "record": E3, "commitment": digest("secret", E3)}
BODY = message("claim", NEW)
PAID = IN_STATE["settled"]


@pytest.fixture(scope="session")
def built_chain() -> Chain:
    return claims_chain()


def again(claim: str, number: int = 1, **changes: Any) -> dict[str, Any]:
    """A new claim whose one line bills what a line of that claim billed."""
    return claimed(NEW, line(NEW, 1) | {"token": digest("token", claim, number)}, **changes)


BIND_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "claims:BindEncounter", BIND),
    Row("by a payer", "ROLE_FORBIDDEN", AGENT, "claims:BindEncounter", BIND),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "claims:BindEncounter", BIND),
    Row("by the agency", "ROLE_FORBIDDEN", OFFICER, "claims:BindEncounter", BIND),
    Row("by another hospital", "RECORD_NOT_OWN", DOCTOR_B, "claims:BindEncounter", BIND),
    Row("by its keeper", "RECORD_NOT_OWN", DOCTOR_A, "claims:BindEncounter", BIND | {"record": E_B}),
    Row("twice", "ENCOUNTER_BOUND", DOCTOR_A, "claims:BindEncounter", BIND | {"record": E1}),
    Row("of nobody", "PATIENT_UNKNOWN", DOCTOR_A, "claims:BindEncounter", BIND | {"patient": CAROL}),
    Row("of another patient", "RECORD_UNKNOWN", DOCTOR_A, "claims:BindEncounter", BIND | {"patient": BOB}),
    Row("of no record", "RECORD_UNKNOWN", DOCTOR_A, "claims:BindEncounter", BIND | {"record": NEW}),
    Row("of an erased record", "RECORD_ERASED", DOCTOR_A, "claims:BindEncounter", BIND | {"record": ERASED}),
    Row("to a short secret", "ARGUMENTS_INVALID", DOCTOR_A, "claims:BindEncounter", BIND | {"commitment": "eA=="}),
]

TWICE_ROWS = [
    *(
        Row(f"of a claim that is {state}", "BILLED_TWICE", DOCTOR_A, "claims:Submit", again(claim), BODY)
        for state, claim in IN_STATE.items()
        if state != "withdrawn"
    ),
    Row("to another payer", "BILLED_TWICE", DOCTOR_A, "claims:Submit", again(PAID, coverage=SECOND), BODY),
    Row(
        "in one claim",
        "BILLED_TWICE",
        DOCTOR_A,
        "claims:Submit",
        claimed(NEW, line(NEW, 1), line(NEW, 1) | {"number": 2}),
        BODY,
    ),
    Row(
        "denied, but may be appealed",
        "BILLED_TWICE",
        DOCTOR_A,
        "claims:Submit",
        again(IN_STATE["denied"]),
        BODY,
        59 * DAY,
    ),
    Row("paid in a closed claim", "BILLED_TWICE", DOCTOR_A, "claims:Submit", again(IN_STATE["closed"], 2), BODY),
    Row(
        "secondary to another claim",
        "BILLED_TWICE",
        DOCTOR_A,
        "claims:Submit",
        again(PAID, coverage=SECOND, primary=IN_STATE["final"]),
        BODY,
    ),
]

PRIMARY_ROWS = [
    Row(
        "secondary to none", "CLAIM_UNKNOWN", DOCTOR_A, "claims:Submit", again(PAID, coverage=SECOND, primary=NEW), BODY
    ),
    Row("under the same coverage", "PRIMARY_INVALID", DOCTOR_A, "claims:Submit", again(PAID, primary=PAID), BODY),
    *(
        Row(
            f"of a claim that is {state}",
            "PRIMARY_INVALID",
            DOCTOR_A,
            "claims:Submit",
            again(IN_STATE[state], coverage=SECOND, primary=IN_STATE[state]),
            BODY,
        )
        for state in ("submitted", "information-requested", "withdrawn")
    ),
]

SUCCESSES = [
    Success("by the custodian", ADMIN_A, "claims:BindEncounter", BIND),
    Success("by the author", DOCTOR_B, "claims:BindEncounter", BIND | {"record": E_B}),
    Success("of a withdrawn claim", DOCTOR_A, "claims:Submit", again(IN_STATE["withdrawn"]), BODY),
    Success("denied for good in a closed claim", DOCTOR_A, "claims:Submit", again(IN_STATE["closed"], 3), BODY),
    Success(
        "the same service of another encounter",
        DOCTOR_A,
        "claims:Submit",
        claimed(NEW, line(PAID, 1, encounter=E2)),
        BODY,
    ),
    *(
        Success(
            f"secondary to one that is {state}",
            DOCTOR_A,
            "claims:Submit",
            again(IN_STATE[state], coverage=SECOND, primary=IN_STATE[state]),
            BODY,
        )
        for state in ("adjudicated", "denied", "settled", "appealed", "final", "closed")
    ),
]


@pytest.mark.parametrize("row", [*BIND_ROWS, *TWICE_ROWS, *PRIMARY_ROWS], ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_a_denied_line_is_free_once_no_appeal_is_possible(chain: Chain) -> None:
    chain.now_ms = START_MS + HOUR + 60 * DAY
    chain.submit(DOCTOR_A, "claims:Submit", again(IN_STATE["denied"]), BODY)
    check_refused(
        chain,
        Row(
            "the paid one",
            "BILLED_TWICE",
            DOCTOR_A,
            "claims:Submit",
            claimed(ident("newer"), line(PAID, 1)),
            message("claim", ident("newer")),
        ),
    )


def test_a_withdrawn_secondary_frees_nothing_of_the_primary(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "claims:Submit", again(PAID, coverage=SECOND, primary=PAID), BODY)
    chain.submit(DOCTOR_A, "claims:Withdraw", chosen(NEW))
    once_more, text = ident("once more"), message("claim", ident("once more"))
    alone = again(PAID, coverage=SECOND) | {"id": once_more}
    check_refused(chain, Row("alone", "BILLED_TWICE", DOCTOR_A, "claims:Submit", alone, text))
    chain.submit(DOCTOR_A, "claims:Submit", alone | {"primary": PAID}, text)


def test_one_secondary_and_then_a_third(chain: Chain) -> None:
    """What each payer left goes to the next by rank, one claim for each."""
    chain.submit(DOCTOR_A, "claims:Submit", again(PAID, coverage=SECOND, primary=PAID), BODY)
    third, text = ident("third"), message("claim", ident("third"))
    beside = again(PAID, coverage=THIRD, primary=PAID) | {"id": third}
    after = beside | {"primary": NEW}
    check_refused(chain, Row("beside", "BILLED_TWICE", DOCTOR_A, "claims:Submit", beside, text))
    check_refused(chain, Row("too soon", "PRIMARY_INVALID", DOCTOR_A, "claims:Submit", after, text))
    approved = {"decisions": [{"line": 1, "outcome": "approved", "amount": digest("paid")}]}
    chain.submit(OTHER_AGENT, "claims:Adjudicate", chosen(NEW, **approved), message("claim", NEW, "explanation-1"))
    chain.submit(DOCTOR_A, "claims:Submit", after, text)


def test_another_hospitals_claim_is_no_primary(chain: Chain) -> None:
    chain.submit(DOCTOR_B, "claims:BindEncounter", BIND | {"record": E_B})
    theirs = claimed(NEW, line(NEW, 1, encounter=E_B, records=[]), coverage=SECOND, primary=PAID)
    check_refused(chain, Row("theirs", "PRIMARY_INVALID", DOCTOR_B, "claims:Submit", theirs, BODY))


def test_nobody_takes_another_hospitals_token_first(chain: Chain) -> None:
    """A member that sees a proposal could copy its token: it counts for the encounter alone, which another bound."""
    chain.submit(DOCTOR_B, "claims:BindEncounter", BIND | {"record": E_B})
    copied = claimed(ident("copied"), line(NEW, 1, encounter=E_B, records=[]))
    chain.submit(DOCTOR_B, "claims:Submit", copied, message("claim", ident("copied")))
    submit(chain, NEW)


def test_an_erased_encounter_is_not_billed(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "records:Erase", {"patient": ALICE, "records": [E2]})
    row = Row("erased", "RECORD_ERASED", DOCTOR_A, "claims:Submit", claimed(NEW, line(NEW, 1, encounter=E2)), BODY)
    check_refused(chain, row)


def test_a_service_freed_by_a_withdrawal_is_taken_again(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "claims:Submit", again(IN_STATE["withdrawn"]), BODY)
    newer = ident("newer")
    row = Row(
        "again",
        "BILLED_TWICE",
        DOCTOR_A,
        "claims:Submit",
        again(IN_STATE["withdrawn"]) | {"id": newer},
        message("claim", newer),
    )
    check_refused(chain, row)
    take(chain, NEW, "withdraw")
    chain.submit(DOCTOR_A, row.function, row.arguments, row.transient)


def test_whoever_treated_bills_also_after_the_custodian_amended(chain: Chain) -> None:
    write(chain, E_B, 2, K[0])
    check_refused(chain, Row("amended", "RECORD_NOT_OWN", DOCTOR_A, "claims:BindEncounter", BIND | {"record": E_B}))
    chain.submit(DOCTOR_B, "claims:BindEncounter", BIND | {"record": E_B})
    chain.submit(DOCTOR_B, "claims:Submit", claimed(NEW, line(NEW, 1, encounter=E_B, records=[])), BODY)


def test_a_service_that_is_billed_again_is_appealed_no_more(chain: Chain) -> None:
    """Proposals of two clocks: the new claim comes when the time is over, the appeal says that it is not."""
    denied = IN_STATE["denied"]
    over_ms = START_MS + HOUR + 60 * DAY
    chain.now_ms = over_ms
    chain.submit(DOCTOR_A, "claims:Submit", again(denied), BODY)
    chain.now_ms = over_ms - 1
    row = Row(
        "billed again", "BILLED_TWICE", PATIENT, "claims:Appeal", chosen(denied), message("claim", denied, "appeal-1")
    )
    check_refused(chain, row)


@pytest.mark.parametrize("state", ["adjudicated", "appealed", "final"])
def test_a_silent_payers_claim_is_withdrawn_and_billed_to_another(chain: Chain, state: str) -> None:
    claim = IN_STATE[state]
    withdraw = Row("in time", "CLAIM_DEADLINE", DOCTOR_A, "claims:Withdraw", chosen(claim))
    chain.now_ms = START_MS + HOUR + 30 * DAY - 1
    check_refused(chain, withdraw)
    chain.now_ms += 1
    chain.submit(DOCTOR_A, "claims:Withdraw", chosen(claim))
    chain.submit(DOCTOR_A, "claims:Submit", again(claim, coverage=SECOND), BODY)
    assert claim not in {one["id"] for one in chain.evaluate(AGENT, "claims:Due", {})["due"]}


def test_a_withdrawn_claim_is_no_primary(chain: Chain) -> None:
    chain.now_ms = START_MS + HOUR + 30 * DAY
    claim = IN_STATE["adjudicated"]
    chain.submit(DOCTOR_A, "claims:Withdraw", chosen(claim))
    secondary = again(claim, coverage=SECOND, primary=claim)
    check_refused(chain, Row("withdrawn", "PRIMARY_INVALID", DOCTOR_A, "claims:Submit", secondary, BODY))


def test_what_was_paid_stays_billed_when_the_payer_is_silent_on_an_appeal(chain: Chain) -> None:
    claim = IN_STATE["settled"]
    take(chain, claim, "appeal")
    chain.now_ms += 30 * DAY
    chain.submit(DOCTOR_A, "claims:Withdraw", chosen(claim))
    check_refused(chain, Row("paid", "BILLED_TWICE", DOCTOR_A, "claims:Submit", again(claim, coverage=SECOND), BODY))
    chain.submit(DOCTOR_A, "claims:Submit", again(claim, 3, coverage=SECOND), BODY)


def test_what_was_done_before_a_merge_is_billed(chain: Chain) -> None:
    merge = {"patient": ALICE, "into": BOB}
    chain.submit(DOCTOR_A, "merging:Propose", merge)
    chain.submit(ADMIN_A, "merging:Confirm", merge)
    chain.submit(DOCTOR_A, "claims:BindEncounter", BIND)
    submit(chain, NEW, line(NEW, 1, encounter=E3))
