"""A claim on the ledger, and the one table of its life: who may take which step in which state, and what comes then.

Amounts, codes and texts are sealed; here are parties, states, deadlines and commitments.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from healthchain.contract.state import State, Table


class ClaimState(StrEnum):
    SUBMITTED = "submitted"
    INFORMATION_REQUESTED = "information-requested"
    ADJUDICATED = "adjudicated"  # something is to be paid
    DENIED = "denied"
    SETTLED = "settled"
    APPEALED = "appealed"
    FINAL = "final"  # decided on an appeal; something is to be paid
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    REQUEST_INFORMATION = "request-information"
    ANSWER = "answer"
    APPROVE = "approve"  # an adjudication by which at least one line is paid
    DENY = "deny"  # an adjudication by which none is
    WITHDRAW = "withdraw"
    APPEAL = "appeal"
    SETTLE = "settle"


class Party(StrEnum):
    HOSPITAL = "hospital"
    PAYER = "payer"
    CLAIMANT = "claimant"  # the hospital, the patient, or a guardian with the scope


class When(StrEnum):
    ALWAYS = "always"
    IN_TIME = "in-time"  # before the time for an appeal is over
    OVERDUE = "overdue"  # once the other party has missed its deadline


class Transition(NamedTuple):
    by: Party
    to: ClaimState
    when: When = When.ALWAYS


TRANSITIONS = {
    (ClaimState.SUBMITTED, Step.REQUEST_INFORMATION): Transition(Party.PAYER, ClaimState.INFORMATION_REQUESTED),
    (ClaimState.SUBMITTED, Step.APPROVE): Transition(Party.PAYER, ClaimState.ADJUDICATED),
    (ClaimState.SUBMITTED, Step.DENY): Transition(Party.PAYER, ClaimState.DENIED),
    (ClaimState.SUBMITTED, Step.WITHDRAW): Transition(Party.HOSPITAL, ClaimState.WITHDRAWN),
    (ClaimState.INFORMATION_REQUESTED, Step.ANSWER): Transition(Party.HOSPITAL, ClaimState.SUBMITTED),
    (ClaimState.INFORMATION_REQUESTED, Step.APPROVE): Transition(Party.PAYER, ClaimState.ADJUDICATED, When.OVERDUE),
    (ClaimState.INFORMATION_REQUESTED, Step.DENY): Transition(Party.PAYER, ClaimState.DENIED, When.OVERDUE),
    (ClaimState.INFORMATION_REQUESTED, Step.WITHDRAW): Transition(Party.HOSPITAL, ClaimState.WITHDRAWN),
    (ClaimState.ADJUDICATED, Step.SETTLE): Transition(Party.PAYER, ClaimState.SETTLED),
    (ClaimState.ADJUDICATED, Step.APPEAL): Transition(Party.CLAIMANT, ClaimState.APPEALED, When.IN_TIME),
    (ClaimState.DENIED, Step.APPEAL): Transition(Party.CLAIMANT, ClaimState.APPEALED, When.IN_TIME),
    (ClaimState.SETTLED, Step.APPEAL): Transition(Party.CLAIMANT, ClaimState.APPEALED, When.IN_TIME),
    (ClaimState.APPEALED, Step.APPROVE): Transition(Party.PAYER, ClaimState.FINAL),
    (ClaimState.APPEALED, Step.DENY): Transition(Party.PAYER, ClaimState.CLOSED),
    (ClaimState.FINAL, Step.SETTLE): Transition(Party.PAYER, ClaimState.CLOSED),
    # A payer that is silent, or gone, keeps neither the services from being billed elsewhere nor the texts for ever.
    (ClaimState.ADJUDICATED, Step.WITHDRAW): Transition(Party.HOSPITAL, ClaimState.WITHDRAWN, When.OVERDUE),
    (ClaimState.APPEALED, Step.WITHDRAW): Transition(Party.HOSPITAL, ClaimState.WITHDRAWN, When.OVERDUE),
    (ClaimState.FINAL, Step.WITHDRAW): Transition(Party.HOSPITAL, ClaimState.WITHDRAWN, When.OVERDUE),
}

WAITS_FOR = {
    ClaimState.SUBMITTED: Party.PAYER,
    ClaimState.INFORMATION_REQUESTED: Party.HOSPITAL,
    ClaimState.ADJUDICATED: Party.PAYER,
    ClaimState.APPEALED: Party.PAYER,
    ClaimState.FINAL: Party.PAYER,
}
"""Who has to act next, within the policy `claim_answer_ms`; in the other states nobody has to."""

APPEALABLE = frozenset((ClaimState.ADJUDICATED, ClaimState.DENIED))
"""Reaching one of these starts the time for an appeal, the policy `claim_appeal_ms`."""


class Outcome(StrEnum):
    APPROVED = "approved"
    REDUCED = "reduced"
    DENIED = "denied"


class Attachment(State, frozen=True):
    record: str
    version: int


class Line(State, frozen=True):
    """`token` is the keyed hash of encounter and service, `amount` the commitment to what is billed."""

    number: int
    token: bytes
    amount: bytes
    encounter: str
    records: tuple[Attachment, ...]
    authorisation: str | None


class LineDecision(State, frozen=True):
    """Commitments to what is paid, unless denied, and to the reason, unless approved."""

    line: int
    outcome: Outcome
    amount: bytes | None
    reason: bytes | None


class Claim(State, frozen=True):
    """`due_ms` is when the party that it waits for must have acted, `appeal_ms` (exclusive) the end of an appeal."""

    hospital: str
    payer: str
    coverage: str
    rank: int  # of the coverage: 1 is primary
    primary: str | None  # the claim that this one is secondary to
    lines: tuple[Line, ...]
    total: bytes
    by: str
    time_ms: int
    state: ClaimState
    state_by: str
    state_ms: int
    due_ms: int | None
    appeal_ms: int | None = None
    requests: int = 0
    adjudications: int = 0
    decisions: tuple[LineDecision, ...] = ()
    settlement: bytes | None = None
    purged_ms: int | None = None

    @property
    def ended_ms(self) -> int | None:
        """From when on nothing can change any more; it may lie ahead. None while somebody has to act."""
        if self.state in (ClaimState.CLOSED, ClaimState.WITHDRAWN):
            return self.state_ms
        if self.appeal_ms is None or self.state not in (ClaimState.DENIED, ClaimState.SETTLED):
            return None
        return max(self.state_ms, self.appeal_ms)

    @property
    def stands(self) -> bool:
        """Unless it is withdrawn; what was paid by then stays billed."""
        return self.state is not ClaimState.WITHDRAWN or self.settlement is not None

    def has_ended(self, now_ms: int) -> bool:
        return self.ended_ms is not None and now_ms >= self.ended_ms

    def is_kept(self, now_ms: int, kept_ms: int) -> bool:
        """Whether the sealed texts and attachments still have to be there."""
        return self.ended_ms is None or now_ms < self.ended_ms + kept_ms

    def denies(self, line: int) -> bool:
        return any(one.line == line and one.outcome is Outcome.DENIED for one in self.decisions)


CLAIMS = Table("claim", Claim)  # patient, claim
