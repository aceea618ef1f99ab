"""Guardians: who appoints them, what they may do in the patient's place, and what their end leaves."""

from __future__ import annotations

from typing import Any

import pytest

from .chain import START_MS, Chain
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    AGENT,
    ALICE,
    BOB,
    BY_PATIENT,
    CAROL,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    FORGED_PATIENT,
    HOUR,
    KEY,
    NOBODY,
    OFFICER,
    OTHER_PATIENT,
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
    sealed,
    written,
)
from .table import Row, Success, by_name, check_refused

GINA, PAUL, FRIDA, OLAF = (ident(name) for name in ("gina", "paul", "frida", "olaf"))
GUARDIAN = person("HospitalA", GINA, "guardian")  # reads and consents
PROXY = person("HospitalA", PAUL, "guardian")  # follows claims
FUTURE = person("HospitalA", FRIDA, "guardian")  # from tomorrow on
FORMER = person("HospitalA", OLAF, "guardian")
FORGED_GUARDIAN = person("HospitalB", GINA, "guardian")
NEW_GUARDIAN = ident("newly appointed")


def appointed(guardian: str, **changes: Any) -> dict[str, Any]:
    return {
        "patient": ALICE,
        "guardian": guardian,
        "scopes": ["read", "consent"],
        "start_ms": START_MS,
        "end_ms": START_MS + 90 * DAY,
        "public_key": KEY,
    } | changes


def all_keys(recipient: str) -> dict[str, bytes]:
    """Of Alice: every epoch of each compartment."""
    return sealed(K, 1, recipient) | sealed(K[3:4], 2, recipient)


@pytest.fixture(scope="module")
def built(built_chain: Chain) -> Chain:
    """Gina reads and consents, Paul follows claims, Frida starts tomorrow, Olaf's office has ended."""
    chain = built_chain.copy()
    for one, changes in (
        (GINA, {}),
        (PAUL, {"scopes": ["claims"]}),
        (FRIDA, {"start_ms": START_MS + DAY}),
        (OLAF, {"scopes": ["claims"]}),
    ):
        arguments = appointed(one, **changes)
        chain.submit(DOCTOR_A, "guardians:Appoint", arguments, {} if "scopes" in changes else all_keys(one))
    chain.submit(PATIENT, "guardians:End", ended(OLAF))
    return chain


@pytest.fixture
def chain(built: Chain) -> Chain:
    return built.copy()


def ended(guardian: str, patient: str = ALICE) -> dict[str, str]:
    return {"patient": patient, "guardian": guardian}


APPOINT = appointed(NEW_GUARDIAN)
ENVELOPES = all_keys(NEW_GUARDIAN)
NARROW = appointed(NEW_GUARDIAN, scopes=["claims"])


def appoint(name: str, code: str, caller: Any = DOCTOR_A, transient: Any = ENVELOPES, **changes: Any) -> Row:
    return Row(name, code, caller, "guardians:Appoint", APPOINT | changes, transient)


