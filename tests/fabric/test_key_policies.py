"""Policies of single keys by one chaincode on Fabric's Node shim: the same codes on Fabric's own peers as on ours.

Each case is played on fresh keys. What has to be in one block is sent until it is, which a peer's `qscc` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import itertools
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.peer.lifecycle import lifecycle_pb2

from healthchain.app.fabric import local
from healthchain.client.errors import EndorseFailed
from healthchain.client.failover import RemoteGateway
from healthchain.client.gateway import Connection, GatewayService
from healthchain.client.remote import Endpoint, Peer
from healthchain.config import Organisation, Topology
from healthchain.fabric import deploying, nodes
from healthchain.fabric.nodes import Consensus, Settings
from healthchain.fabric.package import packed
from healthchain.fabric.tools import eventually
from healthchain.identity.folders import SigningIdentity
from healthchain.network import external
from healthchain.network.network import Network
from healthchain.network.provision import create, organisation_folder
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection, commit_arguments
from healthchain.wire.policy_text import read_policy
from healthchain.wire.transaction import decode_header

TOPOLOGY = Topology(
    organisations=(Organisation("north", "hospital"), Organisation("payer", "insurer"), Organisation("state", "agency"))
)
A, B, C = MSP_IDS = tuple(one.msp_id for one in TOPOLOGY.organisations)
NAME = "ledger"
PLAIN, OWN = "plain", "own"
DEFINITION = ChaincodeDefinition(
    NAME,
    "1",
    1,
    (Collection(PLAIN, MSP_IDS), Collection(OWN, MSP_IDS, read_policy(f"OR('{C}.peer')").SerializeToString())),
)
PROGRAM = Path(__file__).parents[1] / "sdk/chaincode"
NODE = shutil.which("node")
BASE_PORT = 26051
SECONDS_MAX = 300.0
TRIES_MAX = 40

pytestmark = pytest.mark.skipif(
    NODE is None or not (PROGRAM / "node_modules/fabric-shim").is_dir(),
    reason="the chaincode is on Fabric's Node shim: install node, run `make sdk`",
)


class Call(NamedTuple):
    """A function of tests/sdk/chaincode/ledger.js; K begins the case's key, @ is the collection of public keys."""

    words: Sequence[str]
    endorsers: Sequence[str] = (A, B)
    transient: Mapping[str, bytes] = {}


Steps = Sequence[tuple[Sequence[Call], Sequence[int]]]
"""Calls of one block, and their codes."""


def call(words: str, *endorsers: str) -> Call:
    return Call(words.split(), endorsers or (A, B))


def just(words: str, *endorsers: str, code: int = 0) -> tuple[list[Call], list[int]]:
    return [call(words, *endorsers)], [code]


KEYED = just(f'PutAndRequire K v ["{C}"]')
PRIVATE = ([Call(("PutPrivate", PLAIN, "K"), MSP_IDS, {"value": b"v"})], [0])
CASES: dict[str, Steps] = {
    "the key's organisation alone": [KEYED, just("Put K w", C)],
    "a majority without it": [KEYED, just("Put K w", A, B, code=10)],
    "its policy decides on its change": [
        KEYED,
        just(f'Require @ K ["{A}"]', A, B, code=10),
        just(f'Require @ K ["{A}"]', C),
        just("Put K w", A),
    ],
    "another key needs the chaincode's": [
        just(f'PutAndRequire K0000 v ["{C}"]'),
        just("PutMany K 2", C, code=10),
        just("PutMany K 2", A, B, code=10),
        just("PutMany K 2", A, B, C),
    ],
    "nothing written needs the chaincode's": [just("Get K", C, code=10), just("Get K")],
    "changed in the block": [KEYED, ([call(f'Require @ K ["{A}"]', C), call("Put K w", A, B, C)], [0, 10])],
    "changed in the block by an invalid one": [
        KEYED,
        ([call(f'Require @ K ["{A}"]', A, B), call("Put K w", C)], [10, 0]),
    ],
    "changed in the block before it is there": [([call(f'Require @ K ["{A}"]'), call("Put K w")], [0, 10])],
    "on a key that is not there": [just(f'Require @ K ["{C}"]'), just("Put K v"), just("Put K w")],
    "deleted": [KEYED, just("Delete K", A, B, code=10), just("Delete K", C), just("Put K w")],
    "deleted and written in one block": [KEYED, ([call("Delete K", C), call("Put K v", C)], [0, 0]), just("Put K w")],
    "an empty one": [KEYED, just("RequireNobody K", C), just("Put K w")],
    "of a private key": [
        PRIVATE,
        just(f'Require {PLAIN} K ["{C}"]'),
        just(f"DeletePrivate {PLAIN} K", A, B, code=10),
        just(f"DeletePrivate {PLAIN} K", C),
        just(f"DeletePrivate {PLAIN} K"),
    ],
    "of a private key, changed in the block": [
        PRIVATE,
        ([call(f'Require {PLAIN} K ["{C}"]'), call(f"DeletePrivate {PLAIN} K", A, B, C)], [0, 10]),
    ],
    "of a collection": [just(f"DeletePrivate {OWN} K", A, B, code=10), just(f"DeletePrivate {OWN} K", C)],
    "a key's goes before its collection's": [
        just(f"DeletePrivate {OWN} K", C),
        ([Call(("PutPrivate", OWN, "K"), (C,), {"value": b"v"})], [0]),
        just(f'Require {OWN} K ["{A}"]', C),
        just(f"DeletePrivate {OWN} K", C, code=10),
        just(f"DeletePrivate {OWN} K", A),
    ],
}


