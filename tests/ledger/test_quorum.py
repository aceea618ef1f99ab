"""Whether a block is the next one and a quorum of designated orderers signed it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fabric_protos.common import common_pb2

from healthchain.ledger.quorum import BlockRefused, block_signature_checks, check_block
from healthchain.wire import block as wire_block
from healthchain.wire.block import Metadata
from healthchain.wire.transaction import envelope

from .chain_builder import Consortium, sign_block, verdict

PREVIOUS = b"\x05" * 32
ONE, TWO = envelope(b"one", b"signature"), envelope(b"two", b"signature")


def accepted(consortium: Consortium, made: common_pb2.Block, number: int = 7, previous: bytes = PREVIOUS) -> bool:
    try:
        check_block(made, number, previous, consortium.channel, verdict)
    except BlockRefused:
        return False
    return True


def made(consortium: Consortium, signers: list[int]) -> common_pb2.Block:
    return consortium.block(7, PREVIOUS, [ONE, TWO], signers)


@pytest.mark.parametrize(("orderers", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (7, 5)])
def test_a_quorum_of_orderers(orderers: int, needed: int) -> None:
    consortium = Consortium(orderers)
    assert consortium.channel.quorum == needed
    every = list(range(1, orderers + 1))
    for count in range(orderers + 1):
        assert accepted(consortium, made(consortium, every[:count])) == (count >= needed)
        assert accepted(consortium, made(consortium, every[orderers - count :])) == (count >= needed)


def test_one_signer_counts_once(consortium: Consortium) -> None:
    assert not accepted(consortium, made(consortium, [1, 1, 1, 1]))
    assert not accepted(consortium, made(consortium, [1, 2, 1, 2]))
    assert accepted(consortium, made(consortium, [1, 2, 1, 3]))


def signatures(block: common_pb2.Block) -> common_pb2.Metadata:
    return common_pb2.Metadata.FromString(block.metadata.metadata[Metadata.SIGNATURES])


def put(block: common_pb2.Block, signed: common_pb2.Metadata) -> None:
    block.metadata.metadata[Metadata.SIGNATURES] = signed.SerializeToString()


def _unknown_id(block: common_pb2.Block, signed: common_pb2.Metadata) -> None:
    signed.signatures[0].identifier_header = wire_block.identifier_header(99, bytes(24))


def _another_id(block: common_pb2.Block, signed: common_pb2.Metadata) -> None:
    """An orderer's signature under another one's id."""
    signed.signatures[0].identifier_header = wire_block.identifier_header(4, bytes(24))


def _no_identifier(block: common_pb2.Block, signed: common_pb2.Metadata) -> None:
    signed.signatures[0].identifier_header = b""


def _mangled_identifier(block: common_pb2.Block, signed: common_pb2.Metadata) -> None:
    signed.signatures[0].identifier_header = b"\xff"


def _no_signature(block: common_pb2.Block, signed: common_pb2.Metadata) -> None:
    signed.signatures[0].signature = b""


def _mangled_signature(block: common_pb2.Block, signed: common_pb2.Metadata) -> None:
    signed.signatures[0].signature = b"\x30\x03\x02\x01\x01"


def _another_value(block: common_pb2.Block, signed: common_pb2.Metadata) -> None:
    signed.value = wire_block.orderer_metadata(6)


def _another_nonce(block: common_pb2.Block, signed: common_pb2.Metadata) -> None:
    signed.signatures[0].identifier_header = wire_block.identifier_header(1, bytes(23) + b"x")


SPOILED: list[Callable[[common_pb2.Block, common_pb2.Metadata], None]] = [
    _unknown_id,
    _another_id,
    _no_identifier,
    _mangled_identifier,
    _no_signature,
    _mangled_signature,
    _another_value,
    _another_nonce,
]


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda one: one.__name__.strip("_"))
def test_a_spoiled_signature_does_not_count(
    consortium: Consortium, spoil: Callable[[common_pb2.Block, common_pb2.Metadata], None]
) -> None:
    block = made(consortium, [1, 2, 3])
    signed = signatures(block)
    spoil(block, signed)
    put(block, signed)
    assert not accepted(consortium, block)


def test_spoiled_signatures_do_not_hinder_good_ones(consortium: Consortium) -> None:
    block = made(consortium, [1, 2, 3])
    signed = signatures(block)
    signed.signatures.insert(0, common_pb2.MetadataSignature(identifier_header=b"", signature=b"x"))
    signed.signatures.insert(0, signed.signatures[1])
    signed.signatures[0].signature = b"x"
    put(block, signed)
    assert accepted(consortium, block)


def test_signatures_over_another_block(consortium: Consortium) -> None:
    other = consortium.block(7, PREVIOUS, [TWO, ONE], [1, 2, 3])
    block = made(consortium, [])
    block.metadata.metadata[Metadata.SIGNATURES] = other.metadata.metadata[Metadata.SIGNATURES]
    assert not accepted(consortium, block)


def test_clients_and_peers_are_no_orderers(consortium: Consortium) -> None:
    """Signed with a peer's key under an orderer's id."""
    block = made(consortium, [1, 2])
    value, found = wire_block.signatures(block)
    identifier = wire_block.identifier_header(3, bytes(24))
    key = consortium.organisations[2].peer.key
    signature = key.sign(wire_block.signed_bytes(value, identifier, wire_block.encoded_header(block)))
    wire_block.put_signatures(block, value, [*found, wire_block.OrdererSignature(3, identifier, signature)])
    assert not accepted(consortium, block)


def test_the_next_block_and_no_other(consortium: Consortium) -> None:
    block = made(consortium, [1, 2, 3])
    assert accepted(consortium, block)
    assert not accepted(consortium, block, number=6)
    assert not accepted(consortium, block, number=8)
    assert not accepted(consortium, block, previous=bytes(32))
    assert not accepted(consortium, block, previous=b"")


def test_content_and_form(consortium: Consortium) -> None:
    altered = made(consortium, [1, 2, 3])
    altered.data.data[0] = envelope(b"eno", b"signature")
    assert not accepted(consortium, altered)
    for count in (0, 4, 6):
        block = made(consortium, [1, 2, 3])
        block.metadata.metadata[:] = [block.metadata.metadata[0], b"", b"", b"", b"", b""][:count]
        assert not accepted(consortium, block)


@pytest.mark.parametrize("size", range(len(ONE + TWO) + 1))
def test_the_same_bytes_are_cut_into_transactions_in_one_way(consortium: Consortium, size: int) -> None:
    """Fabric's data hash has no lengths, so it holds for every cut (protoutil `VerifyTransactionsAreWellFormed`)."""
    whole = ONE + TWO
    block = made(consortium, [1, 2, 3])
    block.data.data[:] = [whole[:size], whole[size:]]
    assert wire_block.data_hash(block.data.data) == block.header.data_hash
    assert accepted(consortium, block) == (size == len(ONE))
    block.data.data[:] = [whole[:size], b"", whole[size:]]
    assert not accepted(consortium, block)
    block.data.data[:] = [whole]
    assert not accepted(consortium, block)


def test_block_0_needs_no_signature_and_no_other_block_goes_without(consortium: Consortium) -> None:
    check_block(consortium.genesis, 0, b"", consortium.channel, verdict)
    assert not accepted(consortium, made(consortium, []))
    unsigned = wire_block.new_block(7, PREVIOUS, [ONE])
    assert block_signature_checks(unsigned, consortium.channel) == []
    sign_block(consortium, unsigned, [1, 2, 3])
    assert accepted(consortium, unsigned)