APPOINT_ROWS = [
    appoint("by a stranger", "MEMBER_UNKNOWN", STRANGER),
    appoint("by nobody", "ROLE_FORBIDDEN", NOBODY),
    appoint("by the patient", "ROLE_FORBIDDEN", PATIENT),
    appoint("by a guardian", "ROLE_FORBIDDEN", GUARDIAN),
    appoint("by the agency", "ROLE_FORBIDDEN", OFFICER),
    appoint("by an insurer", "ROLE_FORBIDDEN", AGENT),
    appoint("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B),
    appoint("for an unknown patient", "PATIENT_UNKNOWN", patient=CAROL),
    appoint("for an erased patient", "PATIENT_ERASED", patient=BOB),
    appoint("the patient itself", "ARGUMENTS_INVALID", transient=all_keys(ALICE), guardian=ALICE),
    appoint("a name", "ARGUMENTS_INVALID", guardian="Gina"),
    appoint("an organisation", "ARGUMENTS_INVALID", guardian="HospitalB"),
    appoint("for nothing", "ARGUMENTS_INVALID", scopes=[]),
    appoint("for an unknown scope", "ARGUMENTS_INVALID", scopes=["erase"]),
    appoint("without a key", "ARGUMENTS_INVALID", public_key=""),
    appoint("for no time", "PERIOD_INVALID", end_ms=START_MS),
    appoint("that is over", "PERIOD_INVALID", end_ms=START_MS + HOUR),
    appoint("twice", "GUARDIAN_EXISTS", transient=all_keys(GINA), guardian=GINA),
    appoint("twice, ahead", "GUARDIAN_EXISTS", transient=all_keys(FRIDA), guardian=FRIDA),
    appoint("without envelopes", "ENVELOPE_MISSING", transient={}),
    appoint("without those of an older epoch", "ENVELOPE_MISSING", transient=sealed(K[:3], 1, NEW_GUARDIAN)),
    appoint("with another's", "ENVELOPE_UNEXPECTED", transient=ENVELOPES | sealed(K[:1], 1, "HospitalB")),
    appoint("with what it does not need", "ENVELOPE_UNEXPECTED", scopes=["claims"]),
]

ROWS = [
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "guardians:End", ended(GINA)),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "guardians:End", ended(GINA)),
    Row("by another hospital", "NOT_THE_CUSTODIAN", ADMIN_B, "guardians:End", ended(GINA)),
    Row("by the agency", "ROLE_FORBIDDEN", OFFICER, "guardians:End", ended(GINA)),
    Row("by the guardian", "NOT_THE_CUSTODIAN", GUARDIAN, "guardians:End", ended(GINA)),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "guardians:End", ended(GINA)),
    Row("by a forged patient", "NOT_THE_PATIENT", FORGED_PATIENT, "guardians:End", ended(GINA)),
    Row("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_A, "guardians:End", ended(GINA, CAROL)),
    Row("of an erased patient", "PATIENT_ERASED", DOCTOR_A, "guardians:End", ended(GINA, BOB)),
    Row("never appointed", "GUARDIAN_UNKNOWN", DOCTOR_A, "guardians:End", ended(NEW_GUARDIAN)),
    Row("ended before", "GUARDIAN_UNKNOWN", DOCTOR_A, "guardians:End", ended(OLAF)),
    Row("over", "GUARDIAN_UNKNOWN", DOCTOR_A, "guardians:End", ended(GINA), later_ms=90 * DAY),
    Row("by a stranger", "MEMBER_UNKNOWN", STRANGER, "guardians:List", {"patient": ALICE}),
    Row("by nobody", "ROLE_FORBIDDEN", NOBODY, "guardians:List", {"patient": ALICE}),
    Row("by another hospital", "NOT_THE_CUSTODIAN", DOCTOR_B, "guardians:List", {"patient": ALICE}),
    Row("by an insurer", "NOT_THE_CUSTODIAN", AGENT, "guardians:List", {"patient": ALICE}),
    Row("by another patient", "NOT_THE_PATIENT", OTHER_PATIENT, "guardians:List", {"patient": ALICE}),
    Row("by a former guardian", "GUARDIAN_SCOPE", FORMER, "guardians:List", {"patient": ALICE}),
    Row("by a forged guardian", "GUARDIAN_SCOPE", FORGED_GUARDIAN, "guardians:List", {"patient": ALICE}),
    Row("of an unknown patient", "PATIENT_UNKNOWN", DOCTOR_A, "guardians:List", {"patient": CAROL}),
    Row("by a former guardian", "GUARDIAN_SCOPE", FORMER, "patients:Get", {"patient": ALICE}),
    Row("by a guardian of another", "GUARDIAN_SCOPE", GUARDIAN, "patients:Get", {"patient": BOB}),
    Row("by a guardian ahead", "GUARDIAN_SCOPE", FUTURE, "sessions:Open", opened("ahead", "PATRQT")),
    Row("by a guardian for claims", "GUARDIAN_SCOPE", PROXY, "sessions:Open", opened("claims", "PATRQT")),
    Row("by a forged guardian", "GUARDIAN_SCOPE", FORGED_GUARDIAN, "sessions:Open", opened("forged", "PATRQT")),
    Row("by a guardian for care", "PURPOSE_FORBIDDEN", GUARDIAN, "sessions:Open", opened("care", "TREAT")),
    Row(
        "by a guardian whose time is over",
        "GUARDIAN_SCOPE",
        GUARDIAN,
        "sessions:Open",
        opened("too late", "PATRQT", end_ms=START_MS + 90 * DAY + 2 * HOUR),
        later_ms=90 * DAY,
    ),
    Row(
        "by a guardian for claims",
        "GUARDIAN_SCOPE",
        PROXY,
        "consents:Grant",
        granted("by proxy", "Insurer", K[1:2], "HPAYMT"),
        sealed(K[1:2], 1, "Insurer"),
    ),
    Row("by a guardian", "NOT_THE_CUSTODIAN", GUARDIAN, "records:Erase", {"patient": ALICE, "records": [R1]}),
    Row("by a guardian", "NOT_THE_CUSTODIAN", GUARDIAN, "patients:Erase", {"patient": ALICE}),
    Row(
        "in the patient's session",
        "SESSION_OF_ANOTHER_USER",
        GUARDIAN,
        "sessions:Close",
        {"id": BY_PATIENT, "patient": ALICE},
    ),
]

