"""What `healthchain demo` can show: one file a scenario, each with `run(stage, say)`, which answers with its facts.

A scenario works on the sample patients' own resources, and does not know which network it is played on: what differs
is the stage's. Every fact is observed in the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any

from healthchain.errors import Refused

if TYPE_CHECKING:
    from healthchain.app.scenarios.stage import Stage

Say = Callable[[str], None]
"""Told each step in words, as it happens."""


class Scenario(StrEnum):
    RECORDS = "records"
    CLAIM = "claim"
    BREAKGLASS = "breakglass"
    GOVERNANCE = "governance"
    OUTBREAK = "outbreak"


class Engine(StrEnum):
    """What a scenario is played on."""

    EMBEDDED = "embedded"
    FABRIC = "fabric"


def scenario(chosen: Scenario) -> Callable[[Stage, Say], Coroutine[Any, Any, Any]]:
    """Its `run`, which answers with a dataclass of facts, `blocks` and `transactions` among them."""
    run: Callable[[Stage, Say], Coroutine[Any, Any, Any]] = import_module(f"{__name__}.{chosen.value}").run
    return run


async def refusal(attempt: Awaitable[object]) -> str:
    """The code with which it is refused; "" if it was not."""
    try:
        await attempt
    except Refused as refused:
        return refused.code
    return ""
