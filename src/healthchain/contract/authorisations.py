"""Prior authorisations: a hospital asks before it treats, the payer answers. What for is sealed."""

from __future__ import annotations

from enum import StrEnum

from msgspec.structs import asdict, replace

from healthchain.chaincode.stub import Stub
from healthchain.contract import coverage, licences, messages, parties, patients
from healthchain.contract.claims_due import CLAIMS_DUE, Asked, ClaimDue
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import PERSONS, Arguments, Id, Milliseconds, Result
from healthchain.contract.licences import Act
from healthchain.contract.members import acting
from healthchain.contract.patients import Use
from healthchain.contract.policies import Permission
from healthchain.contract.state import State, Table, emit


class Authorisation(State, frozen=True):
    """Pending until `granted` is set. Granted for services from start_ms (inclusive) to end_ms (exclusive)."""

    hospital: str
    payer: str
    coverage: str
    by: str
    time_ms: int
    due_ms: int
    granted: bool | None = None
    start_ms: int = 0
    end_ms: int = 0
    answered_by: str | None = None
    answered_ms: int | None = None


AUTHORISATIONS = Table("authorisation", Authorisation)  # patient, authorisation


class Request(Arguments, frozen=True):
    id: Id
    patient: Id
    coverage: Id


def request(stub: Stub, arguments: Request) -> None:
    """By a licensed hospital. Transient: what it wants to do, see `message`."""
    gate = acting(stub, Permission.CLAIM)
    licences.require(stub, Act.CLAIM)
    patients.active(stub, arguments.patient)
    covered = coverage.known(stub, arguments.patient, arguments.coverage)
    if not covered.covers(stub.timestamp_ms):
        raise refusal(Code.COVERAGE_OVER)
    if AUTHORISATIONS.get(stub, arguments.patient, arguments.id) is not None:
        raise refusal(Code.AUTHORISATION_EXISTS)
    messages.store(stub, {message(arguments.patient, arguments.id, Text.REQUEST)})
    due_ms = stub.timestamp_ms + gate.policies.claim_answer_ms
    asked = Authorisation(
        hospital=gate.caller.msp_id,
        payer=covered.payer,
        coverage=arguments.coverage,
        by=gate.user,
        time_ms=stub.timestamp_ms,
        due_ms=due_ms,
    )
    AUTHORISATIONS.put(stub, asked, arguments.patient, arguments.id)
    CLAIMS_DUE.put(stub, ClaimDue(due_ms), covered.payer, arguments.patient, Asked.AUTHORISATION, arguments.id)
    emit(stub, "authorisations:Requested", arguments.patient, (arguments.id,))


class Text(StrEnum):
    REQUEST = "request"
    ANSWER = "answer"


def message(patient_id: str, authorisation_id: str, text: Text) -> str:
    """In MESSAGES: sealed to the hospital, the payer and the patient."""
    return messages.message_key("authorisation", patient_id, authorisation_id, text)


class Answer(Arguments, frozen=True):
    """A period goes with a grant, and none with a refusal."""

    id: Id
    patient: Id
    granted: bool
    start_ms: Milliseconds = 0
    end_ms: Milliseconds = 0


def answer(stub: Stub, arguments: Answer) -> None:
    """By the payer, once. Transient: what is authorised, or why not."""
    gate = acting(stub, Permission.ADJUDICATE)
    asked = _known(stub, arguments.patient, arguments.id)
    parties.require_member(gate, asked.payer)
    patients.allowing(stub, arguments.patient, Use.KEEP)
    if asked.granted is not None:
        raise refusal(Code.AUTHORISATION_ANSWERED)
    if (arguments.start_ms < arguments.end_ms) != arguments.granted:
        raise refusal(Code.PERIOD_INVALID)
    messages.store(stub, {message(arguments.patient, arguments.id, Text.ANSWER)})
    answered = replace(
        asked,
        granted=arguments.granted,
        start_ms=arguments.start_ms,
        end_ms=arguments.end_ms,
        answered_by=gate.user,
        answered_ms=stub.timestamp_ms,
    )
    AUTHORISATIONS.put(stub, answered, arguments.patient, arguments.id)
    CLAIMS_DUE.delete(stub, asked.payer, arguments.patient, Asked.AUTHORISATION, arguments.id)
    emit(stub, "authorisations:Answered", arguments.patient, (arguments.id,))


def require_granted(
    stub: Stub, patient_id: str, authorisation_id: str, hospital: str, covered: str, at_ms: int
) -> None:
    """To this hospital, under this coverage, for this time; one that is not granted is for no time."""
    found = _known(stub, patient_id, authorisation_id)
    is_theirs = found.hospital == hospital and found.coverage == covered
    if not is_theirs or not found.start_ms <= at_ms < found.end_ms:
        raise refusal(Code.AUTHORISATION_MISSING)


class List(Arguments, frozen=True):
    patient: Id


class ListedAuthorisation(Authorisation, frozen=True, kw_only=True):
    id: str


class Authorisations(Result, frozen=True):
    authorisations: list[ListedAuthorisation]


def list_authorisations(stub: Stub, arguments: List) -> Authorisations:
    """In order of time: all for the patient and guardians, its own for a hospital or payer."""
    gate = acting(stub)
    own = gate.caller.msp_id
    parties.require(stub, gate, arguments.patient, own, own)
    found = [
        ListedAuthorisation(id=authorisation, **asdict(one))
        for (_, authorisation), one in AUTHORISATIONS.scan(stub, arguments.patient)
        if gate.role in PERSONS or own in (one.hospital, one.payer)
    ]
    return Authorisations(sorted(found, key=lambda one: (one.time_ms, one.id)))


class Message(Arguments, frozen=True):
    id: Id
    patient: Id
    text: Text


def fetch(stub: Stub, arguments: Message) -> messages.Sealed:
    """For those to whom it is sealed."""
    gate = acting(stub)
    asked = _known(stub, arguments.patient, arguments.id)
    parties.require(stub, gate, arguments.patient, asked.hospital, asked.payer)
    return messages.fetch(stub, message(arguments.patient, arguments.id, arguments.text))


def purge(stub: Stub, patient_id: str) -> None:
    """All texts, when the patient is erased; what was not answered then is not waited for any more."""
    found = [(authorisation, one) for (_, authorisation), one in AUTHORISATIONS.scan(stub, patient_id)]
    messages.purge(stub, [message(patient_id, authorisation, text) for authorisation, _ in found for text in Text])
    for authorisation, one in found:
        if one.granted is None:
            CLAIMS_DUE.delete(stub, one.payer, patient_id, Asked.AUTHORISATION, authorisation)


def _known(stub: Stub, patient_id: str, authorisation_id: str) -> Authorisation:
    return AUTHORISATIONS.require(stub, Code.AUTHORISATION_UNKNOWN, patient_id, authorisation_id)