class Played(NamedTuple):
    code: int
    block: int


async def play(connection: Connection, case: Steps, key: str) -> list[list[int]] | None:
    """The codes; None if what has to be in one block was not."""
    codes = []
    for calls, _ in case:
        played = await _together(connection, [_with_key(one, key) for one in calls])
        if played is None:
            return None
        codes.append(played)
    return codes


def _with_key(one: Call, key: str) -> Call:
    named = {"@": ""}
    return one._replace(
        words=[named.get(word, word.replace("K", key) if word.startswith("K") else word) for word in one.words]
    )


async def _together(connection: Connection, calls: Sequence[Call]) -> list[int] | None:
    endorsed = []
    for words, endorsers, transient in calls:
        arguments = [one.encode() for one in words[1:]]
        proposal = connection.proposal(words[0], *arguments, transient=transient, organizations=endorsers)
        endorsed.append(await proposal.endorse())
    submitted = await asyncio.gather(*[one.submit() for one in endorsed])
    statuses = [await one.status() for one in submitted]
    blocks = {one.block_number for one in statuses}
    if len(calls) > 1:
        ids = await _transactions(connection, min(blocks))
        if [one for one in ids if one in {sent.transaction_id for sent in submitted}] != [
            sent.transaction_id for sent in submitted
        ]:
            return None
    return [int(one.result) for one in statuses]


async def _transactions(connection: Connection, number: int) -> list[str]:
    asked = [connection.channel_id.encode(), str(number).encode()]
    block = common_pb2.Block.FromString(await connection.to("qscc").evaluate("GetBlockByNumber", *asked))
    return [decode_header(one).tx_id for one in block.data.data]


async def play_all(connection: Connection) -> None:
    keys = (f"k{index}" for index in itertools.count())
    found = {}
    for name, case in CASES.items():
        for key in itertools.islice(keys, TRIES_MAX):
            codes = await play(connection, case, key)
            if codes is not None:
                found[name] = codes
                break
    assert found == {name: [list(codes) for _, codes in case] for name, case in CASES.items()}
    await versions_and_history(connection)
    await chosen_by_the_gateway(connection)


async def versions_and_history(connection: Connection) -> None:
    """Metadata alone makes a new version of the key, but is no part of its history."""
    await connection.submit("Put", b"versions", b"v")
    read = await connection.proposal("Get", b"versions").endorse()
    await connection.submit("Require", b"", b"versions", json.dumps([C]).encode())
    assert (await (await read.submit()).status()).result == 11
    assert len(json.loads(await connection.evaluate("History", b"versions"))) == 1


async def chosen_by_the_gateway(connection: Connection) -> None:
    """Without a word of the client about organisations."""
    await connection.submit("PutAndRequire", b"chosen", b"v", json.dumps([C]).encode())
    await connection.submit("Put", b"chosen", b"w")
    await connection.submit("DeletePrivate", OWN.encode(), b"chosen")


