"""The embedded network beside the ledger in memory: every call runs on all of its peers too, and must end the same.

The network's members are those of `consortium` under other MSP ids, its clock is the chain's, and everybody who calls
gets an identity from their organisation's own authority.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from healthchain.app.consortium import definition
from healthchain.chaincode.stub import Caller
from healthchain.client.gateway import Connection
from healthchain.config import CHAINCODE, Organisation, Topology
from healthchain.contract.ehr import CONTRACT
from healthchain.errors import Refused
from healthchain.network.network import Network
from healthchain.network.provision import create, organisation_folder
from healthchain.wire.lifecycle import LIFECYCLE, commit_arguments

from .chain import START_MS

TOPOLOGY = Topology(
    (
        Organisation("agency", "agency"),
        Organisation("hospital-a", "hospital"),
        Organisation("hospital-b", "hospital"),
        Organisation("insurer", "insurer"),
    )
)
NAMES = {"Agency": "agency", "HospitalA": "hospital-a", "HospitalB": "hospital-b", "Insurer": "insurer"}
MSP_IDS = {ours: TOPOLOGY.organisation(name).msp_id for ours, name in NAMES.items()}

_Done = TypeVar("_Done")


def make(folder: Path) -> None:
    """Credentials that were issued when the chain's time begins, and block 0."""
    create(folder, TOPOLOGY, datetime.datetime.fromtimestamp(START_MS // 1000, datetime.UTC))


class Mirror:
    """Opened over a copy of a folder that `make` made; `close` it."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = START_MS
        self._folder = folder
        self._connections: dict[tuple[str, str], Connection] = {}
        self._loop = asyncio.new_event_loop()
        self._stack = contextlib.AsyncExitStack()
        agreed = definition(TOPOLOGY)
        opening = Network.opened(folder, TOPOLOGY, {CHAINCODE: CONTRACT}, [agreed], clock_ms=lambda: self.now_ms)
        self.network = self._run(self._stack.enter_async_context(opening))
        founder = Caller("HospitalA", "administrator", {"hc.role": "administrator"})
        self._run(self._connection(founder, LIFECYCLE).submit("CommitChaincodeDefinition", commit_arguments(agreed)))

    def call(self, caller: Caller, function: str, arguments: object, transient: Mapping[str, bytes]) -> Any:
        """The decoded answer; raises Refused."""
        connection = self._connection(caller, CHAINCODE)
        encoded = _translated(json.dumps(arguments), MSP_IDS).encode()
        private = {_translated(key, MSP_IDS): value for key, value in transient.items()}
        if CONTRACT.functions[function.encode()].read_only:
            answer = self._run(connection.evaluate(function, encoded, transient=private))
        else:
            answer = self._run(connection.submit(function, encoded, transient=private)).result
        back = {theirs: ours for ours, theirs in MSP_IDS.items()}
        return json.loads(_translated(answer.decode(), back)) if answer else None

    def code(self, caller: Caller, function: str, arguments: object, transient: Mapping[str, bytes]) -> str:
        """With which it is refused; "" if it is not."""
        try:
            self.call(caller, function, arguments, transient)
        except Refused as refused:
            return refused.code
        return ""

    def assert_equal_peers(self) -> None:
        ledgers = [peer.ledger for peer in self.network.peers.values()]
        assert len({(one.height, one.tip_hash, one.state.commit_hash) for one in ledgers}) == 1

    def close(self) -> None:
        self._run(self._stack.aclose())
        self._loop.close()

    def _connection(self, caller: Caller, chaincode: str) -> Connection:
        name = caller.common_name
        place = (f"{caller.msp_id}/{name}", chaincode)
        if place not in self._connections:
            organisation = NAMES[caller.msp_id]
            credentials = organisation_folder(self._folder, TOPOLOGY, organisation)
            since = datetime.datetime.fromtimestamp(START_MS // 1000, datetime.UTC)
            credentials.enrol(name, since, caller.attributes)
            identity = credentials.signing_identity(credentials.user(name))
            gateway = self.network.gateway(organisation)
            clock_ns = lambda: self.now_ms * 1_000_000  # noqa: E731
            self._connections[place] = Connection(gateway, identity, TOPOLOGY.channel, chaincode, clock_ns)
        return self._connections[place]

    def _run(self, work: Coroutine[Any, Any, _Done]) -> _Done:
        return self._loop.run_until_complete(work)


def _translated(text: str, names: Mapping[str, str]) -> str:
    """No id of ours has a member's name in it: they are hashes in base64."""
    for before, after in names.items():
        text = text.replace(before, after)
    return text
