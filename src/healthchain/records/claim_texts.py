"""What is sealed to the parties of a claim: its body, explanations and payments; and whether they are true.

Beside each amount is the salt of its commitment on the ledger, so that a party can open it to others in a dispute.
"""

from __future__ import annotations

import hmac
from os import urandom

import msgspec

from healthchain.contract import commitments
from healthchain.contract.claim_reading import ShownClaim
from healthchain.contract.claim_states import Line
from healthchain.contract.commitments import SALT_BYTES, Part
from healthchain.errors import BadInput, HealthChainError
from healthchain.records.fhir_claims import Money, parse_claim


class ClaimFalse(HealthChainError):
    """What is sealed of a claim does not fit what is on the ledger. A payer denies such a claim."""


class Opening(msgspec.Struct, frozen=True):
    """Of a commitment to an amount."""

    minor: int
    currency: str
    salt: bytes

    @property
    def amount(self) -> Money:
        return Money(self.minor, self.currency)

    def commitment(self, patient: str, claim: str, part: Part, line: int = 0) -> bytes:
        return commitments.amount(patient, claim, part, line, self.minor, self.currency, self.salt)


class RecordKey(msgspec.Struct, frozen=True):
    """What opens one version of one record: its own key, and where that version belongs."""

    record: str
    version: int
    compartment: str
    epoch: int
    custodian: str
    key: bytes


class BodyLine(msgspec.Struct, frozen=True):
    """`occurrence` tells apart what was done several times in one encounter, from 1."""

    number: int
    service: str
    occurrence: int
    secret: bytes  # the encounter's
    billed: Opening
    keys: tuple[RecordKey, ...]


class Body(msgspec.Struct, frozen=True):
    resource: bytes  # the FHIR Claim
    lines: tuple[BodyLine, ...]
    total: Opening


class ExplainedLine(msgspec.Struct, frozen=True):
    line: int
    paid: Opening | None
    carc: str
    salt: bytes  # of the commitment to the reason


class Explanation(msgspec.Struct, frozen=True):
    resource: bytes  # the FHIR ExplanationOfBenefit
    lines: tuple[ExplainedLine, ...]


class Payment(msgspec.Struct, frozen=True):
    paid: Opening


def new_opening(amount: Money) -> Opening:
    return Opening(amount.minor, amount.currency, new_salt())


def new_salt() -> bytes:
    return urandom(SALT_BYTES)


def token(secret: bytes, service: str, occurrence: int) -> bytes:
    """Of a service in the encounter that the secret is of; the same whoever bills it to whom."""
    return hmac.digest(secret, msgspec.json.encode(("HealthChain/1/service", service, occurrence)), "sha256")


def check(patient: str, claim: ShownClaim, body: Body) -> None:
    """1 Its lines are the ledger's and the Claim's; 2 each secret is the committed one; 3 tokens and 4 amounts fit.

    Raises ClaimFalse.
    """
    lines = {one.number: one for one in body.lines}
    if sorted(lines) != [one.number for one in claim.lines] or len(lines) != len(body.lines):
        raise ClaimFalse("the body has other lines than the ledger")
    _check_resource(body)
    for on_ledger in claim.lines:
        _check_line(patient, claim, on_ledger, lines[on_ledger.number])
    billed = {one.billed.currency for one in body.lines} | {body.total.currency}
    if len(billed) != 1 or sum(one.billed.minor for one in body.lines) != body.total.minor:
        raise ClaimFalse("the total is not the sum of the lines")
    if body.total.commitment(patient, claim.id, Part.TOTAL) != claim.total:
        raise ClaimFalse("the total is not the one committed to")


def _check_resource(body: Body) -> None:
    """A payer decides on what the FHIR Claim says: a token of another service would let this one be billed twice."""
    try:
        items = parse_claim(body.resource).items
    except BadInput as bad:
        raise ClaimFalse(str(bad)) from None
    said = sorted((one.number, one.service, one.billed.minor, one.billed.currency) for one in items)
    if said != sorted((one.number, one.service, one.billed.minor, one.billed.currency) for one in body.lines):
        raise ClaimFalse("the FHIR Claim has other items than the body has lines")


def check_explanation(patient: str, claim: ShownClaim, explained: Explanation) -> None:
    """What it says is paid of each line, and why no more, is what the payer committed to. Or ClaimFalse."""
    lines = sorted(explained.lines, key=lambda one: one.line)
    if [_decision(patient, claim.id, one) for one in lines] != [
        (one.line, one.amount, one.reason) for one in claim.decisions
    ]:
        raise ClaimFalse("the explanation says what the payer did not commit to")


def _decision(patient: str, claim_id: str, line: ExplainedLine) -> tuple[int, bytes | None, bytes | None]:
    """(line, commitment to the amount, commitment to the reason)."""
    amount = line.paid.commitment(patient, claim_id, Part.PAID, line.line) if line.paid else None
    reason = commitments.reason(patient, claim_id, line.line, line.carc, line.salt) if line.carc else None
    return line.line, amount, reason


def _check_line(patient: str, claim: ShownClaim, on_ledger: Line, line: BodyLine) -> None:
    if commitments.secret(patient, on_ledger.encounter, line.secret) != claim.encounters[on_ledger.encounter]:
        raise ClaimFalse("the secret of an encounter is not the one committed to")
    if token(line.secret, line.service, line.occurrence) != on_ledger.token:
        raise ClaimFalse("the token of a line is of another service")
    if line.billed.commitment(patient, claim.id, Part.BILLED, line.number) != on_ledger.amount:
        raise ClaimFalse("the amount of a line is not the one committed to")
