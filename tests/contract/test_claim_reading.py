"""What the parties see of a claim: states, sealed texts, attached records, commitments opened. Nobody else does."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from healthchain.chaincode.stub import Caller
from healthchain.contract import commitments
from healthchain.contract.commitments import Part
from healthchain.contract.ids import Role
from healthchain.contract.policies import IN_FORCE, POLICIES, Permission
from healthchain.ledger.view import Value

from .chain import START_MS, Chain
from .claims_stage import (
    GUARDIAN,
    IN_STATE,
    NEW,
    OTHER_AGENT,
    PENDING,
    R1,
    READING_GUARDIAN,
    SECOND,
    STATES,
    chosen,
    claimed,
    claims_chain,
    line,
    message,
)
from .consortium import (
    ADMIN_A,
    ADMIN_I,
    AGENT,
    ALICE,
    CAROL,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    FORGED_PATIENT,
    HOUR,
    NOBODY,
    OFFICER,
    OTHER_PATIENT,
    PATIENT,
    STRANGER,
    K,
    person,
    write,
)
from .table import Row, Success, by_name, check_refused

CLAIM = IN_STATE["adjudicated"]
GET = chosen(CLAIM)
LIST = {"patient": ALICE}
TEXT = chosen(CLAIM, name="body")
ATTACHED = chosen(CLAIM, line=1)
SALT = bytes(range(32))


def opening(**changes: Any) -> dict[str, Any]:
    salt = base64.b64encode(SALT).decode()
    return chosen(NEW, part="billed", line=1, amount=12500, currency="USD", salt=salt) | changes


@pytest.fixture(scope="session")
def built_chain() -> Chain:
    """With a claim whose commitments the tests can open."""
    chain = claims_chain()
    billed = commitments.amount(ALICE, NEW, Part.BILLED, 1, 12500, "USD", SALT)
    total = commitments.amount(ALICE, NEW, Part.TOTAL, 0, 12500, "USD", SALT)
    as_text = [base64.b64encode(one).decode() for one in (billed, total)]
    claim = claimed(NEW, line(NEW, 1, amount=as_text[0]), total=as_text[1])
    chain.submit(DOCTOR_A, "claims:Submit", claim, message("claim", NEW))
    return chain


def outsiders(function: str, arguments: dict[str, Any], agency: str = "CLAIM_PARTY") -> list[Row]:
    refused = (
        ("a stranger", STRANGER, "MEMBER_UNKNOWN"),
        ("nobody", NOBODY, "ROLE_FORBIDDEN"),
        ("another payer", OTHER_AGENT, "CLAIM_PARTY"),
        ("another hospital", DOCTOR_B, "CLAIM_PARTY"),
        ("another patient", OTHER_PATIENT, "NOT_THE_PATIENT"),
        ("a patient of another's CA", FORGED_PATIENT, "NOT_THE_PATIENT"),
        ("a guardian for reading", READING_GUARDIAN, "GUARDIAN_SCOPE"),
        *([("the agency", OFFICER, agency)] if agency else []),
    )
    return [Row(f"by {name}", code, caller, function, arguments) for name, caller, code in refused]


GET_ROWS = [
    *outsiders("claims:Get", GET),
    *outsiders("claims:Message", TEXT),
    *outsiders("claims:OpenAmount", opening(), agency=""),
    *(row for row in outsiders("claims:List", LIST) if row.caller not in (OTHER_AGENT, DOCTOR_B)),
    Row("of nobody", "PATIENT_UNKNOWN", AGENT, "claims:List", {"patient": CAROL}),
    Row("of no such claim", "CLAIM_UNKNOWN", AGENT, "claims:Get", chosen(NEW[::-1])),
    Row("of another patient", "CLAIM_UNKNOWN", AGENT, "claims:Get", GET | {"patient": CAROL}),
    Row("that is not there yet", "MESSAGE_UNKNOWN", AGENT, "claims:Message", TEXT | {"name": "appeal-1"}),
    Row("of no such name", "ARGUMENTS_INVALID", AGENT, "claims:Message", TEXT | {"name": "../body"}),
    Row("of number 0", "ARGUMENTS_INVALID", AGENT, "claims:Message", TEXT | {"name": "answer-0"}),
]

RECORDS_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "claims:Records", ATTACHED),
    Row("by another payer", "CLAIM_PARTY", OTHER_AGENT, "claims:Records", ATTACHED),
    Row("by another hospital", "ROLE_FORBIDDEN", DOCTOR_B, "claims:Records", ATTACHED),
    Row("by the agency", "ROLE_FORBIDDEN", OFFICER, "claims:Records", ATTACHED),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "claims:Records", ATTACHED),
    Row("of no such line", "CLAIM_LINES", AGENT, "claims:Records", ATTACHED | {"line": 9}),
    Row("of no such claim", "CLAIM_UNKNOWN", AGENT, "claims:Records", ATTACHED | {"id": NEW[::-1]}),
    Row(
        "of a withdrawn claim, much later",
        "CLAIM_PURGED",
        AGENT,
        "claims:Records",
        ATTACHED | {"id": IN_STATE["withdrawn"]},
        later_ms=90 * DAY,
    ),
]

OPEN_ROWS = [
    Row("of no such line", "COMMITMENT_UNKNOWN", AGENT, "claims:OpenAmount", opening(line=9)),
    Row("of a line's total", "COMMITMENT_UNKNOWN", AGENT, "claims:OpenAmount", opening(part="total")),
    Row("of no line", "COMMITMENT_UNKNOWN", AGENT, "claims:OpenAmount", opening(line=None)),
    Row("not paid yet", "COMMITMENT_UNKNOWN", AGENT, "claims:OpenAmount", opening(part="paid")),
    Row("not settled yet", "COMMITMENT_UNKNOWN", AGENT, "claims:OpenAmount", opening(part="settled", line=None)),
    Row("of a reason", "COMMITMENT_UNKNOWN", AGENT, "claims:OpenAmount", opening(part="reason")),
    Row("below zero", "ARGUMENTS_INVALID", AGENT, "claims:OpenAmount", opening(amount=-1)),
    Row("in fractions", "ARGUMENTS_INVALID", AGENT, "claims:OpenAmount", opening(amount=125.5)),
    Row("in no currency", "ARGUMENTS_INVALID", AGENT, "claims:OpenAmount", opening(currency="dollars")),
    Row("with a short salt", "ARGUMENTS_INVALID", AGENT, "claims:OpenAmount", opening(salt="eA==")),
    Row("of no such claim", "CLAIM_UNKNOWN", OFFICER, "claims:OpenAmount", opening(id=NEW[::-1])),
    Row("by the agency's nobody", "ROLE_FORBIDDEN", Caller("Agency", "clerk", {}), "claims:OpenAmount", opening()),
]

DUE_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "claims:Due", {}),
    Row("by a hospital", "ROLE_FORBIDDEN", DOCTOR_A, "claims:Due", {}),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, "claims:Due", {}),
    Row("of another payer", "ARGUMENTS_INVALID", AGENT, "claims:Due", {"payer": "OtherInsurer"}),
]

SUCCESSES = [
    Success(f"by {who.msp_id}/{who.common_name}", who, function, arguments)
    for function, arguments, callers in (
        ("claims:Get", GET, (DOCTOR_A, ADMIN_A, AGENT, ADMIN_I, PATIENT, GUARDIAN)),
        ("claims:List", LIST, (DOCTOR_A, ADMIN_A, AGENT, ADMIN_I, PATIENT, GUARDIAN, DOCTOR_B, OTHER_AGENT)),
        ("claims:Message", TEXT, (DOCTOR_A, ADMIN_A, AGENT, ADMIN_I, PATIENT, GUARDIAN)),
        ("claims:Records", ATTACHED, (AGENT, ADMIN_I)),
        ("claims:OpenAmount", opening(), (DOCTOR_A, AGENT, PATIENT, GUARDIAN, OFFICER)),
        ("claims:Due", {}, (AGENT, ADMIN_I, OFFICER)),
    )
    for who in callers
]


@pytest.mark.parametrize("row", [*GET_ROWS, *RECORDS_ROWS, *OPEN_ROWS, *DUE_ROWS], ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_each_sees_its_own_claims(chain: Chain) -> None:
    def seen(caller: Caller) -> int:
        return len(chain.evaluate(caller, "claims:List", LIST)["claims"])

    assert seen(PATIENT) == seen(DOCTOR_A) == seen(AGENT) == len(STATES) + 1
    assert seen(DOCTOR_B) == seen(OTHER_AGENT) == 0


def test_the_keys_of_guardians_for_claims_go_with_a_claim(chain: Chain) -> None:
    """Not of those for reading, and not once the office is over."""
    assert list(chain.evaluate(AGENT, "claims:Get", GET)["guardians"]) == [GUARDIAN.common_name]
    chain.now_ms = START_MS + 365 * DAY
    assert chain.evaluate(AGENT, "claims:Get", GET)["guardians"] == {}


def test_what_waits_for_a_payer_and_what_is_overdue(chain: Chain) -> None:
    def due(caller: Caller) -> dict[str, bool]:
        return {one["id"]: one["overdue"] for one in chain.evaluate(caller, "claims:Due", {})["due"]}

    waiting = {IN_STATE[state] for state in ("submitted", "adjudicated", "appealed", "final")} | {NEW, PENDING}
    assert set(due(AGENT)) == set(due(OFFICER)) == waiting
    assert due(OTHER_AGENT) == {}
    chain.now_ms = START_MS + HOUR + 30 * DAY
    assert due(OFFICER) == dict.fromkeys(waiting, True) | {NEW: False}
    assert next(iter(due(OFFICER))) != NEW


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"part": "total", "line": None}, True),
        ({"amount": 12501}, False),
        ({"currency": "EUR"}, False),
        ({"salt": base64.b64encode(bytes(32)).decode()}, False),
    ],
)
def test_a_commitment_opens_to_what_was_committed_to_alone(chain: Chain, changes: dict[str, Any], holds: bool) -> None:
    assert chain.evaluate(OFFICER, "claims:OpenAmount", opening(**changes)) == {"holds": holds}


def test_commitments_differ_by_place() -> None:
    """What was committed to for one line, part, claim or patient opens nowhere else."""
    places = [
        commitments.amount(patient, claim, part, number, 1, "USD", SALT)
        for patient in (ALICE, CAROL)
        for claim in (NEW, CLAIM)
        for part in (Part.BILLED, Part.PAID, Part.TOTAL)
        for number in (0, 1)
    ]
    others = [commitments.reason(ALICE, NEW, 1, "CO-45", SALT), commitments.secret(ALICE, NEW, SALT)]
    assert len({*places, *others}) == len(places) + 2


def test_exactly_the_attached_versions_go_to_the_payer(chain: Chain) -> None:
    """A later version, or one that was erased, does not."""
    write(chain, R1, 2, K[0])
    (found,) = chain.evaluate(AGENT, "claims:Records", ATTACHED)["records"]
    assert (found["record"], found["version"], base64.b64decode(found["body"])) == (R1, 1, f"{R1} 1".encode())
    chain.submit(DOCTOR_A, "records:Erase", {"patient": ALICE, "records": [R1]})
    assert chain.evaluate(AGENT, "claims:Records", ATTACHED)["records"] == [{"record": R1, "version": 1, "body": None}]


def agree_on(chain: Chain, **changes: Any) -> None:
    """Other policies, as a proposal would bring them into force."""
    key = POLICIES.key(IN_FORCE)
    held = chain.memory.state[key]
    policies = POLICIES.decode(held.value)
    assert policies is not None
    value = msgspec.json.encode(msgspec.structs.replace(policies, **changes))
    chain.memory.state[key] = Value(value, held.version)


def test_what_was_purged_stays_away_when_claims_are_kept_longer(chain: Chain) -> None:
    claim = IN_STATE["withdrawn"]
    chain.now_ms += 90 * DAY
    chain.submit(AGENT, "claims:Purge", chosen(claim))
    agree_on(chain, claim_kept_ms=1000 * DAY)
    check_refused(chain, Row("purged", "CLAIM_PURGED", AGENT, "claims:Records", chosen(claim, line=1)))


def test_only_who_may_oversee_settles_a_dispute_for_the_agency(chain: Chain) -> None:
    administrator = person("Agency", "admin", "administrator")
    assert chain.evaluate(administrator, "claims:OpenAmount", opening()) == {"holds": True}
    agree_on(chain, roles={Permission.OVERSEE: (Role.HEALTH_OFFICER,)})
    check_refused(chain, Row("narrowed", "ROLE_FORBIDDEN", administrator, "claims:OpenAmount", opening()))
    assert chain.evaluate(OFFICER, "claims:OpenAmount", opening()) == {"holds": True}


def test_another_payer_gets_its_own_claims_records(chain: Chain) -> None:
    secondary = claimed(NEW[::-1], line(CLAIM, 1), coverage=SECOND, primary=CLAIM)
    chain.submit(DOCTOR_A, "claims:Submit", secondary, message("claim", NEW[::-1]))
    assert len(chain.evaluate(OTHER_AGENT, "claims:Records", chosen(NEW[::-1], line=1))["records"]) == 1
