"""Custody passes: offered and accepted, or assigned by the agency; who loses what, and what is due afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from healthchain.chaincode.stub import Caller

from .chain import START_MS, Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    ADMIN_I,
    AGENT,
    ALICE,
    BOB,
    BY_A,
    CAROL,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    FORGED_PATIENT,
    HOUR,
    NEW,
    NOBODY,
    OFFICER,
    OTHER_PATIENT,
    PATIENT,
    R1,
    STRANGER,
    TO_B,
    TO_INSURER,
    K,
    body,
    disclosing,
    granted,
    ident,
    opened,
    person,
    sealed,
    written,
)
from .table import Row, Success, by_name, check_refused
from .test_guardians import GINA, all_keys, appointed

ADMIN_G = person("Agency", "admin", "administrator")
PATIENT_AT_B = person("HospitalB", "alice", "patient", ALICE)  # enrolled anew by the new custodian
GUARDIAN_AT_B = person("HospitalB", GINA, "guardian")
TRANSFER, LATER = ident("transfer"), ident("later transfer")
OFFER = {"id": TRANSFER, "patient": ALICE, "to": "HospitalB", "end_ms": START_MS + 7 * DAY}
OF_ALICE = {"patient": ALICE}
ASSIGN = {"patient": ALICE, "to": "HospitalB"}


def message(transfer: str = TRANSFER) -> dict[str, bytes]:
    return {f"custody/{ALICE}/{transfer}/keys": b"every key, sealed to hospital B"}


def suspend(chain: Chain, msp_id: str, *voters: Caller) -> None:
    proposal = ident(f"suspend {msp_id}")
    change = {"change": "suspend-member", "msp_id": msp_id}
    chain.submit(voters[0], "governance:Propose", {"id": proposal, "change": change})
    for voter in voters:
        chain.submit(voter, "governance:Vote", {"id": proposal, "in_favour": True})


@pytest.fixture(scope="module")
def built_offer(built_chain: Chain) -> Chain:
    chain = built_chain.copy()
    chain.submit(DOCTOR_A, "custody:Offer", OFFER, message())
    return chain


@pytest.fixture
def offered(built_offer: Chain) -> Chain:
    return built_offer.copy()


@pytest.fixture
def accepted(offered: Chain) -> Chain:
    offered.submit(DOCTOR_B, "custody:Accept", OF_ALICE, all_keys("HospitalB"))
    return offered


@pytest.fixture(scope="module")
def built_suspension(built_chain: Chain) -> Chain:
    """Hospital A is suspended. Before, it made Gina Alice's guardian."""
    chain = built_chain.copy()
    chain.submit(DOCTOR_A, "guardians:Appoint", appointed(GINA), all_keys(GINA))
    suspend(chain, "HospitalA", ADMIN_B, ADMIN_I, ADMIN_G)
    return chain


@pytest.fixture
def suspended(built_suspension: Chain) -> Chain:
    return built_suspension.copy()


@pytest.fixture
def assigned(suspended: Chain) -> Chain:
    suspended.submit(OFFICER, "custody:Assign", ASSIGN)
    return suspended


def offer(
    name: str, code: str, caller: Caller = DOCTOR_A, transient: Mapping[str, bytes] | None = None, **changes: Any
) -> Row:
    return Row(name, code, caller, "custody:Offer", OFFER | changes, message() if transient is None else transient)


