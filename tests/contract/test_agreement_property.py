"""Random histories of all areas at once against `agreement_model`: on two simulated peers each time, and in the end on
all peers of an embedded network, which must have come to the same answers, refusals and equal states.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from healthchain.chaincode.stub import Caller
from healthchain.errors import HealthChainError, Refused

from .agreement_model import (
    ANSWER_MS,
    APPEAL_MS,
    GUARDIAN,
    PROPOSAL_MS,
    REVIEW_MS,
    Claim,
    Consent,
    Model,
    Proposal,
    Record,
    Report,
    Review,
    Session,
)
from .chain import START_MS, Chain
from .claims_stage import digest
from .consortium import (
    ADMIN_A,
    ADMIN_B,
    ADMIN_I,
    AGENT,
    ALICE,
    DAY,
    DOCTOR_A,
    DOCTOR_B,
    FORGED_PATIENT,
    HOUR,
    KEY,
    MEMBERS,
    OFFICER,
    PATIENT,
    K,
    ident,
    license_all,
    person,
    register,
    sealed,
    written,
)
from .mirror import Mirror, make

ADMIN_G = person("Agency", "admin", "administrator")
NURSE_B = person("HospitalB", "nurse", "clinician")
WARDEN = person("HospitalA", GUARDIAN, "guardian")
PEOPLE = [DOCTOR_A, DOCTOR_B, NURSE_B, AGENT, OFFICER, PATIENT, WARDEN, FORGED_PATIENT, ADMIN_A]
ADMINS = [ADMIN_A, ADMIN_B, ADMIN_I, ADMIN_G]
CALLERS = st.sampled_from(PEOPLE)
ORGANISATIONS = st.sampled_from(["HospitalB", "Insurer", "Agency"])
PURPOSES = ["TREAT", "ETREAT", "HPAYMT", "PUBHLTH", "PATRQT"]
COMPARTMENTS = st.sets(st.sampled_from(K[:3]), min_size=1)
RECORDS = st.sampled_from([ident(f"record {number}") for number in range(3)])
ENCOUNTER, COVERAGE = ident("encounter"), ident("coverage")
STEPS = {
    "submitted": {"approve": "adjudicated", "deny": "denied", "withdraw": "withdrawn"},
    "adjudicated": {"settle": "settled", "appeal": "appealed"},
    "denied": {"appeal": "appealed"},
    "settled": {"appeal": "appealed"},
    "appealed": {"approve": "final", "deny": "closed"},
    "final": {"settle": "closed"},
}
USUAL = {
    "clinician": "TREAT",
    "administrator": "HOPERAT",
    "claims-agent": "HPAYMT",
    "health-officer": "PUBHLTH",
    "patient": "PATRQT",
    "guardian": "PATRQT",
}
Transient = dict[str, bytes]


class Call(NamedTuple):
    now_ms: int
    caller: Caller
    function: str
    arguments: dict[str, Any]
    transient: Transient
    allowed: bool
    answer: Any


class Agreement(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.chain, self.model = Chain(), Model()
        self.model.now_ms = self.chain.now_ms
        self.calls: list[Call] = []
        self.count = 0

    @initialize()
    def begin(self) -> None:
        self.chain.submit = self.recorded(self.chain.submit)  # type: ignore[method-assign]
        self.chain.submit(ADMIN_A, "members:Found", {"members": MEMBERS})
        license_all(self.chain)
        register(self.chain, ALICE)
        first = {"patient": ALICE, "records": [written(ENCOUNTER, 1, K[0])]}
        self.chain.submit(DOCTOR_A, "records:Write", first, {f"{ENCOUNTER}/1": b"encounter"})
        self.model.records[ENCOUNTER] = Record(K[0], 1, "HospitalA")
        secret = {"patient": ALICE, "record": ENCOUNTER, "commitment": digest("secret")}
        self.chain.submit(DOCTOR_A, "claims:BindEncounter", secret)
        period = {"start_ms": self.model.now_ms, "end_ms": self.model.now_ms + 900 * DAY, "rank": 1}
        covering = {"id": COVERAGE, "patient": ALICE} | period
        self.chain.submit(AGENT, "coverage:Enrol", covering, {f"coverage/{ALICE}/{COVERAGE}/body": b"plan"})

    def recorded(self, submit: Callable[..., Any]) -> Callable[..., Any]:
        def run(caller: Caller, function: str, arguments: Any, transient: Transient | None = None) -> Any:
            answer = submit(caller, function, arguments, transient)
            self.calls.append(Call(self.chain.now_ms, caller, function, arguments, transient or {}, True, answer))
            return answer

        return run

    def attempt(
        self,
        allowed: bool,
        caller: Caller,
        function: str,
        arguments: dict[str, Any],
        transient: Transient | None = None,
    ) -> Any:
        try:
            answer = self.chain.call(caller, function, arguments, transient)
        except Refused as refused:
            if allowed:
                raise AssertionError(f"{function} was refused") from refused
            self.calls.append(Call(self.chain.now_ms, caller, function, arguments, transient or {}, False, None))
            return None
        assert allowed, f"{function} should have been refused"
        if not self.calls or self.calls[-1].function != function or self.calls[-1].answer is not answer:
            self.calls.append(Call(self.chain.now_ms, caller, function, arguments, transient or {}, True, answer))
        return answer

    def new_id(self) -> str:
        self.count += 1
        return ident(f"number {self.count}")

    def a_session(self, number: int) -> str:
        """One that runs, if any does."""
        running = {name: one for name, one in self.model.sessions.items() if self.model.now_ms < one.end_ms}
        return self.one_of(running or self.model.sessions, number)

    def one_of(self, known: dict[str, Any], number: int) -> str:
        """An id of one that there is, or of none."""
        return list(known)[number % len(known)] if known else ident("none")

    @precondition(lambda self: self.model.now_ms < START_MS + 300 * DAY)  # certificates last for a year
    @rule(hours=st.sampled_from([1, 3, 24, 24 * 8, 24 * 40]))
    def wait(self, hours: int) -> None:
        self.chain.now_ms += hours * HOUR
        self.model.now_ms = self.chain.now_ms

    # Governance and licences

    @rule(
        kind=st.sampled_from(["suspend", "resume"]),
        about=st.sampled_from(["HospitalA", "HospitalB", "Insurer", "Agency"]),
        by=st.sampled_from(ADMINS),
    )
    def propose_standing(self, kind: str, about: str, by: Caller) -> None:
        self.propose(Proposal(kind, about, 0), {"change": f"{kind}-member", "msp_id": about}, by)

    @rule(hours=st.integers(1, 24), by=st.sampled_from([*ADMINS, DOCTOR_A]))
    def propose_policy(self, hours: int, by: Caller) -> None:
        change = {"change": "change-policies", "values": {"session_ms_max": hours * HOUR}}
        self.propose(Proposal("policy", hours * HOUR, 0), change, by)

    def propose(self, proposal: Proposal, change: dict[str, Any], by: Caller) -> None:
        allowed = self.model.acts(by, "administrator") and self.model.makes_sense(proposal.kind, proposal.about)
        proposal_id = self.new_id()
        self.attempt(allowed, by, "governance:Propose", {"id": proposal_id, "change": change})
        if allowed:
            proposal.expires_ms = self.model.now_ms + PROPOSAL_MS
            self.model.proposals[proposal_id] = proposal

    @precondition(lambda self: any(not one.decided for one in self.model.proposals.values()))
    @rule(number=st.integers(0, 9), by=st.sampled_from(ADMINS), in_favour=st.sampled_from([True, True, False]))
    def vote(self, number: int, by: Caller, in_favour: bool) -> None:
        open_ones = {name: one for name, one in self.model.proposals.items() if not one.decided}
        proposal_id = self.one_of(open_ones, number)
        proposal = self.model.proposals[proposal_id]
        allowed = (
            self.model.acts(by, "administrator")
            and self.model.now_ms < proposal.expires_ms
            and by.msp_id in self.model.eligible(proposal)
            and by.msp_id not in proposal.votes
        )
        self.attempt(allowed, by, "governance:Vote", {"id": proposal_id, "in_favour": in_favour})
        if allowed:
            self.model.vote(proposal, by.msp_id, in_favour=in_favour)

    @rule(
        holder=st.sampled_from(["HospitalA", "HospitalB", "HospitalB/doctor"]), by=st.sampled_from([OFFICER, ADMIN_A])
    )
    def turn_licence(self, holder: str, by: Caller) -> None:
        """Suspend or reinstate, whichever is possible."""
        function = "licences:Suspend" if self.model.licensed[holder] else "licences:Reinstate"
        allowed = by is OFFICER and self.model.acts(by)
        self.attempt(allowed, by, function, {"holder": holder})
        if allowed:
            self.model.licensed[holder] = not self.model.licensed[holder]

    # Consent and keys

    @rule(
        grantee=st.sampled_from(["HospitalB", "HospitalB", "Insurer", "Agency", "HospitalA"]),
        decision=st.sampled_from(["permit", "permit", "deny"]),
        to=st.sampled_from([{}, {}, {"person": "doctor"}, {"role": "clinician"}, {"exceptions": ["nurse"]}]),
        compartments=COMPARTMENTS,
        purposes=st.sets(st.sampled_from(PURPOSES[:4]), min_size=1),
        actions=st.sets(st.sampled_from(["read", "contribute"]), min_size=1),
        hours=st.sampled_from([2, 12, 24 * 30]),
        by=st.sampled_from([PATIENT, PATIENT, PATIENT, WARDEN, FORGED_PATIENT, DOCTOR_A]),
    )
    def grant(
        self,
        grantee: str,
        decision: str,
        to: dict[str, Any],
        compartments: set[str],
        purposes: set[str],
        actions: set[str],
        hours: int,
        by: Caller,
    ) -> None:
        if decision == "deny" and "exceptions" in to:
            to = {}
        if to.get("role") == "clinician" and not grantee.startswith("Hospital"):
            to = {}
        exceptions = tuple(to.get("exceptions", ()))
        consent = Consent(
            grantee,
            decision,
            compartments,
            purposes,
            actions,
            self.model.now_ms + hours * HOUR,
            to.get("person"),
            to.get("role"),
            exceptions,
        )
        required = set()
        if decision == "permit":
            current = {(one, self.model.epochs[one], grantee) for one in compartments}
            required = current - self.model.envelopes
        allowed = (
            self.model.speaks(by)
            and self.model.active[grantee]
            and not (decision == "permit" and grantee == "HospitalA")
        )
        consent_id = self.new_id()
        arguments = {
            "id": consent_id,
            "patient": ALICE,
            "grantee": grantee,
            "decision": decision,
            "compartments": sorted(compartments),
            "purposes": sorted(purposes),
            "actions": sorted(actions),
            "start_ms": self.model.now_ms,
            "end_ms": consent.end_ms,
        }
        self.attempt(allowed, by, "consents:Grant", arguments | to, transient(required))
        if allowed:
            self.model.consents[consent_id] = consent
            self.model.envelopes |= required

    @precondition(lambda self: any(not one.revoked for one in self.model.consents.values()))
    @rule(number=st.integers(0, 20), everything=st.booleans(), by=st.sampled_from([PATIENT, PATIENT, WARDEN]))
    def revoke(self, number: int, everything: bool, by: Caller) -> None:
        active = {name: one for name, one in self.model.consents.items() if not one.revoked}
        chosen = list(active) if everything else [self.one_of(active, number)]
        allowed = self.model.speaks(by)
        arguments: dict[str, Any] = {"patient": ALICE}
        arguments |= {"everything": True} if everything else {"consents": chosen}
        if not allowed:
            self.attempt(False, by, "consents:Revoke", arguments)
            return
        for one in chosen:
            active[one].revoked = True
        fresh: set[tuple[str, int, str]] = set()
        for compartment in K:
            if self.model.stale(compartment):
                fresh |= self.model.next_epoch(compartment)
        epochs = {compartment: epoch for compartment, epoch, _ in fresh}
        self.attempt(True, by, "consents:Revoke", arguments | {"new_epochs": epochs}, transient(fresh))

    @precondition(lambda self: any(not one.revoked for one in self.model.consents.values()))
    @rule(by=st.sampled_from([OFFICER, OFFICER, ADMIN_A]), grantee=ORGANISATIONS)
    def order(self, by: Caller, grantee: str) -> None:
        chosen = [one for one in self.model.consents.values() if one.grantee == grantee and not one.revoked]
        allowed = by is OFFICER and self.model.acts(by) and bool(chosen)
        order_id = self.new_id()
        arguments = {"id": order_id, "patient": ALICE, "grantee": grantee}
        self.attempt(allowed, by, "consents:Order", arguments, {f"order/{ALICE}/{order_id}/text": b"order"})
        if allowed:
            for one in chosen:
                one.revoked = True
            for compartment in K:
                if stale := self.model.stale(compartment):
                    self.model.envelopes -= stale
                    self.model.due.add(compartment)

    @rule(by=st.sampled_from([DOCTOR_A, PATIENT, WARDEN, DOCTOR_B]), compartment=st.sampled_from([None, *K[:3]]))
    def rotate(self, by: Caller, compartment: str | None) -> None:
        chosen = sorted(self.model.due) if compartment is None else [compartment]
        may = (by is DOCTOR_A and self.model.acts(by)) or self.model.speaks(by)
        arguments: dict[str, Any] = {"patient": ALICE, "compartments": [] if compartment is None else chosen}
        if not may or not chosen:
            self.attempt(False, by, "keys:Rotate", arguments)
            return
        fresh = {one for each in chosen for one in self.model.next_epoch(each)}
        epochs = {one: self.model.epochs[one] for one in chosen}
        self.attempt(True, by, "keys:Rotate", arguments | {"new_epochs": epochs}, transient(fresh))

    # Guardians

    @rule(by=st.sampled_from([DOCTOR_A, DOCTOR_A, DOCTOR_B, PATIENT]), days=st.sampled_from([1, 30]))
    def appoint(self, by: Caller, days: int) -> None:
        allowed = by is DOCTOR_A and self.model.acts(by) and self.model.now_ms >= self.model.guardian_end_ms
        end_ms = self.model.now_ms + days * DAY
        fresh = {(one, epoch + 1, GUARDIAN) for one in K for epoch in range(self.model.epochs[one])}
        period = {"start_ms": self.model.now_ms, "end_ms": end_ms, "scopes": ["consent", "read"]}
        arguments = {"patient": ALICE, "guardian": GUARDIAN, "public_key": KEY} | period
        self.attempt(allowed, by, "guardians:Appoint", arguments, transient(fresh))
        if allowed:
            self.model.guardian_end_ms = end_ms
            self.model.envelopes |= fresh

    @rule(by=st.sampled_from([DOCTOR_A, PATIENT, WARDEN]))
    def dismiss(self, by: Caller) -> None:
        may = (by is DOCTOR_A and self.model.acts(by)) or self.model.is_alice(by)
        allowed = may and self.model.now_ms < self.model.guardian_end_ms
        self.attempt(allowed, by, "guardians:End", {"patient": ALICE, "guardian": GUARDIAN})
        if allowed:
            self.model.guardian_end_ms = self.model.now_ms
            lost = {one for one in self.model.envelopes if one[2] == GUARDIAN}
            self.model.envelopes -= lost
            self.model.due |= {one[0] for one in lost}

    # Records

    @rule(by=st.sampled_from([DOCTOR_A, DOCTOR_B, NURSE_B, AGENT]), record=RECORDS, compartment=st.sampled_from(K[:3]))
    def write(self, by: Caller, record: str, compartment: str) -> None:
        current = self.model.records.get(record)
        version = current.version + 1 if current else 1
        touched = {compartment, current.compartment if current else compartment}
        allowed = (
            self.model.acts(by, "clinician")
            and self.model.is_licensed(by)
            and touched <= self.model.writable(by)
            and compartment not in self.model.due
            and (current is None or by.msp_id in ("HospitalA", current.author))
        )
        one = written(record, version, compartment, self.model.epochs[compartment])
        arguments = {"patient": ALICE, "records": [one]}
        self.attempt(allowed, by, "records:Write", arguments, {f"{record}/{version}": b"a body"})
        if allowed:
            self.model.records[record] = Record(compartment, version, by.msp_id)

    @rule(by=CALLERS, other=st.none() | st.sampled_from(PURPOSES), hours=st.integers(1, 16))
    def open(self, by: Caller, other: str | None, hours: int) -> None:
        purpose = other or USUAL[by.role or ""]
        scope = self.model.readable(by, purpose)
        allowed = bool(scope) and hours * HOUR <= self.model.session_ms_max
        session_id, end_ms = self.new_id(), self.model.now_ms + hours * HOUR
        arguments = {"id": session_id, "patient": ALICE, "purpose": purpose, "end_ms": end_ms}
        answer = self.attempt(allowed, by, "sessions:Open", arguments)
        if allowed:
            assert set(answer["compartments"]) == scope
            self.model.sessions[session_id] = Session(by, purpose, scope, end_ms)

    @rule(by=st.sampled_from([DOCTOR_A, DOCTOR_B, NURSE_B, AGENT]), hours=st.integers(1, 6))
    def break_glass(self, by: Caller, hours: int) -> None:
        scope = self.model.open_in_emergency(by)
        allowed = self.model.may_break_glass(by) and bool(scope) and hours <= 4
        session_id, end_ms = self.new_id(), self.model.now_ms + hours * HOUR
        arguments = {"id": session_id, "patient": ALICE, "end_ms": end_ms}
        reason = {f"emergency/{ALICE}/{session_id}/reason": b"why"}
        answer = self.attempt(allowed, by, "emergency:Open", arguments, reason)
        if allowed:
            assert set(answer["compartments"]) == scope
            self.model.sessions[session_id] = Session(by, "ETREAT", scope, end_ms, emergency=True)
            self.model.reviews[session_id] = Review(by, self.model.now_ms + REVIEW_MS)

    @precondition(lambda self: self.model.reviews)
    @rule(number=st.integers(0, 9), by=st.sampled_from([OFFICER, ADMIN_A, ADMIN_B, DOCTOR_A]))
    def review(self, number: int, by: Caller) -> None:
        session_id = self.one_of(self.model.reviews, number)
        review = self.model.reviews[session_id]
        allowed = (
            by in (OFFICER, ADMIN_A)
            and self.model.acts(by)
            and by.msp_id != review.clinician.msp_id
            and not review.decided
        )
        self.attempt(allowed, by, "emergency:Review", {"id": session_id, "patient": ALICE, "justified": True})
        if allowed:
            review.decided = True
            session = self.model.sessions[session_id]
            session.end_ms = min(session.end_ms, self.model.now_ms)

    @precondition(lambda self: self.model.sessions)
    @rule(number=st.integers(0, 9))
    def close(self, number: int) -> None:
        session_id = self.one_of(self.model.sessions, number)
        session = self.model.sessions[session_id]
        allowed = self.model.acts(session.caller) and self.model.now_ms < session.end_ms
        self.attempt(allowed, session.caller, "sessions:Close", {"id": session_id, "patient": ALICE})
        if allowed:
            session.end_ms = self.model.now_ms

    @precondition(lambda self: self.model.sessions)
    @rule(
        number=st.integers(0, 9),
        other=st.none() | st.none() | CALLERS,
        wanted=st.none() | st.none() | st.sets(RECORDS, min_size=1),
        disclose=st.sampled_from([True, True, False]),
    )
    def read(self, number: int, other: Caller | None, wanted: set[str] | None, disclose: bool) -> None:
        """Mostly in a session that runs, by its user, what there is to be seen in it."""
        session_id = self.a_session(number)
        session = self.model.sessions[session_id]
        seen = self.model.visible(session.caller, session_id)
        records = wanted or {name for name, one in self.model.records.items() if one.compartment in seen} or {ENCOUNTER}
        by = other or session.caller
        visible = self.model.visible(by, session_id)
        known = {one: self.model.records[one] for one in sorted(records) if one in self.model.records}
        allowed = len(known) == len(records) and all(one.compartment in visible for one in known.values())
        versions = {(name, one.version) for name, one in known.items()}
        place = {"session": session_id, "patient": ALICE}
        if disclose:
            told = [{"id": one, "version": known[one].version if one in known else 1} for one in sorted(records)]
            self.attempt(allowed, by, "records:Disclose", place | {"records": told})
            session.disclosed |= versions if allowed else set()
        allowed = allowed and (by in (PATIENT, WARDEN) or versions <= session.disclosed)
        self.attempt(allowed, by, "records:Read", place | {"records": sorted(records)})

    @precondition(lambda self: self.model.sessions)
    @rule(number=st.integers(0, 9), other=st.none() | CALLERS)
    def get_keys(self, number: int, other: Caller | None) -> None:
        session_id = self.a_session(number)
        by = other or self.model.sessions[session_id].caller
        visible = self.model.visible(by, session_id)
        handed = self.attempt(bool(visible), by, "keys:Get", {"session": session_id, "patient": ALICE})
        if visible:
            recipient = {"patient": ALICE, "guardian": GUARDIAN}.get(by.role or "", by.msp_id)
            own = {one[:2] for one in self.model.envelopes if one[0] in visible and one[2] == recipient}
            assert {(one["compartment"], one["epoch"]) for one in handed["envelopes"]} == own

    # Claims

    @rule(token=st.integers(0, 2), by=st.sampled_from([DOCTOR_A, DOCTOR_A, DOCTOR_B, AGENT]))
    def claim(self, token: int, by: Caller) -> None:
        within_limit = self.model.now_ms < self.calls[0].now_ms + 365 * DAY
        allowed = (
            by is DOCTOR_A
            and self.model.acts(by)
            and self.model.is_licensed(by)
            and within_limit
            and not self.model.is_billed(token)
            and not self.model.is_kept_from_the_payer(self.model.records[ENCOUNTER].compartment)
        )
        claim_id = self.new_id()
        line = {"number": 1, "token": digest("token", token), "amount": digest("amount"), "encounter": ENCOUNTER}
        arguments = {"id": claim_id, "patient": ALICE, "coverage": COVERAGE, "lines": [line], "total": digest("total")}
        self.attempt(allowed, by, "claims:Submit", arguments, {f"claim/{ALICE}/{claim_id}/body": b"claim"})
        if allowed:
            self.model.claims[claim_id] = Claim(token)

    @precondition(lambda self: self.model.claims)
    @rule(number=st.integers(0, 9), step=st.sampled_from(["approve", "deny", "withdraw", "settle", "appeal"]))
    def advance(self, number: int, step: str) -> None:
        claim_id = self.one_of(self.model.claims, number)
        claim = self.model.claims[claim_id]
        by = {"withdraw": DOCTOR_A, "appeal": PATIENT}.get(step, AGENT)
        allowed = self.model.acts(by) and step in STEPS.get(claim.state, {})
        if step == "appeal":
            allowed = allowed and self.model.now_ms < claim.appeal_ms
        if step == "withdraw" and claim.state in ("adjudicated", "appealed", "final"):
            allowed = self.model.acts(by) and self.model.now_ms >= claim.due_ms  # the payer is silent
        if step == "deny" and claim.outcome == "approved":
            allowed = False
        after = claim.adjudications + (step in ("approve", "deny"))
        self.attempt(allowed, by, *_claim_call(claim_id, step, max(after, 1)))
        if allowed:
            claim.state = "withdrawn" if step == "withdraw" else STEPS[claim.state][step]
            claim.adjudications, claim.due_ms = after, self.model.now_ms + ANSWER_MS
            claim.settled = claim.settled or step == "settle"
            if step in ("approve", "deny"):
                claim.outcome = {"approve": "approved", "deny": "denied"}[step]
            if claim.state in ("adjudicated", "denied"):
                claim.appeal_ms = self.model.now_ms + APPEAL_MS

    # Public health

    @rule(by=st.sampled_from([DOCTOR_A, DOCTOR_B, NURSE_B, AGENT]))
    def report(self, by: Caller) -> None:
        allowed = self.model.acts(by, "clinician") and self.model.is_licensed(by) and self.model.active["Agency"]
        report_id = self.new_id()
        arguments = {"id": report_id, "agency": "Agency", "known_ms": self.model.now_ms // HOUR * HOUR - HOUR}
        self.attempt(allowed, by, "reports:File", arguments, {f"report/{report_id}/body": b"case"})
        if allowed:
            self.model.reports[report_id] = Report(by.msp_id)

    @precondition(lambda self: self.model.reports)
    @rule(number=st.integers(0, 9), by=st.sampled_from([DOCTOR_A, DOCTOR_B, OFFICER]))
    def handle_report(self, number: int, by: Caller) -> None:
        """Its hospital withdraws it, the agency acknowledges it."""
        report_id = self.one_of(self.model.reports, number)
        report = self.model.reports[report_id]
        standing = self.model.acts(by) and not report.withdrawn
        if by is OFFICER:
            allowed = standing and not report.acknowledged
            self.attempt(allowed, by, "reports:Acknowledge", {"id": report_id})
            report.acknowledged |= allowed
            return
        allowed = standing and by.msp_id == report.hospital
        self.attempt(allowed, by, "reports:Withdraw", {"id": report_id}, {f"report/{report_id}/withdrawal": b"why"})
        report.withdrawn |= allowed

    @invariant()
    def only_the_models_envelopes_exist(self) -> None:
        if self.calls:
            keys = {key for collection, key in self.chain.memory.values if collection == "keys"}
            assert keys == {f"{compartment}/{epoch}/{to}" for compartment, epoch, to in self.model.envelopes}

    def teardown(self) -> None:
        """The same on the network, call by call."""
        with tempfile.TemporaryDirectory() as scratch:
            mirror = Mirror(Path(shutil.copytree(_network(), Path(scratch) / "network")))
            try:
                for call in self.calls:
                    mirror.now_ms = call.now_ms
                    try:
                        answer = mirror.call(call.caller, call.function, call.arguments, call.transient)
                    except HealthChainError as error:
                        if call.allowed:
                            raise AssertionError(f"{call.function} was refused on the network") from error
                    else:
                        assert call.allowed, f"{call.function} on the network should have been refused"
                        assert answer == call.answer
                mirror.assert_equal_peers()
            finally:
                mirror.close()


def _claim_call(claim_id: str, step: str, number: int) -> tuple[str, dict[str, Any], Transient]:
    chosen: dict[str, Any] = {"id": claim_id, "patient": ALICE}
    place = f"claim/{ALICE}/{claim_id}"
    if step == "approve":
        decided = [{"line": 1, "outcome": "approved", "amount": digest("paid")}]
        return "claims:Adjudicate", chosen | {"decisions": decided}, {f"{place}/explanation-{number}": b"EOB"}
    if step == "deny":
        decided = [{"line": 1, "outcome": "denied", "reason": digest("reason")}]
        return "claims:Adjudicate", chosen | {"decisions": decided}, {f"{place}/explanation-{number}": b"EOB"}
    if step == "settle":
        return "claims:Settle", chosen | {"amount": digest("settled")}, {f"{place}/settlement-{number}": b"advice"}
    if step == "appeal":
        return "claims:Appeal", chosen, {f"{place}/appeal-1": b"why"}
    return "claims:Withdraw", chosen, {}


def transient(addresses: set[tuple[str, int, str]]) -> Transient:
    found: Transient = {}
    for compartment, epoch, recipient in sorted(addresses):
        found |= sealed([compartment], epoch, recipient)
    return found


_made: list[tempfile.TemporaryDirectory[str]] = []


def _network() -> Path:
    """Made once: keys take time."""
    if not _made:
        _made.append(tempfile.TemporaryDirectory())
        make(Path(_made[0].name) / "network")
    return Path(_made[0].name) / "network"


ANY = settings(suppress_health_check=list(HealthCheck))
SAME = settings(ANY, derandomize=True, phases=[Phase.generate])  # the long form looks for new ones


def test_a_few_histories() -> None:
    run_state_machine_as_test(Agreement, settings=settings(SAME, max_examples=5, stateful_step_count=80))


@pytest.mark.slow
def test_many_histories() -> None:
    run_state_machine_as_test(Agreement, settings=settings(ANY, max_examples=200, stateful_step_count=200))