@contextlib.asynccontextmanager
async def chaincode(package_id: str, port: int) -> AsyncIterator[None]:
    """Listening when it is yielded."""
    assert NODE is not None
    running = await asyncio.create_subprocess_exec(
        NODE,
        "node_modules/.bin/fabric-chaincode-node",
        "server",
        f"--chaincode-address=127.0.0.1:{port}",
        f"--chaincode-id={package_id}",
        cwd=PROGRAM,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def administrator(folder: Path, organisation: str) -> SigningIdentity:
    credentials = organisation_folder(folder, TOPOLOGY, organisation)
    return credentials.signing_identity(credentials.user("administrator"))


@contextlib.asynccontextmanager
async def on_embedded(folder: Path) -> AsyncIterator[Connection]:
    create(folder, TOPOLOGY, datetime.datetime.now(datetime.UTC))
    port = free_port()
    service = external.External(external.Endpoint(f"127.0.0.1:{port}"))
    async with (
        chaincode("ledger_1:0", port),
        service,
        Network.opened(folder, TOPOLOGY, {NAME: service}, [DEFINITION]) as network,
    ):
        connection = Connection(network.gateway("north"), administrator(folder, "north"), TOPOLOGY.channel, NAME)
        await connection.to(LIFECYCLE).submit("CommitChaincodeDefinition", commit_arguments(DEFINITION))
        yield connection


@contextlib.asynccontextmanager
async def on_fabric(folder: Path, binaries: Path) -> AsyncIterator[Connection]:
    settings = Settings(Consensus.RAFT, BASE_PORT)
    local.init(folder, TOPOLOGY, settings)
    port = free_port()
    package, package_id = write_package(folder, port)
    try:
        await local.up(folder, binaries, lambda step: None)
        async with chaincode(package_id, port), contextlib.AsyncExitStack() as stack:
            members = nodes.members(folder, TOPOLOGY, settings)
            gateways: list[GatewayService] = []
            for one in members:
                endpoint = Endpoint(one.peer, one.credentials.tls_authority())
                gateways.append(RemoteGateway([await stack.enter_async_context(Peer(endpoint))]))
                await deploying.install(binaries, one, package, package_id)
            connections = [
                Connection(gateway, administrator(folder, one.name), TOPOLOGY.channel, NAME)
                for gateway, one in zip(gateways, members, strict=True)
            ]
            arguments = commit_arguments(DEFINITION)
            for one, connection in zip(members, connections, strict=True):
                approval = lifecycle_pb2.ApproveChaincodeDefinitionForMyOrgArgs.FromString(arguments)
                approval.source.local_package.package_id = package_id
                proposed = connection.to(LIFECYCLE).proposal(
                    "ApproveChaincodeDefinitionForMyOrg", approval.SerializeToString(), organizations=[one.msp_id]
                )
                await (await (await proposed.endorse()).submit()).committed()
            await connections[0].to(LIFECYCLE).submit("CommitChaincodeDefinition", arguments)
            everybody = connections[0].proposal("Get", b"k", organizations=MSP_IDS)
            await eventually(partial(everybody.endorse), EndorseFailed, seconds_max=60)
            yield connections[0]
    finally:
        local.down(folder)


def write_package(folder: Path, port: int) -> tuple[Path, str]:
    """Of a service without TLS, on loopback."""
    connection = {"address": f"127.0.0.1:{port}", "dial_timeout": "10s", "tls_required": False}
    package, package_id = packed("ledger_1", connection)
    path = folder / "ledger_1.tar.gz"
    path.write_bytes(package)
    return path, package_id


@pytest.mark.node
@pytest.mark.slow
def test_on_the_embedded_network(tmp_path: Path) -> None:
    async def played() -> None:
        async with asyncio.timeout(SECONDS_MAX), on_embedded(tmp_path / "network") as connection:
            await play_all(connection)

    asyncio.run(played())


@pytest.mark.fabric
def test_on_fabric(tmp_path: Path) -> None:
    found = os.environ.get("FABRIC_BIN") or shutil.which("osnadmin")
    binaries = Path(found) if found else None
    if binaries is not None and binaries.name == "osnadmin":
        binaries = binaries.parent
    if binaries is None or not (binaries / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")

    async def played() -> None:
        async with asyncio.timeout(SECONDS_MAX), on_fabric(tmp_path / "network", binaries) as connection:
            await play_all(connection)

    asyncio.run(played())
