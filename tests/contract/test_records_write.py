"""Writing records: what succeeds, what is refused, and what the most frequent transaction touches."""

from __future__ import annotations

from typing import Any

import pytest

from .chain import Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    AGENT,
    ALICE,
    BOB,
    CAROL,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    NEW,
    PATIENT,
    R1,
    R3,
    R4,
    STRANGER,
    K,
    body,
    granted,
    person,
    sealed,
    written,
)
from .table import Row, Success, by_name, check_refused

NEW_BODY = body(NEW, 1)


def writing(*records: dict[str, Any], patient: str = ALICE) -> dict[str, Any]:
    return {"patient": patient, "records": list(records)}


NEW_IN_K0 = writing(written(NEW, 1, K[0]))

ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "records:Write", NEW_IN_K0, NEW_BODY),
    Row("by a claims agent", "ROLE_FORBIDDEN", AGENT, "records:Write", NEW_IN_K0, NEW_BODY),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "records:Write", NEW_IN_K0, NEW_BODY),
    Row(
        "by an insurer's clinician",
        "ROLE_FORBIDDEN",
        person("Insurer", "doctor", "clinician"),
        "records:Write",
        NEW_IN_K0,
        NEW_BODY,
    ),
    Row(
        "for an unknown patient",
        "PATIENT_UNKNOWN",
        DOCTOR_A,
        "records:Write",
        writing(written(NEW, 1, K[0]), patient=CAROL),
        NEW_BODY,
    ),
    Row(
        "for an erased patient",
        "PATIENT_ERASED",
        DOCTOR_A,
        "records:Write",
        writing(written(NEW, 1, K[0]), patient=BOB),
        NEW_BODY,
    ),
    Row("elsewhere", "COMPARTMENT_UNKNOWN", DOCTOR_A, "records:Write", writing(written(NEW, 1, NEW)), NEW_BODY),
    Row("an old epoch", "EPOCH_STALE", DOCTOR_A, "records:Write", writing(written(NEW, 1, K[3], 1)), NEW_BODY),
    Row(
        "a future epoch",
        "EPOCH_STALE",
        DOCTOR_A,
        "records:Write",
        writing(written(NEW, 1, K[0], 2)),
        NEW_BODY,
    ),
    Row(
        "new at 2",
        "VERSION_CONFLICT",
        DOCTOR_A,
        "records:Write",
        writing(written(NEW, 2, K[0])),
        body(NEW, 2),
    ),
    Row(
        "same version",
        "VERSION_CONFLICT",
        DOCTOR_A,
        "records:Write",
        writing(written(R1, 2, K[0])),
        body(R1, 2),
    ),
    Row(
        "skipping one",
        "VERSION_CONFLICT",
        DOCTOR_A,
        "records:Write",
        writing(written(R1, 4, K[0])),
        body(R1, 4),
    ),
    Row("erased", "RECORD_ERASED", DOCTOR_A, "records:Write", writing(written(R4, 2, K[0])), body(R4, 2)),
    Row(
        "twice in one call",
        "RECORD_DUPLICATE",
        DOCTOR_A,
        "records:Write",
        writing(written(NEW, 1, K[0]), written(NEW, 2, K[0])),
        NEW_BODY | body(NEW, 2),
    ),
    Row("no body", "BODY_MISSING", DOCTOR_A, "records:Write", NEW_IN_K0),
    Row("an empty body", "BODY_MISSING", DOCTOR_A, "records:Write", NEW_IN_K0, {f"{NEW}/1": b""}),
    Row("one body more", "BODY_UNEXPECTED", DOCTOR_A, "records:Write", NEW_IN_K0, NEW_BODY | body(R1, 1)),
    Row("1 MiB + 1", "BODY_TOO_LARGE", DOCTOR_A, "records:Write", NEW_IN_K0, {f"{NEW}/1": bytes(2**20 + 1)}),
    Row("no consent", "CONSENT_MISSING", DOCTOR_B, "records:Write", writing(written(NEW, 1, K[2])), NEW_BODY),
    Row("consent expired", "CONSENT_MISSING", DOCTOR_B, "records:Write", NEW_IN_K0, NEW_BODY, 30 * DAY),
    Row(
        "by an insurer",
        "ROLE_FORBIDDEN",
        person("Insurer", "admin", "administrator"),
        "records:Write",
        NEW_IN_K0,
        NEW_BODY,
    ),
    Row(
        "out of a compartment without consent",
        "CONSENT_MISSING",
        DOCTOR_B,
        "records:Write",
        writing(written(R3, 2, K[0])),
        body(R3, 2),
    ),
    Row(
        "one of two without consent",
        "CONSENT_MISSING",
        DOCTOR_B,
        "records:Write",
        writing(written(NEW, 1, K[0]), written(R3, 2, K[2])),
        NEW_BODY | body(R3, 2),
    ),
    Row(
        "erased by a write",
        "ARGUMENTS_INVALID",
        DOCTOR_A,
        "records:Write",
        writing(written(NEW, 1, K[0], status="erased")),
        NEW_BODY,
    ),
    Row("nothing", "ARGUMENTS_INVALID", DOCTOR_A, "records:Write", writing()),
    Row(
        "version 0",
        "ARGUMENTS_INVALID",
        DOCTOR_A,
        "records:Write",
        writing(written(NEW, 0, K[0])),
        body(NEW, 0),
    ),
]

SUCCESSES = [
    Success(
        "amended in error",
        DOCTOR_A,
        "records:Write",
        writing(written(R1, 3, K[0], status="entered-in-error")),
        body(R1, 3),
    ),
    Success("exactly 1 MiB", DOCTOR_A, "records:Write", NEW_IN_K0, {f"{NEW}/1": bytes(2**20)}),
    Success("at the new epoch", ADMIN_A, "records:Write", writing(written(NEW, 1, K[3], 2)), NEW_BODY),
    Success("by a contributor", DOCTOR_B, "records:Write", NEW_IN_K0, NEW_BODY),
    Success("by a contributing administrator", ADMIN_B, "records:Write", NEW_IN_K0, NEW_BODY),
    Success("moved by the custodian", DOCTOR_A, "records:Write", writing(written(R3, 2, K[0])), body(R3, 2)),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_a_consent_to_read_is_none_to_write(chain: Chain) -> None:
    read_only = granted("read only", "HospitalB", K[4:], "TREAT")
    chain.submit(PATIENT, "consents:Grant", read_only, sealed(K[4:], 1, "HospitalB"))
    arguments = writing(written(NEW, 1, K[4]))
    check_refused(chain, Row("read only", "CONSENT_MISSING", DOCTOR_B, "records:Write", arguments, NEW_BODY))


def test_one_write_reads_six_values_and_nothing_else(chain: Chain) -> None:
    chain.submit(DOCTOR_A, "records:Write", NEW_IN_K0, NEW_BODY)
    assert set(chain.last.reads) == {
        "\0member\0HospitalA\0",
        "\0policy\0in-force\0",
        "\0licence\0HospitalA\0",
        "\0licence\0HospitalA/doctor\0",
        f"\0patient\0{ALICE}\0",
        f"\0record\0{ALICE}\0{NEW}\0",
    }
    assert not chain.last.ranges
    assert not chain.last.collections["records"].reads
    assert set(chain.last.writes) == {f"\0record\0{ALICE}\0{NEW}\0"}
    assert set(chain.last.collections["records"].writes) == {f"{ALICE}/{NEW}/1"}
    assert chain.event == ("records:Written", f'{{"patient":"{ALICE}","ids":["{NEW}"]}}'.encode())