ROWS = [
    offer("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    offer("by nobody", "ROLE_FORBIDDEN", NOBODY),
    offer("by the patient", "ROLE_FORBIDDEN", PATIENT),
    offer("by an insurer", "ROLE_FORBIDDEN", ADMIN_I),
    offer("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B),
    offer("by the agency", "NOT_THE_CUSTODIAN", OFFICER),
    offer("of an unknown patient", "PATIENT_UNKNOWN", patient=CAROL),
    offer("of an erased patient", "PATIENT_ERASED", patient=BOB),
    offer("to itself", "CUSTODIAN_INVALID", to="HospitalA"),
    offer("to an insurer", "CUSTODIAN_INVALID", to="Insurer"),
    offer("to a stranger", "CUSTODIAN_INVALID", to="Elsewhere"),
    offer("for no time", "PERIOD_INVALID", end_ms=START_MS + HOUR),
    offer("without the keys", "MESSAGE_MISSING", transient={}),
    offer("with an empty message", "MESSAGE_MISSING", transient=dict.fromkeys(message(), b"")),
    offer("with an envelope", "MESSAGE_UNEXPECTED", transient=message() | sealed(K[:1], 1, "HospitalB")),
    offer("with a message too large", "MESSAGE_TOO_LARGE", transient=dict.fromkeys(message(), bytes((1 << 20) + 1))),
    offer("without an id", "ARGUMENTS_INVALID", id=""),
    Row("that was not made", "TRANSFER_UNKNOWN", DOCTOR_A, "custody:Withdraw", OF_ALICE),
    Row("that was not made", "TRANSFER_UNKNOWN", DOCTOR_B, "custody:Refuse", OF_ALICE),
    Row("that was not made", "TRANSFER_UNKNOWN", DOCTOR_B, "custody:Accept", OF_ALICE, all_keys("HospitalB")),
    Row("of an active hospital's patient", "CUSTODIAN_ACTIVE", OFFICER, "custody:Assign", ASSIGN),
    Row("of an active hospital", "CUSTODIAN_ACTIVE", OFFICER, "patients:List", {"custodian": "HospitalA"}),
    Row("of a stranger", "CUSTODIAN_ACTIVE", OFFICER, "patients:List", {"custodian": "Elsewhere"}),
    Row("of another hospital", "ROLE_FORBIDDEN", ADMIN_B, "patients:List", {"custodian": "HospitalA"}),
    Row("of itself by name", "ROLE_FORBIDDEN", ADMIN_A, "patients:List", {"custodian": "HospitalA"}),
    Row("by an insurer", "ROLE_FORBIDDEN", AGENT, "patients:List", {"custodian": "HospitalA"}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "keys:GetForHanding", OF_ALICE),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "keys:GetForHanding", OF_ALICE),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "keys:GetForHanding", OF_ALICE),
    Row("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT, "keys:GetForHanding", OF_ALICE),
    Row("by an insurer", "ROLE_FORBIDDEN", AGENT, "keys:GetForHanding", OF_ALICE),
    Row("by a grantee", "NOT_THE_CUSTODIAN", DOCTOR_B, "keys:GetForHanding", OF_ALICE),
    Row("by the agency", "NOT_THE_CUSTODIAN", OFFICER, "keys:GetForHanding", OF_ALICE),
    Row("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_A, "keys:GetForHanding", {"patient": CAROL}),
    Row("of an erased patient", "PATIENT_ERASED", DOCTOR_A, "keys:GetForHanding", {"patient": BOB}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "custody:HandKeys", OF_ALICE),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "custody:HandKeys", OF_ALICE),
    Row("by the custodian", "NOT_THE_PATIENT", DOCTOR_A, "custody:HandKeys", OF_ALICE),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "custody:HandKeys", OF_ALICE),
    Row("to another", "ENVELOPE_UNEXPECTED", PATIENT, "custody:HandKeys", OF_ALICE, all_keys("HospitalB")),
    Row("of an erased patient", "PATIENT_ERASED", OTHER_PATIENT, "custody:HandKeys", {"patient": BOB}),
]

