"""What `healthchain demo` can show: one file a scenario, each with `run(folder, say)`, which answers with its facts.

A scenario works in an empty folder, on the sample patients' own resources, and leaves the consortium there. Every fact
is observed in the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

from healthchain.errors import Refused

Say = Callable[[str], None]
"""Told each step in words, as it happens."""


class Scenario(StrEnum):
    RECORDS = "records"
    CLAIM = "claim"
    BREAKGLASS = "breakglass"
    GOVERNANCE = "governance"
    OUTBREAK = "outbreak"


def scenario(chosen: Scenario) -> Callable[[Path, Say], Coroutine[Any, Any, Any]]:
    """Its `run`, which answers with a dataclass of facts, `blocks` and `transactions` among them."""
    run: Callable[[Path, Say], Coroutine[Any, Any, Any]] = import_module(f"{__name__}.{chosen.value}").run
    return run


async def refusal(attempt: Awaitable[object]) -> str:
    """The code with which it is refused; "" if it was not."""
    try:
        await attempt
    except Refused as refused:
        return refused.code
    return ""
