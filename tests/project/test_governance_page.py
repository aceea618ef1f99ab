"""The page on governance has every policy with its bounds, every permission, and every change that can be proposed."""

from __future__ import annotations

import json
import re
from typing import get_args

import msgspec
from msgspec import inspect

from healthchain.contract.amendments import Amendment
from healthchain.contract.ids import Kind
from healthchain.contract.policies import WIDEST, Policies

from .tracked_files import ROOT

PAGE = (ROOT / "docs/governance.md").read_text()
UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000))


def table(marker: str) -> list[list[str]]:
    """Rows of cells, without the head."""
    found = re.search(rf"<!-- {marker} -->\n((?:\|.*\n)+)", PAGE)
    assert found is not None, marker
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in found[1].splitlines()[2:]]


def told(name: str, value: int) -> str:
    """Times in the largest unit that needs no fraction."""
    if "_ms" not in name or value == 0:
        return str(value)
    return next(f"{value // length} {unit}" for unit, length in UNITS if value % length == 0)


def test_the_policies_are_the_contracts() -> None:
    known = inspect.type_info(Policies)
    assert isinstance(known, inspect.StructType)
    expected = []
    for one in known.fields:
        if isinstance(one.type, inspect.IntType):
            bounds = (one.default, one.type.ge, one.type.le)
            expected.append([f"`{one.name}`", *(told(one.name, int(value)) for value in bounds if value is not None)])
    rows = table("policies")
    assert [row[:4] for row in rows] == expected
    assert all(len(row) == 5 and row[4] for row in rows)


def test_the_permissions_are_the_contracts() -> None:
    expected = [
        [f"`{permission}`", *(", ".join(sorted(by_kind.get(kind, ()))) for kind in Kind)]
        for permission, by_kind in WIDEST.items()
    ]
    assert table("permissions") == expected


def test_every_change_is_there_and_those_that_are_whole_decode() -> None:
    shown = re.findall(r"`(\{\"change\".*?\})` \|", PAGE)
    named = [re.findall(r"\"change\": \"([a-z-]+)\"", one)[0] for one in shown]
    assert sorted(named) == sorted(str(one.__struct_config__.tag) for one in get_args(Amendment))
    whole = [one for one in shown if "..." not in one]
    assert len(whole) == 3
    for one in whole:
        msgspec.convert(json.loads(one), Amendment)
