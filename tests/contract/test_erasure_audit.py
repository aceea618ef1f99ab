"""Erasing records and patients, and the audit trail of it all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from healthchain.chaincode.stub import Caller
from healthchain.contract import erasure

from .chain import START_MS, Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
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
    MEMBERS,
    NEW,
    NOBODY,
    OFFICER,
    OTHER_PATIENT,
    PATIENT,
    R1,
    R2,
    R3,
    R4,
    STRANGER,
    TO_B,
    K,
    body,
    granted,
    license_all,
    opened,
    registered,
    sealed,
    write,
    written,
)
from .table import Row, Success, by_name, check_refused
from .test_governance import pass_change
from .test_guardians import GINA, all_keys, appointed


def erasing(name: str, code: str, caller: Caller, *records: str, patient: str = ALICE) -> Row:
    return Row(name, code, caller, "records:Erase", {"patient": patient, "records": list(records)})


def erasing_patient(name: str, code: str, caller: Caller, patient: str = ALICE) -> Row:
    return Row(name, code, caller, "patients:Erase", {"patient": patient})


def auditing(name: str, code: str, caller: Caller, patient: str = ALICE, **page: Any) -> Row:
    return Row(name, code, caller, "audit:List", {"patient": patient, **page})


ROWS = [
    erasing("by a stranger", "MEMBER_UNKNOWN", STRANGER, R1),
    erasing("without a role", "ROLE_FORBIDDEN", NOBODY, R1),
    erasing("by a contributor", "NOT_THE_CUSTODIAN", DOCTOR_B, R1),
    erasing("by an insurer", "ROLE_FORBIDDEN", AGENT, R1),
    erasing("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, R1),
    erasing("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT, R1),
    erasing("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_A, R1, patient=CAROL),
    erasing("of an erased patient", "PATIENT_ERASED", DOCTOR_A, R1, patient=BOB),
    erasing("an unknown one too", "RECORD_UNKNOWN", DOCTOR_A, R1, NEW),
    erasing("an erased one too", "RECORD_ERASED", DOCTOR_A, R1, R4),
    erasing("one twice", "RECORD_DUPLICATE", DOCTOR_A, R1, R1),
    erasing("nothing", "ARGUMENTS_INVALID", DOCTOR_A),
    erasing_patient("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    erasing_patient("without a role", "ROLE_FORBIDDEN", NOBODY),
    erasing_patient("by another hospital", "NOT_THE_CUSTODIAN", ADMIN_B),
    erasing_patient("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    erasing_patient("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT),
    erasing_patient("unknown", "PATIENT_UNKNOWN", ADMIN_A, CAROL),
    erasing_patient("with nothing left", "PATIENT_ERASED", ADMIN_A, BOB),
    auditing("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    auditing("without a role", "ROLE_FORBIDDEN", NOBODY),
    auditing("by the custodian's clinician", "ROLE_FORBIDDEN", DOCTOR_A),
    auditing("by another administrator", "AUDIT_FORBIDDEN", ADMIN_B),
    auditing("by a grantee", "ROLE_FORBIDDEN", AGENT),
    auditing("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    auditing("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT),
    auditing("unknown", "PATIENT_UNKNOWN", ADMIN_A, CAROL),
    auditing("before the start", "ARGUMENTS_INVALID", ADMIN_A, start=-1),
]

ONLY_ACCESS = {"patient": ALICE, "only_access": True}
EMERGENCY = {"id": NEW, "patient": ALICE, "end_ms": START_MS + 2 * HOUR}
COVERAGE = {"id": NEW, "patient": ALICE, "start_ms": START_MS, "end_ms": START_MS + DAY}

SUCCESSES = [
    Success(f"by the {name}", caller, function, arguments)
    for name, caller in (("clinician", DOCTOR_A), ("administrator", ADMIN_A), ("patient", PATIENT))
    for function, arguments in (
        ("records:Erase", {"patient": ALICE, "records": [R1]}),
        ("patients:Erase", {"patient": ALICE}),
    )
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments)


def private_keys(chain: Chain, part: str) -> list[str]:
    return [key for _, key in chain.memory.values if part in key]


def test_an_erased_record_leaves_header_and_receipt(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "records:Erase", {"patient": ALICE, "records": [R1, R2]})
    assert not private_keys(chain, R1)
    assert not private_keys(chain, R2)
    assert private_keys(chain, R3)
    purged = chain.last.collections["records"].writes
    assert sorted(purged) == sorted([f"{ALICE}/{R1}/1", f"{ALICE}/{R1}/2", f"{ALICE}/{R2}/1"])
    assert all(one.purge for one in purged.values())
    receipts = [json.loads(one.value) for key, one in chain.memory.state.items() if key.startswith("\0erasure\0")]
    assert {
        "by": "HospitalA/doctor",
        "role": "clinician",
        "time_ms": chain.now_ms,
        "whole_patient": False,
        "records": sorted([{"id": R1, "versions": 2}, {"id": R2, "versions": 1}], key=lambda one: str(one["id"])),
    } in receipts
    listed = chain.evaluate(DOCTOR_A, "records:List", {"patient": ALICE, "session": BY_A})["records"]
    assert {one["id"]: (one["version"], one["status"]) for one in listed}[R1] == (2, "erased")


@pytest.mark.parametrize(
    ("permission", "function", "arguments"),
    [
        ("erase-record", "records:Erase", {"records": [R1]}),
        ("erase-record", "patients:Erase", {}),
        ("appoint-guardian", "guardians:End", {"guardian": GINA}),
    ],
)
def test_a_permission_narrowed_to_administrators_keeps_clinicians_from_undoing(
    chain: Chain, permission: str, function: str, arguments: dict[str, Any]
) -> None:
    chain.submit(DOCTOR_A, "guardians:Appoint", appointed(GINA), all_keys(GINA))
    change = {"change": "narrow-permission", "permission": permission, "roles": ["administrator"]}
    pass_change(chain, change, "narrow")
    about = {"patient": ALICE} | arguments
    check_refused(chain, Row("narrowed", "ROLE_FORBIDDEN", DOCTOR_A, function, about))
    for caller in (ADMIN_A, PATIENT):
        chain.copy().submit(caller, function, about)


def test_access_is_ended_by_itself_before_texts_and_bodies_go(chain: Chain) -> None:
    chain.submit(DOCTOR_B, "emergency:Open", EMERGENCY, {f"emergency/{ALICE}/{NEW}/reason": b"why"})
    assert chain.submit(PATIENT, "patients:Erase", ONLY_ACCESS) == {"remaining": None}
    assert not [one for compartment in K for one in private_keys(chain, compartment)]
    check_refused(chain, Row("ended", "PATIENT_ERASED", DOCTOR_A, "records:List", {"patient": ALICE, "session": BY_A}))
    check_refused(chain, Row("twice", "PATIENT_ERASED", PATIENT, "patients:Erase", ONLY_ACCESS))
    assert private_keys(chain, NEW)
    assert chain.submit(PATIENT, "patients:Erase", {"patient": ALICE}) == {"remaining": 0}
    assert not private_keys(chain, ALICE)
    check_refused(chain, erasing_patient("done", "PATIENT_ERASED", PATIENT))


@pytest.mark.parametrize(
    ("caller", "function", "arguments", "transient"),
    [
        (DOCTOR_B, "emergency:Open", EMERGENCY, {f"emergency/{ALICE}/{NEW}/reason": b"why"}),
        (AGENT, "coverage:Enrol", COVERAGE, {f"coverage/{ALICE}/{NEW}/body": b"plan"}),
        (DOCTOR_B, "records:Write", {"patient": ALICE, "records": [written(NEW, 1, K[0])]}, body(NEW, 1)),
    ],
)
def test_nobody_keeps_access_from_ending_by_writing_all_the_time(
    chain: Chain, caller: Caller, function: str, arguments: dict[str, Any], transient: dict[str, bytes]
) -> None:
    """What another writes is nothing that ending access has read, so that it cannot conflict."""
    written_by = chain.copy()
    written_by.submit(caller, function, arguments, transient)
    whole = chain.copy()
    whole.submit(PATIENT, "patients:Erase", {"patient": ALICE})
    assert conflicts(written_by, whole)
    chain.submit(PATIENT, "patients:Erase", ONLY_ACCESS)
    assert not conflicts(written_by, chain)


def conflicts(earlier: Chain, later: Chain) -> bool:
    """Whether what the one's last call wrote is among what the other's has read."""
    ranges = [(one.start.encode(), one.end.encode()) for one in later.last.ranges]
    return any(
        key in later.last.reads or any(low <= key.encode() < high for low, high in ranges)
        for key in earlier.last.writes
    )


def test_an_erased_patients_orders_lose_their_texts(chain: Chain) -> None:
    order = {"patient": ALICE, "id": NEW, "grantee": "HospitalB"}
    chain.submit(OFFICER, "consents:Order", order, {f"order/{ALICE}/{NEW}/text": b"what the court says of her"})
    chain.submit(PATIENT, "patients:Erase", {"patient": ALICE})
    assert not private_keys(chain, ALICE)
    check_refused(chain, Row("erased", "MESSAGE_UNKNOWN", OFFICER, "consents:OrderText", {"patient": ALICE, "id": NEW}))


def test_an_erased_patient_is_out_of_reach_at_once(chain: Chain) -> None:
    assert chain.submit(PATIENT, "patients:Erase", {"patient": ALICE}) == {"remaining": 0}
    for compartment in K:
        assert not private_keys(chain, compartment)
    assert not private_keys(chain, ALICE)
    consents = chain.evaluate(PATIENT, "consents:List", {"patient": ALICE})["consents"]
    assert {one["status"] for one in consents} == {"revoked"}
    for caller, session in ((DOCTOR_A, BY_A), (DOCTOR_B, BY_B)):
        arguments = {"patient": ALICE, "session": session}
        check_refused(chain, Row("erased", "PATIENT_ERASED", caller, "records:List", arguments))
    assert chain.evaluate(ADMIN_A, "patients:Get", {"patient": ALICE})["public_key"] is None


def test_a_large_patient_is_erased_in_several_calls(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alice has R1 with two bodies, R2 and R3 with one each."""
    monkeypatch.setattr(erasure, "BODIES_MAX", 1)
    chain.alone = True
    check_refused(chain, erasing("three bodies", "BATCH_TOO_LARGE", DOCTOR_A, R1, R2))
    left = [chain.submit(ADMIN_A, "patients:Erase", {"patient": ALICE})["remaining"] for _ in range(3)]
    assert left == [2, 1, 0]
    assert not private_keys(chain, ALICE)
    check_refused(chain, erasing_patient("done", "PATIENT_ERASED", ADMIN_A))


