"""Orders of a court, keys that are due, rotation, compartments that are added later; guardians who consent."""

from __future__ import annotations

from typing import Any

import pytest

from healthchain.chaincode.stub import Caller

from .chain import Chain
from .consortium import (
    ADMIN_A,
    ADMIN_I,
    AGENT,
    ALICE,
    BOB,
    BY_B,
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
    R2,
    R3,
    REVOKED,
    STRANGER,
    TO_B,
    TO_INSURER,
    K,
    body,
    granted,
    ident,
    opened,
    person,
    sealed,
    written,
)
from .table import Row, Success, by_name, check_refused
from .test_explaining import DENY, ENVELOPES, EXPLAIN
from .test_guardians import appointed

ORDER = {"patient": ALICE, "id": NEW, "grantee": "HospitalB"}
TEXT = {f"order/{ALICE}/{NEW}/text": b"the order"}
ROTATE = {"patient": ALICE, "compartments": [K[4]], "new_epochs": {K[4]: 2}}
ROTATED = sealed(K[4:], 2, "HospitalA", ALICE)
LATER = ident("later compartment")
ADD = {"patient": ALICE, "compartment": LATER}
ADDED = sealed([LATER], 1, "HospitalA", ALICE)


def order(name: str, code: str, caller: Caller = OFFICER, transient: dict[str, bytes] = TEXT, **changes: Any) -> Row:
    return Row(name, code, caller, "consents:Order", ORDER | changes, transient)


def rotate(
    name: str, code: str, caller: Caller = DOCTOR_A, transient: dict[str, bytes] = ROTATED, **changes: Any
) -> Row:
    return Row(name, code, caller, "keys:Rotate", ROTATE | changes, transient)


def preview(name: str, code: str, caller: Caller = DOCTOR_A, **changes: Any) -> Row:
    return Row(name, code, caller, "keys:PreviewRotate", {"patient": ALICE, "compartments": [K[4]]} | changes)


def add(name: str, code: str, caller: Caller = PATIENT, transient: dict[str, bytes] = ADDED, **changes: Any) -> Row:
    return Row(name, code, caller, "patients:AddCompartment", ADD | changes, transient)


def preview_add(name: str, code: str, caller: Caller = PATIENT, **changes: Any) -> Row:
    return Row(name, code, caller, "patients:PreviewAddCompartment", ADD | changes)


def text(name: str, code: str, caller: Caller, **changes: Any) -> Row:
    return Row(name, code, caller, "consents:OrderText", {"patient": ALICE, "id": NEW} | changes)


