"""A chaincode on `fabric-contract-api` and `fabric-shim`, unmodified, as a service for the embedded network's peers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import pytest
from fabric_protos.msp.identities_pb2 import SerializedIdentity

from healthchain.client.errors import CommitFailed, EndorseFailed, EvaluateFailed
from healthchain.client.gateway import Connection
from healthchain.network.execution import Chaincode, Service
from healthchain.network.external import Endpoint, External
from healthchain.network.network import Network
from healthchain.wire.lifecycle import LIFECYCLE, ChaincodeDefinition, Collection, commit_arguments
from healthchain.wire.transaction import decode_action, decode_header

from .toy import ALL, DEFINITION, MSP_IDS, SOME, TOPOLOGY, TOY, Toy, connect

PROGRAM = Path(__file__).parents[1] / "sdk/chaincode"
NODE = shutil.which("node")
PACKAGE_ID = "ledger_1:0123"
SECONDS_MAX = 60.0
INNER = ChaincodeDefinition("inner", "1", 1, (Collection(ALL, MSP_IDS),))

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(NODE is None, reason="node is not installed: these tests run a chaincode on Fabric's Node shim"),
    pytest.mark.skipif(
        not (PROGRAM / "node_modules/fabric-shim").is_dir(), reason="the shim is not installed: run `make sdk`"
    ),
]

Scenario = Callable[[Network, Connection], Awaitable[None]]


@contextlib.asynccontextmanager
async def chaincode(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Listening when it is yielded."""
    assert NODE is not None
    running = await asyncio.create_subprocess_exec(
        NODE,
        "node_modules/.bin/fabric-chaincode-node",
        "server",
        f"--chaincode-address=127.0.0.1:{port}",
        f"--chaincode-id={PACKAGE_ID}",
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
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def private_files(folder: Path) -> list[Path]:
    return list(folder.glob("peers/*/private/*"))


def run_served(folder: Path, scenario: Scenario, seconds_max: float = 20) -> None:
    """The Node chaincode as the toy, and a toy of this process, which it may call, as `inner`.

    `seconds_max` is what the peers grant for an answer.
    """

    async def play() -> None:
        port = free_port()
        async with asyncio.timeout(SECONDS_MAX), chaincode(port):
            external = External(Endpoint(f"127.0.0.1:{port}", PACKAGE_ID, execute_seconds_max=seconds_max))
            chaincodes: dict[str, Chaincode | Service] = {TOY: external, "inner": Toy()}
            async with external, Network.opened(folder, TOPOLOGY, chaincodes, [DEFINITION, INNER]) as network:
                administrator = connect(network, folder, "north", "administrator", chaincode=LIFECYCLE)
                await administrator.submit("CommitChaincodeDefinition", commit_arguments(INNER))
                await scenario(network, connect(network, folder, "north"))
                ledgers = [peer.ledger for peer in network.peers.values()]
                assert len({one.state.commit_hash for one in ledgers}) == 1

    asyncio.run(play())


async def said(north: Connection, *call: str) -> object:
    function, *args = call
    return json.loads(await north.evaluate(function, *(one.encode() for one in args)))


async def text(north: Connection, *call: str) -> str:
    function, *args = call
    return (await north.evaluate(function, *(one.encode() for one in args))).decode()


async def do(north: Connection, *call: str, value: bytes = b"") -> str:
    """The transaction's id."""
    function, *args = call
    done = await north.submit(function, *(one.encode() for one in args), transient={"value": value} if value else {})
    return done.transaction_id


def test_state_in_every_way_to_read_it(folder: Path) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        assert await text(north, "Get", "k") == ""
        first = await do(north, "Put", "k", "v")
        assert await text(north, "Get", "k") == "v"
        await do(north, "PutMany", "n", "230")
        rows = [[f"n{index:04}", str(index)] for index in range(230)]
        assert await said(north, "Range", "n", "o") == rows  # three answers, with two questions for more
        assert await said(north, "Range", "n0220", "") == rows[220:]
        assert await text(north, "FirstOfRange", "n", "o") == "n0000"
        page = await said(north, "Page", "n", "o", "100", "")
        assert page == {"found": [key for key, _ in rows[:100]], "count": 100, "bookmark": "n0100"}
        page = await said(north, "Page", "n", "o", "200", "n0100")
        assert page == {"found": [key for key, _ in rows[100:]], "count": 130, "bookmark": ""}
        await do(north, "PutComposite", "kind", '["a", "1"]')
        await do(north, "PutComposite", "kind", '["a", "2"]')
        await do(north, "PutComposite", "kind", '["b", "1"]')
        assert await said(north, "Composites", "kind", '["a"]') == [["a", "1"], ["a", "2"]]
        second = await do(north, "Put", "k", "w")
        last = await do(north, "Delete", "k")
        history = await said(north, "History", "k")
        assert isinstance(history, list)
        assert [(one["txId"], one["value"], one["isDelete"]) for one in history] == [
            (last, "", True),
            (second, "w", False),
            (first, "v", False),
        ]
        assert all(abs(one["seconds"] - time.time()) < 60 for one in history)

    run_served(folder, scenario)


def test_private_data_its_hash_and_its_purge(folder: Path) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        await do(north, "PutPrivate", ALL, "p", value=b"secret")
        assert await text(north, "GetPrivate", ALL, "p") == "secret"
        assert await text(north, "PrivateHash", ALL, "p") == sha256(b"secret").hexdigest()
        await do(north, "PutPrivate", ALL, "q", value=b"second")
        await do(north, "DeletePrivate", ALL, "q")
        await do(north, "Purge", ALL, "p")
        for key in ("p", "q"):
            assert await text(north, "GetPrivate", ALL, key) == ""
            assert await text(north, "PrivateHash", ALL, key) == ""
        assert not [path for path in private_files(folder) if b"secret" in path.read_bytes()]
        state = Connection(network.gateway("state"), north.identity, TOPOLOGY.channel, TOY)
        await do(north, "PutPrivate", SOME, "p", value=b"not for the state")
        with pytest.raises(EvaluateFailed, match="does not hold"):
            await text(state, "GetPrivate", SOME, "p")

    run_served(folder, scenario)


def test_ranges_of_private_data(folder: Path) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        for key in ("b", "a", "c", "d"):
            await do(north, "PutPrivate", SOME, key, value=key.encode())
        await do(north, "Purge", SOME, "c")
        assert await said(north, "PrivateRange", SOME, "", "") == [["a", "a"], ["b", "b"], ["d", "d"]]
        assert await said(north, "PrivateRange", SOME, "b", "d") == [["b", "b"]]
        with pytest.raises(EvaluateFailed, match="wrote cannot read ranges of private data"):
            await text(north, "WriteAndPrivateRange", SOME)
        state = Connection(network.gateway("state"), north.identity, TOPOLOGY.channel, TOY)
        with pytest.raises(EvaluateFailed, match="does not hold"):
            await text(state, "PrivateRange", SOME, "", "")

    run_served(folder, scenario)


def test_policies_of_single_keys(folder: Path) -> None:
    """As the shim's own `KeyEndorsementPolicy` makes and reads them."""

    async def scenario(network: Network, north: Connection) -> None:
        await do(north, "Put", "k", "v")
        await do(north, "PutPrivate", ALL, "p", value=b"v")
        assert await said(north, "Required", "", "k") == []
        await do(north, "Require", "", "k", '["PayerMSP", "StateMSP"]')
        await do(north, "Require", ALL, "p", '["StateMSP"]')
        assert await said(north, "Required", "", "k") == ["PayerMSP", "StateMSP"]
        assert await said(north, "Required", ALL, "p") == ["StateMSP"]
        assert await endorsers(network, north, "Put", "k", "w") == ["NorthMSP", "PayerMSP", "StateMSP"]
        assert await endorsers(network, north, "Put", "other", "w") == ["NorthMSP", "SouthMSP", "PayerMSP"]
        assert await endorsers(network, north, "DeletePrivate", ALL, "p") == ["NorthMSP", "StateMSP"]
        await do(north, "Delete", "k")
        assert await said(north, "Required", "", "k") == []
        assert await endorsers(network, north, "Put", "k", "w") == ["NorthMSP", "SouthMSP", "PayerMSP"]

    run_served(folder, scenario)


async def endorsers(network: Network, north: Connection, *call: str) -> list[str]:
    """Whom the gateway asked, of a transaction that is valid."""
    await do(north, *call)
    header = decode_header(network.peers["north"].ledger.block(network.height - 1).data.data[0])
    return [SerializedIdentity.FromString(one.endorser).mspid for one in decode_action(header).endorsements]


def test_who_calls_and_which_event(folder: Path) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        who = await said(north, "Who")
        assert isinstance(who, dict)
        assert (who["msp"], who["role"], who["channel"]) == ("NorthMSP", "clinician", TOPOLOGY.channel)
        assert abs(who["seconds"] - time.time()) < 60
        tx_id = await do(north, "Say", "happened", "that")
        event = decode_action(decode_header(network.peers["south"].ledger.block(network.height - 1).data.data[0])).event
        assert event is not None
        assert (event.chaincode_id, event.tx_id, event.event_name, event.payload) == (TOY, tx_id, "happened", b"that")

    run_served(folder, scenario)


def test_chaincode_to_chaincode(folder: Path) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        await do(north, "Call", "inner", '["Put", "k", "v"]')
        inner = connect(network, folder, "north", chaincode="inner")
        assert await text(inner, "Get", "k") == "v"
        assert await text(north, "Get", "k") == ""  # each has its own keys
        assert await said(north, "Call", "inner", '["Get", "k"]') == {"status": 200, "message": "", "payload": "v"}
        refused = await said(north, "Call", "inner", '["Refuse", "NO"]')
        assert isinstance(refused, dict)
        assert (refused["status"], refused["message"]) == (403, "NO: the toy's rules forbid it")
        # What the called one read counts as well.
        added = await north.proposal("Call", b"inner", b'["Add", "n"]').endorse()
        await inner.submit("Add", b"n")
        with pytest.raises(CommitFailed):
            await (await added.submit()).committed()
        for name, why in (("nothing", "no chaincode"), (LIFECYCLE, "by clients only"), (TOY, "already")):
            with pytest.raises(EvaluateFailed, match=why):
                await text(north, "Call", name, '["Get", "k"]')

    run_served(folder, scenario)


def test_what_goes_wrong_fails_its_transaction_only(folder: Path) -> None:
    async def scenario(network: Network, north: Connection) -> None:
        with pytest.raises(EndorseFailed, match="the chaincode says no"):
            await north.submit("Throw")
        with pytest.raises(EvaluateFailed, match="no rich queries"):
            await text(north, "Query")
        many = [text(north, "Get", f"key {index}") for index in range(50)]
        hanging = [text(north, "Hang") for _ in range(3)]
        answers = await asyncio.gather(*many, *hanging, return_exceptions=True)
        assert answers[:50] == [""] * 50
        assert all(isinstance(one, EvaluateFailed) and "timeout expired" in str(one) for one in answers[50:])
        await do(north, "Put", "k", "v")
        with pytest.raises(EvaluateFailed, match="terminated"):
            await text(north, "Crash")
        inner = connect(network, folder, "north", chaincode="inner")
        await inner.submit("Put", b"k", b"v")
        with pytest.raises(EvaluateFailed, match="cannot be reached"):
            await text(north, "Get", "k")

    run_served(folder, scenario, seconds_max=1)
