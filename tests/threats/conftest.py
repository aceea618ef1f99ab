"""One consortium for the run, with a patient's records in it; each attack gets a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from .stage import Stage, make_stage


@pytest.fixture(scope="session")
def made_stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return make_stage(tmp_path_factory.mktemp("made") / "consortium")


@pytest.fixture
def stage(made_stage: Stage, tmp_path: Path) -> Stage:
    return made_stage.copy(tmp_path / "consortium")
