"""One network for the run: its keys take longest. Each test gets a copy of its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from .toy import copy_network, make_network


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "network"
    make_network(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return copy_network(made, tmp_path / "network")
