"""Random histories of grants, revocations, writes, sessions and reads: nothing is let out that the model forbids."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from healthchain.chaincode.stub import Caller
from healthchain.errors import Refused

from .chain import Chain
from .consortium import (
    ADMIN_A,
    AGENT,
    ALICE,
    DOCTOR_A,
    DOCTOR_B,
    FORGED_PATIENT,
    HOUR,
    MEMBERS,
    OFFICER,
    PATIENT,
    STRANGER,
    K,
    disclosing,
    ident,
    license_all,
    person,
    register,
    written,
)
from .model import Consent, Model, Record, Session

READERS = [DOCTOR_A, DOCTOR_B, AGENT, OFFICER, PATIENT]
CALLERS = st.sampled_from([*READERS, STRANGER, FORGED_PATIENT])
PURPOSES = ["TREAT", "HPAYMT", "PUBHLTH", "PATRQT"]
COMPARTMENTS = st.sets(st.sampled_from(K[:3]), min_size=1)
IDS = [ident(f"record {number}") for number in range(4)]
RECORDS = st.sampled_from(IDS)
READ = st.sets(RECORDS, min_size=1, max_size=2)
SESSIONS = st.integers(0, 7)
SOON = st.integers(1, 4)
# Mostly somebody for the purpose that is theirs, and the session's own user: otherwise hardly anything is ever let out.
LIKELY = [(DOCTOR_A, "TREAT"), (DOCTOR_B, "TREAT"), (AGENT, "HPAYMT"), (OFFICER, "PUBHLTH"), (PATIENT, "PATRQT")]
USES = st.one_of(*[st.sampled_from(LIKELY)] * 3, st.tuples(CALLERS, st.sampled_from(PURPOSES)))
OTHERS = st.one_of(*[st.none()] * 3, CALLERS)


class Access(RuleBasedStateMachine):
    chain: Chain
    model: Model

    @initialize()
    def found(self) -> None:
        self.chain, self.model = Chain(), Model()
        policies = {"break_glass_review_ms": 3 * HOUR}
        self.chain.submit(ADMIN_A, "members:Found", {"members": MEMBERS, "policies": policies})
        license_all(self.chain)
        register(self.chain, ALICE)
        for number, record in enumerate(IDS[1:]):
            self.write(DOCTOR_A, record, K[number])
        self.grant("HospitalB", {K[0], K[1]}, {"TREAT"}, {"read", "contribute"}, 0, 12)
        for use in LIKELY:
            self.open(use, set(), 12)

    @property
    def now_ms(self) -> int:
        return self.chain.now_ms

    @rule(hours=SOON)
    def wait(self, hours: int) -> None:
        self.chain.now_ms += hours * HOUR

    @rule(
        grantee=st.sampled_from(["HospitalB", "Insurer", "Agency"]),
        compartments=COMPARTMENTS,
        purposes=st.sets(st.sampled_from(PURPOSES[:3]), min_size=1),
        actions=st.sets(st.sampled_from(["read", "contribute"]), min_size=1),
        ahead=st.integers(0, 2),
        hours=st.integers(1, 12),
    )
    def grant(
        self,
        grantee: str,
        compartments: set[str],
        purposes: set[str],
        actions: set[str],
        ahead: int,
        hours: int,
    ) -> None:
        consent_id, start = ident(f"consent {len(self.model.consents)}"), self.now_ms + ahead * HOUR
        consent = Consent(grantee, compartments, purposes, actions, start, start + hours * HOUR)
        arguments = {
            "id": consent_id,
            "patient": ALICE,
            "grantee": grantee,
            "compartments": sorted(compartments),
            "purposes": sorted(purposes),
            "actions": sorted(actions),
            "start_ms": consent.start_ms,
            "end_ms": consent.end_ms,
        }
        self.chain.submit(PATIENT, "consents:Grant", arguments, self.model.grant(consent_id, consent))

    @rule(number=st.integers(0, 20))
    def revoke(self, number: int) -> None:
        active = [consent_id for consent_id, one in self.model.consents.items() if not one.revoked]
        if active:
            consent_id = active[number % len(active)]
            epochs, envelopes = self.model.revoke(consent_id, self.now_ms)
            arguments = {"patient": ALICE, "consents": [consent_id], "new_epochs": epochs}
            self.chain.submit(PATIENT, "consents:Revoke", arguments, envelopes)

    @rule(caller=st.sampled_from([DOCTOR_A, DOCTOR_B]), record=RECORDS, compartment=st.sampled_from(K[:3]))
    def write(self, caller: Caller, record: str, compartment: str) -> None:
        current = self.model.records.get(record)
        version = current.version + 1 if current else 1
        body = f"{record} {version} by {caller.msp_id}".encode()
        one = written(record, version, compartment, self.model.epochs[compartment])
        touched = {compartment, current.compartment if current else compartment}
        own = current is None or caller is DOCTOR_A or current.author == caller.msp_id
        allowed = own and touched <= self.model.writable(caller, self.now_ms)
        self.attempt(
            allowed,
            caller,
            "records:Write",
            {"patient": ALICE, "records": [one]},
            {f"{record}/{version}": body},
        )
        if allowed:
            self.model.records[record] = Record(compartment, version, body, caller.msp_id)

    @rule(use=USES, asked=st.one_of(*[st.just(set())] * 3, st.sets(st.sampled_from(K))), hours=st.integers(1, 12))
    def open(self, use: tuple[Caller, str], asked: set[str], hours: int) -> None:
        caller, purpose = use
        session_id, end_ms = ident(f"session {len(self.model.sessions)}"), self.now_ms + hours * HOUR
        scope = self.model.readable(caller, purpose, self.now_ms) & (asked or set(K))
        allowed = caller in READERS and bool(scope)
        arguments = {
            "id": session_id,
            "patient": ALICE,
            "purpose": purpose,
            "end_ms": end_ms,
            "compartments": sorted(asked),
        }
        answer = self.attempt(allowed, caller, "sessions:Open", arguments)
        if allowed:
            assert set(answer["compartments"]) == scope
            self.model.sessions[session_id] = Session(caller, purpose, scope, end_ms)

    @rule(number=SESSIONS)
    def close(self, number: int) -> None:
        session_id = self.chosen(number)
        session = self.model.sessions.get(session_id)
        allowed = session is not None and self.model.runs(session, self.now_ms)
        caller = session.caller if session else DOCTOR_A
        self.attempt(allowed, caller, "sessions:Close", {"id": session_id, "patient": ALICE})
        if session is not None and allowed:
            session.end_ms = self.now_ms

    @rule(caller=st.sampled_from([DOCTOR_A, DOCTOR_B]) | CALLERS, hours=st.integers(1, 5))
    def break_glass(self, caller: Caller, hours: int) -> None:
        session_id, end_ms = ident(f"session {len(self.model.sessions)}"), self.now_ms + hours * HOUR
        clinician = caller in (DOCTOR_A, DOCTOR_B)
        allowed = clinician and hours <= 4 and not self.model.is_overdue(caller, self.now_ms)
        arguments = {"id": session_id, "patient": ALICE, "end_ms": end_ms}
        reason = {f"emergency/{ALICE}/{session_id}/reason": b"sealed"}
        self.attempt(allowed, caller, "emergency:Open", arguments, reason)
        if allowed:
            due_ms = self.now_ms + 3 * HOUR
            self.model.sessions[session_id] = Session(caller, "ETREAT", set(K), end_ms, emergency=True, due_ms=due_ms)

    @rule(number=SESSIONS)
    def review(self, number: int) -> None:
        session_id = self.chosen(number)
        session = self.model.sessions.get(session_id)
        allowed = session is not None and session.due_ms is not None
        self.attempt(allowed, OFFICER, "emergency:Review", {"id": session_id, "patient": ALICE, "justified": True})
        if session is not None and allowed:
            session.due_ms = None
            session.end_ms = min(session.end_ms, self.now_ms)

    @rule(number=SESSIONS, hours=SOON, delegates=st.booleans())
    def renew_or_delegate(self, number: int, hours: int, delegates: bool) -> None:
        session_id, end_ms = self.chosen(number), self.now_ms + hours * HOUR
        session = self.model.sessions.get(session_id)
        if session is None:
            return
        allowed = self.model.runs(session, self.now_ms) and not session.emergency
        arguments = {"id": session_id, "patient": ALICE, "end_ms": end_ms}
        if delegates:
            new_id = ident(f"session {len(self.model.sessions)}")
            arguments |= {"to": "colleague", "delegated": new_id}
            allowed = allowed and session.origin is None and session.caller is not PATIENT and end_ms <= session.end_ms
            self.attempt(allowed, session.caller, "sessions:Delegate", arguments)
            if allowed:
                colleague = person(session.caller.msp_id, "colleague", session.caller.role)
                self.model.sessions[new_id] = Session(
                    colleague, session.purpose, session.scope, end_ms, origin=session_id
                )
        else:
            allowed = allowed and (session.origin is None or end_ms <= self.model.sessions[session.origin].end_ms)
            self.attempt(allowed, session.caller, "sessions:Renew", arguments)
            if allowed:
                session.end_ms = end_ms

    @rule(other=OTHERS, number=SESSIONS, records=READ)
    def disclose(self, other: Caller | None, number: int, records: set[str]) -> None:
        caller, session = self.reader(other, number)
        visible = self.model.visible(caller, session, self.now_ms)
        known = [(one, self.model.records.get(one)) for one in sorted(records)]
        allowed = all(found is not None and found.compartment in visible for _, found in known)
        versions = [(one, found.version if found else 1) for one, found in known]
        self.attempt(allowed, caller, "records:Disclose", disclosing(session, *versions))
        if allowed:
            self.model.sessions[session].disclosed |= set(versions)

    @rule(other=OTHERS, number=SESSIONS, records=READ, told=st.booleans())
    def read(self, other: Caller | None, number: int, records: set[str], told: bool) -> None:
        if told:
            self.disclose(other, number, records)
        caller, session = self.reader(other, number)
        visible = self.model.visible(caller, session, self.now_ms)
        known = [self.model.records.get(one) for one in sorted(records)]
        allowed = all(one is not None and one.compartment in visible for one in known)
        allowed = allowed and self.model.read(session, records)
        arguments = {"session": session, "patient": ALICE, "records": sorted(records)}
        answer = self.attempt(allowed, caller, "records:Read", arguments)
        if allowed:
            bodies = [base64.b64decode(one["body"]) for one in answer["records"]]
            assert bodies == [one.body for one in known if one is not None]

    @rule(other=OTHERS, number=SESSIONS)
    def list_and_get_keys(self, other: Caller | None, number: int) -> None:
        caller, session = self.reader(other, number)
        visible = self.model.visible(caller, session, self.now_ms)
        arguments = {"session": session, "patient": ALICE}
        listed = self.attempt(bool(visible), caller, "records:List", arguments)
        handed = self.attempt(bool(visible), caller, "keys:Get", arguments)
        if visible:
            ids = {record for record, one in self.model.records.items() if one.compartment in visible}
            assert {one["id"] for one in listed["records"]} == ids
            recipient = ALICE if caller is PATIENT else caller.msp_id
            own = {one[:2] for one in self.model.envelopes if one[0] in visible and one[2] == recipient}
            assert {(one["compartment"], one["epoch"]) for one in handed["envelopes"]} == own

    @invariant()
    def only_the_models_envelopes_exist(self) -> None:
        keys = {key for collection, key in self.chain.memory.values if collection == "keys"}
        assert keys == {f"{compartment}/{epoch}/{to}" for compartment, epoch, to in self.model.envelopes}

    def reader(self, other: Caller | None, number: int) -> tuple[Caller, str]:
        """Mostly the session's own user, sometimes somebody else."""
        session_id = self.chosen(number)
        session = self.model.sessions.get(session_id)
        return other or (session.caller if session else DOCTOR_A), session_id

    def chosen(self, number: int) -> str:
        """One of the newest sessions."""
        return ident(f"session {max(0, len(self.model.sessions) - 1 - number)}")

    def attempt(
        self,
        allowed: bool,
        caller: Caller,
        function: str,
        arguments: dict[str, Any],
        transient: dict[str, bytes] | None = None,
    ) -> Any:
        try:
            answer = self.chain.call(caller, function, arguments, transient)
        except Refused:
            if allowed:
                raise
            return None
        assert allowed, f"{function} let something out"
        return answer


Access.TestCase.settings = settings(
    max_examples=20, stateful_step_count=40, derandomize=True, phases=[Phase.generate]
)  # the long form looks for new histories
TestAccess = Access.TestCase


@pytest.mark.slow
def test_many_histories() -> None:
    run_state_machine_as_test(Access, settings=settings(max_examples=200, stateful_step_count=60))
