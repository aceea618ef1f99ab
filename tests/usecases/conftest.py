"""`folder` is a consortium of the default topology that nothing was done in yet, a copy for each test."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from healthchain.app.consortium import initialise
from healthchain.config import DEFAULT


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "consortium"
    asyncio.run(initialise(folder, DEFAULT))
    return folder


@pytest.fixture
def folder(made_once: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "consortium"
    shutil.copytree(made_once, copy)
    return copy
