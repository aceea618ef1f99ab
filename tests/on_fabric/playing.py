"""Recorded refusals through the Gateway client: each world under a chaincode name of its own, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from healthchain.client.gateway import Connection
from healthchain.contract.ehr import CONTRACT
from healthchain.errors import HealthChainError, Refused

from .refusals import Call, Recorded, Row


class Network(Protocol):
    async def deploy(self, names: Sequence[str]) -> None:
        """The contract again under each of these names: an empty ledger each."""

    def connection(self, call: Call, chaincode: str) -> Connection:
        """As who calls, at a gateway of the network, with the call's time."""


class Played:
    """What became of the rows: how many were refused as recorded, and the others in words."""

    def __init__(self) -> None:
        self.refused = 0
        self.codes: set[str] = set()
        self.functions: set[str] = set()
        self.submitted = 0
        self.differences: list[str] = []

    def note(self, row: Row, outcome: str) -> None:
        if outcome == row.code:
            self.refused += 1
            self.codes.add(row.code)
            self.functions.add(row.call.function)
        else:
            self.differences.append(f"{row.test}: {row.call.function}: {row.code} was expected: {outcome}")


async def play(
    recorded: Recorded, network: Network, at_once: int, say: Callable[[str], None] = lambda told: None
) -> Played:
    """Every row, in the worlds that have its state; `at_once` worlds side by side."""
    worlds = named_worlds(recorded)
    await network.deploy(list(worlds))
    say(f"{len(worlds)} worlds are deployed")
    waiting: dict[int, list[Row]] = {}
    for row in recorded.rows:
        waiting.setdefault(row.after, []).append(row)
    played, gate = Played(), asyncio.Semaphore(at_once)

    async def one(name: str, path: list[int]) -> None:
        async with gate:
            for step in path:
                if step != -1:
                    await _submit(network, recorded.steps[step].call, name)
                    played.submitted += 1
                rows = waiting.pop(step, [])
                outcomes = await asyncio.gather(*(_outcome(network, row.call, name) for row in rows))
                for row, outcome in zip(rows, outcomes, strict=True):
                    played.note(row, outcome)
        say(f"{name}: {len(path) - 1} steps; {played.refused} rows refused as recorded")

    await asyncio.gather(*(one(name, path) for name, path in worlds.items()))
    assert not waiting
    return played


def named_worlds(recorded: Recorded) -> dict[str, list[int]]:
    return {f"w{number}": path for number, path in enumerate(recorded.worlds())}


async def _submit(network: Network, call: Call, chaincode: str) -> None:
    connection = network.connection(call, chaincode)
    await connection.submit(call.function, call.arguments.encode(), transient=call.transient)


async def _outcome(network: Network, call: Call, chaincode: str) -> str:
    """The code with which it is refused. What is to be written is endorsed as if; a refusal is never ordered."""
    connection = network.connection(call, chaincode)
    try:
        if CONTRACT.functions[call.function.encode()].read_only:
            await connection.evaluate(call.function, call.arguments.encode(), transient=call.transient)
        else:
            await connection.proposal(call.function, call.arguments.encode(), transient=call.transient).endorse()
    except Refused as refused:
        return refused.code
    except HealthChainError as failed:
        return f"{type(failed).__name__}: {failed}"
    return "it was not refused"
