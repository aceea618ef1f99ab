"""A plugin of pytest: writes what the contract's tests submit and are refused to the file HEALTHCHAIN_RECORDED.

    HEALTHCHAIN_RECORDED=FILE PYTHONPATH=tests/on_fabric pytest -p recording tests/contract

Refusals by a contract or on a ledger that a test has changed by hand are left out; so is running each call on other
peers as well.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from refusals import Call, Recorded, Row, Step  # type: ignore[import-not-found]

from healthchain.chaincode.stub import Caller
from healthchain.errors import Refused


class Recorder:
    """Equal steps after equal steps are one: most tests start from the same few ledgers."""

    def __init__(self, chain_module: Any) -> None:
        self.steps: dict[bytes, int] = {}
        self.recorded = Recorded([], [])
        self._refused: set[bytes] = set()
        self._contract = chain_module.EHR
        chain_module.peers_endorse = lambda call, recording: []
        self._wrap(chain_module.Chain)

    def _wrap(self, chain: Any) -> None:
        submit, simulate = chain.submit, chain._simulate

        def submitted(this: Any, caller: Caller, function: str, arguments: object, transient: Any = None) -> Any:
            call = _call(this, caller, function, arguments, transient or {})
            answer = submit(this, caller, function, arguments, transient)
            this.step = self._step(Step(getattr(this, "step", -1), call))
            this.left = _content(this)
            return answer

        def simulated(this: Any, caller: Caller, function: str, arguments: object, transient: Any) -> Any:
            call = _call(this, caller, function, arguments, transient)
            try:
                return simulate(this, caller, function, arguments, transient)
            except Refused as refused:
                untouched = _content(this) == getattr(this, "left", _EMPTY)
                if this.contract == self._contract and not this.alone and untouched:
                    self._row(Row("", getattr(this, "step", -1), call, refused.code))
                raise

        chain.submit, chain._simulate = submitted, simulated

    def _step(self, step: Step) -> int:
        number = self.steps.setdefault(msgspec.json.encode(step), len(self.recorded.steps))
        if number == len(self.recorded.steps):
            self.recorded.steps.append(step)
        return number

    def _row(self, row: Row) -> None:
        encoded = msgspec.json.encode(row)
        if encoded not in self._refused:
            self._refused.add(encoded)
            test = os.environ.get("PYTEST_CURRENT_TEST", "").removesuffix(" (call)")
            self.recorded.rows.append(msgspec.structs.replace(row, test=test))


_EMPTY: tuple[dict[str, Any], dict[Any, bytes]] = {}, {}


def _content(chain: Any) -> tuple[dict[str, Any], dict[Any, bytes]]:
    return dict(chain.memory.state), dict(chain.memory.values)


def _call(chain: Any, caller: Caller, function: str, arguments: object, transient: Mapping[str, bytes]) -> Call:
    return Call(
        caller.msp_id,
        caller.common_name,
        dict(caller.attributes),
        function,
        json.dumps(arguments),
        dict(transient),
        chain.now_ms,
    )


_recorder: Recorder | None = None


def pytest_collection_finish() -> None:
    global _recorder
    module = next(one for name, one in sys.modules.items() if name.endswith("contract.chain"))
    _recorder = Recorder(module)


def pytest_sessionfinish() -> None:
    assert _recorder is not None
    Path(os.environ["HEALTHCHAIN_RECORDED"]).write_bytes(msgspec.json.encode(_recorder.recorded))