OFFERED_ROWS = [
    offer("twice", "TRANSFER_EXISTS", transient=message(LATER), id=LATER),
    offer("under the same id", "TRANSFER_EXISTS"),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "custody:Withdraw", OF_ALICE),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "custody:Withdraw", OF_ALICE),
    Row("by whom it was made to", "NOT_THE_CUSTODIAN", DOCTOR_B, "custody:Withdraw", OF_ALICE),
    Row("by the agency", "NOT_THE_CUSTODIAN", OFFICER, "custody:Withdraw", OF_ALICE),
    Row("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_A, "custody:Withdraw", {"patient": CAROL}),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "custody:Refuse", OF_ALICE),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "custody:Refuse", OF_ALICE),
    Row("by the custodian", "TRANSFER_UNKNOWN", DOCTOR_A, "custody:Refuse", OF_ALICE),
    Row("by the agency", "TRANSFER_UNKNOWN", OFFICER, "custody:Refuse", OF_ALICE),
    Row("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_B, "custody:Refuse", {"patient": CAROL}),
    Row("too late", "TRANSFER_UNKNOWN", DOCTOR_B, "custody:Refuse", OF_ALICE, later_ms=7 * DAY),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "custody:OfferedKeys", OF_ALICE),
    Row("by the patient", "ROLE_FORBIDDEN", PATIENT, "custody:OfferedKeys", OF_ALICE),
    Row("by the custodian", "TRANSFER_UNKNOWN", DOCTOR_A, "custody:OfferedKeys", OF_ALICE),
    Row("by the agency", "TRANSFER_UNKNOWN", OFFICER, "custody:OfferedKeys", OF_ALICE),
    Row("too late", "TRANSFER_UNKNOWN", DOCTOR_B, "custody:OfferedKeys", OF_ALICE, later_ms=7 * DAY),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "custody:Accept", OF_ALICE, all_keys("HospitalB")),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "custody:Accept", OF_ALICE, all_keys("HospitalB")),
    Row("by the custodian", "TRANSFER_UNKNOWN", DOCTOR_A, "custody:Accept", OF_ALICE, all_keys("HospitalB")),
    Row("by the agency", "TRANSFER_UNKNOWN", OFFICER, "custody:Accept", OF_ALICE, all_keys("HospitalB")),
    Row("too late", "TRANSFER_UNKNOWN", DOCTOR_B, "custody:Accept", OF_ALICE, all_keys("HospitalB"), 7 * DAY),
    Row("of an erased patient", "PATIENT_ERASED", DOCTOR_B, "custody:Accept", {"patient": BOB}),
    Row("without envelopes", "ENVELOPE_MISSING", DOCTOR_B, "custody:Accept", OF_ALICE),
    Row("without one epoch", "ENVELOPE_MISSING", DOCTOR_B, "custody:Accept", OF_ALICE, sealed(K, 1, "HospitalB")),
    Row(
        "with another's envelope",
        "ENVELOPE_UNEXPECTED",
        DOCTOR_B,
        "custody:Accept",
        OF_ALICE,
        all_keys("HospitalB") | sealed(K[:1], 1, "Insurer"),
    ),
]

ACCEPTED_ROWS = [
    Row("again", "TRANSFER_UNKNOWN", DOCTOR_B, "custody:Accept", OF_ALICE, all_keys("HospitalB")),
    offer("by the old custodian", "NOT_THE_CUSTODIAN"),
    Row("by the old custodian", "CONSENT_MISSING", DOCTOR_A, "sessions:Open", opened("back", "TREAT")),
    Row(
        "in an open session",
        "CONSENT_MISSING",
        DOCTOR_A,
        "records:Read",
        {"session": BY_A} | OF_ALICE | {"records": [R1]},
    ),
    Row("in an open session", "CONSENT_MISSING", DOCTOR_A, "keys:Get", {"session": BY_A} | OF_ALICE),
    Row("by the old custodian", "CONSENT_MISSING", DOCTOR_A, "keys:GetForWriting", OF_ALICE),
    Row("by the old custodian", "NOT_THE_CUSTODIAN", DOCTOR_A, "keys:GetForHanding", OF_ALICE),
    Row("by the old custodian", "NOT_THE_CUSTODIAN", DOCTOR_A, "patients:Erase", OF_ALICE),
    Row("by the old custodian", "NOT_THE_CUSTODIAN", DOCTOR_A, "guardians:List", OF_ALICE),
    Row("by the patient as it was enrolled", "NOT_THE_PATIENT", PATIENT, "sessions:Open", opened("old", "PATRQT")),
    Row(
        "before there are new keys",
        "REKEY_DUE",
        DOCTOR_B,
        "records:Write",
        OF_ALICE | {"records": [written(NEW, 1, K[0])]},
        body(NEW, 1),
    ),
    Row(
        "to the new custodian",
        "GRANTEE_IS_CUSTODIAN",
        PATIENT_AT_B,
        "consents:Grant",
        granted("to custodian", "HospitalB", K[:1], "TREAT"),
    ),
]