SUCCESSES = [
    Success("by a clinician", DOCTOR_A, "guardians:Appoint", APPOINT, ENVELOPES),
    Success("by an administrator", ADMIN_A, "guardians:Appoint", APPOINT, ENVELOPES),
    Success("for claims", DOCTOR_A, "guardians:Appoint", NARROW),
    Success("again", DOCTOR_A, "guardians:Appoint", appointed(OLAF), all_keys(OLAF)),
    Success("by a clinician", DOCTOR_A, "guardians:End", ended(GINA)),
    Success("by the patient", PATIENT, "guardians:End", ended(GINA)),
    Success("ahead", PATIENT, "guardians:End", ended(FRIDA)),
    Success("by the patient", PATIENT, "guardians:List", {"patient": ALICE}),
    Success("by a guardian", PROXY, "guardians:List", {"patient": ALICE}),
    Success("by a clinician", DOCTOR_A, "guardians:List", {"patient": ALICE}),
    Success("by the agency", OFFICER, "guardians:List", {"patient": ALICE}),
    Success("by a guardian", GUARDIAN, "sessions:Open", opened("by guardian", "PATRQT")),
    Success("by a guardian", GUARDIAN, "patients:Get", {"patient": ALICE}),
    Success("by a guardian", GUARDIAN, "consents:List", {"patient": ALICE}),
    Success(
        "by a guardian",
        GUARDIAN,
        "consents:Grant",
        granted("by guardian", "Insurer", K[1:2], "HPAYMT"),
        sealed(K[1:2], 1, "Insurer"),
    ),
]


@pytest.mark.parametrize("row", [*APPOINT_ROWS, *ROWS], ids=by_name)
def test_refused(chain: Chain, row: Row) -> None:
    check_refused(chain, row)


@pytest.mark.parametrize("row", SUCCESSES, ids=by_name)
def test_succeeds(chain: Chain, row: Success) -> None:
    chain.call(row.caller, row.function, row.arguments, row.transient)


def test_a_guardian_reads_with_envelopes_of_its_own(chain: Chain) -> None:
    session = opened("by guardian", "PATRQT")
    chain.submit(GUARDIAN, "sessions:Open", session)
    asked = {"session": session["id"], "patient": ALICE}
    found = chain.evaluate(GUARDIAN, "keys:Get", asked)["envelopes"]
    assert {f"{one['compartment']}/{one['epoch']}/{GINA}" for one in found} == set(all_keys(GINA))
    read = chain.evaluate(GUARDIAN, "records:Read", asked | {"records": [R1]})
    assert [one["id"] for one in read["records"]] == [R1]


def test_the_end_purges_and_makes_new_keys_due(chain: Chain) -> None:
    session = opened("by guardian", "PATRQT")
    chain.submit(GUARDIAN, "sessions:Open", session)
    chain.submit(PATIENT, "guardians:End", ended(GINA))
    assert not [key for _, key in chain.memory.values if key.endswith(GINA)]
    read = {"session": session["id"], "patient": ALICE, "records": [R1]}
    check_refused(chain, Row("ended", "GUARDIAN_SCOPE", GUARDIAN, "records:Read", read))
    assert chain.evaluate(DOCTOR_A, "patients:Get", {"patient": ALICE})["rekey"] == list(K)
    new = ident("after the end")
    write = {"patient": ALICE, "records": [written(new, 1, K[0])]}
    check_refused(chain, Row("due", "REKEY_DUE", DOCTOR_A, "records:Write", write, body(new, 1)))


def test_the_end_of_one_without_keys_makes_nothing_due(chain: Chain) -> None:
    chain.submit(PATIENT, "guardians:End", ended(PAUL))
    assert chain.evaluate(DOCTOR_A, "patients:Get", {"patient": ALICE})["rekey"] == []


def test_a_revocation_by_a_guardian_seals_to_guardians_too(chain: Chain) -> None:
    revoking = {"patient": ALICE, "consents": [TO_B]}
    plan = chain.evaluate(GUARDIAN, "consents:PreviewRevoke", revoking)["rekeys"]
    recipients = {one["compartment"]: one["recipients"] for one in plan}
    assert recipients[K[1]] == sorted(["HospitalA", ALICE, GINA, FRIDA])
    fresh = {key: value for one in plan for key, value in sealed([one["compartment"]], 2, *one["recipients"]).items()}
    epochs = {one["compartment"]: 2 for one in plan}
    chain.submit(GUARDIAN, "consents:Revoke", revoking | {"new_epochs": epochs}, fresh)
    listed = chain.evaluate(GUARDIAN, "consents:List", {"patient": ALICE})["consents"]
    assert {one["ended_by"] for one in listed if one["id"] == TO_B} == {f"HospitalA/{GINA}"}


def test_guardians_are_listed_with_who_ended_them(chain: Chain) -> None:
    listed = {one["id"]: one for one in chain.evaluate(PATIENT, "guardians:List", {"patient": ALICE})["guardians"]}
    assert listed.keys() == {GINA, PAUL, FRIDA, OLAF}
    assert listed[GINA] == {
        "scopes": ["consent", "read"],
        "start_ms": START_MS,
        "end_ms": START_MS + 90 * DAY,
        "public_key": KEY,
        "by": "HospitalA/doctor",
        "time_ms": START_MS + HOUR,
        "ended_ms": None,
        "ended_by": None,
        "id": GINA,
    }
    assert (listed[OLAF]["ended_ms"], listed[OLAF]["ended_by"]) == (START_MS + HOUR, "HospitalA/alice")