def test_2000_bodies_fit_into_one_call(chain: Chain) -> None:
    ids = [f"{number:022}" for number in range(2001)]
    for begin in range(0, 2001, 500):
        some = ids[begin : begin + 500]
        bodies = {key: value for one in some for key, value in body(one, 1).items()}
        records = [written(one, 1, K[0]) for one in some]
        chain.submit(DOCTOR_A, "records:Write", {"patient": ALICE, "records": records}, bodies)
    assert chain.submit(ADMIN_A, "patients:Erase", {"patient": ALICE}) == {"remaining": 2001 + 3 - 2000}
    assert len(chain.last.collections["records"].writes) == 2000


def audit(chain: Chain, caller: Caller = PATIENT, patient: str = ALICE) -> list[dict[str, Any]]:
    answer = chain.evaluate(caller, "audit:List", {"patient": patient, "limit": 1000})
    assert answer["next"] is None
    entries: list[dict[str, Any]] = answer["entries"]
    return entries


def test_the_trail_tells_everything_in_order(empty: Chain) -> None:
    empty.submit(ADMIN_A, "members:Found", {"members": MEMBERS})
    license_all(empty)
    steps: list[tuple[Caller, str, dict[str, Any], dict[str, bytes]]] = [
        (DOCTOR_A, "patients:Register", registered(ALICE), sealed(K, 1, "HospitalA", ALICE)),
        (DOCTOR_A, "records:Write", {"patient": ALICE, "records": [written(R1, 1, K[0])]}, body(R1, 1)),
        (
            PATIENT,
            "consents:Grant",
            granted("to b", "HospitalB", K[:1], "TREAT"),
            sealed(K[:1], 1, "HospitalB"),
        ),
        (DOCTOR_B, "sessions:Open", opened("by b", "TREAT"), {}),
        (DOCTOR_A, "records:Write", {"patient": ALICE, "records": [written(R1, 2, K[0])]}, body(R1, 2)),
        (DOCTOR_B, "sessions:Close", {"patient": ALICE, "id": BY_B}, {}),
        (
            PATIENT,
            "consents:Revoke",
            {"patient": ALICE, "consents": [TO_B], "new_epochs": {K[0]: 2}},
            sealed(K[:1], 2, "HospitalA", ALICE),
        ),
        (DOCTOR_A, "records:Erase", {"patient": ALICE, "records": [R1]}, {}),
        (ADMIN_A, "patients:Erase", {"patient": ALICE}, {}),
    ]
    for caller, function, arguments, transient in steps:
        empty.now_ms += 1000
        empty.submit(caller, function, arguments, transient)
    told = [
        (
            (one["time_ms"] - START_MS) // 1000,
            one["happening"],
            one["user"],
            one["role"],
            one["ids"],
            one["version"],
        )
        for one in audit(empty)
    ]
    assert told == [
        (1, "registered", "HospitalA/doctor", "clinician", [], None),
        (2, "written", "HospitalA/doctor", None, [R1], 1),
        (3, "granted", "HospitalA/alice", "patient", [TO_B], None),
        (4, "session-opened", "HospitalB/doctor", "clinician", [BY_B], None),
        (5, "written", "HospitalA/doctor", None, [R1], 2),
        (6, "session-closed", "HospitalB/doctor", "clinician", [BY_B], None),
        (7, "revoked", "HospitalA/alice", None, [TO_B], None),
        (8, "erased", "HospitalA/doctor", "clinician", [R1], None),
        (9, "patient-erased", "HospitalA/admin", "administrator", [], None),
    ]
    opened_entry = audit(empty, ADMIN_A)[3]
    assert (opened_entry["organisation"], opened_entry["purpose"]) == ("HospitalB", "TREAT")


def test_the_trail_comes_in_pages(chain: Chain) -> None:
    chain.now_ms += HOUR
    write(chain, R1, 3, K[0])
    whole = audit(chain)
    pages: list[dict[str, Any]] = []
    start: int | None = 0
    while start is not None:
        page = chain.evaluate(PATIENT, "audit:List", {"patient": ALICE, "start": start, "limit": 4})
        pages += page["entries"]
        start = page["next"]
    assert pages == whole
    assert whole == sorted(whole, key=lambda one: int(one["time_ms"]))
    assert whole[-1]["version"] == 3
