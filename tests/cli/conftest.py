"""`made` is a folder that init made, `filled` one with a patient in it; both are copies, to be spoiled at will."""

from __future__ import annotations

import asyncio
import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthchain.app.consortium import initialise, opened
from healthchain.config import DEFAULT
from healthchain.records.bundle import parse_bundle
from healthchain.records.importing import import_bundle

from .bundles import bundle
from .program import Program


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """A command changes the garbage collector, for a process that ends with it."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(capsys)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "consortium"
    asyncio.run(initialise(folder, DEFAULT))
    return folder


@pytest.fixture(scope="session")
def filled_once(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("filled") / "consortium"
    shutil.copytree(made_once, folder)

    async def fill() -> str:
        async with opened(folder) as consortium:
            return (await import_bundle(consortium.custodian("general-hospital"), parse_bundle(bundle()))).patient

    return folder, asyncio.run(fill())


@pytest.fixture
def made(made_once: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "consortium"
    shutil.copytree(made_once, folder)
    return folder


@pytest.fixture
def filled(filled_once: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """The folder, and the pseudonym of its patient, who has three records."""
    folder = tmp_path / "consortium"
    shutil.copytree(filled_once[0], folder)
    return folder, filled_once[1]
