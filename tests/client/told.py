"""A network of four organisations whose chaincode tells events, behind its gRPC servers with TLS."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from healthchain.chaincode.dispatch import Refusal, Response
from healthchain.chaincode.stub import Stub
from healthchain.client.checkpoint import Position
from healthchain.client.failover import RemoteGateway
from healthchain.client.gateway import Connection
from healthchain.client.remote import Endpoint, Peer, TlsCertificate
from healthchain.config import Organisation, Topology
from healthchain.identity.folders import OrganisationFolder, SigningIdentity
from healthchain.network.network import Network
from healthchain.network.provision import create, organisation_folder
from healthchain.network.serving.server import serving
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection, commit_arguments

from .relay import Relay

TELLER, PRIVATE = "teller", "private"
NAMES = ("north", "south", "payer", "state")
TOPOLOGY = Topology(
    organisations=(
        Organisation("north", "hospital"),
        Organisation("south", "hospital"),
        Organisation("payer", "insurer"),
        Organisation("state", "agency"),
    )
)
MSP_IDS = tuple(one.msp_id for one in TOPOLOGY.organisations)
DEFINITION = ChaincodeDefinition(TELLER, "1", 1, (Collection(PRIVATE, MSP_IDS),))
SECONDS_MAX = 30.0


class Teller:
    """Tell NAME PAYLOAD: an event. Hide KEY: a private value, from the transient `value`. Refuse CODE."""

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return False

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        match [one.decode() for one in args]:
            case ["Tell", name, payload]:
                stub.put_state(f"told {name}", payload.encode())
                stub.set_event(name, payload.encode())
            case ["Put", key, value]:
                stub.put_state(key, value.encode())
            case ["Get", key]:
                return Response(200, "", stub.get_state(key) or b"")
            case ["Hide", key]:
                stub.put_private(PRIVATE, key, stub.transient["value"])
            case ["Refuse", code]:
                return Response(403, str(Refusal(code, "the teller's rules forbid it")), b"")
            case _:
                return Response(404, str(Refusal("FUNCTION_UNKNOWN", "there is no such function", 404)), b"")
        return Response(200, "", b"done")


@dataclass(slots=True)
class Told:
    """The network inside, and for one test a relay before each organisation's server."""

    network: Network
    folder: Path
    relays: dict[str, Relay]
    stack: AsyncExitStack
    client: TlsCertificate | None
    peers: dict[str, Peer] = field(default_factory=dict)

    @property
    def end(self) -> Position:
        """Of the chain: what comes next is this test's."""
        return Position(self.network.height)

    async def gateway(self, *names: str, answer_s_max: float = 10.0) -> RemoteGateway:
        """Of these organisations' peers, in this order."""
        for name in names:
            if name not in self.peers:
                owner = organisation(self.folder, name)
                endpoint = Endpoint(self.relays[name].address, owner.tls_authority(), self.client, owner.msp_id)
                self.peers[name] = await self.stack.enter_async_context(Peer(endpoint))
        return RemoteGateway([self.peers[name] for name in names], answer_s_max)

    async def connection(self, *names: str, user: str = "clinician", answer_s_max: float = 10.0) -> Connection:
        """A user of the first, through these organisations' gateways."""
        gateway = await self.gateway(*names, answer_s_max=answer_s_max)
        return Connection(gateway, self.who(names[0], user), TOPOLOGY.channel, TELLER)

    def who(self, name: str, user: str = "clinician") -> SigningIdentity:
        owner = organisation(self.folder, name)
        return owner.signing_identity(owner.user(user))

    async def tell(self, *names: str) -> list[str]:
        """Events of these names, in as many transactions at once, inside the network; their ids."""
        inside = Connection(self.network.gateway("south"), self.who("south"), TOPOLOGY.channel, TELLER)
        telling = [inside.submit("Tell", one.encode(), b"payload of " + one.encode()) for one in names]
        return [one.transaction_id for one in await asyncio.gather(*telling)]


def organisation(folder: Path, name: str) -> OrganisationFolder:
    return organisation_folder(folder, TOPOLOGY, name)


def make_network(folder: Path) -> None:
    """With the teller defined in block 1."""
    create(folder, TOPOLOGY, datetime.datetime.now(datetime.UTC))

    async def define() -> None:
        async with Network.opened(folder, TOPOLOGY, {TELLER: Teller()}, [DEFINITION]) as network:
            owner = organisation(folder, "north")
            who = owner.signing_identity(owner.user("administrator"))
            administrator = Connection(network.gateway("north"), who, TOPOLOGY.channel, LIFECYCLE)
            await administrator.submit("CommitChaincodeDefinition", commit_arguments(DEFINITION))

    asyncio.run(define())


class Play:
    """One network for a file's tests, which a test plays its scenario with."""

    def __init__(self, folder: Path, network: Network, runner: asyncio.Runner) -> None:
        self._folder = folder
        self._network = network
        self._runner = runner

    def __call__(self, scenario: Callable[[Told], Awaitable[None]], *, mutual_tls: bool = False) -> None:
        """Never longer than SECONDS_MAX."""

        async def run() -> None:
            async with asyncio.timeout(SECONDS_MAX), self._told(mutual_tls=mutual_tls) as one:
                await scenario(one)

        self._runner.run(run())

    @asynccontextmanager
    async def _told(self, *, mutual_tls: bool) -> AsyncIterator[Told]:
        tls = organisation(self._folder, "south").user("clinician") / "tls"
        own = TlsCertificate((tls / "client.crt").read_bytes(), (tls / "client.key").read_bytes())
        servers = serving(self._network, self._folder, base_port=0, client_certificates=mutual_tls)
        async with servers as addresses, AsyncExitStack() as stack:
            relays = {name: await stack.enter_async_context(Relay(addresses[name])) for name in NAMES}
            yield Told(self._network, self._folder, relays, stack, own if mutual_tls else None)


@contextmanager
def playing(folder: Path) -> Iterator[Play]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        opening = Network.opened(folder, TOPOLOGY, {TELLER: Teller()}, [DEFINITION])
        network = runner.run(stack.enter_async_context(opening))
        try:
            yield Play(folder, network, runner)
        finally:
            runner.run(stack.aclose())
