"""Reading records within a session: what succeeds, what is refused, and what an answer holds."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from healthchain.chaincode.stub import Caller

from .chain import Chain
from .consortium import (
    ADMIN_A,
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
    HOUR,
    NEW,
    OFFICER,
    OVER,
    PATIENT,
    R1,
    R2,
    R3,
    R4,
    STRANGER,
    K,
    body,
    compartments_of,
    disclosing,
    ident,
    opened,
    person,
    register,
    written,
)
from .table import Row, Success, by_name, check_refused


def writing(*records: dict[str, Any], patient: str = ALICE) -> dict[str, Any]:
    return {"patient": patient, "records": list(records)}


def reading(session: str, *records: str, patient: str = ALICE) -> dict[str, Any]:
    return {"session": session, "patient": patient, "records": list(records)}


def disclosure(name: str, code: str, caller: Caller, session: str, *disclosed: tuple[str, int]) -> Row:
    return Row(name, code, caller, "records:Disclose", disclosing(session, *disclosed))


NURSE_A = person("HospitalA", "nurse", "clinician")
BY_A_SILENT, BY_B_ONE = ident("by a silent"), ident("by b one")  # disclosed nothing; and R1 alone
MANY = [f"{number:022}" for number in range(201)]

ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "records:Read", reading(BY_A, R1)),
    Row("by an administrator", "ROLE_FORBIDDEN", ADMIN_A, "records:Read", reading(BY_A, R1)),
    Row("without a session", "SESSION_UNKNOWN", DOCTOR_A, "records:Read", reading(NEW, R1)),
    Row("of another patient", "SESSION_UNKNOWN", DOCTOR_A, "records:Read", reading(BY_A, R1, patient=BOB)),
    Row("another member's", "SESSION_OF_ANOTHER_USER", DOCTOR_B, "records:Read", reading(BY_A, R1)),
    Row("a colleague's", "SESSION_OF_ANOTHER_USER", NURSE_A, "records:Read", reading(BY_A, R1)),
    Row(
        "the same name, another role",
        "SESSION_OF_ANOTHER_USER",
        person("HospitalA", "doctor", "patient", ALICE),
        "records:Read",
        reading(BY_A, R1),
    ),
    Row(
        "the same name, another patient",
        "NOT_THE_PATIENT",
        person("HospitalA", "alice", "patient", BOB),
        "records:Read",
        reading(BY_PATIENT, R1),
    ),
    Row("closed", "SESSION_ENDED", DOCTOR_A, "records:Read", reading(CLOSED, R1)),
    Row("over", "SESSION_ENDED", DOCTOR_A, "records:Read", reading(OVER, R1)),
    Row("its last moment past", "SESSION_ENDED", DOCTOR_A, "records:Read", reading(BY_A, R1), {}, 2 * HOUR),
    Row("consent expired since", "CONSENT_MISSING", OFFICER, "records:Read", reading(BY_OFFICER, R1)),
    Row("unknown record", "RECORD_UNKNOWN", DOCTOR_A, "records:Read", reading(BY_A, R1, NEW)),
    Row("erased record", "RECORD_ERASED", DOCTOR_A, "records:Read", reading(BY_A, R4)),
    Row("out of consent", "SESSION_SCOPE", DOCTOR_B, "records:Read", reading(BY_B, R3)),
    Row("out of the narrowed scope", "SESSION_SCOPE", DOCTOR_B, "records:Read", reading(BY_B_NARROW, R1)),
    Row("one of two out of scope", "SESSION_SCOPE", AGENT, "records:Read", reading(BY_AGENT, R1, R2)),
    Row("nothing", "ARGUMENTS_INVALID", DOCTOR_A, "records:Read", reading(BY_A)),
    Row("too many", "ARGUMENTS_INVALID", DOCTOR_A, "records:Read", reading(BY_A, *MANY)),
    Row("undisclosed", "DISCLOSURE_MISSING", DOCTOR_A, "records:Read", reading(BY_A_SILENT, R1)),
    Row("one of two undisclosed", "DISCLOSURE_MISSING", DOCTOR_B, "records:Read", reading(BY_B_ONE, R1, R2)),
    Row("disclosed in another session", "DISCLOSURE_MISSING", DOCTOR_B, "records:Read", reading(BY_B_ONE, R2)),
    disclosure("by a stranger", "MEMBER_UNKNOWN", STRANGER, BY_A, (R1, 2)),
    disclosure("by an administrator", "ROLE_FORBIDDEN", ADMIN_A, BY_A, (R1, 2)),
    disclosure("without a session", "SESSION_UNKNOWN", DOCTOR_A, NEW, (R1, 2)),
    disclosure("in another member's session", "SESSION_OF_ANOTHER_USER", DOCTOR_B, BY_A, (R1, 2)),
    disclosure("in a colleague's", "SESSION_OF_ANOTHER_USER", NURSE_A, BY_A, (R1, 2)),
    disclosure("in a closed one", "SESSION_ENDED", DOCTOR_A, CLOSED, (R1, 2)),
    disclosure("in one that is over", "SESSION_ENDED", DOCTOR_A, OVER, (R1, 2)),
    disclosure("consent expired since", "CONSENT_MISSING", OFFICER, BY_OFFICER, (R1, 2)),
    disclosure("of an unknown record", "RECORD_UNKNOWN", DOCTOR_A, BY_A, (NEW, 1)),
    disclosure("of an erased record", "RECORD_ERASED", DOCTOR_A, BY_A, (R4, 1)),
    disclosure("out of consent", "SESSION_SCOPE", DOCTOR_B, BY_B, (R3, 1)),
    disclosure("out of the narrowed scope", "SESSION_SCOPE", DOCTOR_B, BY_B_NARROW, (R1, 2)),
    disclosure("of an older version", "VERSION_STALE", DOCTOR_A, BY_A, (R1, 1)),
    disclosure("of a version to come", "VERSION_STALE", DOCTOR_A, BY_A, (R1, 3)),
    disclosure("one of two stale", "VERSION_STALE", DOCTOR_A, BY_A, (R1, 2), (R2, 2)),
    disclosure("of one record twice", "RECORD_DUPLICATE", DOCTOR_A, BY_A, (R1, 2), (R1, 2)),
    disclosure("of nothing", "ARGUMENTS_INVALID", DOCTOR_A, BY_A),
    disclosure("of too many", "ARGUMENTS_INVALID", DOCTOR_A, BY_A, *[(one, 1) for one in MANY]),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "records:List", {"session": BY_A, "patient": ALICE}),
    Row("another's", "SESSION_OF_ANOTHER_USER", DOCTOR_B, "records:List", {"session": BY_A, "patient": ALICE}),
    Row(
        "too many",
        "ARGUMENTS_INVALID",
        DOCTOR_A,
        "records:List",
        {"session": BY_A, "patient": ALICE, "limit": 1001},
    ),
]

SUCCESSES = [
    Success("by the custodian", DOCTOR_A, "records:Disclose", disclosing(BY_A, (R3, 1), (R1, 2))),
    Success("by a grantee", DOCTOR_B, "records:Disclose", disclosing(BY_B, (R1, 2), (R2, 1))),
    Success("by an insurer", AGENT, "records:Disclose", disclosing(BY_AGENT, (R1, 2))),
    Success("by the patient, who needs none", PATIENT, "records:Disclose", disclosing(BY_PATIENT, (R1, 2))),
    Success("by the custodian", DOCTOR_A, "records:Read", reading(BY_A, R3, R1)),
    Success("by the patient", PATIENT, "records:Read", reading(BY_PATIENT, R3, R1)),
    Success("by a grantee", DOCTOR_B, "records:Read", reading(BY_B, R1, R2)),
    Success("within the narrowed scope", DOCTOR_B, "records:Read", reading(BY_B_NARROW, R2)),
    Success("by an insurer", AGENT, "records:Read", reading(BY_AGENT, R1)),
]


@pytest.fixture
def chain(chain: Chain) -> Chain:
    """With two sessions more."""
    chain.submit(DOCTOR_A, "sessions:Open", opened("by a silent", "TREAT"))
    chain.submit(DOCTOR_B, "sessions:Open", opened("by b one", "TREAT"))
    chain.submit(DOCTOR_B, "records:Disclose", disclosing(BY_B_ONE, (R1, 2)))
    return chain


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_what_was_written_is_read_in_the_order_asked_for(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "records:Write", writing(written(R1, 3, K[0])), body(R1, 3))
    chain.submit(DOCTOR_B, "records:Write", writing(written(NEW, 1, K[1])), body(NEW, 1))
    chain.submit(DOCTOR_A, "records:Disclose", disclosing(BY_A, (R1, 3), (NEW, 1)))
    for asked in ([NEW, R1], [R1, NEW]):
        records = chain.evaluate(DOCTOR_A, "records:Read", reading(BY_A, *asked))["records"]
        assert [one["id"] for one in records] == asked
    amended = records[0]
    assert base64.b64decode(amended.pop("body")) == f"{R1} 3".encode()
    assert amended == {
        "id": R1,
        "version": 3,
        "status": "active",
        "compartment": K[0],
        "epoch": 1,
        "author": "HospitalA/doctor",
        "custodian": "HospitalA",
        "time_ms": chain.now_ms,
    }


def test_another_patients_body_is_out_of_reach(chain: Chain) -> None:
    """The header is found by patient and record; so must the body be, or another could overwrite it."""
    register(chain, CAROL)
    arguments = writing(written(R1, 1, compartments_of(CAROL)[0]), patient=CAROL)
    chain.submit(DOCTOR_A, "records:Write", arguments, {f"{R1}/1": b"Carol's"})
    chain.submit(DOCTOR_A, "patients:Erase", {"patient": CAROL})
    read = chain.evaluate(DOCTOR_A, "records:Read", reading(BY_A, R1))["records"]
    assert base64.b64decode(read[0]["body"]) == f"{R1} 2".encode()


def test_an_answer_has_a_limit(chain: Chain) -> None:
    ids = [f"{number:022}" for number in range(49)]
    arguments = writing(*[written(one, 1, K[0]) for one in ids])
    chain.submit(DOCTOR_A, "records:Write", arguments, {f"{one}/1": bytes(2**20) for one in ids})
    chain.submit(DOCTOR_A, "records:Disclose", disclosing(BY_A, *[(one, 1) for one in ids]))
    assert len(chain.evaluate(DOCTOR_A, "records:Read", reading(BY_A, *ids[:48]))["records"]) == 48
    check_refused(chain, Row("49 MiB", "BATCH_TOO_LARGE", DOCTOR_A, "records:Read", reading(BY_A, *ids)))


def test_headers_are_listed_page_by_page_within_the_scope(chain: Chain) -> None:
    def listed(caller: Caller, session: str) -> list[str]:
        ids: list[str] = []
        start: str | None = ""
        while start is not None:
            page = chain.evaluate(
                caller, "records:List", {"session": session, "patient": ALICE, "start": start, "limit": 1}
            )
            assert len(page["records"]) == 1
            ids += [one["id"] for one in page["records"]]
            start = page["next"]
        return ids

    assert listed(DOCTOR_A, BY_A) == sorted([R1, R2, R3, R4])
    assert listed(DOCTOR_B, BY_B) == sorted([R1, R2, R4])
    assert listed(DOCTOR_B, BY_B_NARROW) == [R2]
    assert listed(AGENT, BY_AGENT) == sorted([R1, R4])


def test_a_disclosure_is_on_the_ledger_with_what_when_and_how_far(chain: Chain) -> None:
    chain.submit(DOCTOR_B, "records:Disclose", disclosing(BY_B, (R2, 1), (R1, 2)))
    assert chain.event == (
        "records:Disclosed",
        json.dumps({"patient": ALICE, "ids": [BY_B, *sorted([R1, R2])]}, separators=(",", ":")).encode(),
    )
    (value,) = [value for value in chain.last.writes.values() if value]
    records = [list(one) for one in sorted([(R1, 2), (R2, 1)])]
    assert json.loads(value) == {"records": records, "time_ms": chain.now_ms, "outside": True}
    chain.submit(DOCTOR_A, "records:Disclose", disclosing(BY_A, (R1, 2)))
    (value,) = [value for value in chain.last.writes.values() if value]
    assert json.loads(value)["outside"] is False


def test_an_amended_record_is_disclosed_anew(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "records:Write", writing(written(R1, 3, K[0])), body(R1, 3))
    check_refused(chain, Row("moved", "DISCLOSURE_MISSING", DOCTOR_A, "records:Read", reading(BY_A, R1)))
    chain.submit(DOCTOR_A, "records:Disclose", disclosing(BY_A, (R1, 3)))
    chain.evaluate(DOCTOR_A, "records:Read", reading(BY_A, R1))
