"""FHIR's Claim and ExplanationOfBenefit: what of them a claim on the ledger is made from, and goes back into.

Currencies are those with two decimal digits. Reasons are CARC, the code list that the United States' payers use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from healthchain.errors import BadInput

CARC = re.compile(r"[A-Z]{0,2}[0-9]{1,3}")
CARC_SYSTEM = "https://x12.org/codes/claim-adjustment-reason-codes"
ADJUDICATION = "http://terminology.hl7.org/CodeSystem/adjudication"
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Money:
    minor: int  # cents
    currency: str

    def __str__(self) -> str:
        return f"{self.minor // 100}.{self.minor % 100:02} {self.currency}"


@dataclass(frozen=True, slots=True)
class ClaimItem:
    """`service` is `system|code`, `encounter` the URL that the item refers to."""

    number: int
    service: str
    encounter: str
    billed: Money


@dataclass(frozen=True, slots=True)
class ParsedClaim:
    resource: bytes
    items: tuple[ClaimItem, ...]
    total: Money


@dataclass(frozen=True, slots=True)
class ItemDecision:
    """What is paid of an item, and why no more: a reason is due unless all of it is paid."""

    number: int
    paid: Money
    carc: str = ""


def parse_claim(resource: bytes) -> ParsedClaim:
    """Every item has a service, a net amount and one encounter; the total is their sum. Raises BadInput."""
    try:
        claim = json.loads(resource, parse_float=Decimal)
        if claim["resourceType"] != "Claim":
            raise BadInput("this is no FHIR Claim: give one such resource of the Bundle, as JSON")
        items = tuple(_item(one) for one in claim["item"])
        total = _money(claim["total"])
    except (ValueError, KeyError, TypeError, IndexError, ArithmeticError, RecursionError):
        raise BadInput("this is no FHIR Claim with items that have a service, a net amount and an encounter") from None
    if sum(one.billed.minor for one in items) != total.minor or {one.billed.currency for one in items} != {
        total.currency
    }:
        raise BadInput("the claim's total is not the sum of its items")
    return ParsedClaim(resource, items, total)


def explanation(claim: bytes, decisions: Sequence[ItemDecision]) -> bytes:
    """An ExplanationOfBenefit for this Claim, which `parse_claim` took."""
    about = json.loads(claim)
    by_number = {one.number: one for one in decisions}
    parsed = parse_claim(claim)
    paid = sum(one.paid.minor for one in decisions)
    eob = {
        "resourceType": "ExplanationOfBenefit",
        "status": "active",
        **{name: about[name] for name in ("type", "use", "patient", "created", "insurer", "provider") if name in about},
        "outcome": "complete",
        "claim": {"reference": f"urn:uuid:{about['id']}"} if "id" in about else {},
        "insurance": about.get("insurance", []),
        "item": [
            {
                "sequence": one.number,
                "productOrService": about["item"][place]["productOrService"],
                "adjudication": _adjudication(one, by_number[one.number]),
            }
            for place, one in enumerate(parsed.items)
        ],
        "total": [
            _category("submitted", parsed.total),
            _category("benefit", Money(paid, parsed.total.currency)),
        ],
    }
    return json.dumps(eob).encode()


def money(text: str, currency: str) -> Money:
    """Of `12.50`. Raises BadInput."""
    try:
        return _money({"value": Decimal(text), "currency": currency})
    except (InvalidOperation, ValueError):
        raise BadInput("an amount looks like 12.50") from None


def _adjudication(item: ClaimItem, decision: ItemDecision) -> list[dict[str, Any]]:
    found = [_category("submitted", item.billed), _category("benefit", decision.paid)]
    if decision.carc:
        found[1]["reason"] = {"coding": [{"system": CARC_SYSTEM, "code": decision.carc}]}
    return found


def _category(code: str, amount: Money) -> dict[str, Any]:
    return {
        "category": {"coding": [{"system": ADJUDICATION, "code": code}]},
        "amount": {"value": amount.minor / 100, "currency": amount.currency},
    }


def _item(item: Mapping[str, Any]) -> ClaimItem:
    (encounter,) = item["encounter"]
    coding = item["productOrService"]["coding"][0]
    service = f"{coding['system']}|{coding['code']}"
    return ClaimItem(int(item["sequence"]), service, str(encounter["reference"]), _money(item["net"]))


def _money(amount: Mapping[str, Any]) -> Money:
    """Raises ValueError."""
    minor = Decimal(amount["value"]) * 100
    currency = amount["currency"]
    if minor != minor.to_integral_value() or not 0 <= minor < 2**53 or not _CURRENCY.fullmatch(currency):
        raise ValueError
    return Money(int(minor), currency)
