"""Running a chaincode on one peer: in this process at once, or as a service outside it, which takes its time.

A chaincode of this process runs to its end within one step of the event loop, on the state of that moment. A service
asks and answers over many steps, while blocks are committed: it is given a snapshot of the state, one for each
simulation, and its questions are answered on the event loop like everything else. So no rule ever races, nothing of a
simulator is shared between threads, and a simulation sees one height.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from healthchain.chaincode.dispatch import Response
from healthchain.chaincode.stub import Stub
from healthchain.errors import HealthChainError
from healthchain.ledger.membership import GOVERNING
from healthchain.ledger.private import PrivateDataMissing
from healthchain.ledger.simulate import SimulationFailed, Simulator
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, sequence_key

INITIALIZED = "\x00\U0010ffffinitialized"
"""Fabric's key, in the chaincode's own namespace, for the version that was initialised."""


class ChaincodeFailed(HealthChainError):
    """The chaincode gave no response: it cannot be reached, broke off, or took too long."""


class Chaincode(Protocol):
    """A contract in this process."""

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response: ...
    def only_reads(self, args: Sequence[bytes]) -> bool:
        """Whether the call can only be evaluated: its answer is for the caller and must not go into a block."""
        ...


class Invocation(NamedTuple):
    """One call of a chaincode; `call` runs another chaincode in the same simulation and raises SimulationFailed."""

    peer: str
    chaincode: str
    simulator: Simulator
    proposal: bytes
    signature: bytes
    args: Sequence[bytes]
    is_init: bool
    call: Callable[[str, Sequence[bytes]], Awaitable[Response]]


class Service(ABC):
    """A chaincode in a process of its own. A class, not a protocol: every endorsement asks which kind it has."""

    @abstractmethod
    async def execute(self, invocation: Invocation) -> Response:
        """Raises ChaincodeFailed."""

    @abstractmethod
    def only_reads(self, args: Sequence[bytes]) -> bool: ...


class Execution:
    """One proposal on one peer: the chaincode that it names, and those that are called from there."""

    def __init__(
        self,
        peer: str,
        chaincodes: Mapping[str, Chaincode | Service],
        definitions: Mapping[str, ChaincodeDefinition],
        proposal: bytes,
        signature: bytes,
    ) -> None:
        self._peer = peer
        self._chaincodes = chaincodes
        self._definitions = definitions
        self._proposal, self._signature = proposal, signature

    async def run(self, name: str, simulator: Simulator, args: Sequence[bytes], *, is_init: bool = False) -> Response:
        """Suspends only in services. Raises ChaincodeFailed."""
        chaincode = self._chaincodes[name]
        try:
            _check_initialised(self._definitions.get(name), simulator, is_init=is_init)
            if isinstance(chaincode, Service):
                call = partial(self._call, simulator)
                signed = self._proposal, self._signature
                return await chaincode.execute(Invocation(self._peer, name, simulator, *signed, args, is_init, call))
            return chaincode.invoke(simulator, args)
        except (SimulationFailed, PrivateDataMissing) as failed:
            return Response(500, str(failed), b"")

    async def _call(self, caller: Simulator, called: str, args: Sequence[bytes]) -> Response:
        """`called` is NAME or NAME/CHANNEL. Raises SimulationFailed, ChaincodeFailed."""
        name, _, channel = called.partition("/")
        definition = self._definitions.get(name)
        if channel not in ("", caller.channel_id):
            raise SimulationFailed("this peer is on one channel only")
        if name in (LIFECYCLE, GOVERNING):
            # What is read there must not go into a block with the caller's answer, where no purge would reach it; and
            # what is written there is audited, and proven, by transactions of its own.
            raise SimulationFailed("this chaincode is called by clients only")
        if definition is None or name not in self._chaincodes:
            raise SimulationFailed("no chaincode of this name is defined on the channel")
        callee = caller.calling(name, entitled_collections(definition, caller.caller.msp_id))
        callee.read_foreign(LIFECYCLE, sequence_key(name))
        return await self.run(name, callee, args)


def _check_initialised(definition: ChaincodeDefinition | None, simulator: Simulator, *, is_init: bool) -> None:
    """Once for each version that requires it, before any other call (chaincode_support.go). Raises SimulationFailed."""
    if definition is None or not definition.init_required:
        if is_init:
            raise SimulationFailed("the chaincode does not require initialization but is called as init")
        return
    version = definition.version.encode()
    done = simulator.get_state(INITIALIZED) == version
    if done and is_init:
        raise SimulationFailed("the chaincode is already initialized but is called as init")
    if not done and not is_init:
        raise SimulationFailed("the chaincode has not been initialized for this version: call as init first")
    if is_init:
        simulator.put_state(INITIALIZED, version)


def entitled_collections(definition: ChaincodeDefinition | None, msp_id: str) -> frozenset[str]:
    """Which this organisation's peers hold, and its people read."""
    collections = definition.collections if definition else ()
    return frozenset(one.name for one in collections if msp_id in one.member_msp_ids)
