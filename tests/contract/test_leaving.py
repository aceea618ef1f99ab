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
    R2,
    STRANGER,
    K,
    body,
    full_chain,
    granted,
    ident,
    sealed,
    written,
)
from .table import Row, Success, by_name, check_refused
from .test_custody import OFFER, message, messages
from .test_governance import ADMIN_G, pass_change

LEFT, PURGE = "governance:Left", "governance:PurgeMember"
ABOUT_B, ABOUT_INSURER = {"msp_id": "HospitalB"}, {"msp_id": "Insurer"}
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
    Success("of an unknown compartment", ADMIN_A, PURGE, ABOUT_B | {"compartments": [ident("of nobody")]}),
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
    assert without_b.submit(ADMIN_G, PURGE, PURGE_B) == {"envelopes": 2, "offers": 0}
    assert held_by(without_b, "HospitalB") == []
    assert [held_by(without_b, one) for one in ("HospitalA", "Insurer", ALICE)] == others
    assert without_b.evaluate(ADMIN_G, LEFT, ABOUT_B) == {"compartments": [], "next": None}
    assert without_b.submit(ADMIN_G, PURGE, PURGE_B) == {"envelopes": 0, "offers": 0}


def test_what_it_could_open_takes_no_record_before_a_new_key(without_b: Chain) -> None:
    """It may have kept the keys, and its peer the ciphertext of what would still be written under them."""
    without_b.submit(ADMIN_G, PURGE, PURGE_B)
    writing = {"patient": ALICE, "records": [written(R2, 2, K[1])]}
    check_refused(without_b, Row("due", "REKEY_DUE", DOCTOR_A, "records:Write", writing, body(R2, 2)))
    plan = without_b.evaluate(DOCTOR_A, "keys:PreviewRotate", {"patient": ALICE})["rekeys"]
    assert [(one["compartment"], one["recipients"]) for one in plan] == [
        (K[0], sorted(["HospitalA", "Insurer", ALICE])),
        (K[1], sorted(["HospitalA", ALICE])),
    ]
    new = sealed(K[:2], 2, "HospitalA", ALICE) | sealed(K[:1], 2, "Insurer")
    without_b.submit(DOCTOR_A, "keys:Rotate", {"patient": ALICE, "new_epochs": dict.fromkeys(K[:2], 2)}, new)
    writing["records"] = [written(R2, 2, K[1], epoch=2)]
    without_b.submit(DOCTOR_A, "records:Write", writing, body(R2, 2))
    assert held_by(without_b, "HospitalB") == []


@pytest.fixture(scope="module")
def offered_to_b_once() -> Chain:
    """As `without_b`; custody of Alice was offered to hospital B before."""
    chain = full_chain()
    chain.submit(DOCTOR_A, "custody:Offer", OFFER, message())
    pass_change(chain, ABOUT_B | {"change": "remove-member"}, "remove b", ADMIN_A, ADMIN_I, ADMIN_G)
    return chain


@pytest.fixture
def offered_to_b(offered_to_b_once: Chain) -> Chain:
    return offered_to_b_once.copy()


def test_keys_that_it_was_offered_with_custody_go_too(offered_to_b: Chain) -> None:
    """The offer has the keys of all compartments; its peer holds the message."""
    assert messages(offered_to_b) == set(message())
    left = offered_to_b.evaluate(ADMIN_I, LEFT, ABOUT_B)
    assert left == {"compartments": list(K), "next": None}
    assert offered_to_b.submit(ADMIN_I, PURGE, PURGE_B) == {"envelopes": 2, "offers": 1}
    assert messages(offered_to_b) == set()
    assert offered_to_b.evaluate(DOCTOR_A, "patients:Get", {"patient": ALICE})["rekey"] == list(K)
    assert offered_to_b.evaluate(ADMIN_I, LEFT, ABOUT_B) == {"compartments": [], "next": None}
    told = offered_to_b.evaluate(PATIENT, "audit:List", {"patient": ALICE})["entries"]
    assert [one["user"] for one in told if one["detail"] == "custody-withdrawn"] == ["Insurer/admin"]
    offered_to_b.submit(PATIENT, "patients:Erase", {"patient": ALICE})


def test_an_offer_is_found_where_the_hospital_has_no_envelope(offered_to_b: Chain) -> None:
    purging = ABOUT_B | {"compartments": [K[3]]}
    assert offered_to_b.submit(ADMIN_G, PURGE, purging) == {"envelopes": 0, "offers": 1}
    assert offered_to_b.evaluate(DOCTOR_A, "patients:Get", {"patient": ALICE})["rekey"] == list(K)
    assert offered_to_b.submit(ADMIN_G, PURGE, purging) == {"envelopes": 0, "offers": 0}
    gone = Row("gone", "TRANSFER_UNKNOWN", DOCTOR_A, "custody:Withdraw", {"patient": ALICE})
    check_refused(offered_to_b, gone)


def test_an_offer_to_somebody_else_stays() -> None:
    chain = full_chain()
    pass_change(chain, ABOUT_INSURER | {"change": "remove-member"}, "remove", ADMIN_A, ADMIN_B, ADMIN_G)
    chain.submit(DOCTOR_A, "custody:Offer", OFFER, message())
    assert chain.evaluate(ADMIN_G, LEFT, ABOUT_INSURER) == {"compartments": [K[0]], "next": None}
    assert chain.submit(ADMIN_G, PURGE, ABOUT_INSURER | {"compartments": list(K)}) == {"envelopes": 1, "offers": 0}
    assert messages(chain) == set(message())
    assert chain.evaluate(DOCTOR_A, "patients:Get", {"patient": ALICE})["rekey"] == [K[0]]


def test_a_removed_members_consents_bring_it_no_key(without_b: Chain) -> None:
    """Before its envelopes are purged, too: what is sealed to it afterwards, the purge might have looked at already."""
    stale = without_b.evaluate(PATIENT, "consents:PreviewRevoke", {"patient": ALICE, "grantee": "Insurer"})["rekeys"]
    assert [one["recipients"] for one in stale] == [sorted(["HospitalA", ALICE])] * 2
    chain = full_chain()
    later = granted("later", "HospitalB", K[2:3], "TREAT", later_compartments=True)
    chain.submit(PATIENT, "consents:Grant", later, sealed(K[2:3], 1, "HospitalB"))
    adding = {"patient": ALICE, "compartment": ident("a further compartment")}
    receiving = chain.evaluate(PATIENT, "patients:PreviewAddCompartment", adding)["recipients"]
    pass_change(chain, ABOUT_B | {"change": "suspend-member"}, "suspend b", ADMIN_A, ADMIN_I, ADMIN_G)
    assert chain.evaluate(PATIENT, "patients:PreviewAddCompartment", adding)["recipients"] == receiving
    pass_change(chain, ABOUT_B | {"change": "remove-member"}, "remove b", ADMIN_A, ADMIN_I, ADMIN_G)
    left = chain.evaluate(PATIENT, "patients:PreviewAddCompartment", adding)["recipients"]
    assert sorted([*left, "HospitalB"]) == receiving == sorted(["HospitalA", "HospitalB", ALICE])


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
