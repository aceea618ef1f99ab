"""The scenario of governance: its facts, and what it tells a person."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from healthchain.app.scenarios import governance as scenario
from healthchain.app.scenarios.embedded import Embedded

from .program import process
from .transcripts import assert_told


def test_every_fact_and_the_transcript() -> None:
    ended = process("demo", "--scenario", "governance", "--json")
    assert ended.status == 0
    facts = ended.document
    assert facts["policy"] == {
        "outcomes": ["open", "open", "open", "enacted"],
        "hours_before": 12,
        "hours_after": 8,
        "session_of_12_hours": "PERIOD_INVALID",
        "comment_opens_for": 4,
    }
    assert facts["rejected"] == ["open", "rejected"]
    assert facts["suspended"] == {
        "insurer_votes_on_it": "VOTE_NOT_ELIGIBLE",
        "reads": "MEMBER_SUSPENDED",
        "proposes": "MEMBER_SUSPENDED",
        "votes": "MEMBER_SUSPENDED",
        "members_before": 4,
        "members_during": 3,
        "read_before_and_after_equal": True,
    }
    added = facts["added"]
    assert (added["members"], added["import_unlicensed"], added["resources_imported"]) == (5, "LICENCE_MISSING", 252)
    assert added["read_identical"] is added["endorsed_by_it"] is added["peers_equal"] is True
    assert re.fullmatch("[0-9a-f]{64}", added["update_digest"])
    assert (added["update_bytes"] > 1000, added["update_signatures"]) == (True, 0)
    assert facts["verify_clean"] is True
    assert 0 < facts["blocks"] <= facts["transactions"]
    assert_told("governance", ended.stderr)


def test_the_facts_are_observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where comments do not open and what is read differs each time, the scenario says so."""

    async def garbled(*_: object) -> str:
        return "?"

    monkeypatch.setattr("healthchain.records.governing.sealed_comment", garbled)
    monkeypatch.setattr("healthchain.app.scenarios.governance.canonical_json", lambda raw: raw + os.urandom(1))
    told: list[str] = []
    facts = asyncio.run(scenario.run(Embedded(tmp_path / "consortium"), told.append))
    assert any("0 of 4 administrators open it" in one for one in told)
    assert facts.policy.comment_opens_for == 0
    assert (facts.suspended.read_before_and_after_equal, facts.added.read_identical) == (False, False)
