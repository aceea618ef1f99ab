"""What our client and `@hyperledger/fabric-gateway` hand each other: stages, requests for events, checkpoints."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from healthchain.client.checkpoint import FileCheckpoint, Position, after_block
from healthchain.client.events import Events
from healthchain.client.gateway import Connection
from healthchain.client.offline import (
    signed_blocks,
    signed_chaincode_events,
    signed_commit,
    signed_proposal,
    signed_transaction,
)
from healthchain.client.shapes import FILTERED_BLOCKS
from healthchain.client.signing import Creator
from healthchain.wire.codes import Code

from .told import MSP_IDS, TELLER, TOPOLOGY, Play, Told, organisation

PROGRAMS = Path(__file__).parents[1] / "sdk"
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(NODE is None, reason="node is not installed: these tests run Fabric's SDK for Node"),
    pytest.mark.skipif(
        not (PROGRAMS / "node_modules/@hyperledger/fabric-gateway").is_dir(),
        reason="the SDK is not installed: run `make sdk`",
    ),
]


class Carried(Protocol):
    """A stage or request of ours, that is to be signed."""

    @property
    def digest(self) -> bytes: ...
    def to_bytes(self) -> bytes: ...


class Sdk:
    """The SDK's program, which has no key either."""

    def __init__(self, running: asyncio.subprocess.Process, one: Told) -> None:
        assert running.stdin is not None
        assert running.stdout is not None
        self._stdin, self._stdout = running.stdin, running.stdout
        self._key = one.who("north").key

    async def __call__(self, call: str, **asked: Any) -> Any:
        self._stdin.write(json.dumps({"call": call, **asked}).encode() + b"\n")
        return json.loads(await self._stdout.readline())

    async def with_ours(self, call: str, ours: Carried) -> Any:
        """What we made, signed by the key's holder."""
        signature = self._key.sign_digest(ours.digest)
        return await self(call, bytes=text(ours.to_bytes()), signature=text(signature))

    def signed(self, theirs: Any) -> tuple[bytes, bytes]:
        """What the SDK made, and the signature of the key's holder over the digest that it gave."""
        return base64.b64decode(theirs["bytes"]), self._key.sign_digest(base64.b64decode(theirs["digest"]))


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


@asynccontextmanager
async def sdk(one: Told) -> AsyncIterator[Sdk]:
    north = organisation(one.folder, "north")
    given = {
        "address": one.relays["north"].address,
        "tlsRoot": str(north.peer / "tls/ca.crt"),
        "mspId": north.msp_id,
        "user": str(north.user("clinician")),
        "channel": TOPOLOGY.channel,
        "chaincode": TELLER,
        "endorsers": MSP_IDS[:3],
    }
    assert NODE is not None
    running = await asyncio.create_subprocess_exec(
        NODE,
        "interchange.mjs",
        cwd=PROGRAMS,
        env={**os.environ, "HEALTHCHAIN_SDK": json.dumps(given)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Sdk(running, one)
    finally:
        assert running.stdin is not None
        running.stdin.close()
        assert await running.wait() == 0


async def keyless(one: Told) -> Connection:
    creator = Creator("NorthMSP", one.who("north").serialized)
    return Connection(await one.gateway("north"), creator, TOPOLOGY.channel, TELLER)


def test_stages_both_ways(play: Play) -> None:
    async def work(one: Told) -> None:
        ours = await keyless(one)
        async with sdk(one) as theirs:
            proposal = ours.proposal("Put", b"interchanged", b"yes", organizations=MSP_IDS[:3])
            endorsed = signed_transaction(ours, *theirs.signed(await theirs.with_ours("endorse", proposal)))
            assert (endorsed.transaction_id, endorsed.result) == (proposal.transaction_id, b"done")
            submitted = signed_commit(ours, *theirs.signed(await theirs.with_ours("submit", endorsed)))
            block = await submitted.block()
            status = await theirs.with_ours("status", submitted)
            assert status == {"code": Code.VALID, "block": block, "transactionId": proposal.transaction_id}

            made = await theirs("propose", function="Put", arguments=["interchanged", "too"])
            proposal = signed_proposal(ours, *theirs.signed(made))
            assert proposal.digest == base64.b64decode(made["digest"])
            prepared = await proposal.endorse()
            again = signed_transaction(ours, prepared.to_bytes(), one.who("north").key.sign_digest(prepared.digest))
            status = await theirs.with_ours("status", await again.submit())
            assert (status["code"], status["transactionId"]) == (Code.VALID, proposal.transaction_id)
            asked = await theirs("propose", function="Get", arguments=["interchanged"])
            assert await signed_proposal(ours, *theirs.signed(asked)).evaluate() == b"too"

    play(work)


def test_events_and_checkpoints_both_ways(play: Play, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"

    async def work(one: Told) -> None:
        start = one.end
        [told_id] = await one.tell("a")
        events = Events(await keyless(one), await one.gateway("north"))
        async with sdk(one) as theirs:
            found = await theirs.with_ours("events", events.chaincode_events_request(start))
            assert found == {"name": "a", "transactionId": told_id, "block": start.block}
            blocks = await theirs.with_ours("blocks", events.blocks_request(FILTERED_BLOCKS, start))
            assert blocks == {"number": start.block}

            asked = await theirs("askForEvents", startBlock=start.block)
            request = signed_chaincode_events(events, *theirs.signed(asked))
            async with aclosing(request.events()) as stream:
                assert (await anext(stream)).transaction_id == told_id
            asked = await theirs("askForBlocks", startBlock=start.block)
            async with aclosing(signed_blocks(events, FILTERED_BLOCKS, *theirs.signed(asked)).events()) as delivered:
                assert (await anext(delivered)).number == start.block

            assert await theirs("checkpoint", path=str(path)) == {"found": [None, None]}
            assert FileCheckpoint(path).position is None
            FileCheckpoint(path).store(Position(7, told_id))
            assert await theirs("checkpoint", path=str(path), block=9) == {"found": ["7", told_id]}
            assert FileCheckpoint(path).position == after_block(9)
            FileCheckpoint(path).store(after_block(10))
            told = await theirs("checkpoint", path=str(path), block=12, transactionId=told_id)
            assert told == {"found": ["11", None]}
            assert FileCheckpoint(path).position == Position(12, told_id)

    play(work)
