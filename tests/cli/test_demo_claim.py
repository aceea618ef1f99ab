"""The claim scenario: every fact of its JSON, and what it tells a person."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from healthchain.app.scenarios import claim as scenario
from healthchain.app.scenarios.embedded import Embedded

from .program import process
from .transcripts import assert_told


def test_every_fact_and_the_transcript(tmp_path: Path) -> None:
    ended = process("demo", "--scenario", "claim", "--dir", tmp_path / "kept", "--json")
    assert ended.status == 0
    facts = ended.document
    assert facts.pop("blocks") > 10
    assert facts.pop("transactions") > 10
    assert facts == {
        "billed": "375.00 USD",
        "lines": 3,
        "outcomes": ["approved", "reduced", "denied"],
        "outcomes_after_appeal": ["approved", "reduced", "approved"],
        "paid": "350.00 USD",
        "state": "closed",
        "billed_again": "BILLED_TWICE",
        "billed_to_the_other_coverage": "BILLED_TWICE",
        "secondary_paid": "25.00 USD",
        "clinic_asks": "CLAIM_PARTY",
        "clinic_opens": False,
        "attached_records_read": 3,
        "amount_holds": True,
        "another_amount_holds": False,
        "verify_clean": True,
    }
    assert_told("claim", ended.stderr)


def test_the_facts_are_observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something does not hold, the scenario says so."""
    monkeypatch.setattr("healthchain.app.scenarios.claim.open_message", lambda *_: b"")
    monkeypatch.setattr("healthchain.contract.billing._stands", lambda *_: False)
    monkeypatch.setattr("healthchain.contract.billing.require_billed", lambda *_: None)
    facts = asyncio.run(scenario.run(Embedded(tmp_path / "consortium"), lambda _: None))
    assert (facts.clinic_opens, facts.billed_again) == (True, "")
