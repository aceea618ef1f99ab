"""`chain` is the full chain of `consortium`, a fresh copy for each test; `empty` has no block yet."""

from __future__ import annotations

import pytest

from .chain import Chain
from .consortium import full_chain


@pytest.fixture(scope="session")
def built_chain() -> Chain:
    return full_chain()


@pytest.fixture
def chain(built_chain: Chain) -> Chain:
    return built_chain.copy()


@pytest.fixture
def empty() -> Chain:
    return Chain()
