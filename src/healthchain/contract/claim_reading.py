"""What the parties of a claim see of it: its state, sealed texts, attached records, and commitments opened."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from msgspec.structs import asdict

from healthchain.chaincode.stub import Stub
from healthchain.contract import billing, commitments, messages, parties
from healthchain.contract.claim_states import CLAIMS, Attachment, Claim
from healthchain.contract.claims import LineNumber, known, message
from healthchain.contract.codes import Code, refusal
from healthchain.contract.commitments import Currency, Minor, Part, Salt
from healthchain.contract.guardians import GUARDIANS, Scope
from healthchain.contract.ids import BODIES, PERSONS, Arguments, Id, Kind, Result, body_key
from healthchain.contract.members import acting
from healthchain.contract.policies import Permission
from healthchain.contract.reading import ANSWER_BYTES_MAX


class Get(Arguments, frozen=True):
    id: Id
    patient: Id


class ListedClaim(Claim, frozen=True, kw_only=True):
    id: str


class ShownClaim(ListedClaim, Result, frozen=True, kw_only=True):
    """What a party needs for its next step.

    `encounters` are the commitments to the secrets that the lines' tokens are keyed by, by record; `guardians` the
    public keys of those for claims, to whom texts are sealed too.
    """

    encounters: dict[str, bytes]
    guardians: dict[str, bytes]


def get(stub: Stub, arguments: Get) -> ShownClaim:
    claim = _of_party(stub, arguments.patient, arguments.id)
    encounters = {}
    for record in sorted({one.encounter for one in claim.lines}):
        bound = billing.bound_encounter(stub, arguments.patient, record, claim.hospital)
        encounters[record] = bound.commitment
    guardians = {
        guardian: one.public_key
        for (_, guardian), one in GUARDIANS.scan(stub, arguments.patient)
        if Scope.CLAIMS in one.scopes and one.lasts(stub.timestamp_ms)
    }
    return ShownClaim(id=arguments.id, encounters=encounters, guardians=guardians, **asdict(claim))


class List(Arguments, frozen=True):
    patient: Id


class Claims(Result, frozen=True):
    claims: list[ListedClaim]


def list_claims(stub: Stub, arguments: List) -> Claims:
    """In order of time: all for the patient and guardians, its own for a hospital or payer."""
    gate = acting(stub)
    own = gate.caller.msp_id
    parties.require(stub, gate, arguments.patient, own, own)
    found = [
        ListedClaim(id=claim_id, **asdict(claim))
        for (_, claim_id), claim in CLAIMS.scan(stub, arguments.patient)
        if gate.role in PERSONS or own in (claim.hospital, claim.payer)
    ]
    return Claims(sorted(found, key=lambda one: (one.time_ms, one.id)))


class Message(Get, frozen=True):
    name: Annotated[str, Meta(pattern=r"^(body|(request|answer|explanation|appeal|settlement)-[1-9][0-9]{0,5})\Z")]


def fetch(stub: Stub, arguments: Message) -> messages.Sealed:
    """For those to whom it is sealed."""
    _of_party(stub, arguments.patient, arguments.id)
    return messages.fetch(stub, message(arguments.patient, arguments.id, arguments.name))


class Records(Get, frozen=True):
    line: LineNumber


class AttachedRecord(Attachment, frozen=True, kw_only=True):
    body: bytes | None  # None once it was erased


class AttachedRecords(Result, frozen=True):
    records: list[AttachedRecord]


def records(stub: Stub, arguments: Records) -> AttachedRecords:
    """Exactly the versions attached to this line, for the payer while the claim is kept; their keys are in its body."""
    gate = acting(stub, Permission.ADJUDICATE)
    claim = known(stub, arguments.patient, arguments.id)
    parties.require_member(gate, claim.payer)
    if claim.purged_ms is not None or not claim.is_kept(stub.timestamp_ms, gate.policies.claim_kept_ms):
        raise refusal(Code.CLAIM_PURGED)
    found = []
    for one in _line(claim, arguments.line):
        body = stub.get_private(BODIES, body_key(arguments.patient, one.record, one.version))
        found.append(AttachedRecord(one.record, one.version, body=body))
    if sum(len(one.body or b"") for one in found) > ANSWER_BYTES_MAX:
        raise refusal(Code.BATCH_TOO_LARGE)
    return AttachedRecords(found)


class OpenAmount(Get, frozen=True):
    """`line` is for what is billed or paid on one; without it the part is of the whole claim."""

    part: Part
    amount: Minor
    currency: Currency
    salt: Salt
    line: LineNumber | None = None


class Opened(Result, frozen=True):
    holds: bool


def open_amount(stub: Stub, arguments: OpenAmount) -> Opened:
    """Whether this is the amount that was committed to. For the parties, and the agency that settles their dispute."""
    is_agency = acting(stub).member.kind is Kind.AGENCY
    if is_agency:
        acting(stub, Permission.OVERSEE)
        claim = known(stub, arguments.patient, arguments.id)
    else:
        claim = _of_party(stub, arguments.patient, arguments.id)
    committed = _committed(claim, arguments.part, arguments.line)
    about = (arguments.patient, arguments.id, arguments.part, arguments.line or 0)
    return Opened(commitments.amount(*about, arguments.amount, arguments.currency, arguments.salt) == committed)


def _committed(claim: Claim, part: Part, line: int | None) -> bytes:
    of_claim = {Part.TOTAL: claim.total, Part.SETTLED: claim.settlement}
    of_line: dict[Part, dict[int, bytes | None]] = {
        Part.BILLED: {one.number: one.amount for one in claim.lines},
        Part.PAID: {one.line: one.amount for one in claim.decisions},
    }
    found = of_claim.get(part) if line is None else of_line.get(part, {}).get(line)
    if found is None:
        raise refusal(Code.COMMITMENT_UNKNOWN)
    return found


def _line(claim: Claim, number: int) -> tuple[Attachment, ...]:
    for one in claim.lines:
        if one.number == number:
            return one.records
    raise refusal(Code.CLAIM_LINES)


def _of_party(stub: Stub, patient_id: str, claim_id: str) -> Claim:
    gate = acting(stub)
    claim = known(stub, patient_id, claim_id)
    parties.require(stub, gate, patient_id, claim.hospital, claim.payer)
    return claim
