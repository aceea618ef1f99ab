"""The slow, obvious twin of the whole agreement: what each call must do, from the words of the design alone.

One patient, Alice; her five compartments are `K`. Everything that the contract decides is decided here a second time,
over plain dictionaries, and only as far as the histories of `test_agreement_property` go.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from healthchain.chaincode.stub import Caller

from .consortium import ALICE, DAY, HOUR, K, ident

CUSTODIAN, GUARDIAN = "HospitalA", ident("guardian")
KINDS = {"Agency": "agency", "HospitalA": "hospital", "HospitalB": "hospital", "Insurer": "insurer"}
READERS = {"clinician": "hospital", "claims-agent": "insurer", "health-officer": "agency"}
REVIEW_MS, ANSWER_MS, APPEAL_MS, PROPOSAL_MS = 7 * DAY, 30 * DAY, 60 * DAY, 30 * DAY


@dataclass
class Consent:
    grantee: str
    decision: str
    compartments: set[str]
    purposes: set[str]
    actions: set[str]
    end_ms: int
    person: str | None = None
    role: str | None = None
    exceptions: tuple[str, ...] = ()
    revoked: bool = False


@dataclass
class Session:
    caller: Caller
    purpose: str
    scope: set[str]
    end_ms: int
    emergency: bool = False
    disclosed: set[tuple[str, int]] = field(default_factory=set)


@dataclass
class Record:
    compartment: str
    version: int
    author: str


@dataclass
class Review:
    clinician: Caller
    due_ms: int
    decided: bool = False


@dataclass
class Proposal:
    kind: str  # suspend, resume or policy
    about: str | int
    expires_ms: int
    votes: dict[str, bool] = field(default_factory=dict)
    decided: bool = False


@dataclass
class Claim:
    token: int
    state: str = "submitted"
    appeal_ms: int = 0
    adjudications: int = 0
    outcome: str = ""
    due_ms: int = 0  # when the payer must have acted
    settled: bool = False


@dataclass
class Report:
    hospital: str
    withdrawn: bool = False
    acknowledged: bool = False


class Model:
    def __init__(self) -> None:
        self.now_ms = 0
        self.active = dict.fromkeys(KINDS, True)
        self.session_ms_max = 12 * HOUR
        self.licensed = dict.fromkeys(("HospitalA", "HospitalB", "HospitalA/doctor", "HospitalB/doctor"), True)
        self.consents: dict[str, Consent] = {}
        self.sessions: dict[str, Session] = {}
        self.records: dict[str, Record] = {}
        self.reviews: dict[str, Review] = {}
        self.proposals: dict[str, Proposal] = {}
        self.claims: dict[str, Claim] = {}
        self.reports: dict[str, Report] = {}
        self.epochs = dict.fromkeys(K, 1)
        self.due: set[str] = set()
        self.guardian_end_ms = 0  # the guardian reads and consents until then
        self.envelopes = {(one, 1, to) for one in K for to in (CUSTODIAN, ALICE)}

    # Who may act at all

    def acts(self, caller: Caller, *roles: str) -> bool:
        known = {
            "clinician": "hospital",
            "administrator": KINDS.get(caller.msp_id),
            "patient": "hospital",
            "guardian": "hospital",
            "claims-agent": "insurer",
            "health-officer": "agency",
        }
        fits = known.get(caller.role or "") == KINDS.get(caller.msp_id, "none")
        return self.active.get(caller.msp_id, False) and fits and (not roles or caller.role in roles)

    def is_alice(self, caller: Caller) -> bool:
        return self.acts(caller, "patient") and caller.patient == ALICE and caller.msp_id == CUSTODIAN

    def speaks(self, caller: Caller) -> bool:
        """For Alice: herself, or her guardian while in office."""
        guardian = self.acts(caller, "guardian") and (caller.msp_id, caller.common_name) == (CUSTODIAN, GUARDIAN)
        return self.is_alice(caller) or (guardian and self.now_ms < self.guardian_end_ms)

    def is_licensed(self, caller: Caller) -> bool:
        return all(self.licensed.get(one, False) for one in (caller.msp_id, f"{caller.msp_id}/{caller.common_name}"))

    # Consent

    def decides(self, caller: Caller, compartment: str, action: str, purpose: str | None) -> tuple[bool, bool]:
        """Permitted; and whether a consent says so, not the default."""
        levels: dict[str, set[str]] = {"person": set(), "role": set(), "organisation": set()}
        for one in self.consents.values():
            if one.grantee != caller.msp_id or one.revoked or self.now_ms >= one.end_ms:
                continue
            if compartment not in one.compartments or action not in one.actions:
                continue
            if purpose is not None and purpose not in one.purposes:
                continue
            if one.person is not None:
                if one.person == caller.common_name:
                    levels["person"].add(one.decision)
            elif one.role is not None and one.role != caller.role:
                continue
            elif caller.common_name in one.exceptions:
                levels["person"].add("deny")
            else:
                levels["role" if one.role else "organisation"].add(one.decision)
        for said in levels.values():
            if said:
                return said == {"permit"}, True
        care = action == "read" and purpose in {"TREAT", "ETREAT", "HOPERAT"}
        return caller.msp_id == CUSTODIAN and caller.role == "clinician" and care, False

    def readable(self, caller: Caller, purpose: str) -> set[str]:
        if self.speaks(caller):
            return set(K) if purpose == "PATRQT" else set()
        if purpose == "PATRQT" or not self.acts(caller, *READERS):
            return set()
        return {one for one in K if self.decides(caller, one, "read", purpose)[0]}

    def open_in_emergency(self, caller: Caller) -> set[str]:
        verdicts = {one: self.decides(caller, one, "read", "ETREAT") for one in K}
        return {one for one, (permitted, said) in verdicts.items() if permitted or not said}

    def writable(self, caller: Caller) -> set[str]:
        if caller.msp_id == CUSTODIAN:
            return set(K)
        return {one for one in K if self.decides(caller, one, "contribute", None)[0]}

    # Reading

    def visible(self, caller: Caller, session_id: str) -> set[str]:
        session = self.sessions.get(session_id)
        if session is None or session.caller != caller or self.now_ms >= session.end_ms:
            return set()
        if not self.acts(caller, *READERS, "patient", "guardian"):
            return set()
        if not session.emergency:
            return session.scope & self.readable(caller, session.purpose)
        return session.scope & self.open_in_emergency(caller) if self.is_licensed(caller) else set()

    def may_break_glass(self, caller: Caller) -> bool:
        overdue = any(
            one.clinician == caller and not one.decided and one.due_ms <= self.now_ms for one in self.reviews.values()
        )
        return self.acts(caller, "clinician") and self.is_licensed(caller) and not overdue

    # Keys

    def staying(self, compartment: str) -> set[str]:
        lasting = {
            one.grantee
            for one in self.consents.values()
            if one.decision == "permit"
            and not one.revoked
            and self.now_ms < one.end_ms
            and compartment in one.compartments
        }
        guardian = {GUARDIAN} if self.now_ms < self.guardian_end_ms else set()
        return {CUSTODIAN, ALICE} | guardian | lasting

    def stale(self, compartment: str) -> set[tuple[str, int, str]]:
        staying = self.staying(compartment)
        return {one for one in self.envelopes if one[0] == compartment and one[2] not in staying}

    def next_epoch(self, compartment: str) -> set[tuple[str, int, str]]:
        """Start it; answers with the envelopes that must come along."""
        self.envelopes -= self.stale(compartment)
        self.epochs[compartment] += 1
        self.due.discard(compartment)
        fresh = {(compartment, self.epochs[compartment], to) for to in self.staying(compartment)}
        self.envelopes |= fresh
        return fresh

    # Governance

    def vote(self, proposal: Proposal, msp_id: str, *, in_favour: bool) -> None:
        proposal.votes[msp_id] = in_favour
        eligible = self.eligible(proposal)
        ayes = {one for one in eligible if proposal.votes.get(one) is True}
        possible = ayes | {one for one in eligible if one not in proposal.votes}
        if self._enough(eligible, ayes):
            proposal.decided = True
            self._enact(proposal)
        elif not self._enough(eligible, possible):
            proposal.decided = True

    def eligible(self, proposal: Proposal) -> set[str]:
        return {
            one
            for one, active in self.active.items()
            if active and not (proposal.kind == "suspend" and one == proposal.about)
        }

    def _enough(self, eligible: set[str], ayes: set[str]) -> bool:
        kinds = {KINDS[one] for one in eligible}
        return len(ayes) * 2 > len(eligible) and kinds == {KINDS[one] for one in ayes}

    def makes_sense(self, kind: str, about: str | int) -> bool:
        if kind == "policy":
            return about != self.session_ms_max
        assert isinstance(about, str)
        if kind == "resume":
            return not self.active[about]
        others = [one for one, active in self.active.items() if active and one != about and KINDS[one] == KINDS[about]]
        return self.active[about] and (bool(others) or KINDS[about] == "insurer")

    def _enact(self, proposal: Proposal) -> None:
        if not self.makes_sense(proposal.kind, proposal.about):
            return  # it has become void: the votes stand, nothing changes
        if proposal.kind == "policy":
            assert isinstance(proposal.about, int)
            self.session_ms_max = proposal.about
        else:
            assert isinstance(proposal.about, str)
            self.active[proposal.about] = proposal.kind == "resume"

    # Claims

    def is_kept_from_the_payer(self, compartment: str) -> bool:
        """Whether a consent denies the insurer's agents, whoever they are, to be paid by what is there."""
        nobody = Caller("Insurer", "", {"hc.role": "claims-agent"}, "client")
        permitted, said = self.decides(nobody, compartment, "read", "HPAYMT")
        return said and not permitted

    def is_billed(self, token: int) -> bool:
        """By a claim that stands: neither withdrawn nor denied for good."""
        for one in self.claims.values():
            over = one.state == "closed" or (one.state == "denied" and self.now_ms >= one.appeal_ms)
            gone = (one.state == "withdrawn" and not one.settled) or (over and one.outcome == "denied")
            if one.token == token and not gone:
                return True
        return False
