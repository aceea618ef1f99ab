"""Claims: submitted by a hospital, decided line by line and settled by the payer, appealed by whoever is concerned.

Which step is possible when, and whose it is, is the table in `claim_states`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import (
    authorisations,
    billing,
    coverage,
    deciding,
    guardians,
    licences,
    messages,
    parties,
    patients,
)
from healthchain.contract.claim_states import (
    APPEALABLE,
    CLAIMS,
    TRANSITIONS,
    WAITS_FOR,
    Attachment,
    Claim,
    ClaimState,
    Line,
    LineDecision,
    Outcome,
    Party,
    Step,
    When,
)
from healthchain.contract.claims_due import CLAIMS_DUE, Asked, ClaimDue
from healthchain.contract.codes import Code, refusal
from healthchain.contract.consents import CONSENTS
from healthchain.contract.coverage import Coverage
from healthchain.contract.deciding import Level, Person, Use
from healthchain.contract.guardians import Scope
from healthchain.contract.ids import PERSONS, Action, Arguments, Counter, Digest, Id, Purpose, Role
from healthchain.contract.licences import Act
from healthchain.contract.members import Acting, acting
from healthchain.contract.patients import Patient
from healthchain.contract.policies import Permission
from healthchain.contract.records import HEADERS, Header
from healthchain.contract.state import emit

LINES_MAX = 100
ATTACHMENTS_MAX = 100  # of a line
WORTH = (Outcome.DENIED, Outcome.REDUCED, Outcome.APPROVED)

LineNumber = Annotated[int, Meta(ge=1, le=9999)]


class Attached(Arguments, frozen=True):
    record: Id
    version: Counter


class ClaimedLine(Arguments, frozen=True):
    """`token` is what `billing` refuses twice, `amount` a commitment, see `commitments`."""

    number: LineNumber
    token: Digest
    amount: Digest
    encounter: Id  # the record of it
    records: Annotated[tuple[Attached, ...], Meta(max_length=ATTACHMENTS_MAX)] = ()
    authorisation: Id | None = None


class Chosen(Arguments, frozen=True):
    id: Id
    patient: Id


class Submit(Chosen, frozen=True):
    coverage: Id
    lines: Annotated[tuple[ClaimedLine, ...], Meta(min_length=1, max_length=LINES_MAX)]
    total: Digest
    primary: Id | None = None


def submit(stub: Stub, arguments: Submit) -> None:
    """By a licensed hospital. Transient: the body with amounts, codes, salts and the attached records' keys.

    What was done before a merge is billed under the pseudonym under which it was recorded.
    """
    gate = acting(stub, Permission.CLAIM)
    licences.require(stub, Act.CLAIM)
    patient = patients.allowing(stub, arguments.patient, patients.Use.READ)
    if CLAIMS.get(stub, arguments.patient, arguments.id) is not None:
        raise refusal(Code.CLAIM_EXISTS)
    covered = coverage.known(stub, arguments.patient, arguments.coverage)
    hospital = gate.caller.msp_id
    if arguments.primary is not None:
        billing.require_primary(stub, arguments.patient, arguments.primary, hospital, covered.rank)
    if len({one.number for one in arguments.lines}) != len(arguments.lines):
        raise refusal(Code.CLAIM_LINES)
    for line in arguments.lines:
        _check_time(stub, gate, arguments, covered, line)
        _check_records(stub, hospital, arguments.patient, patient, covered.payer, line)
    lines = tuple(_line(one) for one in sorted(arguments.lines, key=lambda one: one.number))
    billing.take_tokens(stub, arguments.patient, arguments.id, lines, arguments.primary)
    messages.store(stub, {message(arguments.patient, arguments.id, "body")})
    _put(stub, arguments, _submitted(stub, gate, arguments, covered, lines), "claims:Submitted")


def _submitted(stub: Stub, gate: Acting, arguments: Submit, covered: Coverage, lines: tuple[Line, ...]) -> Claim:
    return Claim(
        hospital=gate.caller.msp_id,
        payer=covered.payer,
        coverage=arguments.coverage,
        rank=covered.rank,
        primary=arguments.primary,
        lines=lines,
        total=arguments.total,
        by=gate.user,
        time_ms=stub.timestamp_ms,
        state=ClaimState.SUBMITTED,
        state_by=gate.user,
        state_ms=stub.timestamp_ms,
        due_ms=stub.timestamp_ms + gate.policies.claim_answer_ms,
    )


def message(patient_id: str, claim_id: str, name: str) -> str:
    """In MESSAGES, sealed to the hospital, the payer and the patient: `body`, `explanation-1` and so on."""
    return messages.message_key("claim", patient_id, claim_id, name)


def _check_time(stub: Stub, gate: Acting, arguments: Submit, covered: Coverage, line: ClaimedLine) -> None:
    """Filing limit, coverage and authorisation count from when the encounter's record came to the ledger."""
    hospital = gate.caller.msp_id
    bound = billing.bound_encounter(stub, arguments.patient, line.encounter, hospital)
    if stub.timestamp_ms >= bound.written_ms + gate.policies.claim_filing_ms:
        raise refusal(Code.FILING_LATE)
    if not covered.covers(bound.written_ms):
        raise refusal(Code.COVERAGE_OVER)
    if line.authorisation is not None:
        about = (arguments.patient, line.authorisation, hospital, arguments.coverage)
        authorisations.require_granted(stub, *about, bound.written_ms)


