"""A patient's death and a merge of two pseudonyms: who records them, what they rule out, and what goes on."""

from __future__ import annotations

from typing import Any

import pytest

from healthchain.contract.patients import ALLOWED, TRANSITIONS, PatientStatus, Use

from .chain import Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    ALICE,
    BOB,
    BY_A,
    BY_B,
    BY_PATIENT,
    CAROL,
    DOCTOR_A,
    DOCTOR_B,
    FORGED_PATIENT,
    KEY,
    NEW,
    NOBODY,
    OFFICER,
    PATIENT,
    R1,
    STRANGER,
    TO_B,
    K,
    body,
    granted,
    ident,
    opened,
    person,
    registered,
    sealed,
    written,
)
from .table import Row, Success, by_name, check_refused
from .test_guardians import GINA, GUARDIAN, all_keys, appointed

DAN, ERIN = ident("dan"), ident("erin")
DAN_HIMSELF = person("HospitalB", "dan", "patient", DAN)
ERIN_HERSELF = person("HospitalA", "erin", "patient", ERIN)
FORGED_DAN = person("HospitalA", "dan", "patient", DAN)


@pytest.fixture(scope="module")
def built(built_chain: Chain) -> Chain:
    """Besides, Dan is registered at hospital B, Erin at A; Alice has the guardian Gina."""
    chain = built_chain.copy()
    for caller, patient in ((DOCTOR_B, DAN), (DOCTOR_A, ERIN)):
        compartments = registered(patient)["compartments"]
        chain.submit(caller, "patients:Register", registered(patient), sealed(compartments, 1, caller.msp_id, patient))
    chain.submit(DOCTOR_A, "guardians:Appoint", appointed(GINA), all_keys(GINA))
    return chain


@pytest.fixture
def chain(built: Chain) -> Chain:
    return built.copy()


@pytest.fixture
def dead(chain: Chain) -> Chain:
    chain.submit(DOCTOR_A, "patients:RecordDeath", {"patient": ALICE})
    return chain


@pytest.fixture
def proposed(chain: Chain) -> Chain:
    """Alice, of hospital A, into Dan, of hospital B; Erin into Alice, both of A."""
    chain.submit(DOCTOR_A, "merging:Propose", {"patient": ALICE, "into": DAN})
    chain.submit(DOCTOR_A, "merging:Propose", {"patient": ERIN, "into": ALICE})
    return chain


@pytest.fixture
def merged(proposed: Chain) -> Chain:
    proposed.submit(DOCTOR_B, "merging:Confirm", {"patient": ALICE, "into": DAN})
    return proposed


def death(name: str, code: str, caller: Any, patient: str = ALICE) -> Row:
    return Row(name, code, caller, "patients:RecordDeath", {"patient": patient})


def revoked_death(name: str, code: str, caller: Any, patient: str = ALICE) -> Row:
    return Row(name, code, caller, "patients:RevokeDeath", {"patient": patient})


def merge(name: str, code: str, caller: Any, patient: str = ALICE, into: str = DAN, *, confirm: bool = False) -> Row:
    return Row(name, code, caller, f"merging:{'Confirm' if confirm else 'Propose'}", {"patient": patient, "into": into})


def withdrawn(name: str, code: str, caller: Any, patient: str = ALICE) -> Row:
    return Row(name, code, caller, "merging:Withdraw", {"patient": patient})


WRITE = {"patient": ALICE, "records": [written(NEW, 1, K[2])]}
GRANT = granted("new consent", "Insurer", K[1:2], "HPAYMT")
ENVELOPES = sealed(K[1:2], 1, "Insurer")
REVOKE = {"patient": ALICE, "consents": [TO_B], "new_epochs": {K[0]: 2, K[1]: 2}}