SUSPENDED_ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "custody:Assign", ASSIGN),
    Row("by a hospital", "ROLE_FORBIDDEN", ADMIN_B, "custody:Assign", ASSIGN),
    Row("by an insurer", "ROLE_FORBIDDEN", ADMIN_I, "custody:Assign", ASSIGN),
    Row("by the custodian", "MEMBER_SUSPENDED", ADMIN_A, "custody:Assign", ASSIGN),
    Row("to the custodian", "CUSTODIAN_INVALID", OFFICER, "custody:Assign", ASSIGN | {"to": "HospitalA"}),
    Row("to an insurer", "CUSTODIAN_INVALID", OFFICER, "custody:Assign", ASSIGN | {"to": "Insurer"}),
    Row("to a stranger", "CUSTODIAN_INVALID", OFFICER, "custody:Assign", ASSIGN | {"to": "Elsewhere"}),
    Row("of an unknown patient", "PATIENT_UNKNOWN", OFFICER, "custody:Assign", ASSIGN | {"patient": CAROL}),
    Row("of an erased patient", "PATIENT_ERASED", OFFICER, "custody:Assign", ASSIGN | {"patient": BOB}),
    Row("by a hospital", "ROLE_FORBIDDEN", ADMIN_B, "patients:List", {"custodian": "HospitalA"}),
]

ASSIGNED_ROWS = [
    Row("by the patient as it was enrolled", "MEMBER_SUSPENDED", PATIENT, "custody:HandKeys", OF_ALICE),
    Row("without envelopes", "ENVELOPE_MISSING", PATIENT_AT_B, "custody:HandKeys", OF_ALICE),
    Row("without one epoch", "ENVELOPE_MISSING", PATIENT_AT_B, "custody:HandKeys", OF_ALICE, sealed(K, 1, "HospitalB")),
    Row(
        "to another as well",
        "ENVELOPE_UNEXPECTED",
        PATIENT_AT_B,
        "custody:HandKeys",
        OF_ALICE,
        all_keys("HospitalB") | sealed(K[:1], 1, "Insurer"),
    ),
    Row("twice", "CUSTODIAN_ACTIVE", OFFICER, "custody:Assign", ASSIGN | {"to": "HospitalA"}),
]

STALE_ROWS = [
    Row(
        "with keys newer than the offer",
        "TRANSFER_STALE",
        DOCTOR_B,
        "custody:Accept",
        OF_ALICE,
        all_keys("HospitalB") | sealed(K[:1], 2, "HospitalB"),
    ),
]

SUCCESSES = [
    Success("by a clinician", DOCTOR_A, "custody:Offer", OFFER, message()),
    Success("by an administrator", ADMIN_A, "custody:Offer", OFFER, message()),
    Success("by a clinician", DOCTOR_A, "keys:GetForHanding", OF_ALICE),
    Success("by the patient", PATIENT, "keys:GetForHanding", OF_ALICE),
    Success("nothing is missing", PATIENT, "custody:HandKeys", OF_ALICE),
    Success("that does not open", PATIENT, "custody:HandKeys", OF_ALICE, sealed(K[3:4], 1, "HospitalA")),
]

