"""The stage of the tests of claims: Alice's encounters, two payers, and a claim in every state.

Two hours on. E1 (version 2) and E2 are encounters that hospital A bound, E3 one that nobody bound yet, E_B one of
hospital B. R1 is a record to attach, ERASED was erased, and PRIVATE is one that a consent keeps from the insurer.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from .chain import START_MS, Chain
from .consortium import (
    ADMIN_A,
    AGENT,
    ALICE,
    BOB,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    HOUR,
    KEY,
    LICENSED,
    MEMBERS,
    OFFICER,
    PATIENT,
    K,
    body,
    granted,
    ident,
    licence,
    person,
    register,
    sealed,
    write,
    written,
)

OTHER_AGENT = person("OtherInsurer", "agent", "claims-agent")
GUARDIAN_ID = ident("guardian")
GUARDIAN = person("HospitalA", GUARDIAN_ID, "guardian")
READER_ID = ident("reading guardian")
READING_GUARDIAN = person("HospitalA", READER_ID, "guardian")
OTHER_INSURER = {"msp_id": "OtherInsurer", "kind": "insurer", "name": "Other", "contact": "it@other", "public_key": KEY}

E1, E2, E3, E_B = (ident(f"encounter {one}") for one in ("1", "2", "3", "b"))
R1, ERASED, PRIVATE = ident("attached"), ident("erased"), ident("private")
FIRST, SECOND, THIRD, FUTURE = (ident(f"{one} coverage") for one in ("first", "second", "third", "future"))
GRANTED, REFUSED, PENDING, NARROW = (
    ident(f"{one} authorisation") for one in ("granted", "refused", "pending", "narrow")
)
STATES = (
    "submitted",
    "information-requested",
    "adjudicated",
    "denied",
    "settled",
    "appealed",
    "final",
    "closed",
    "withdrawn",
)
IN_STATE = {state: ident(f"claim {state}") for state in STATES}
NEW = ident("new claim")


def digest(*parts: object) -> str:
    return base64.b64encode(sha256(repr(parts).encode()).digest()).decode()


def enrolled(coverage: str, **changes: Any) -> dict[str, Any]:
    period = {"start_ms": START_MS, "end_ms": START_MS + 365 * DAY}
    return {"id": coverage, "patient": ALICE, "rank": 1} | period | changes


def message(area: str, one: str, name: str = "body", patient: str = ALICE) -> dict[str, bytes]:
    return {f"{area}/{patient}/{one}/{name}": f"{area} {one} {name}".encode()}


def line(claim: str, number: int, **changes: Any) -> dict[str, Any]:
    made = {
        "number": number,
        "token": digest("token", claim, number),
        "amount": digest("amount", claim, number),
        "encounter": E1,
        "records": [{"record": R1, "version": 1}],
    }
    return made | changes


def claimed(claim: str, *lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    made = {
        "id": claim,
        "patient": ALICE,
        "coverage": FIRST,
        "lines": list(lines) or [line(claim, number) for number in (1, 2, 3)],
        "total": digest("total", claim),
    }
    return made | changes


def chosen(claim: str, **more: Any) -> dict[str, Any]:
    return {"id": claim, "patient": ALICE} | more


def decision(number: int, outcome: str, **changes: Any) -> dict[str, Any]:
    amount = {"amount": digest("paid", number)} if outcome != "denied" else {}
    reason = {"reason": digest("reason", number)} if outcome != "approved" else {}
    return {"line": number, "outcome": outcome} | amount | reason | changes


MIXED = [decision(1, "approved"), decision(2, "reduced"), decision(3, "denied")]
ALL_DENIED = [decision(number, "denied") for number in (1, 2, 3)]

STEPS: dict[str, tuple[Any, str, dict[str, Any], str | None]] = {
    "request-information": (AGENT, "claims:RequestInformation", {}, "request-1"),
    "answer": (DOCTOR_A, "claims:Answer", {}, "answer-1"),
    "approve": (AGENT, "claims:Adjudicate", {"decisions": MIXED}, "explanation-1"),
    "deny": (AGENT, "claims:Adjudicate", {"decisions": ALL_DENIED}, "explanation-1"),
    "withdraw": (DOCTOR_A, "claims:Withdraw", {}, None),
    "appeal": (PATIENT, "claims:Appeal", {}, "appeal-1"),
    "settle": (AGENT, "claims:Settle", {"amount": digest("settled")}, "settlement-1"),
}
"""Step -> caller, function, further arguments, message: as a claim takes it for the first time."""

PATHS = {
    "submitted": (),
    "information-requested": ("request-information",),
    "adjudicated": ("approve",),
    "denied": ("deny",),
    "settled": ("approve", "settle"),
    "appealed": ("approve", "appeal"),
    "final": ("approve", "appeal", "approve-2"),
    "closed": ("approve", "appeal", "approve-2", "settle-2"),
    "withdrawn": ("withdraw",),
}


def take(chain: Chain, claim: str, step: str) -> None:
    """A step, or as `approve-2` its second time."""
    caller, function, arguments, text = STEPS[step.removesuffix("-2")]
    if text is not None and step.endswith("-2"):
        text = text.replace("-1", "-2")
    transient = message("claim", claim, text) if text else {}
    chain.submit(caller, function, chosen(claim, **arguments), transient)


def submit(chain: Chain, claim: str, *lines: dict[str, Any], caller: Any = DOCTOR_A, **changes: Any) -> None:
    chain.submit(caller, "claims:Submit", claimed(claim, *lines, **changes), message("claim", claim))


def claims_chain() -> Chain:
    chain = Chain()
    chain.submit(ADMIN_A, "members:Found", {"members": [*MEMBERS, OTHER_INSURER]})
    for holder in LICENSED:
        chain.submit(OFFICER, "licences:Issue", licence(holder, end_ms=START_MS + 500 * DAY))
    register(chain, ALICE)
    register(chain, BOB)
    for record, version in ((E1, 1), (E1, 2), (E2, 1), (E3, 1), (R1, 1), (ERASED, 1)):
        write(chain, record, version, K[0])
        chain.now_ms += 1
    write(chain, PRIVATE, 1, K[3])
    chain.submit(DOCTOR_A, "records:Erase", {"patient": ALICE, "records": [ERASED]})
    _consents(chain)
    encounter_b = {"patient": ALICE, "records": [written(E_B, 1, K[0])]}
    chain.submit(DOCTOR_B, "records:Write", encounter_b, body(E_B, 1))
    _guardians(chain)
    for encounter in (E1, E2):
        _bind(chain, encounter)
    _coverages(chain)
    chain.now_ms = START_MS + HOUR
    _authorisations(chain)
    for state, claim in IN_STATE.items():
        submit(chain, claim)
        for step in PATHS[state]:
            take(chain, claim, step)
    chain.now_ms = START_MS + 2 * HOUR
    return chain


def _bind(chain: Chain, encounter: str) -> None:
    arguments = {"patient": ALICE, "record": encounter, "commitment": digest("secret", encounter)}
    chain.submit(DOCTOR_A, "claims:BindEncounter", arguments)


def _consents(chain: Chain) -> None:
    to_b = granted("to b", "HospitalB", K[:1], "TREAT", actions=["read", "contribute"])
    chain.submit(PATIENT, "consents:Grant", to_b, sealed(K[:1], 1, "HospitalB"))
    denied = granted("private", "Insurer", K[3:4], "HPAYMT", decision="deny")
    chain.submit(PATIENT, "consents:Grant", denied)


def _guardians(chain: Chain) -> None:
    period = {"start_ms": START_MS, "end_ms": START_MS + 365 * DAY, "public_key": KEY, "patient": ALICE}
    chain.submit(DOCTOR_A, "guardians:Appoint", period | {"guardian": GUARDIAN_ID, "scopes": ["claims"]})
    reading = period | {"guardian": READER_ID, "scopes": ["read"]}
    chain.submit(DOCTOR_A, "guardians:Appoint", reading, sealed(K, 1, READER_ID))


def _coverages(chain: Chain) -> None:
    later = {"start_ms": START_MS + DAY}
    for caller, coverage, changes in (
        (AGENT, FIRST, {}),
        (OTHER_AGENT, SECOND, {"rank": 2}),
        (AGENT, THIRD, {"rank": 3}),
        (AGENT, FUTURE, later),
    ):
        chain.submit(caller, "coverage:Enrol", enrolled(coverage, **changes), message("coverage", coverage))


def _authorisations(chain: Chain) -> None:
    answers: Iterable[tuple[str, dict[str, Any]]] = (
        (GRANTED, {"granted": True, "start_ms": START_MS, "end_ms": START_MS + DAY}),
        (NARROW, {"granted": True, "start_ms": START_MS + HOUR, "end_ms": START_MS + DAY}),
        (REFUSED, {"granted": False}),
    )
    for one in (GRANTED, NARROW, REFUSED, PENDING):
        asked = {"id": one, "patient": ALICE, "coverage": FIRST}
        chain.submit(DOCTOR_A, "authorisations:Request", asked, message("authorisation", one, "request"))
    for one, answer in answers:
        transient = message("authorisation", one, "answer")
        chain.submit(AGENT, "authorisations:Answer", {"id": one, "patient": ALICE} | answer, transient)
