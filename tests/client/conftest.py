"""One network for the run, since its keys take longest, and opened once for each file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .told import Play, make_network, playing


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told") / "network"
    make_network(folder)
    return folder


@pytest.fixture(scope="module")
def play(made: Path) -> Iterator[Play]:
    with playing(made) as one:
        yield one