ROWS = [
    order("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    order("by the custodian", "ROLE_FORBIDDEN", ADMIN_A),
    order("by the patient", "ROLE_FORBIDDEN", PATIENT),
    order("by an insurer", "ROLE_FORBIDDEN", ADMIN_I),
    order("for an unknown patient", "PATIENT_UNKNOWN", patient=CAROL),
    order("for an erased patient", "PATIENT_ERASED", patient=BOB),
    order("of no consent", "ARGUMENTS_INVALID", grantee=None),
    order("of an unknown consent", "CONSENT_UNKNOWN", grantee=None, consents=[NEW]),
    order("of a revoked consent", "CONSENT_REVOKED", grantee=None, consents=[REVOKED]),
    order("without its text", "MESSAGE_MISSING", transient={}),
    order("with an empty text", "MESSAGE_MISSING", transient=dict.fromkeys(TEXT, b"")),
    order("with another's text", "MESSAGE_UNEXPECTED", transient=TEXT | {f"order/{BOB}/{NEW}/text": b"x"}),
    order("with a text of 1 MiB + 1", "MESSAGE_TOO_LARGE", transient=dict.fromkeys(TEXT, bytes(2**20 + 1))),
    text("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    text("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B),
    text("by an insurer", "NOT_THE_CUSTODIAN", AGENT),
    text("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    text("that there is not", "MESSAGE_UNKNOWN", PATIENT),
    text("of an unknown patient", "PATIENT_UNKNOWN", OFFICER, patient=CAROL),
    rotate("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    rotate("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B),
    rotate("by the agency", "NOT_THE_PATIENT", OFFICER),
    rotate("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    rotate("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT),
    rotate("by nobody", "ROLE_FORBIDDEN", NOBODY),
    rotate("of an unknown patient", "PATIENT_UNKNOWN", patient=CAROL),
    rotate("of an erased patient", "PATIENT_ERASED", patient=BOB),
    rotate("of no compartment of hers", "COMPARTMENT_UNKNOWN", compartments=[NEW]),
    rotate("of nothing, with nothing due", "REKEY_NOT_DUE", compartments=[], new_epochs={}),
    rotate("to the same epoch", "EPOCH_WRONG", new_epochs={K[4]: 1}),
    rotate("over an epoch", "EPOCH_WRONG", new_epochs={K[4]: 3}),
    rotate("of one more", "EPOCH_WRONG", new_epochs={K[4]: 2, K[3]: 3}),
    rotate("not for the patient", "ENVELOPE_MISSING", transient=sealed(K[4:], 2, "HospitalA")),
    rotate("for one more", "ENVELOPE_UNEXPECTED", transient=ROTATED | sealed(K[4:], 2, "HospitalB")),
    preview("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    preview("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B),
    preview("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    preview("of nothing, with nothing due", "REKEY_NOT_DUE", compartments=[]),
    add("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    add("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B),
    add("by the agency", "NOT_THE_CUSTODIAN", OFFICER),
    add("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT),
    add("for an unknown patient", "PATIENT_UNKNOWN", patient=CAROL),
    add("for an erased patient", "PATIENT_ERASED", OTHER_PATIENT, patient=BOB),
    add("that she has", "COMPARTMENT_EXISTS", compartment=K[0]),
    add("that is another's", "COMPARTMENT_EXISTS", compartment=sorted(ident(f"{BOB} {one}") for one in range(5))[0]),
    add("without envelopes", "ENVELOPE_MISSING", transient={}),
    add("not for the patient", "ENVELOPE_MISSING", transient=sealed([LATER], 1, "HospitalA")),
    add(
        "for a grantee whose consent is not for it",
        "ENVELOPE_UNEXPECTED",
        transient=ADDED | sealed([LATER], 1, "HospitalB"),
    ),
    add("of no id", "ARGUMENTS_INVALID", compartment="x"),
    preview_add("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    preview_add("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B),
]

SUCCESSES = [
    Success("of one consent", OFFICER, "consents:Order", {"patient": ALICE, "id": NEW, "consents": [TO_B]}, TEXT),
    Success("of all", OFFICER, "consents:Order", {"patient": ALICE, "id": NEW, "everything": True}, TEXT),
    Success("by the custodian", DOCTOR_A, "keys:Rotate", ROTATE, ROTATED),
    Success("by the patient", PATIENT, "keys:Rotate", ROTATE, ROTATED),
    Success("by the patient", PATIENT, "patients:AddCompartment", ADD, ADDED),
    Success("by the custodian", ADMIN_A, "patients:AddCompartment", ADD, ADDED),
]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_everything_is_revoked_at_once(chain: Chain) -> None:
    plan = chain.evaluate(PATIENT, "consents:PreviewRevoke", {"patient": ALICE, "everything": True})["rekeys"]
    assert {one["compartment"]: one["recipients"] for one in plan} == {
        one: sorted(["HospitalA", ALICE]) for one in K[:2]
    }
    revoke = {"patient": ALICE, "everything": True, "new_epochs": dict.fromkeys(K[:2], 2)}
    chain.submit(PATIENT, "consents:Revoke", revoke, sealed(K[:2], 2, "HospitalA", ALICE))
    listed = chain.evaluate(PATIENT, "consents:List", {"patient": ALICE})["consents"]
    assert {one["status"] for one in listed} == {"revoked"}


def test_an_order_ends_access_and_leaves_the_key_due(chain: Chain) -> None:
    """Nothing is written into a due compartment, not even by the custodian, until somebody with keys has rotated."""
    chain.submit(OFFICER, "consents:Order", ORDER, TEXT)
    for reader in (OFFICER, PATIENT, DOCTOR_A):
        assert chain.evaluate(reader, "consents:OrderText", {"patient": ALICE, "id": NEW})["ciphertext"]
    check_refused(chain, Row("ended", "CONSENT_MISSING", DOCTOR_B, "records:List", {"patient": ALICE, "session": BY_B}))
    assert not [key for _, key in chain.memory.values if key.endswith("/HospitalB")]
    other = {"patient": ALICE, "records": [written(R3, 2, K[2])]}
    chain.submit(DOCTOR_A, "records:Write", other, body(R3, 2))
    plan = chain.evaluate(DOCTOR_A, "keys:PreviewRotate", {"patient": ALICE})["rekeys"]
    assert [(one["compartment"], one["epoch"]) for one in plan] == [(K[0], 2), (K[1], 2)]
    assert plan[0]["recipients"] == sorted(["HospitalA", "Insurer", ALICE])
    envelopes = sealed(K[:1], 2, "HospitalA", "Insurer", ALICE) | sealed(K[1:2], 2, "HospitalA", ALICE)
    chain.submit(DOCTOR_A, "keys:Rotate", {"patient": ALICE, "new_epochs": {K[0]: 2, K[1]: 2}}, envelopes)
    again = {"patient": ALICE, "records": [written(R2, 2, K[1], 2)]}
    chain.submit(DOCTOR_A, "records:Write", again, body(R2, 2))
    check_refused(chain, preview("done", "REKEY_NOT_DUE", compartments=[]))


def test_a_later_compartment_reaches_those_whose_consent_says_so(chain: Chain) -> None:
    """The hospital's says so, the insurer's does not; a denial that says so covers it without a key."""
    later = granted("new", "HospitalB", K[2:3], "TREAT", later_compartments=True, end_ms=chain.now_ms + DAY)
    chain.submit(PATIENT, "consents:Grant", later, ENVELOPES)
    denial = granted("deny", "Agency", K[:1], "PUBHLTH", decision="deny", later_compartments=True)
    chain.submit(PATIENT, "consents:Grant", denial)
    recipients = chain.evaluate(PATIENT, "patients:PreviewAddCompartment", ADD)["recipients"]
    assert recipients == sorted(["HospitalA", "HospitalB", ALICE])
    chain.submit(PATIENT, "patients:AddCompartment", ADD, sealed([LATER], 1, *recipients))
    covered = {
        one["id"]: LATER in one["compartments"]
        for one in chain.evaluate(PATIENT, "consents:List", {"patient": ALICE})["consents"]
    }
    assert covered[NEW]
    assert covered[ident("deny")]
    assert not covered[TO_B]
    assert not covered[TO_INSURER]
    assert LATER in chain.submit(DOCTOR_B, "sessions:Open", opened("later", "TREAT"))["compartments"]


def test_a_later_compartment_reaches_nobody_whose_consent_is_over(chain: Chain) -> None:
    later = granted("new", "HospitalB", K[2:3], "TREAT", later_compartments=True, end_ms=chain.now_ms + HOUR)
    chain.submit(PATIENT, "consents:Grant", later, ENVELOPES)
    chain.now_ms += HOUR
    assert chain.evaluate(PATIENT, "patients:PreviewAddCompartment", ADD)["recipients"] == sorted(["HospitalA", ALICE])


def test_a_denied_organisation_does_not_stay(chain: Chain) -> None:
    """Whoever is denied and no longer permitted gets no new key and loses the old ones."""
    chain.submit(PATIENT, "consents:Grant", DENY)
    plan = chain.evaluate(PATIENT, "consents:PreviewRevoke", {"patient": ALICE, "consents": [TO_B]})["rekeys"]
    assert [one["recipients"] for one in plan] == [
        sorted(["HospitalA", "Insurer", ALICE]),
        sorted(["HospitalA", ALICE]),
    ]


LATE_ROWS = [
    order("a second time", "ORDER_EXISTS", everything=True, grantee=None),
    add("a seventeenth", "COMPARTMENT_LIMIT"),
    preview_add("a seventeenth", "COMPARTMENT_LIMIT"),
    Row(
        "into a compartment whose key is due",
        "REKEY_DUE",
        DOCTOR_A,
        "records:Write",
        {"patient": ALICE, "records": [written(R2, 2, K[1])]},
        body(R2, 2),
    ),
]


@pytest.fixture(scope="module")
def late_chain(built_chain: Chain) -> Chain:
    """The hospital's consents were ended by an order, and there are sixteen compartments."""
    late = built_chain.copy()
    late.submit(OFFICER, "consents:Order", ORDER, TEXT)
    for one in (ident(f"further {number}") for number in range(11)):
        late.submit(
            PATIENT, "patients:AddCompartment", ADD | {"compartment": one}, sealed([one], 1, "HospitalA", ALICE)
        )
    return late


@pytest.mark.parametrize("row", LATE_ROWS, ids=by_name)
def test_refused_later(late_chain: Chain, row: Row) -> None:
    check_refused(late_chain.copy(), row)


GINA, PAUL = ident("gina"), ident("paul")
GUARDIAN = person("HospitalA", GINA, "guardian")  # consents, and does not read
PROXY = person("HospitalA", PAUL, "guardian")  # reads, and does not consent
FORGED_GUARDIAN = person("HospitalB", GINA, "guardian")
GUARDED = sealed(K[4:], 2, "HospitalA", ALICE, GINA, PAUL)


@pytest.fixture(scope="module")
def guarded_chain(built_chain: Chain) -> Chain:
    guarded = built_chain.copy()
    for one, scope in ((GINA, "consent"), (PAUL, "read")):
        envelopes = sealed(K, 1, one) | sealed(K[3:4], 2, one)
        guarded.submit(DOCTOR_A, "guardians:Appoint", appointed(one, scopes=[scope]), envelopes)
    return guarded


GUARDIAN_ROWS = [
    *(
        Row(f"by a guardian {why}", "GUARDIAN_SCOPE", caller, function, arguments, transient)
        for why, caller in (("who reads only", PROXY), ("of another hospital", FORGED_GUARDIAN))
        for function, arguments, transient in (
            ("consents:Grant", DENY, {}),
            ("consents:PreviewRevoke", {"patient": ALICE, "everything": True}, {}),
            ("consents:Revoke", {"patient": ALICE, "everything": True}, {}),
            ("consents:List", {"patient": ALICE}, {}),
            ("consents:Explain", EXPLAIN, {}),
            ("consents:OrderText", {"patient": ALICE, "id": NEW}, {}),
            ("keys:PreviewRotate", {"patient": ALICE, "compartments": [K[4]]}, {}),
            ("keys:Rotate", ROTATE, GUARDED),
            ("keys:GetForHanding", {"patient": ALICE}, {}),
            ("patients:PreviewAddCompartment", ADD, {}),
            ("patients:AddCompartment", ADD, ADDED | sealed([LATER], 1, GINA, PAUL)),
        )
    ),
    Row("by a guardian", "ROLE_FORBIDDEN", GUARDIAN, "consents:Order", ORDER, TEXT),
    Row("by a guardian who does not read", "GUARDIAN_SCOPE", GUARDIAN, "sessions:Open", opened("x", "PATRQT")),
    rotate("not for the guardians", "ENVELOPE_MISSING", GUARDIAN),
    add("not for the guardians", "ENVELOPE_MISSING", GUARDIAN),
]
GUARDIAN_SUCCESSES = [
    Success("by a guardian", GUARDIAN, "consents:Grant", DENY),
    Success("by a guardian", GUARDIAN, "consents:PreviewRevoke", {"patient": ALICE, "everything": True}),
    Success("by a guardian", GUARDIAN, "consents:List", {"patient": ALICE}),
    Success("by a guardian", GUARDIAN, "consents:Explain", EXPLAIN),
    Success("by a guardian", GUARDIAN, "keys:PreviewRotate", {"patient": ALICE, "compartments": [K[4]]}),
    Success("by a guardian", GUARDIAN, "keys:Rotate", ROTATE, GUARDED),
    Success("by a guardian", GUARDIAN, "keys:GetForHanding", {"patient": ALICE}),
    Success("by a guardian", GUARDIAN, "patients:PreviewAddCompartment", ADD),
    Success("by a guardian", GUARDIAN, "patients:AddCompartment", ADD, ADDED | sealed([LATER], 1, GINA, PAUL)),
]


@pytest.mark.parametrize("row", GUARDIAN_ROWS, ids=by_name)
def test_refused_with_guardians(guarded_chain: Chain, row: Row) -> None:
    check_refused(guarded_chain.copy(), row)


@pytest.mark.parametrize("row", GUARDIAN_SUCCESSES, ids=by_name)
def test_a_guardian_who_consents_does_all_that_the_patient_does(guarded_chain: Chain, row: Success) -> None:
    guarded_chain.copy().call(row.caller, row.function, row.arguments, row.transient)


def test_a_guardian_gets_its_own_envelopes_of_every_epoch(guarded_chain: Chain) -> None:
    found = guarded_chain.evaluate(GUARDIAN, "keys:GetForHanding", {"patient": ALICE})["envelopes"]
    assert [(one["compartment"], one["epoch"]) for one in found] == [
        *((one, 1) for one in K[:4]),
        (K[3], 2),
        (K[4], 1),
    ]
