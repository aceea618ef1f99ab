"""Other peers: processes with another hash seed, locale and time zone, which run every call of the tests again.

A peer is told the call and what the ledger answered to each question of the first run. It must ask no other question,
and endorse the same bytes. The peers' processes start with the first call and end with the tests' own. The second of
them runs each call as a service as well (see `service`).
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import locale
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from healthchain.chaincode.stub import Caller
from healthchain.ledger.simulate import Simulator
from healthchain.ledger.view import Value, View
from healthchain.wire.rwset import Version, encode

from . import service

NAMESPACE = "ehr"
COLLECTIONS = frozenset({"records", "keys", "messages"})
EHR = "healthchain.contract.ehr:CONTRACT"
SURROUNDINGS = (
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONUTF8": "0"},
    {"PYTHONHASHSEED": "2", "LC_ALL": "tr_TR.UTF-8", "TZ": "America/St_Johns", "PYTHONUTF8": "1"},
)
ROOT = Path(__file__).parents[1]

Modified = tuple[Version, str, int, bytes | None]


class Call(NamedTuple):
    contract: str  # module:name
    caller: Caller
    args: tuple[bytes, ...]
    transient: Mapping[str, bytes]
    tx_id: str
    timestamp_ms: int


class Endorsed(NamedTuple):
    """All that peers have to agree on."""

    status: int
    message: str
    payload: bytes
    event: tuple[str, bytes] | None
    public: bytes
    private: dict[tuple[str, str], bytes]


class Unasked:
    """What a `View` knows and the contract has no call for."""

    def metadata(self, namespace: str, key: str) -> Mapping[str, bytes]:
        raise AssertionError

    def hashed_metadata(self, namespace: str, collection: str, key_hash: bytes) -> Mapping[str, bytes]:
        raise AssertionError

    def private_range(self, namespace: str, collection: str, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        raise AssertionError


@dataclass
class Recording(Unasked):
    """What a view was asked, and what it answered: implements `View`, as the view itself or as its record alone."""

    view: View | None
    states: dict[str, Value | None] = field(default_factory=dict)
    ranges: dict[tuple[str, str], list[tuple[str, Value]]] = field(default_factory=dict)
    hashes: dict[tuple[str, bytes], Value | None] = field(default_factory=dict)
    values: dict[tuple[str, str], bytes | None] = field(default_factory=dict)
    histories: dict[str, list[Modified]] = field(default_factory=dict)

    def get(self, namespace: str, key: str) -> Value | None:
        if self.view is not None and key not in self.states:
            self.states[key] = self.view.get(namespace, key)
        return self.states[key]

    def range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Value]]:
        if self.view is not None and (start, end) not in self.ranges:
            self.ranges[start, end] = list(self.view.range(namespace, start, end))
        yield from self.ranges[start, end]

    def hashed(self, namespace: str, collection: str, key_hash: bytes) -> Value | None:
        if self.view is not None and (collection, key_hash) not in self.hashes:
            self.hashes[collection, key_hash] = self.view.hashed(namespace, collection, key_hash)
        return self.hashes[collection, key_hash]

    def private(self, namespace: str, collection: str, key: str) -> bytes | None:
        if self.view is not None and (collection, key) not in self.values:
            self.values[collection, key] = self.view.private(namespace, collection, key)
        return self.values[collection, key]

    def history(self, namespace: str, key: str) -> Iterator[Modified]:
        if self.view is not None and key not in self.histories:
            self.histories[key] = list(self.view.history(namespace, key))
        return iter(self.histories[key])

    def alone(self) -> Recording:
        return Recording(None, self.states, self.ranges, self.hashes, self.values, self.histories)


def endorse(call: Call, view: View) -> tuple[Endorsed, Simulator]:
    simulator = _simulator(call, view)
    response = _contract(call).invoke(simulator, call.args)
    public, private = encode(simulator.namespaces)
    return Endorsed(*_parts(response), simulator.event, public, private), simulator


def endorse_twice(call: Call, view: View) -> Endorsed | str:
    """As a service would, too; or the text that this makes a difference."""
    endorsed, inside = endorse(call, view)
    served = _simulator(call, view)
    response = service.invoke(_contract(call), served, call)
    if (*_parts(response), served.event) != endorsed[:4]:
        return "as a service it answers differently"
    if not service.same_set(inside.namespaces[NAMESPACE], served.namespaces[NAMESPACE]):
        return "as a service it reads or writes differently"
    return endorsed


def _simulator(call: Call, view: View) -> Simulator:
    return Simulator(
        view,
        namespace=NAMESPACE,
        channel_id="health",
        tx_id=call.tx_id,
        timestamp_ms=call.timestamp_ms,
        caller=call.caller,
        transient=call.transient,
        collections=COLLECTIONS,
    )


def _contract(call: Call) -> Any:
    module, _, name = call.contract.partition(":")
    return getattr(import_module(module), name)


def difference(one: Endorsed, other: Endorsed | str) -> str:
    """In which parts, or what went wrong with the other."""
    if isinstance(other, str):
        return other
    return ", ".join(name for name in Endorsed._fields if getattr(one, name) != getattr(other, name))


def _parts(response: Any) -> tuple[int, str, bytes]:
    return response.status, response.message, response.payload


def peers_endorse(call: Call, recording: Recording) -> list[Endorsed | str]:
    """Of each peer what it endorses, or the text of what went wrong."""
    return _peers().endorse(call, recording)


@functools.cache
def _peers() -> Peers:
    peers = Peers()
    atexit.register(peers.close)
    return peers


class Peers:
    def __init__(self, surroundings: Sequence[Mapping[str, str]] = SURROUNDINGS) -> None:
        runs = ("endorse_alone", "endorse_twice")
        self._processes = [_start(one, run) for one, run in zip(surroundings, runs, strict=True)]

    def endorse(self, call: Call, recording: Recording) -> list[Endorsed | str]:
        for process in self._processes:
            assert process.stdin is not None
            pickle.dump((call, recording.alone()), process.stdin)
            process.stdin.flush()
        return [pickle.load(process.stdout) for process in self._processes if process.stdout]  # noqa: S301 (our own)

    def close(self) -> None:
        for process in self._processes:
            process.communicate()


def _start(surroundings: Mapping[str, str], run: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(ROOT), *sys.path])
    return subprocess.Popen(  # noqa: S603 (this interpreter, constant arguments)
        [sys.executable, "-c", f"from {__name__} import *; serve({run})"],
        env={**os.environ, **surroundings, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def endorse_alone(call: Call, view: View) -> Endorsed:
    return endorse(call, view)[0]


def serve(run: Callable[[Call, View], Endorsed | str]) -> None:
    """A peer's process: until its input ends."""
    with contextlib.suppress(locale.Error):  # not every machine has every locale
        locale.setlocale(locale.LC_ALL, "")
    while True:
        try:
            call, recording = pickle.load(sys.stdin.buffer)  # noqa: S301 (our own)
        except EOFError:
            return
        try:
            answer = run(call, recording)
        except KeyError as asked:
            answer = f"asked the ledger for something else: {asked}"
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()
