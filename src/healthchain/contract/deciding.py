"""Who may do what with a patient's compartments: the rule that combines consents.

For one person, one action and one purpose each compartment is decided by itself, by the consents in force that cover
it. The most specific level that has one decides: the person, then the role, then the organisation, then the default.
Within a level a deny wins. The default, where no consent says anything: the custodian's own clinicians read for care.
A person whom a consent excepts is denied by it at the level of the person. See docs/decisions/0012.

What a custodian writes is not decided here: it has a duty to document, and no consent can end that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from healthchain.chaincode.stub import Stub
from healthchain.contract.consents import CONSENTS, Consent, Decision
from healthchain.contract.ids import Action, Purpose, Role
from healthchain.contract.patients import Patient

CUSTODIAN_PURPOSES = frozenset((Purpose.TREAT, Purpose.ETREAT, Purpose.HOPERAT))


class Level(StrEnum):
    """From the most specific to the least."""

    PERSON = "person"
    ROLE = "role"
    ORGANISATION = "organisation"
    DEFAULT = "default"


class Person(NamedTuple):
    """Somebody at a member, as their certificate says."""

    msp_id: str
    role: str | None
    common_name: str


class Use(NamedTuple):
    """What somebody wants to do, and when. Without a purpose, a consent for any purpose covers it."""

    action: Action
    purpose: Purpose | None
    now_ms: int


class Verdict(NamedTuple):
    """`consent` is the id of the one that decided, the first by id where several say the same."""

    permitted: bool
    level: Level
    consent: str | None


class _Provision(NamedTuple):
    level: Level
    decision: Decision
    consent: Consent


def decide(
    who: Person, patient: Patient, consents: Iterable[Consent], use: Use, compartments: Iterable[str]
) -> dict[str, Verdict]:
    """Compartment -> verdict. `consents` are those given to the person's organisation; the others say nothing here."""
    provisions = sorted(
        (one for consent in consents if _covers(consent, use) for one in _provisions(consent, who)),
        key=lambda one: (one.decision is Decision.PERMIT, one.consent.id),  # within a level a deny comes first
    )
    return {one: _verdict(who, patient, provisions, use, one) for one in sorted(compartments)}


def _covers(consent: Consent, use: Use) -> bool:
    purpose_fits = use.purpose is None or use.purpose in consent.purposes
    return consent.in_force(use.now_ms) and use.action in consent.actions and purpose_fits


def _provisions(consent: Consent, who: Person) -> Iterator[_Provision]:
    """What one consent says of this person: one thing at most."""
    if consent.person is not None:
        if consent.person == who.common_name:
            yield _Provision(Level.PERSON, consent.decision, consent)
    elif consent.role is not None and consent.role != who.role:
        return
    elif who.common_name in consent.exceptions:
        yield _Provision(Level.PERSON, Decision.DENY, consent)
    else:
        level = Level.ORGANISATION if consent.role is None else Level.ROLE
        yield _Provision(level, consent.decision, consent)


def _verdict(who: Person, patient: Patient, provisions: Sequence[_Provision], use: Use, compartment: str) -> Verdict:
    for level in Level:
        for one in provisions:
            if one.level is level and compartment in one.consent.compartments:
                return Verdict(one.decision is Decision.PERMIT, level, one.consent.id)
    by_default = (
        who.msp_id == patient.custodian
        and who.role == Role.CLINICIAN
        and use.action is Action.READ
        and use.purpose in CUSTODIAN_PURPOSES
    )
    return Verdict(by_default, Level.DEFAULT, None)


def permitted(
    stub: Stub, patient_id: str, patient: Patient, action: Action, purpose: Purpose | None = None
) -> frozenset[str]:
    """The compartments that the caller, a member's staff, may use so now."""
    verdicts = _of_caller(stub, patient_id, patient, action, purpose)
    return frozenset(one for one, verdict in verdicts.items() if verdict.permitted)


def emergency_compartments(stub: Stub, patient_id: str, patient: Patient) -> frozenset[str]:
    """What breaking the glass opens to the caller: all but what a consent keeps from them even in an emergency."""
    verdicts = _of_caller(stub, patient_id, patient, Action.READ, Purpose.ETREAT)
    return frozenset(one for one, verdict in verdicts.items() if verdict.permitted or verdict.level is Level.DEFAULT)


def _of_caller(
    stub: Stub, patient_id: str, patient: Patient, action: Action, purpose: Purpose | None
) -> dict[str, Verdict]:
    caller = stub.caller
    who = Person(caller.msp_id, caller.role, caller.common_name)
    given = (consent for _, consent in CONSENTS.scan(stub, patient_id, caller.msp_id))
    return decide(who, patient, given, Use(action, purpose, stub.timestamp_ms), patient.compartments)