def _check_records(stub: Stub, hospital: str, patient_id: str, patient: Patient, payer: str, line: ClaimedLine) -> None:
    """The hospital's own, in their current versions; of them, and of encounters, nothing that the payer is denied."""
    ids = [line.encounter, *(one.record for one in line.records)]
    encounter, *found = HEADERS.get_many(stub, patient_id, ids)
    attached = [billing.own_record(one, hospital) for one in found]
    if len({one.record for one in line.records}) != len(line.records):
        raise refusal(Code.RECORD_DUPLICATE)
    if any(one.version != header.version for one, header in zip(line.records, attached, strict=True)):
        raise refusal(Code.VERSION_STALE)
    if _is_denied(stub, patient_id, patient, payer, [billing.present(encounter), *attached]):
        raise refusal(Code.CONSENT_MISSING)


def _is_denied(stub: Stub, patient_id: str, patient: Patient, payer: str, headers: Sequence[Header]) -> bool:
    """A patient who pays for something may keep it from the payer."""
    given = [consent for _, consent in CONSENTS.scan(stub, patient_id, payer)]
    compartments = {one.compartment for one in headers}
    use = Use(Action.READ, Purpose.HPAYMT, stub.timestamp_ms)
    verdicts = deciding.decide(Person(payer, Role.CLAIMS_AGENT, ""), patient, given, use, compartments)
    return any(one.level is not Level.DEFAULT and not one.permitted for one in verdicts.values())


def _line(line: ClaimedLine) -> Line:
    records = tuple(Attachment(one.record, one.version) for one in line.records)
    return Line(line.number, line.token, line.amount, line.encounter, records, line.authorisation)


class RequestInformation(Chosen, frozen=True):
    pass


class Answer(Chosen, frozen=True):
    pass


class Withdraw(Chosen, frozen=True):
    pass


class Appeal(Chosen, frozen=True):
    pass


def request_information(stub: Stub, arguments: RequestInformation) -> None:
    """By the payer. Transient: the question, `request-<n>`, the first of a claim being 1."""
    claim, after = _advanced(stub, arguments, Permission.ADJUDICATE, Step.REQUEST_INFORMATION)
    after = replace(after, requests=claim.requests + 1)
    messages.store(stub, {message(arguments.patient, arguments.id, f"request-{after.requests}")})
    _put(stub, arguments, after, "claims:InformationRequested")


def answer(stub: Stub, arguments: Answer) -> None:
    """By the hospital, to the last question. Transient: `answer-<n>`."""
    claim, after = _advanced(stub, arguments, Permission.CLAIM, Step.ANSWER)
    messages.store(stub, {message(arguments.patient, arguments.id, f"answer-{claim.requests}")})
    _put(stub, arguments, after, "claims:Answered")


