"""What a removed member leaves behind: its key envelopes are found and purged, nobody else's are."""

from __future__ import annotations

from typing import Any

import pytest

from .chain import Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    ADMIN_I,
    ALICE,
    DOCTOR_A,
    OFFICER,
    PATIENT,
    STRANGER,
    K,
    full_chain,
    granted,
    sealed,
)
from .table import Row, Success, by_name, check_refused
from .test_governance import ADMIN_G, pass_change

LEFT, PURGE = "governance:Left", "governance:PurgeMember"
ABOUT_B = {"msp_id": "HospitalB"}
PURGE_B = ABOUT_B | {"compartments": list(K[:2])}


@pytest.fixture(scope="module")
def without_b_once() -> Chain:
    """Hospital B is removed; it holds envelopes of K[0] and K[1], the insurer one of K[0]."""
    chain = full_chain()
    pass_change(chain, ABOUT_B | {"change": "remove-member"}, "remove b", ADMIN_A, ADMIN_I, ADMIN_G)
    return chain


@pytest.fixture
def without_b(without_b_once: Chain) -> Chain:
    return without_b_once.copy()


ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, LEFT, ABOUT_B),
    Row("by the removed one", "MEMBER_REMOVED", ADMIN_B, LEFT, ABOUT_B),
    Row("by a clinician", "ROLE_FORBIDDEN", DOCTOR_A, LEFT, ABOUT_B),
    Row("of an active member", "MEMBER_STANDING", ADMIN_A, LEFT, {"msp_id": "Insurer"}),
    Row("of no member", "MEMBER_NOT_LISTED", ADMIN_A, LEFT, {"msp_id": "Elsewhere"}),
    Row("from a false id", "ARGUMENTS_INVALID", ADMIN_A, LEFT, ABOUT_B | {"start": "x"}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, PURGE, PURGE_B),
    Row("by the removed one", "MEMBER_REMOVED", ADMIN_B, PURGE, PURGE_B),
    Row("by a clinician", "ROLE_FORBIDDEN", DOCTOR_A, PURGE, PURGE_B),
    Row("by an officer", "ROLE_FORBIDDEN", OFFICER, PURGE, PURGE_B),
    Row("by a patient", "ROLE_FORBIDDEN", PATIENT, PURGE, PURGE_B),
    Row("of an active member", "MEMBER_STANDING", ADMIN_A, PURGE, PURGE_B | {"msp_id": "Insurer"}),
    Row("of no member", "MEMBER_NOT_LISTED", ADMIN_A, PURGE, PURGE_B | {"msp_id": "Elsewhere"}),
    Row("of a pseudonym", "ARGUMENTS_INVALID", ADMIN_A, PURGE, PURGE_B | {"msp_id": ALICE}),
    Row("of no compartment", "ARGUMENTS_INVALID", ADMIN_A, PURGE, PURGE_B | {"compartments": []}),
    Row("of too many", "ARGUMENTS_INVALID", ADMIN_A, PURGE, PURGE_B | {"compartments": [K[0]] * 201}),
]

SUCCESSES = [
    Success("by a hospital", ADMIN_A, LEFT, ABOUT_B),
    Success("by the insurer", ADMIN_I, LEFT, ABOUT_B),
    Success("by a hospital", ADMIN_A, PURGE, PURGE_B),
    Success("by the agency", ADMIN_G, PURGE, PURGE_B),
    Success("of a compartment twice", ADMIN_A, PURGE, PURGE_B | {"compartments": [K[0], K[0]]}),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(without_b: Chain, row: Row) -> None:
    check_refused(without_b, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(without_b: Chain, row: Success) -> None:
    without_b.call(row.caller, row.function, row.arguments, row.transient)


def held_by(chain: Chain, recipient: str) -> list[str]:
    return sorted(key for _, key in chain.memory.values if key.endswith(f"/{recipient}"))


def test_its_envelopes_go_and_nobody_elses(without_b: Chain) -> None:
    assert held_by(without_b, "HospitalB") == [f"{one}/1/HospitalB" for one in K[:2]]
    others = [held_by(without_b, one) for one in ("HospitalA", "Insurer", ALICE)]
    assert without_b.evaluate(ADMIN_G, LEFT, ABOUT_B) == {"compartments": list(K[:2]), "next": None}
    assert without_b.submit(ADMIN_G, PURGE, PURGE_B) == {"envelopes": 2}
    assert held_by(without_b, "HospitalB") == []
    assert [held_by(without_b, one) for one in ("HospitalA", "Insurer", ALICE)] == others
    assert without_b.evaluate(ADMIN_G, LEFT, ABOUT_B) == {"compartments": [], "next": None}
    assert without_b.submit(ADMIN_G, PURGE, PURGE_B) == {"envelopes": 0}


def test_all_compartments_are_looked_at_page_by_page(without_b: Chain) -> None:
    pages: list[Any] = [{"next": ""}]
    while pages[-1]["next"] is not None:
        pages.append(without_b.evaluate(ADMIN_A, LEFT, ABOUT_B | {"start": pages[-1]["next"], "limit": 1}))
    assert [compartment for one in pages[1:] for compartment in one["compartments"]] == list(K[:2])
    assert len(pages) > len(K)


def test_a_removed_member_is_granted_nothing_more(without_b: Chain) -> None:
    consent = granted("too late", "HospitalB", K[2:3], "TREAT")
    row = Row("removed", "GRANTEE_UNKNOWN", PATIENT, "consents:Grant", consent, sealed(K[2:3], 1, "HospitalB"))
    check_refused(without_b, row)
