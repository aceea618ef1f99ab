"""Refusal tables: one row a request, with who sends it and the code it must be refused with.

Each row differs in one thing from a request that succeeds, so a row cannot pass for another reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from healthchain.chaincode.stub import Caller
from healthchain.errors import Refused

from .chain import Chain


class Row(NamedTuple):
    name: str
    code: str
    caller: Caller
    function: str
    arguments: object
    transient: Mapping[str, bytes] = {}
    later_ms: int = 0


class Success(NamedTuple):
    name: str
    caller: Caller
    function: str
    arguments: object
    transient: Mapping[str, bytes] = {}


def by_name(row: Row | Success) -> str:
    return f"{row.function} {row.name}"


def check_refused(chain: Chain, row: Row) -> None:
    chain.now_ms += row.later_ms
    with pytest.raises(Refused) as caught:
        chain.call(row.caller, row.function, row.arguments, row.transient)
    assert caught.value.code == row.code
