"""One consortium and two chains for the run; each test has its own copy of a peer's folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthchain.ledger.ledger import Ledger
from healthchain.ledger.recovery import close_ledger

from .chain_builder import Consortium
from .checked_chain import write_chain
from .whole_chain import Chain, build


@pytest.fixture(scope="session")
def consortium() -> Consortium:
    return Consortium()


@pytest.fixture
def ledger(consortium: Consortium, tmp_path: Path) -> Iterator[Ledger]:
    """At height 2, with the toy chaincode defined."""
    opened = consortium.start(tmp_path / "peer")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def sound(consortium: Consortium, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "peer"
    ledger = consortium.start(folder)
    write_chain(consortium, ledger)
    close_ledger(ledger)
    return folder


@pytest.fixture
def peer(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "peer"))


@pytest.fixture(scope="session")
def chain(consortium: Consortium, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return build(consortium, tmp_path_factory.mktemp("chain") / "peer")


@pytest.fixture
def whole(chain: Chain, tmp_path: Path) -> Path:
    """A peer with the complete chain, closed."""
    return Path(shutil.copytree(chain.folder, tmp_path / "peer"))
