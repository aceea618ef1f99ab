"""Blocks: header hash, data hash, metadata and orderer signatures.

Sources: Fabric protoutil/blockutils.go, common/policies/bft.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from hashlib import sha256
from typing import NamedTuple

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

Block = common_pb2.Block


class Metadata(IntEnum):
    """Index of each entry of BlockMetadata.metadata (common.proto, BlockMetadataIndex)."""

    SIGNATURES = 0
    LAST_CONFIG = 1
    TRANSACTIONS_FILTER = 2
    ORDERER = 3
    COMMIT_HASH = 4


class OrdererSignature(NamedTuple):
    """One consenter's signature over a block: `consenter` is its id in the channel configuration."""

    consenter: int
    identifier_header: bytes
    signature: bytes


def header_bytes(number: int, previous_hash: bytes, data_hash: bytes) -> bytes:
    """DER SEQUENCE{INTEGER number, OCTET STRING previous_hash, OCTET STRING data_hash}."""
    magnitude = number.to_bytes(number.bit_length() // 8 + 1, "big")  # one more bit than needed: stays unsigned
    content = _der(0x02, magnitude) + _der(0x04, previous_hash) + _der(0x04, data_hash)
    return _der(0x30, content)


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def encoded_header(block: common_pb2.Block) -> bytes:
    return header_bytes(block.header.number, block.header.previous_hash, block.header.data_hash)


def header_hash(block: common_pb2.Block) -> bytes:
    return sha256(encoded_header(block)).digest()


def data_hash(envelopes: Iterable[bytes]) -> bytes:
    """Plain concatenation, without lengths."""
    return sha256(b"".join(envelopes)).digest()


def new_block(number: int, previous_hash: bytes, envelopes: Sequence[bytes]) -> common_pb2.Block:
    """A block with its five metadata entries still empty."""
    return common_pb2.Block(
        header=common_pb2.BlockHeader(number=number, previous_hash=previous_hash, data_hash=data_hash(envelopes)),
        data=common_pb2.BlockData(data=envelopes),
        metadata=common_pb2.BlockMetadata(metadata=[b""] * len(Metadata)),
    )


def orderer_metadata(last_config: int) -> bytes:
    """The signed value of the SIGNATURES entry: pb(OrdererBlockMetadata)."""
    return common_pb2.OrdererBlockMetadata(last_config=common_pb2.LastConfig(index=last_config)).SerializeToString()


def identifier_header(consenter: int, nonce: bytes) -> bytes:
    return common_pb2.IdentifierHeader(identifier=consenter, nonce=nonce).SerializeToString()


def signed_bytes(value: bytes, identifier: bytes, header: bytes) -> bytes:
    """What a consenter signs: value || identifier_header || header bytes (orderer/consensus/smartbft/signature.go)."""
    return value + identifier + header


def put_signatures(block: common_pb2.Block, value: bytes, signatures: Sequence[OrdererSignature]) -> None:
    block.metadata.metadata[Metadata.SIGNATURES] = common_pb2.Metadata(
        value=value,
        signatures=[
            common_pb2.MetadataSignature(identifier_header=one.identifier_header, signature=one.signature)
            for one in signatures
        ],
    ).SerializeToString()


def signatures(block: common_pb2.Block) -> tuple[bytes, list[OrdererSignature]]:
    """The signed value and the signatures by consenter id, in the order found; raises DecodeError."""
    if not block.metadata.metadata:
        raise DecodeError("the block has no metadata")
    metadata = common_pb2.Metadata.FromString(block.metadata.metadata[Metadata.SIGNATURES])
    found = []
    for one in metadata.signatures:
        identifier = common_pb2.IdentifierHeader.FromString(one.identifier_header).identifier
        found.append(OrdererSignature(identifier, one.identifier_header, one.signature))
    return metadata.value, found


def quorum(consenters: int) -> int:
    """ceil((n + f + 1) / 2) with f = floor((n - 1) / 3): 2f + 1 of 3f + 1 (smartbft `computeQuorum`)."""
    faulty = (consenters - 1) // 3
    return (consenters + faulty + 2) // 2


def put_commit(block: common_pb2.Block, codes: Sequence[int], commit_hash: bytes) -> None:
    """What the committing peer adds: one validation code a transaction, and the chained commit hash."""
    block.metadata.metadata[Metadata.TRANSACTIONS_FILTER] = bytes(codes)
    block.metadata.metadata[Metadata.COMMIT_HASH] = common_pb2.Metadata(value=commit_hash).SerializeToString()


def transaction_codes(block: common_pb2.Block) -> bytes:
    return block.metadata.metadata[Metadata.TRANSACTIONS_FILTER]


def commit_hash(block: common_pb2.Block) -> bytes:
    return common_pb2.Metadata.FromString(block.metadata.metadata[Metadata.COMMIT_HASH]).value


def orderer_part(block: common_pb2.Block) -> common_pb2.Block:
    """The block as the orderers made it: without what each peer adds at commit."""
    plain = common_pb2.Block()
    plain.CopyFrom(block)
    plain.metadata.metadata[Metadata.TRANSACTIONS_FILTER] = b""
    plain.metadata.metadata[Metadata.COMMIT_HASH] = b""
    return plain


PrivateSets = Mapping[tuple[str, str], bytes]
"""(namespace, collection) -> pb(KVRWSet): the private writes of one transaction."""
