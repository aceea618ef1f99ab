"""The embedded network for recorded refusals, through its gRPC gateways; any time may be proposed."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from healthchain.app.consortium import definition
from healthchain.client.failover import RemoteGateway
from healthchain.client.gateway import Connection
from healthchain.client.remote import Endpoint, Peer
from healthchain.contract.ehr import CONTRACT
from healthchain.network import orderer, peer
from healthchain.network.network import Network
from healthchain.network.provision import create, folder_of
from healthchain.network.serving.server import serving
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, commit_arguments

from .identities import ALL, Identities, named_as_in_the_tests
from .refusals import Call

MS = 1_000_000  # nanoseconds
ANY_TIME_MS = 100 * 365 * 24 * 3_600_000


class Embedded:
    """Implements `playing.Network`, for the names that it was opened with."""

    def __init__(
        self, folder: Path, gateways: dict[str, RemoteGateway], definitions: Sequence[ChaincodeDefinition]
    ) -> None:
        self._gateways = gateways
        self._definitions = {one.name: one for one in definitions}
        self._identities = Identities(folder)

    async def deploy(self, names: Sequence[str]) -> None:
        administrator = Call("HospitalA", "administrator", {"hc.role": "administrator"}, "", "", {}, 0)
        connection = self.connection(administrator, LIFECYCLE)
        for name in names:
            await connection.submit("CommitChaincodeDefinition", commit_arguments(self._definitions[name]))

    def connection(self, call: Call, chaincode: str) -> Connection:
        gateway = self._gateways[self._identities.organisation(call).name]
        identity = self._identities.of(call)
        return Connection(gateway, identity, ALL.channel, chaincode, clock_ns=lambda: call.now_ms * MS)


@contextlib.asynccontextmanager
async def on_embedded(folder: Path, names: Sequence[str]) -> AsyncIterator[Embedded]:
    with named_as_in_the_tests(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(peer, "CLOCK_SKEW_MS_MAX", ANY_TIME_MS)
        patch.setattr(orderer, "ENVELOPE_AGE_MS_MAX", ANY_TIME_MS)
        create(folder, ALL, datetime.datetime.now(datetime.UTC))
        definitions = [replace(definition(ALL), name=name) for name in names]
        async with contextlib.AsyncExitStack() as stack:
            opening = Network.opened(folder, ALL, dict.fromkeys(names, CONTRACT), definitions)
            network = await stack.enter_async_context(opening)
            addresses = await stack.enter_async_context(serving(network, folder, base_port=0))
            gateways = {}
            for one in ALL.organisations:
                endpoint = Endpoint(addresses[one.name], folder_of(folder, one).tls_authority())
                gateways[one.name] = RemoteGateway([await stack.enter_async_context(Peer(endpoint))])
            yield Embedded(folder, gateways, definitions)
