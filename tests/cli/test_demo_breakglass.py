"""The scenario of an emergency: its facts, and what it tells a person."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from healthchain.app.scenarios import breakglass as scenario
from healthchain.app.scenarios.embedded import Embedded

from .program import process
from .transcripts import assert_told


def test_every_fact_and_the_transcript() -> None:
    ended = process("demo", "--scenario", "breakglass", "--json")
    assert ended.status == 0
    facts = ended.document
    assert facts["resources"] == 798
    assert facts["read_without_consent"] == "CONSENT_MISSING"
    opened = facts["opened"]
    assert (opened["before_release"], opened["written_later"], opened["of_those_opened"]) == (0, 1, 0)
    assert (opened["denied"], opened["denied_read"]) == (4, "SESSION_SCOPE")
    assert opened["records"] == opened["keys_released"] == facts["seen"]["reads_the_patient_sees"] == 793
    assert opened["identical"] is True
    assert sum(opened["by_type"].values()) == 793
    assert (opened["by_type"]["AllergyIntolerance"], opened["by_type"]["Condition"]) == (9, 28)
    seen = facts["seen"]
    assert (seen["emergencies_the_patient_sees"], seen["reviews_pending"]) == (1, 1)
    assert (seen["reason_to_the_insurer"], seen["review_due_days"]) == ("EMERGENCY_FORBIDDEN", 7)
    assert facts["reviewed"] == {
        "by_its_own_hospital": "REVIEW_FORBIDDEN",
        "justified": True,
        "reviews_pending": 0,
        "peers_with_keys_before": 4,
        "peers_with_keys_after": 0,
        "read_afterwards": "SESSION_ENDED",
    }
    assert facts["verify_clean"] is True
    assert 0 < facts["blocks"] <= facts["transactions"]
    assert_told("breakglass", ended.stderr)


def test_the_facts_are_observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the custodian releases nothing, nothing is read."""

    async def nothing(*_: object) -> list[str]:
        return []

    monkeypatch.setattr("healthchain.records.emergency.release_waiting", nothing)
    told: list[str] = []
    facts = asyncio.run(scenario.run(Embedded(tmp_path / "consortium"), told.append))
    assert (facts.opened.records, facts.opened.identical, facts.seen.reads_the_patient_sees) == (0, False, 0)
    assert facts.reviewed.peers_with_keys_before == 0
