"""The scenario of an outbreak: its facts, and what it tells a person."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from healthchain.app.scenarios import outbreak as scenario
from healthchain.app.scenarios.embedded import Embedded
from healthchain.records.fhir_cases import Case

from .program import process
from .transcripts import assert_told


def test_every_fact_and_the_transcript() -> None:
    ended = process("demo", "--scenario", "outbreak", "--json")
    assert ended.status == 0
    facts = ended.document
    assert facts["filed"] == {
        "reports": 50,
        "opened_identical": True,
        "acknowledged": 50,
        "late": 1,
        "late_hours": 48,
        "another_hospital": "REPORT_OF_ANOTHER",
        "the_reporter": "REPORT_SEALED",
        "insurer": "ROLE_FORBIDDEN",
    }
    assert facts["followed_up"] == {
        "question_answered": True,
        "requests_waiting": 0,
        "withdrawn": 1,
        "reports_counted": 49,
    }
    published = facts["published"]
    assert (published["cells"], published["traced"]) == (24, 15)
    assert 0 < published["small"] < published["suppressed"] < 24
    assert published["with_small_counts"] == "CELL_SMALL"
    assert published["small_alone_suppressed"] == published["by_difference"] == "CELL_DERIVABLE"
    assert published["traced_by_hospital"] == published["traced_by_insurer"] == "ROLE_FORBIDDEN"
    assert facts["verify_clean"] is True
    assert 0 < facts["blocks"] <= facts["transactions"]
    assert_told("outbreak", ended.stderr)


def test_the_facts_are_observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the agency opens something else, it says so."""

    async def nothing(*_: object) -> Case:
        return Case("444814009", "2020-01-01", "0-9", "female", "elsewhere")

    monkeypatch.setattr("healthchain.records.reporting.case_of", nothing)
    told: list[str] = []
    facts = asyncio.run(scenario.run(Embedded(tmp_path / "consortium"), told.append))
    assert facts.filed.opened_identical is False