def withdraw(stub: Stub, arguments: Withdraw) -> None:
    """By the hospital; services for which nothing was paid can be billed again."""
    _, after = _advanced(stub, arguments, Permission.CLAIM, Step.WITHDRAW)
    _put(stub, arguments, after, "claims:Withdrawn")


class Decided(Arguments, frozen=True):
    """Commitments to what is paid, unless denied, and to the CARC, unless approved."""

    line: LineNumber
    outcome: Outcome
    amount: Digest | None = None
    reason: Digest | None = None


class Adjudicate(Chosen, frozen=True):
    decisions: Annotated[tuple[Decided, ...], Meta(min_length=1, max_length=LINES_MAX)]


def adjudicate(stub: Stub, arguments: Adjudicate) -> None:
    """By the payer: every line. An appeal makes no line worse. Transient: the EOB, `explanation-<n>`, from 1."""
    denied = all(one.outcome is Outcome.DENIED for one in arguments.decisions)
    step = Step.DENY if denied else Step.APPROVE
    claim, after = _advanced(stub, arguments, Permission.ADJUDICATE, step)
    decisions = sorted(arguments.decisions, key=lambda one: one.line)
    if [one.line for one in decisions] != [one.number for one in claim.lines]:
        raise refusal(Code.CLAIM_LINES)
    if not all(map(_is_whole, decisions)):
        raise refusal(Code.DECISION_INCOMPLETE)
    earlier = {one.line: one.outcome for one in claim.decisions}
    if any(WORTH.index(one.outcome) < WORTH.index(earlier.get(one.line, one.outcome)) for one in decisions):
        raise refusal(Code.DECISION_WORSE)
    after = replace(
        after,
        adjudications=claim.adjudications + 1,
        decisions=tuple(LineDecision(one.line, one.outcome, one.amount, one.reason) for one in decisions),
    )
    messages.store(stub, {message(arguments.patient, arguments.id, f"explanation-{after.adjudications}")})
    _put(stub, arguments, after, "claims:Adjudicated")


def _is_whole(one: Decided) -> bool:
    paid, has_reason = one.amount is not None, one.reason is not None
    return paid == (one.outcome is not Outcome.DENIED) and has_reason == (one.outcome is not Outcome.APPROVED)


def appeal(stub: Stub, arguments: Appeal) -> None:
    """Once, by the hospital, the patient or a guardian, in time. Transient: why, `appeal-1`."""
    claim, after = _advanced(stub, arguments, Permission.CLAIM, Step.APPEAL)
    if claim.purged_ms is not None:
        raise refusal(Code.CLAIM_PURGED)
    billing.require_billed(stub, arguments.patient, arguments.id, claim.lines)
    messages.store(stub, {message(arguments.patient, arguments.id, "appeal-1")})
    _put(stub, arguments, after, "claims:Appealed")


class Settle(Chosen, frozen=True):
    amount: Digest  # the commitment to what was paid in all


def settle(stub: Stub, arguments: Settle) -> None:
    """By the payer, after each adjudication that pays something. Transient: the advice, `settlement-<n>`."""
    claim, after = _advanced(stub, arguments, Permission.ADJUDICATE, Step.SETTLE)
    messages.store(stub, {message(arguments.patient, arguments.id, f"settlement-{claim.adjudications}")})
    _put(stub, arguments, replace(after, settlement=arguments.amount), "claims:Settled")


class Purge(Chosen, frozen=True):
    pass


def purge(stub: Stub, arguments: Purge) -> None:
    """By a party, once the claim has ended and was kept long enough: its texts, and with them the records' keys."""
    gate = acting(stub)
    claim = known(stub, arguments.patient, arguments.id)
    parties.require(stub, gate, arguments.patient, claim.hospital, claim.payer)
    if claim.purged_ms is not None:
        raise refusal(Code.CLAIM_PURGED)
    if claim.is_kept(stub.timestamp_ms, gate.policies.claim_kept_ms):
        raise refusal(Code.CLAIM_KEPT)
    _purge(stub, arguments.patient, arguments.id, claim)
    emit(stub, "claims:Purged", arguments.patient, (arguments.id,))


