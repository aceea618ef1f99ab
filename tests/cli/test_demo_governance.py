"""The scenario of governance: its facts, and what it tells a person, kept as a transcript.

HEALTHCHAIN_REWRITE=1 writes the transcript anew; look at the difference before you commit it.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from healthchain.app.scenarios import governance as scenario

from .program import process

TRANSCRIPT = Path(__file__).with_name("demo-governance.txt")
DIGEST = (re.compile(r"[0-9a-f]{64}"), "DIGEST")
SIZE = (re.compile(r"\d+ bytes"), "N bytes")


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
    told = ended.stderr
    for pattern, mask in (DIGEST, SIZE):
        told = pattern.sub(mask, told)
    if os.environ.get("HEALTHCHAIN_REWRITE"):
        TRANSCRIPT.write_text(told)
    assert told == TRANSCRIPT.read_text()


def test_the_facts_are_observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where comments do not open and what is read differs each time, the scenario says so."""

    async def garbled(*_: object) -> str:
        return "?"

    monkeypatch.setattr("healthchain.records.governing.sealed_comment", garbled)
    monkeypatch.setattr("healthchain.app.scenarios.governance.canonical_json", lambda raw: raw + os.urandom(1))
    told: list[str] = []
    facts = asyncio.run(scenario.run(tmp_path / "consortium", told.append))
    assert any("0 of 4 administrators open it" in one for one in told)
    assert facts.policy.comment_opens_for == 0
    assert (facts.suspended.read_before_and_after_equal, facts.added.read_identical) == (False, False)