OFFERED_SUCCESSES = [
    Success("by a clinician", DOCTOR_B, "custody:Accept", OF_ALICE, all_keys("HospitalB")),
    Success("by an administrator", ADMIN_B, "custody:Accept", OF_ALICE, all_keys("HospitalB")),
    Success("by an administrator", ADMIN_B, "custody:Refuse", OF_ALICE),
    Success("by an administrator", ADMIN_A, "custody:Withdraw", OF_ALICE),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", OFFERED_ROWS, ids=by_name)
def test_refused_once_offered(offered: Chain, row: Row) -> None:
    check_refused(offered, row)


@pytest.mark.parametrize("row", ACCEPTED_ROWS, ids=by_name)
def test_refused_once_accepted(accepted: Chain, row: Row) -> None:
    check_refused(accepted, row)


@pytest.mark.parametrize("row", SUSPENDED_ROWS, ids=by_name)
def test_refused_once_the_custodian_is_suspended(suspended: Chain, row: Row) -> None:
    check_refused(suspended, row)


@pytest.mark.parametrize("row", ASSIGNED_ROWS, ids=by_name)
def test_refused_once_assigned(assigned: Chain, row: Row) -> None:
    check_refused(assigned, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


@pytest.mark.parametrize("row", OFFERED_SUCCESSES, ids=by_name)
def test_succeeds_once_offered(offered: Chain, row: Success) -> None:
    offered.call(row.caller, row.function, row.arguments, row.transient)


def recipients(chain: Chain) -> set[str]:
    return {key.rsplit("/", 1)[1] for collection, key in chain.memory.values if collection == "keys"}


def messages(chain: Chain) -> set[str]:
    return {key for collection, key in chain.memory.values if collection == "messages" and key.startswith("custody/")}


def rotate(chain: Chain, caller: Caller) -> None:
    """New keys for whatever is due."""
    plan = chain.evaluate(caller, "keys:PreviewRotate", OF_ALICE)["rekeys"]
    fresh: dict[str, bytes] = {}
    for one in plan:
        fresh |= sealed([one["compartment"]], one["epoch"], *one["recipients"])
    epochs = {one["compartment"]: one["epoch"] for one in plan}
    chain.submit(caller, "keys:Rotate", OF_ALICE | {"new_epochs": epochs}, fresh)


def test_custody_passes_with_all_that_belongs_to_it(accepted: Chain) -> None:
    found = accepted.evaluate(DOCTOR_A, "patients:Get", OF_ALICE)
    assert (found["custodian"], found["rekey"]) == ("HospitalB", list(K))
    assert recipients(accepted) == {"HospitalB", ALICE, "Insurer", "Agency"}
    assert messages(accepted) == set()
    assert accepted.evaluate(DOCTOR_A, "patients:List", {})["patients"] == [BOB]
    assert accepted.evaluate(DOCTOR_B, "patients:List", {})["patients"] == [ALICE]
    status = {
        one["id"]: one["status"] for one in accepted.evaluate(PATIENT_AT_B, "consents:List", OF_ALICE)["consents"]
    }
    assert (status[TO_B], status[TO_INSURER]) == ("revoked", "active")


def test_the_new_custodian_reads_what_was_written_and_writes_once_there_are_new_keys(accepted: Chain) -> None:
    session = opened("at b", "TREAT")
    accepted.submit(DOCTOR_B, "sessions:Open", session)
    keys = accepted.evaluate(DOCTOR_B, "keys:Get", {"session": session["id"]} | OF_ALICE)["envelopes"]
    assert {f"{one['compartment']}/{one['epoch']}/HospitalB" for one in keys} == set(all_keys("HospitalB"))
    accepted.submit(DOCTOR_B, "records:Disclose", disclosing(session["id"], (R1, 2)))
    asked = {"session": session["id"], "records": [R1]} | OF_ALICE
    assert accepted.evaluate(DOCTOR_B, "records:Read", asked)["records"][0]["custodian"] == "HospitalA"
    rotate(accepted, DOCTOR_B)
    write = OF_ALICE | {"records": [written(R1, 3, K[0], 2)]}
    accepted.submit(DOCTOR_B, "records:Write", write, body(R1, 3))
    accepted.submit(DOCTOR_B, "records:Disclose", disclosing(session["id"], (R1, 3)))
    assert accepted.evaluate(DOCTOR_B, "records:Read", asked)["records"][0]["custodian"] == "HospitalB"


def test_the_audit_still_tells_who_registered_the_patient(accepted: Chain) -> None:
    entries = accepted.evaluate(ADMIN_B, "audit:List", OF_ALICE)["entries"]
    assert [one["user"] for one in entries if one["happening"] == "registered"] == ["HospitalA/doctor"]


@pytest.mark.parametrize(("caller", "function"), [(DOCTOR_A, "custody:Withdraw"), (DOCTOR_B, "custody:Refuse")])
def test_an_offer_that_ends_leaves_nothing(offered: Chain, caller: Caller, function: str) -> None:
    assert len(messages(offered)) == 1
    offered.submit(caller, function, OF_ALICE)
    assert messages(offered) == set()
    assert offered.evaluate(DOCTOR_A, "patients:Get", OF_ALICE)["rekey"] == list(K)  # hospital B may know the keys
    gone = Row("gone", "TRANSFER_UNKNOWN", DOCTOR_B, "custody:Accept", OF_ALICE, all_keys("HospitalB"))
    check_refused(offered, gone)
    offered.submit(DOCTOR_A, "custody:Offer", OFFER | {"id": LATER}, message(LATER))


def test_an_offer_that_is_over_is_withdrawn_before_the_next(offered: Chain) -> None:
    offered.now_ms += 7 * DAY
    again = OFFER | {"id": LATER, "end_ms": offered.now_ms + DAY}
    over = Row("over", "TRANSFER_EXISTS", DOCTOR_A, "custody:Offer", again, message(LATER))
    check_refused(offered, over)
    offered.submit(DOCTOR_A, "custody:Withdraw", OF_ALICE)
    rotate(offered, DOCTOR_A)
    offered.submit(DOCTOR_A, "custody:Offer", again, message(LATER))
    assert messages(offered) == set(message(LATER))
    assert offered.evaluate(DOCTOR_B, "custody:OfferedKeys", OF_ALICE)["id"] == LATER


@pytest.mark.parametrize("row", STALE_ROWS, ids=by_name)
def test_an_offer_is_stale_once_there_are_new_keys(offered: Chain, row: Row) -> None:
    revoke = OF_ALICE | {"consents": [TO_INSURER], "new_epochs": {K[0]: 2}}
    offered.submit(PATIENT, "consents:Revoke", revoke, sealed(K[:1], 2, "HospitalA", "HospitalB", ALICE))
    check_refused(offered, row)


def test_a_hospital_needs_a_licence_to_take_custody(offered: Chain) -> None:
    offered.submit(OFFICER, "licences:Suspend", {"holder": "HospitalB"})
    accept = Row("unlicensed", "LICENCE_MISSING", DOCTOR_B, "custody:Accept", OF_ALICE, all_keys("HospitalB"))
    check_refused(offered, accept)


def test_an_unlicensed_hospital_is_assigned_nobody(suspended: Chain) -> None:
    suspended.submit(OFFICER, "licences:Suspend", {"holder": "HospitalB"})
    check_refused(suspended, Row("unlicensed", "LICENCE_MISSING", OFFICER, "custody:Assign", ASSIGN))


def test_erasing_the_patient_ends_an_offer(offered: Chain) -> None:
    offered.submit(PATIENT, "patients:Erase", OF_ALICE)
    assert messages(offered) == set()


def test_custody_comes_back(accepted: Chain) -> None:
    back = {"id": LATER, "patient": ALICE, "to": "HospitalA", "end_ms": START_MS + DAY}
    accepted.submit(ADMIN_B, "custody:Offer", back, message(LATER))
    accepted.submit(ADMIN_A, "custody:Accept", OF_ALICE, all_keys("HospitalA"))
    assert recipients(accepted) == {"HospitalA", ALICE, "Insurer", "Agency"}
    accepted.submit(PATIENT, "sessions:Open", opened("home", "PATRQT"))


def test_the_agency_finds_and_assigns_the_patients_of_a_suspended_hospital(suspended: Chain) -> None:
    asked = {"custodian": "HospitalA"}
    assert suspended.evaluate(OFFICER, "patients:List", asked)["patients"] == sorted([ALICE, BOB])
    suspended.submit(OFFICER, "custody:Assign", ASSIGN)
    found = suspended.evaluate(DOCTOR_B, "patients:Get", OF_ALICE)
    assert (found["custodian"], found["rekey"]) == ("HospitalB", list(K))
    assert "HospitalA" not in recipients(suspended)
    assert suspended.evaluate(OFFICER, "patients:List", asked)["patients"] == [BOB]


def test_an_offer_of_a_suspended_hospital_ends_with_the_assignment(offered: Chain) -> None:
    suspend(offered, "HospitalA", ADMIN_B, ADMIN_I, ADMIN_G)
    offered.submit(OFFICER, "custody:Assign", ASSIGN)
    assert messages(offered) == set()
    check_refused(offered, Row("gone", "TRANSFER_UNKNOWN", DOCTOR_B, "custody:OfferedKeys", OF_ALICE))


@pytest.mark.parametrize("caller", [PATIENT_AT_B, GUARDIAN_AT_B], ids=["the patient", "a guardian"])
def test_keys_are_handed_to_an_assigned_custodian(assigned: Chain, caller: Caller) -> None:
    """Hospital B held K[0] and K[1] by a consent; what it lacks has to come."""
    lacking = sealed(K[2:], 1, "HospitalB") | sealed(K[3:4], 2, "HospitalB")
    assigned.submit(caller, "custody:HandKeys", OF_ALICE, lacking)
    held = assigned.evaluate(DOCTOR_B, "keys:GetForHanding", OF_ALICE)["envelopes"]
    assert {f"{one['compartment']}/{one['epoch']}/HospitalB" for one in held} == set(all_keys("HospitalB"))
    rotate(assigned, DOCTOR_B)
    assigned.submit(DOCTOR_B, "records:Write", OF_ALICE | {"records": [written(NEW, 1, K[0], 2)]}, body(NEW, 1))