def purge_ended(stub: Stub, patient_id: str) -> None:
    """When the patient is erased: claims that need not be kept any more. A party purges the others later."""
    kept_ms = acting(stub).policies.claim_kept_ms
    for (_, claim_id), claim in CLAIMS.scan(stub, patient_id):
        if claim.purged_ms is None and not claim.is_kept(stub.timestamp_ms, kept_ms):
            _purge(stub, patient_id, claim_id, claim)


def _purge(stub: Stub, patient_id: str, claim_id: str, claim: Claim) -> None:
    numbered = (("request", claim.requests), ("answer", claim.requests), ("appeal", 1))
    decided = (("explanation", claim.adjudications), ("settlement", claim.adjudications))
    names = [f"{name}-{number + 1}" for name, count in (*numbered, *decided) for number in range(count)]
    messages.purge(stub, [message(patient_id, claim_id, name) for name in ("body", *names)])
    CLAIMS.put(stub, replace(claim, purged_ms=stub.timestamp_ms), patient_id, claim_id)


def known(stub: Stub, patient_id: str, claim_id: str) -> Claim:
    return CLAIMS.require(stub, Code.CLAIM_UNKNOWN, patient_id, claim_id)


def _advanced(stub: Stub, chosen: Chosen, permission: Permission, step: Step) -> tuple[Claim, Claim]:
    """The claim as it is and as it would be after this step, by whom and when the table permits it."""
    is_person = stub.caller.role in PERSONS and step is Step.APPEAL
    gate = acting(stub, None if is_person else permission)
    claim = known(stub, chosen.patient, chosen.id)
    transition = TRANSITIONS.get((claim.state, step))
    _require_party(stub, gate, chosen.patient, claim, step)
    if transition is None:
        raise refusal(Code.CLAIM_STATE)
    now_ms = stub.timestamp_ms
    over_ms = claim.appeal_ms if transition.when is When.IN_TIME else claim.due_ms
    if transition.when is not When.ALWAYS:
        assert over_ms is not None, "a state with a step in time has that time"
        if (now_ms < over_ms) != (transition.when is When.IN_TIME):
            raise refusal(Code.CLAIM_DEADLINE)
    waits, policies = transition.to in WAITS_FOR, gate.policies
    after = replace(
        claim,
        state=transition.to,
        state_by=gate.user,
        state_ms=now_ms,
        due_ms=now_ms + policies.claim_answer_ms if waits else None,
        appeal_ms=now_ms + policies.claim_appeal_ms if transition.to in APPEALABLE else claim.appeal_ms,
    )
    return claim, after


def _require_party(stub: Stub, gate: Acting, patient_id: str, claim: Claim, step: Step) -> None:
    """A step is one party's in every state."""
    (by,) = {transition.by for (_, one), transition in TRANSITIONS.items() if one is step}
    if by is Party.PAYER:
        parties.require_member(gate, claim.payer)
    elif gate.role in PERSONS:
        guardians.require_speaker(stub, patient_id, patients.registered(stub, patient_id), Scope.CLAIMS)
    else:
        parties.require_member(gate, claim.hospital)


def _put(stub: Stub, chosen: Chosen, claim: Claim, event: str) -> None:
    CLAIMS.put(stub, claim, chosen.patient, chosen.id)
    if claim.due_ms is not None and WAITS_FOR[claim.state] is Party.PAYER:
        CLAIMS_DUE.put(stub, ClaimDue(claim.due_ms), claim.payer, chosen.patient, Asked.CLAIM, chosen.id)
    else:
        CLAIMS_DUE.delete(stub, claim.payer, chosen.patient, Asked.CLAIM, chosen.id)
    emit(stub, event, chosen.patient, (chosen.id,))
