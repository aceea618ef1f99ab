"""`Chain` runs every call of these tests on all peers. Here: that it notices what differs between them."""

from __future__ import annotations

import pytest

from . import restless
from .chain import Chain
from .consortium import DOCTOR_A

CONTRACT = f"{restless.__name__}:RESTLESS"
FUNCTIONS = sorted(name.decode() for name in restless.RESTLESS.functions)


@pytest.mark.parametrize("function", [one for one in FUNCTIONS if one != "restless:Still"])
def test_what_differs_between_peers_is_noticed(function: str) -> None:
    with pytest.raises(AssertionError, match="peers do not agree"):
        Chain(CONTRACT).submit(DOCTOR_A, function, {}, {"a": b"1", "b": b"2"})


def test_what_does_not_differ_passes() -> None:
    Chain(CONTRACT).submit(DOCTOR_A, "restless:Still", {}, {"a": b"1", "b": b"2"})
