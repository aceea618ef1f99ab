"""The demo: every fact of its JSON, and what it tells a person."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from healthchain.app.scenarios import records as scenario
from healthchain.app.scenarios.embedded import Embedded

from .program import Program, process
from .transcripts import assert_told, masked, transcript


def test_every_fact_and_the_transcript(tmp_path: Path) -> None:
    """In a process of its own: standard output is the object alone, the steps are told beside it."""
    folder = tmp_path / "kept"
    ended = process("demo", "--dir", folder, "--json")
    assert ended.status == 0
    facts = ended.document
    assert facts["organisations"] == ["general-hospital", "city-clinic", "mutual-insurance", "health-agency"]
    assert facts["patients"] == 10
    assert facts["resources_imported"] == 8033
    assert 0 < facts["seconds_import"] < 60
    assert facts["read_without_consent"] == "CONSENT_MISSING"
    assert facts["read_after_grant_identical"] is True
    assert facts["read_after_revoke"] == "CONSENT_MISSING"
    assert facts["insurer_read"] == "CONSENT_MISSING"
    assert facts["audit_entries"] > 252
    assert facts["erased"] is True
    assert facts["verify_clean"] is True
    assert re.fullmatch(r"block log, file 000000: the entry at byte \d+ is damaged", facts["verify_tampered"])
    assert facts["blocks"] > 10
    assert facts["transactions"] >= facts["blocks"]
    assert_told("records", ended.stderr)
    kept = process("verify", "--dir", folder, "--json").document
    assert (kept["clean"], kept["blocks"], kept["transactions"]) == (True, facts["blocks"], facts["transactions"])


def test_for_a_person_and_thrown_away(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = scenario.sample_files()[:2]
    monkeypatch.setattr(scenario, "sample_files", lambda: few)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = program("demo")
    assert (ended.status, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == len(transcript("records").read_text().splitlines()) + 1
    assert re.fullmatch(r"\d+ transactions in \d+ blocks\.", ended.stdout.splitlines()[-1])
    assert list(tmp_path.iterdir()) == []


def test_the_facts_are_observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something does not hold, the demo says so."""

    async def nothing(*_: object) -> int:
        return 0

    monkeypatch.setattr("healthchain.records.erasing.erase_patient", nothing)
    monkeypatch.setattr("healthchain.app.scenarios.records.canonical_json", lambda raw: raw + os.urandom(1))
    told: list[str] = []
    facts = asyncio.run(scenario.run(Embedded(tmp_path / "consortium"), told.append, scenario.sample_files()[:2]))
    assert (facts.erased, facts.read_after_grant_identical) == (False, False)
    assert any("A PEER STILL HOLDS THEM" in one for one in told)


def test_the_readme_shows_it() -> None:
    readme = Path(__file__).parents[2].joinpath("README.md").read_text()
    shown = re.search(
        r"<!-- transcript: healthchain demo -->\n```\n(.*?)\n(\d+ transactions in \d+ blocks\.)\n```", readme, re.S
    )
    assert shown is not None
    assert masked(shown[1]) == transcript("records").read_text().rstrip("\n")
