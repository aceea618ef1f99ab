"""Whether blocks are the channel's orderers': under SmartBFT a quorum's, under Raft one's."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import pytest
from fabric_protos.common import common_pb2

from healthchain.app.consortium import initialise, opened
from healthchain.app.fabric.local import init
from healthchain.app.scenarios.fabric_blocks import finding
from healthchain.config import DEFAULT
from healthchain.fabric.nodes import Consensus, Settings, members
from healthchain.network.provision import read_genesis_block
from healthchain.wire.block import Metadata, encoded_header, header_hash, new_block, signatures, signed_bytes
from healthchain.wire.proposal import NONCE_BYTES

Chain = list[common_pb2.Block]


@pytest.fixture(scope="module")
def bft(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """The embedded network's orderers sign as SmartBFT's do."""
    folder = tmp_path_factory.mktemp("bft") / "consortium"

    async def blocks() -> Chain:
        await initialise(folder, DEFAULT)
        async with opened(folder) as consortium:
            ledger = consortium.network.peers["city-clinic"].ledger
            return [ledger.block(number) for number in range(consortium.network.height)]

    return asyncio.run(blocks())


@pytest.fixture(scope="module")
def raft(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Chain]:
    """Block 0, and one that an organisation's node of this kind has signed."""
    folder, settings = tmp_path_factory.mktemp("raft") / "consortium", Settings(Consensus.RAFT, 7051)
    init(folder, DEFAULT, settings)
    genesis, member = read_genesis_block(folder), members(folder, DEFAULT, settings)[1]

    def chain(node: str) -> Chain:
        identity = member.credentials.signing_identity(getattr(member.credentials, node))
        envelope = common_pb2.Envelope(payload=b"p", signature=b"s").SerializeToString()
        block = new_block(1, header_hash(genesis), [envelope])
        header = common_pb2.SignatureHeader(creator=identity.serialized, nonce=secrets.token_bytes(NONCE_BYTES))
        signature = identity.key.sign(signed_bytes(b"v", header.SerializeToString(), encoded_header(block)))
        signed = common_pb2.MetadataSignature(signature_header=header.SerializeToString(), signature=signature)
        entry = common_pb2.Metadata(value=b"v", signatures=[signed]).SerializeToString()
        block.metadata.metadata[Metadata.SIGNATURES] = entry
        return [genesis, block]

    return chain


def copied(chain: Chain) -> Chain:
    return [common_pb2.Block.FromString(one.SerializeToString()) for one in chain]


def sign_with(block: common_pb2.Block, which: list[int]) -> None:
    """Only these of its signatures, by their place."""
    value, found = signatures(block)
    kept = [
        common_pb2.MetadataSignature(identifier_header=found[one].identifier_header, signature=found[one].signature)
        for one in which
    ]
    block.metadata.metadata[Metadata.SIGNATURES] = common_pb2.Metadata(value=value, signatures=kept).SerializeToString()


def test_what_the_orderers_made(bft: Chain, raft: Callable[[str], Chain]) -> None:
    assert len(bft) > 5
    assert finding(bft, bft[0]) == ""
    chain = raft("orderer")
    assert finding(chain, chain[0]) == ""


def test_too_few_signatures(bft: Chain, raft: Callable[[str], Chain]) -> None:
    for which in ([0, 1], [0, 0, 0, 0], []):
        few = copied(bft)
        sign_with(few[3], which)
        assert finding(few, bft[0]) == "block 3 is signed by too few orderers of the channel"
    chain = raft("peer")
    assert finding(chain, chain[0]) == "block 1 is signed by too few orderers of the channel"


def test_other_content(bft: Chain) -> None:
    altered, without, another = copied(bft), copied(bft), copied(bft)
    altered[4].data.data[0] = altered[4].data.data[0][:-1] + b"?"
    assert "data hash differs" in finding(altered, bft[0])
    del without[2]
    assert finding(without, bft[0]) == "block 2 is missing"
    another[0].header.data_hash = bytes(32)
    assert "block 0 is another one" in finding(another, bft[0])
    assert "block 0 is another one" in finding([], bft[0])
