"""A ledger in memory under the real simulator: enough to run the contract, one transaction a block.

Each call runs on several peers, which have to endorse the same bytes (see `peers`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from healthchain.chaincode.dispatch import OK
from healthchain.chaincode.stub import Caller
from healthchain.contract.ehr import CONTRACT
from healthchain.errors import Refused
from healthchain.ledger.simulate import Simulator
from healthchain.ledger.view import Value
from healthchain.wire.rwset import NamespaceSet, Version

from .peers import EHR, NAMESPACE, Call, Recording, Unasked, difference, endorse, peers_endorse

START_MS = 1_700_000_000_000


class Memory(Unasked):
    """Implements `healthchain.ledger.view.View`; purging a private value leaves nothing of it."""

    def __init__(self) -> None:
        self.state: dict[str, Value] = {}
        self.hashes: dict[tuple[str, bytes], Value] = {}
        self.values: dict[tuple[str, str], bytes] = {}
        self.past: dict[str, list[tuple[Version, str, int, bytes | None]]] = {}

    def get(self, namespace: str, key: str) -> Value | None:
        return self.state.get(key)

    def range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Value]]:
        low, high = start.encode(), end.encode()
        for key in sorted(self.state, key=str.encode):
            if low <= key.encode() and (not high or key.encode() < high):
                yield key, self.state[key]

    def hashed(self, namespace: str, collection: str, key_hash: bytes) -> Value | None:
        return self.hashes.get((collection, key_hash))

    def private(self, namespace: str, collection: str, key: str) -> bytes | None:
        return self.values.get((collection, key))

    def history(self, namespace: str, key: str) -> Iterator[tuple[Version, str, int, bytes | None]]:
        return iter(reversed(self.past.get(key, [])))

    def commit(self, written: NamespaceSet, version: Version, tx_id: str, timestamp_ms: int) -> None:
        for key, value in written.writes.items():
            self.past.setdefault(key, []).append((version, tx_id, timestamp_ms, value))
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = Value(value, version)
        for collection, content in written.collections.items():
            for key, write in content.writes.items():
                key_hash = sha256(key.encode()).digest()
                if write.value is None:
                    self.hashes.pop((collection, key_hash), None)
                    self.values.pop((collection, key), None)
                else:
                    self.hashes[collection, key_hash] = Value(sha256(write.value).digest(), version)
                    self.values[collection, key] = write.value


class Chain:
    """`submit` and `evaluate` answer with the decoded payload and raise `Refused` as the contract refuses."""

    def __init__(self, contract: str = EHR) -> None:
        self.contract = contract
        self.alone = False  # for a test that changes the contract itself, which other processes do not know of
        self.memory = Memory()
        self.height = 1
        self.now_ms = START_MS
        self.event: tuple[str, bytes] | None = None
        self.last = NamespaceSet()

    def copy(self) -> Chain:
        return copy.deepcopy(self)

    def submit(
        self, caller: Caller, function: str, arguments: object, transient: Mapping[str, bytes] | None = None
    ) -> Any:
        simulator, answer = self._simulate(caller, function, arguments, transient or {})
        version = Version(self.height, 0)
        self.memory.commit(simulator.namespaces[NAMESPACE], version, simulator.tx_id, self.now_ms)
        self.height += 1
        self.event = simulator.event
        return answer

    def evaluate(
        self, caller: Caller, function: str, arguments: object, transient: Mapping[str, bytes] | None = None
    ) -> Any:
        simulator, answer = self._simulate(caller, function, arguments, transient or {})
        written = simulator.namespaces[NAMESPACE]
        assert not written.writes
        assert not any(content.writes for content in written.collections.values())
        assert simulator.event is None
        return answer

    def call(
        self, caller: Caller, function: str, arguments: object, transient: Mapping[str, bytes] | None = None
    ) -> Any:
        """Submit or evaluate, as the function is meant."""
        run = self.evaluate if CONTRACT.functions[function.encode()].read_only else self.submit
        return run(caller, function, arguments, transient)

    def _simulate(
        self, caller: Caller, function: str, arguments: object, transient: Mapping[str, bytes]
    ) -> tuple[Simulator, Any]:
        args = (function.encode(), json.dumps(arguments).encode())
        tx_id = sha256(str(self.height).encode()).hexdigest()
        call = Call(self.contract, caller, args, transient, tx_id, self.now_ms)
        recording = Recording(self.memory)
        endorsed, simulator = endorse(call, recording)
        reversed_order = dict(reversed(list(transient.items())))
        others = [] if self.alone else peers_endorse(call._replace(transient=reversed_order), recording)
        differing = [difference(endorsed, one) for one in others if one != endorsed]
        assert differing == [], f"peers do not agree on {function}: {differing}"
        if endorsed.status != OK:
            code, _, message = endorsed.message.partition(": ")
            raise Refused(code, message)
        self.last = simulator.namespaces[NAMESPACE]
        return simulator, json.loads(endorsed.payload) if endorsed.payload else None
