"""The combining rule against its plain twin, and each sentence of it by an example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthchain.contract.consents import Consent, ConsentStatus, Decision
from healthchain.contract.deciding import Level, Person, Use, decide
from healthchain.contract.ids import Action, Purpose, Role
from healthchain.contract.patients import Patient, PatientStatus

NOW = 1000
PATIENT = Patient("Home", PatientStatus.ACTIVE, {"a": 1, "b": 1})
DOCTOR = Person("Clinic", "clinician", "doctor")
NURSE = Person("Clinic", "clinician", "nurse")
HOME_DOCTOR = Person("Home", "clinician", "doctor")
READ = Use(Action.READ, Purpose.TREAT, NOW)


def consent(name: str, decision: str = "permit", compartments: Sequence[str] = ("a",), **changes: Any) -> Consent:
    fields: dict[str, Any] = {
        "id": name,
        "grantee": "Clinic",
        "compartments": tuple(compartments),
        "purposes": (Purpose.TREAT,),
        "actions": (Action.READ,),
        "start_ms": 0,
        "end_ms": 2000,
        "status": ConsentStatus.ACTIVE,
        "granted_by": "Home/alice",
        "granted_ms": 0,
        "decision": Decision(decision),
    }
    return Consent(**fields | changes)


def verdict(who: Person, *consents: Consent, use: Use = READ) -> tuple[bool, str, str | None]:
    return tuple(decide(who, PATIENT, consents, use, ("a",))["a"])  # type: ignore[return-value]


EXAMPLES = [
    ("nothing", DOCTOR, [], (False, "default", None)),
    ("the custodian's clinician", HOME_DOCTOR, [], (True, "default", None)),
    ("the custodian's administrator", Person("Home", "administrator", "x"), [], (False, "default", None)),
    ("a permit", DOCTOR, [consent("p")], (True, "organisation", "p")),
    ("a permit of another compartment", DOCTOR, [consent("p", compartments="b")], (False, "default", None)),
    ("a permit for another purpose", DOCTOR, [consent("p", purposes=(Purpose.HPAYMT,))], (False, "default", None)),
    ("a permit for another action", DOCTOR, [consent("p", actions=(Action.CONTRIBUTE,))], (False, "default", None)),
    ("a permit that is over", DOCTOR, [consent("p", end_ms=NOW)], (False, "default", None)),
    ("a permit that lies ahead", DOCTOR, [consent("p", start_ms=NOW + 1)], (False, "default", None)),
    ("a permit that was revoked", DOCTOR, [consent("p", status=ConsentStatus.REVOKED)], (False, "default", None)),
    ("deny wins in a level", DOCTOR, [consent("p"), consent("q", "deny")], (False, "organisation", "q")),
    ("a role before all", DOCTOR, [consent("p", role=Role.CLINICIAN), consent("q", "deny")], (True, "role", "p")),
    ("another role", DOCTOR, [consent("p", role=Role.ADMINISTRATOR)], (False, "default", None)),
    (
        "a person before a role",
        DOCTOR,
        [consent("p", person="doctor"), consent("q", "deny", role=Role.CLINICIAN)],
        (True, "person", "p"),
    ),
    ("another person", NURSE, [consent("p", person="doctor")], (False, "default", None)),
    ("a person denied", DOCTOR, [consent("p"), consent("q", "deny", person="doctor")], (False, "person", "q")),
    ("a person excepted", DOCTOR, [consent("p", exceptions=("doctor",))], (False, "person", "p")),
    ("a person not excepted", NURSE, [consent("p", exceptions=("doctor",))], (True, "organisation", "p")),
    (
        "an exception from a role",
        DOCTOR,
        [consent("p", role=Role.CLINICIAN, exceptions=("doctor",))],
        (False, "person", "p"),
    ),
    (
        "excepted from one, permitted by another",
        DOCTOR,
        [consent("p", exceptions=("doctor",)), consent("q")],
        (False, "person", "p"),
    ),
    ("the first by id", DOCTOR, [consent("q"), consent("p")], (True, "organisation", "p")),
    ("a denial of the custodian's", HOME_DOCTOR, [consent("q", "deny", grantee="Home")], (False, "organisation", "q")),
]


@pytest.mark.parametrize(("name", "who", "consents", "expected"), EXAMPLES, ids=[one[0] for one in EXAMPLES])
def test_example(name: str, who: Person, consents: list[Consent], expected: tuple[bool, str, str | None]) -> None:
    assert verdict(who, *consents) == expected


@pytest.mark.parametrize("purpose", list(Purpose))
def test_the_custodians_clinicians_read_for_care(purpose: Purpose) -> None:
    care = purpose in {Purpose.TREAT, Purpose.ETREAT, Purpose.HOPERAT}
    assert verdict(HOME_DOCTOR, use=Use(Action.READ, purpose, NOW)) == (care, "default", None)
    assert verdict(HOME_DOCTOR, use=Use(Action.CONTRIBUTE, purpose, NOW)) == (False, "default", None)


PERSONS = [
    Person(msp, role, name) for msp in ("Home", "Clinic") for role in ("clinician", "administrator") for name in "xy"
]
CONSENTS = st.builds(
    consent,
    name=st.sampled_from("pqrst"),
    decision=st.sampled_from(["permit", "deny"]),
    compartments=st.sampled_from(["a", "b", "ab"]),
    purposes=st.sampled_from([(Purpose.TREAT,), (Purpose.HPAYMT,), (Purpose.HPAYMT, Purpose.TREAT)]),
    actions=st.sampled_from([(Action.READ,), (Action.CONTRIBUTE,), (Action.CONTRIBUTE, Action.READ)]),
    start_ms=st.sampled_from([0, NOW, NOW + 1]),
    end_ms=st.sampled_from([NOW, NOW + 1]),
    status=st.sampled_from(list(ConsentStatus)),
    role=st.sampled_from([None, None, Role.CLINICIAN]),
    person=st.sampled_from([None, None, None, "x"]),
    exceptions=st.sampled_from([(), ("x",), ("x", "y")]),
)
USES = st.builds(
    Use, st.sampled_from(list(Action)), st.sampled_from([None, Purpose.TREAT, Purpose.HPAYMT]), st.just(NOW)
)


def twin(who: Person, consents: list[Consent], use: Use, compartment: str) -> bool:
    """In the words of the rule: look at the person, then the role, then the organisation, then the default."""
    said: dict[str, set[str]] = {"person": set(), "role": set(), "organisation": set()}
    for one in consents:
        running = one.status == "active" and one.start_ms <= use.now_ms < one.end_ms
        covers = compartment in one.compartments and use.action in one.actions
        if not (running and covers and (use.purpose is None or use.purpose in one.purposes)):
            continue
        if one.person:
            if one.person == who.common_name:
                said["person"].add(one.decision)
            continue
        if one.role and one.role != who.role:
            continue
        if who.common_name in one.exceptions:
            said["person"].add("deny")
        else:
            said["role" if one.role else "organisation"].add(one.decision)
    for level in ("person", "role", "organisation"):
        if said[level]:
            return said[level] == {"permit"}
    care = use.purpose in {"TREAT", "ETREAT", "HOPERAT"}
    return who.msp_id == "Home" and who.role == "clinician" and use.action == "read" and care


@given(st.sampled_from(PERSONS), st.lists(CONSENTS, max_size=6), USES)
@settings(max_examples=400)
def test_against_the_twin(who: Person, consents: list[Consent], use: Use) -> None:
    found = decide(who, PATIENT, consents, use, PATIENT.compartments)
    assert {one: verdict.permitted for one, verdict in found.items()} == {
        one: twin(who, consents, use, one) for one in PATIENT.compartments
    }
    for one, (permitted, level, by) in found.items():
        assert (by is None) == (level is Level.DEFAULT)
        if by is not None and not permitted:  # without what denied, that level denies no more or another of it does
            rest = [each for each in consents if each.id != by]
            again = decide(who, PATIENT, rest, use, (one,))[one]
            assert again.consent != by