ROWS = [
    death("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    death("by nobody", "ROLE_FORBIDDEN", NOBODY),
    death("by the patient", "ROLE_FORBIDDEN", PATIENT),
    death("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B),
    death("by the agency", "NOT_THE_CUSTODIAN", OFFICER),
    death("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_A, CAROL),
    death("of an erased patient", "PATIENT_STATUS", DOCTOR_A, BOB),
    revoked_death("of the living", "PATIENT_STATUS", DOCTOR_A),
    merge("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    merge("by nobody", "ROLE_FORBIDDEN", NOBODY),
    merge("by the patient", "ROLE_FORBIDDEN", PATIENT),
    merge("by the agency", "NOT_THE_CUSTODIAN", OFFICER),
    merge("by the custodian of neither", "NOT_THE_CUSTODIAN", DOCTOR_B, ALICE, ERIN),
    merge("into itself", "ARGUMENTS_INVALID", DOCTOR_A, ALICE, ALICE),
    merge("into nobody known", "PATIENT_UNKNOWN", DOCTOR_A, ALICE, CAROL),
    merge("of nobody known", "PATIENT_UNKNOWN", DOCTOR_A, CAROL, ALICE),
    merge("into an erased patient", "PATIENT_ERASED", DOCTOR_A, ALICE, BOB),
    merge("of an erased patient", "PATIENT_ERASED", DOCTOR_A, BOB, ALICE),
    merge("that nobody proposed", "MERGE_UNKNOWN", DOCTOR_A, ERIN, DAN, confirm=True),
    withdrawn("that nobody proposed", "MERGE_UNKNOWN", DOCTOR_A),
]

DEAD_ROWS = [
    death("twice", "PATIENT_STATUS", DOCTOR_A),
    revoked_death("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    revoked_death("by nobody", "ROLE_FORBIDDEN", NOBODY),
    revoked_death("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B),
    revoked_death("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_A, CAROL),
    Row("by the dead", "PATIENT_DECEASED", PATIENT, "sessions:Open", opened("by the dead", "PATRQT")),
    Row(
        "by the dead",
        "PATIENT_DECEASED",
        PATIENT,
        "records:Read",
        {"session": BY_PATIENT, "patient": ALICE, "records": [R1]},
    ),
    Row("by the dead", "PATIENT_DECEASED", PATIENT, "consents:Grant", GRANT, ENVELOPES),
    Row("by the dead", "PATIENT_DECEASED", PATIENT, "consents:Revoke", REVOKE),
    Row("by the dead", "PATIENT_DECEASED", PATIENT, "patients:Get", {"patient": ALICE}),
    Row("by the dead", "PATIENT_DECEASED", PATIENT, "patients:Erase", {"patient": ALICE}),
    Row("by the dead", "PATIENT_DECEASED", PATIENT, "guardians:End", {"patient": ALICE, "guardian": GINA}),
    Row("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT, "patients:Get", {"patient": ALICE}),
]

DEAD_SUCCESSES = [
    Success("by the custodian", DOCTOR_A, "records:Write", WRITE, body(NEW, 1)),
    Success("by the custodian", DOCTOR_A, "sessions:Open", opened("after death", "TREAT")),
    Success("by a grantee", DOCTOR_B, "sessions:Open", opened("after death", "TREAT")),
    Success("by a guardian", GUARDIAN, "consents:Grant", GRANT, ENVELOPES),
    Success("by a guardian", GUARDIAN, "sessions:Open", opened("after death", "PATRQT")),
    Success("by the custodian", DOCTOR_A, "patients:Erase", {"patient": ALICE}),
    Success("by the custodian", ADMIN_A, "merging:Propose", {"patient": ALICE, "into": ERIN}),
]

PROPOSED_ROWS = [
    merge("twice", "MERGE_EXISTS", DOCTOR_A),
    merge("twice, into another", "MERGE_EXISTS", DOCTOR_A, ALICE, ERIN),
    merge("by a stranger", "MEMBER_UNKNOWN", STRANGER, confirm=True),
    merge("by nobody", "ROLE_FORBIDDEN", NOBODY, confirm=True),
    merge("by the patient", "ROLE_FORBIDDEN", PATIENT, confirm=True),
    merge("by the agency", "NOT_THE_CUSTODIAN", OFFICER, confirm=True),
    merge("by who proposed it", "MERGE_UNPROVEN", DOCTOR_A, confirm=True),
    merge("by a colleague of who proposed it", "MERGE_UNPROVEN", ADMIN_A, confirm=True),
    merge("by who proposed it, at one hospital", "MERGE_UNPROVEN", DOCTOR_A, ERIN, ALICE, confirm=True),
    merge("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B, ERIN, ALICE, confirm=True),
    merge("into another", "MERGE_UNKNOWN", DOCTOR_B, ERIN, DAN, confirm=True),
    merge("the other way round", "MERGE_UNKNOWN", DOCTOR_B, DAN, ALICE, confirm=True),
    merge("of nobody known", "PATIENT_UNKNOWN", DOCTOR_B, CAROL, DAN, confirm=True),
    withdrawn("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    withdrawn("by nobody", "ROLE_FORBIDDEN", NOBODY),
    withdrawn("by the agency", "NOT_THE_CUSTODIAN", OFFICER),
    withdrawn("by the custodian of neither", "NOT_THE_CUSTODIAN", DOCTOR_B, ERIN),
    withdrawn("of nobody known", "PATIENT_UNKNOWN", DOCTOR_A, CAROL),
]

MERGED_ROWS = [
    merge("again", "PATIENT_MERGED", DOCTOR_B, confirm=True),
    merge("of what is merged", "PATIENT_MERGED", DOCTOR_A, ALICE, ERIN),
    merge("into what was merged", "PATIENT_MERGED", DOCTOR_A, ERIN, ALICE),
    merge("into what was merged since", "PATIENT_MERGED", ADMIN_A, ERIN, ALICE, confirm=True),
    withdrawn("that was confirmed", "MERGE_UNKNOWN", DOCTOR_A),
    death("of what is merged", "PATIENT_STATUS", DOCTOR_A),
    Row("into it", "PATIENT_MERGED", DOCTOR_A, "records:Write", WRITE, body(NEW, 1)),
    Row("for it", "PATIENT_MERGED", PATIENT, "consents:Grant", GRANT, ENVELOPES),
    Row("for it", "PATIENT_MERGED", DOCTOR_A, "guardians:Appoint", appointed(ident("late")), all_keys(ident("late"))),
    Row("by a forged successor", "NOT_THE_PATIENT", FORGED_DAN, "sessions:Open", opened("forged", "PATRQT")),
    Row("by another patient", "NOT_THE_PATIENT", ERIN_HERSELF, "sessions:Open", opened("other", "PATRQT")),
    Row("by the predecessor", "NOT_THE_PATIENT", PATIENT, "patients:Get", {"patient": DAN}),
]

MERGED_SUCCESSES = [
    Success("by the custodian", DOCTOR_A, "records:Read", {"session": BY_A, "patient": ALICE, "records": [R1]}),
    Success("by the custodian", DOCTOR_A, "sessions:Open", opened("after merge", "TREAT")),
    Success("by a grantee", DOCTOR_B, "records:Read", {"session": BY_B, "patient": ALICE, "records": [R1]}),
    Success("by the patient", PATIENT, "sessions:Open", opened("after merge", "PATRQT")),
    Success("by the successor", DAN_HIMSELF, "sessions:Open", opened("after merge", "PATRQT")),
    Success("by a guardian", GUARDIAN, "sessions:Open", opened("after merge", "PATRQT")),
    Success(
        "by the successor",
        DAN_HIMSELF,
        "consents:Revoke",
        REVOKE,
        sealed(K[:2], 2, "HospitalA", ALICE, GINA) | sealed(K[:1], 2, "Insurer"),
    ),
    Success("by the successor", DAN_HIMSELF, "patients:Erase", {"patient": ALICE}),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", DEAD_ROWS, ids=by_name)
def test_refused_after_death(dead: Chain, row: Row) -> None:
    check_refused(dead, row)


@pytest.mark.parametrize("row", DEAD_SUCCESSES, ids=by_name)
def test_goes_on_after_death(dead: Chain, row: Success) -> None:
    dead.call(row.caller, row.function, row.arguments, row.transient)


@pytest.mark.parametrize("row", PROPOSED_ROWS, ids=by_name)
def test_refused_once_proposed(proposed: Chain, row: Row) -> None:
    check_refused(proposed, row)


@pytest.mark.parametrize("row", MERGED_ROWS, ids=by_name)
def test_refused_once_merged(merged: Chain, row: Row) -> None:
    check_refused(merged, row)


@pytest.mark.parametrize("row", MERGED_SUCCESSES, ids=by_name)
def test_goes_on_once_merged(merged: Chain, row: Success) -> None:
    merged.call(row.caller, row.function, row.arguments, row.transient)


def test_a_death_by_mistake_is_revoked(dead: Chain) -> None:
    assert dead.evaluate(DOCTOR_B, "patients:Get", {"patient": ALICE})["status"] == "deceased"
    dead.submit(ADMIN_A, "patients:RevokeDeath", {"patient": ALICE})
    assert dead.evaluate(PATIENT, "patients:Get", {"patient": ALICE})["status"] == "active"
    dead.submit(PATIENT, "sessions:Open", opened("alive", "PATRQT"))


def test_the_registry_names_the_successor(merged: Chain) -> None:
    found = merged.evaluate(DOCTOR_B, "patients:Get", {"patient": ALICE})
    assert (found["status"], found["merged_into"]) == ("merged", DAN)
    assert merged.evaluate(DAN_HIMSELF, "patients:Get", {"patient": ALICE})["public_key"] == KEY


@pytest.mark.parametrize("doctor", [DOCTOR_A, DOCTOR_B], ids=["predecessor", "successor"])
def test_who_is_dead_under_one_pseudonym_alone_does_not_live_on_under_the_other(proposed: Chain, doctor: Any) -> None:
    """The living identity would act for the dead: both custodians record the death first, or revoke it."""
    dead, alive = (ALICE, DAN) if doctor is DOCTOR_A else (DAN, ALICE)
    proposed.submit(doctor, "patients:RecordDeath", {"patient": dead})
    check_refused(proposed, merge("half dead", "PATIENT_STATUS", DOCTOR_B, confirm=True))
    proposed.submit(DOCTOR_B if doctor is DOCTOR_A else DOCTOR_A, "patients:RecordDeath", {"patient": alive})
    proposed.submit(DOCTOR_B, "merging:Confirm", {"patient": ALICE, "into": DAN})
    for caller in (PATIENT, DAN_HIMSELF):
        check_refused(proposed, Row("dead", "PATIENT_DECEASED", caller, "sessions:Open", opened("dead", "PATRQT")))


def test_two_users_of_one_hospital_prove_a_merge(proposed: Chain) -> None:
    proposed.submit(ADMIN_A, "merging:Confirm", {"patient": ERIN, "into": ALICE})
    assert proposed.evaluate(DOCTOR_A, "patients:Get", {"patient": ERIN})["merged_into"] == ALICE


def test_a_successor_acts_along_the_whole_line_until_it_dies(proposed: Chain) -> None:
    proposed.submit(ADMIN_A, "merging:Confirm", {"patient": ERIN, "into": ALICE})
    proposed.submit(DOCTOR_B, "merging:Confirm", {"patient": ALICE, "into": DAN})
    for patient in (ERIN, ALICE, DAN):
        assert proposed.evaluate(DAN_HIMSELF, "patients:Get", {"patient": patient})["patient"] == patient
    proposed.submit(DOCTOR_B, "patients:RecordDeath", {"patient": DAN})
    for caller, patient in ((DAN_HIMSELF, DAN), (DAN_HIMSELF, ERIN), (PATIENT, ALICE), (ERIN_HERSELF, ERIN)):
        check_refused(proposed, Row("dead", "PATIENT_DECEASED", caller, "patients:Get", {"patient": patient}))


@pytest.mark.parametrize("caller", [DOCTOR_A, ADMIN_B], ids=["by one", "by the other"])
def test_a_withdrawn_merge_can_be_proposed_anew(proposed: Chain, caller: Any) -> None:
    proposed.submit(caller, "merging:Withdraw", {"patient": ALICE})
    check_refused(proposed, merge("withdrawn", "MERGE_UNKNOWN", DOCTOR_B, confirm=True))
    proposed.submit(DOCTOR_B, "merging:Propose", {"patient": ALICE, "into": DAN})
    proposed.submit(DOCTOR_A, "merging:Confirm", {"patient": ALICE, "into": DAN})


def test_what_is_merged_is_erased_like_any_other(merged: Chain) -> None:
    merged.submit(DOCTOR_A, "patients:Erase", {"patient": ALICE})
    found = merged.evaluate(DOCTOR_A, "patients:Get", {"patient": ALICE})
    assert (found["status"], found["merged_into"]) == ("erased", DAN)


def test_every_status_says_what_it_allows_and_what_follows() -> None:
    assert set(ALLOWED) == set(TRANSITIONS) == set(PatientStatus)
    assert all(status not in after for status, after in TRANSITIONS.items())
    assert [status for status, uses in ALLOWED.items() if Use.ADD in uses] == ["active", "deceased"]
