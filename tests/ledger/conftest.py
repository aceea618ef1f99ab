"""One consortium for the run: its keys take longest. Ledgers are new for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from healthchain.ledger.ledger import Ledger

from .chain_builder import Consortium


@pytest.fixture(scope="session")
def consortium() -> Consortium:
    return Consortium()


@pytest.fixture
def ledger(consortium: Consortium, tmp_path: Path) -> Iterator[Ledger]:
    """At height 2, with the toy chaincode defined."""
    opened = consortium.start(tmp_path / "peer")
    yield opened
    opened.close()
