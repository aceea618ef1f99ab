"""How the consortium changes itself: an administrator proposes, each member votes once, the deciding vote enacts.

A proposal is decided by the first vote after which it has passed or can no longer pass (`tally`), by the rule and among
the members of that moment. The proposer has no vote yet by proposing. One that nothing decides expires by itself.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec.structs import asdict, replace

from healthchain.chaincode.dispatch import Refusal
from healthchain.chaincode.stub import Stub
from healthchain.contract import amendments, messages, tally
from healthchain.contract.amendments import Amendment, Consortium, Summary
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Arguments, Id, Limit, MspId, Result, StartId, Text
from healthchain.contract.members import Acting, acting, organisation_of
from healthchain.contract.policies import Permission, Policies
from healthchain.contract.state import State, Table, emit


class ProposalStatus(StrEnum):
    """Time alone makes an open one expired: answers say so, the state does not change."""

    OPEN = "open"
    ENACTED = "enacted"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Proposal(State, frozen=True):
    """Takes votes until expires_ms (exclusive). A rejected one with a `reason` had the votes, and was void by then."""

    change: Amendment
    by: str  # MSP/CN
    time_ms: int
    expires_ms: int
    comment: str | None = None
    sealed_comment: bool = False
    status: ProposalStatus = ProposalStatus.OPEN
    decided_ms: int | None = None
    reason: str | None = None  # the code with which its enactment was refused

    @property
    def proposer(self) -> str:
        return organisation_of(self.by)


class Vote(State, frozen=True):
    in_favour: bool
    by: str  # MSP/CN
    time_ms: int
    comment: str | None = None
    sealed_comment: bool = False


PROPOSALS = Table("proposal", Proposal)
VOTES = Table("vote", Vote)


class Propose(Arguments, frozen=True):
    """`comment` is public. Or the message `proposal_comment` comes with it, which the client seals to the members."""

    id: Id
    change: Amendment
    comment: Text | None = None


def proposal_comment(proposal_id: str) -> str:
    """In MESSAGES."""
    return messages.message_key("proposal", proposal_id)


def vote_comment(proposal_id: str, msp_id: str) -> str:
    """In MESSAGES."""
    return messages.message_key("vote", proposal_id, msp_id)


def propose(stub: Stub, arguments: Propose) -> None:
    gate = acting(stub, Permission.PROPOSE)
    if PROPOSALS.get(stub, arguments.id) is not None:
        raise refusal(Code.PROPOSAL_EXISTS)
    amendments.check(arguments.change, gate.caller.msp_id, amendments.consortium(stub, gate.policies))
    proposal = Proposal(
        change=arguments.change,
        by=gate.user,
        time_ms=stub.timestamp_ms,
        expires_ms=stub.timestamp_ms + gate.policies.proposal_ms,
        comment=arguments.comment,
        sealed_comment=_seals_comment(stub, proposal_comment(arguments.id), arguments.comment),
    )
    PROPOSALS.put(stub, proposal, arguments.id)
    emit(stub, "governance:Proposed", "", (arguments.id,))


class CastVote(Arguments, frozen=True):
    """`comment` is public. Or the message `vote_comment` comes with it."""

    id: Id
    in_favour: bool
    comment: Text | None = None


class Outcome(Result, frozen=True):
    """Of the proposal, with this vote."""

    status: ProposalStatus
    reason: str | None = None


def vote(stub: Stub, arguments: CastVote) -> Outcome:
    """By an administrator for its organisation, once. Two votes at one time conflict, since each counts the others."""
    gate = acting(stub, Permission.VOTE)
    proposal = _open(stub, arguments.id)
    now = amendments.consortium(stub, gate.policies)
    eligible = amendments.voters(proposal.change, now)
    if gate.caller.msp_id not in eligible:
        raise refusal(Code.VOTE_NOT_ELIGIBLE)
    votes = {msp_id: one.in_favour for (_, msp_id), one in VOTES.scan(stub, arguments.id)}
    if gate.caller.msp_id in votes:
        raise refusal(Code.VOTE_CAST)
    _put_vote(stub, gate, arguments)
    votes[gate.caller.msp_id] = arguments.in_favour
    passed = tally.decided(gate.policies.decision, eligible, votes)
    return _decide(stub, arguments.id, proposal, passed, now)


def _put_vote(stub: Stub, gate: Acting, arguments: CastVote) -> None:
    msp_id = gate.caller.msp_id
    sealed = _seals_comment(stub, vote_comment(arguments.id, msp_id), arguments.comment)
    cast = Vote(arguments.in_favour, gate.user, stub.timestamp_ms, arguments.comment, sealed)
    VOTES.put(stub, cast, arguments.id, msp_id)


def _decide(stub: Stub, proposal_id: str, proposal: Proposal, passed: bool | None, now: Consortium) -> Outcome:
    if passed is None:
        emit(stub, "governance:Voted", "", (proposal_id,))
        return Outcome(ProposalStatus.OPEN)
    reason = _enacted(stub, proposal, now) if passed else None
    status = ProposalStatus.ENACTED if passed and reason is None else ProposalStatus.REJECTED
    PROPOSALS.put(stub, replace(proposal, status=status, decided_ms=stub.timestamp_ms, reason=reason), proposal_id)
    emit(stub, f"governance:{status.value.capitalize()}", "", (proposal_id,))
    return Outcome(status, reason)


def _enacted(stub: Stub, proposal: Proposal, now: Consortium) -> str | None:
    """None, or why it cannot be done any more: then the vote stands, and the proposal is over."""
    try:
        amendments.check(proposal.change, proposal.proposer, now)
    except Refusal as refused:
        return refused.code
    amendments.enact(stub, proposal.change, proposal.proposer, now)
    return None


def _seals_comment(stub: Stub, key: str, comment: str | None) -> bool:
    sealed = bool(messages.store(stub, frozenset(), {key}))
    if sealed and comment is not None:
        raise refusal(Code.ARGUMENTS_INVALID)
    return sealed


def _open(stub: Stub, proposal_id: str) -> Proposal:
    proposal = _known(stub, proposal_id)
    status = _status(proposal, stub.timestamp_ms)
    if status is ProposalStatus.EXPIRED:
        raise refusal(Code.PROPOSAL_EXPIRED)
    if status is not ProposalStatus.OPEN:
        raise refusal(Code.PROPOSAL_DECIDED)
    return proposal


def _known(stub: Stub, proposal_id: str) -> Proposal:
    return PROPOSALS.require(stub, Code.PROPOSAL_UNKNOWN, proposal_id)


def _status(proposal: Proposal, now_ms: int) -> ProposalStatus:
    is_over = proposal.status is ProposalStatus.OPEN and now_ms >= proposal.expires_ms
    return ProposalStatus.EXPIRED if is_over else proposal.status


class Get(Arguments, frozen=True):
    id: Id


class ListedProposal(Proposal, frozen=True, kw_only=True):
    id: str


class ListedVote(Vote, frozen=True, kw_only=True):
    msp_id: str


class ProposalWithVotes(Result, frozen=True):
    """Votes by MSP id."""

    proposal: ListedProposal
    votes: list[ListedVote]


def get(stub: Stub, arguments: Get) -> ProposalWithVotes:
    """For every member: governance is public among them."""
    acting(stub)
    proposal = _listed(stub, arguments.id, _known(stub, arguments.id))
    votes = [ListedVote(msp_id=msp_id, **asdict(one)) for (_, msp_id), one in VOTES.scan(stub, arguments.id)]
    return ProposalWithVotes(proposal, votes)


class List(Arguments, frozen=True):
    start: StartId = ""
    limit: Limit = 100


class ProposalSummary(Result, frozen=True, kw_only=True):
    """As `ListedProposal`, but of certificates only that there are some: `get` has them."""

    id: str
    change: Summary
    by: str
    time_ms: int
    expires_ms: int
    comment: str | None
    sealed_comment: bool
    status: ProposalStatus
    decided_ms: int | None
    reason: str | None


class Proposals(Result, frozen=True):
    proposals: list[ProposalSummary]
    next: str | None


def list_proposals(stub: Stub, arguments: List) -> Proposals:
    """In the order of their ids, from `start` on; `next` is where the next page starts."""
    acting(stub)
    listed: list[ProposalSummary] = []
    for (proposal_id,), proposal in PROPOSALS.scan_from(stub, (), arguments.start):
        if len(listed) == arguments.limit:
            return Proposals(listed, proposal_id)
        listed.append(_summary(stub, proposal_id, proposal))
    return Proposals(listed, None)


def _summary(stub: Stub, proposal_id: str, proposal: Proposal) -> ProposalSummary:
    told = asdict(proposal) | {"change": amendments.summary(proposal.change)}
    return ProposalSummary(id=proposal_id, **told | {"status": _status(proposal, stub.timestamp_ms)})


def _listed(stub: Stub, proposal_id: str, proposal: Proposal) -> ListedProposal:
    current = replace(proposal, status=_status(proposal, stub.timestamp_ms))
    return ListedProposal(id=proposal_id, **asdict(current))


class Comment(Arguments, frozen=True):
    """Of this member's vote; of the proposal where no member is named."""

    id: Id
    msp_id: MspId | None = None


def comment(stub: Stub, arguments: Comment) -> messages.Sealed:
    """For administrators, to whose organisations it is sealed."""
    acting(stub, Permission.VOTE)
    _known(stub, arguments.id)
    voter = arguments.msp_id
    key = proposal_comment(arguments.id) if voter is None else vote_comment(arguments.id, voter)
    return messages.fetch(stub, key)


class Show(Arguments, frozen=True):
    pass


class InForce(Result, frozen=True):
    policies: Policies


def show_policies(stub: Stub, arguments: Show) -> InForce:
    return InForce(acting(stub).policies)
