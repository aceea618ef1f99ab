"""Every code of the contract is refused somewhere in the tables, and every function has rows there."""

from __future__ import annotations

from healthchain.contract.codes import Code, refusal
from healthchain.contract.ehr import CONTRACT

from . import (
    test_consents,
    test_erasure_audit,
    test_members_patients,
    test_records_read,
    test_records_write,
    test_revocation,
    test_sessions,
)

ROWS = [
    *test_members_patients.EMPTY_ROWS,
    *test_members_patients.ROWS,
    *test_records_write.ROWS,
    *test_records_read.ROWS,
    *test_consents.ROWS,
    *test_revocation.ROWS,
    *test_sessions.ROWS,
    *test_erasure_audit.ROWS,
]
NOT_IN_A_TABLE = {"BATCH_TOO_LARGE"}  # needs megabytes: see the tests of its own


def test_every_code_is_refused_somewhere() -> None:
    assert {row.code for row in ROWS} | NOT_IN_A_TABLE == {code.value for code in Code}


def test_every_function_refuses_strangers_and_what_does_not_fit() -> None:
    functions = {name.decode() for name in CONTRACT.functions}
    assert {row.function for row in ROWS} == functions - {"members:List"}
    strangers = {row.function for row in ROWS if row.code == "MEMBER_UNKNOWN"}
    assert strangers == functions - {"members:Found", "members:List"}


def test_a_refusal_says_code_and_constant_words() -> None:
    assert str(refusal(Code.CONSENT_MISSING)) == "CONSENT_MISSING: no consent in force permits this"
    assert all(code.status >= 400 and code.name == code.value and code.meaning for code in Code)
