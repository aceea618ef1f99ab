"""Whether a block is the next one that the designated orderers agreed on (Fabric common/policies/bft.go)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from healthchain.errors import HealthChainError
from healthchain.ledger.channel import Channel
from healthchain.ledger.validate import SignatureCheck
from healthchain.wire.block import Metadata, data_hash, encoded_header, signatures, signed_bytes
from healthchain.wire.transaction import is_well_formed


class BlockRefused(HealthChainError):
    """A block that is not the next one, or that too few designated orderers signed."""


def check_block(
    block: common_pb2.Block,
    number: int,
    previous_hash: bytes,
    channel: Channel,
    verdict: Callable[[SignatureCheck], bool],
) -> None:
    """1. number; 2. link to the block before; 3. data hash; 4. form; 5. quorum. Raises BlockRefused.

    Block 0 carries no signatures: it is the root of trust, and its hash is what every peer pinned when it joined.
    """
    check_link(block, number, previous_hash)
    if number != 0:
        check_quorum(block, channel, verdict)


def check_quorum(block: common_pb2.Block, channel: Channel, verdict: Callable[[SignatureCheck], bool]) -> None:
    """Step 5, by the members as the block before left them. Raises BlockRefused."""
    signed = {check.identity.fingerprint for check in block_signature_checks(block, channel) if verdict(check)}
    if len(signed) < channel.quorum:
        raise BlockRefused(
            f"block {block.header.number} has {len(signed)} valid orderer signatures, {channel.quorum} are needed"
        )


def check_link(block: common_pb2.Block, number: int, previous_hash: bytes) -> None:
    """Steps 1 to 4, which need no signature. Raises BlockRefused."""
    check_place(block, number, previous_hash)
    check_content(block)


def check_place(block: common_pb2.Block, number: int, previous_hash: bytes) -> None:
    """Steps 1 and 2, which depend on the chain of the peer that asks. Raises BlockRefused."""
    if block.header.number != number:
        raise BlockRefused(f"block {number} is missing")
    if block.header.previous_hash != previous_hash:
        raise BlockRefused(f"block {number} does not follow the block before it: the hash link is broken")


def check_content(block: common_pb2.Block) -> None:
    """Steps 3 and 4, which depend on the block alone. Raises BlockRefused."""
    number = block.header.number
    if block.header.data_hash != data_hash(block.data.data):
        raise BlockRefused(f"the transactions of block {number} are not those its header names: data hash differs")
    if len(block.metadata.metadata) != len(Metadata):
        raise BlockRefused(f"block {number} has no complete metadata")
    if number != 0 and not all(is_well_formed(one) for one in block.data.data):
        raise BlockRefused(f"block {number} has a transaction that is not one well-formed envelope")


def block_signature_checks(block: common_pb2.Block, channel: Channel) -> list[SignatureCheck]:
    """The signatures of designated orderers over the block; others do not count."""
    try:
        value, found = signatures(block)
    except DecodeError:
        return []
    header = encoded_header(block)
    checks = []
    for one in found:
        consenter = channel.consenters.get(one.consenter)
        if consenter is not None:
            digest = sha256(signed_bytes(value, one.identifier_header, header)).digest()
            checks.append(SignatureCheck(consenter, digest, one.signature))
    return checks
