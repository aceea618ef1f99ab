"""Blocks: DER against a plain decoder, metadata entries, signatures and quorum."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from healthchain.wire import block
from healthchain.wire.block import Metadata

from . import samples


@given(st.integers(0, 2**64 - 1), st.binary(max_size=300), st.binary(max_size=300))
def test_header_bytes_are_der(number: int, previous: bytes, data: bytes) -> None:
    tag, content, rest = der(block.header_bytes(number, previous, data))
    assert (tag, rest) == (0x30, b"")
    integer, magnitude, rest = der(content)
    assert (integer, int.from_bytes(magnitude, "big", signed=True)) == (0x02, number)
    first, found_previous, rest = der(rest)
    second, found_data, rest = der(rest)
    assert (first, found_previous, second, found_data, rest) == (0x04, previous, 0x04, data, b"")


@given(st.integers(1, 2**64 - 1))
def test_the_number_has_der_shortest_form(number: int) -> None:
    """The same INTEGER as in a DER signature, which the cryptography package reads strictly."""
    header = block.header_bytes(number, b"", b"")
    integer = header[2:-4]
    pair = integer + integer
    assert decode_dss_signature(bytes((0x30, len(pair))) + pair) == (number, number)


def der(encoded: bytes) -> tuple[int, bytes, bytes]:
    """(tag, content, what follows)."""
    tag, length, start = encoded[0], encoded[1], 2
    if length >= 0x80:
        start += length - 0x80
        length = int.from_bytes(encoded[2:start], "big")
        assert length >= 0x80, "not the shortest form"
    assert len(encoded) >= start + length
    return tag, encoded[start : start + length], encoded[start + length :]


def test_signatures_come_back_in_order() -> None:
    made = samples.signed_block()
    value, found = block.signatures(made)
    assert value == block.orderer_metadata(0)
    assert [one.consenter for one in found] == [1, 2, 3]
    assert found[0].identifier_header == block.identifier_header(1, samples.NONCE)


def test_a_block_without_metadata_has_no_signatures() -> None:
    with pytest.raises(DecodeError):
        block.signatures(common_pb2.Block())


def test_what_a_peer_adds_at_commit_is_in_no_hash() -> None:
    made = samples.signed_block()
    before, signed = block.header_hash(made), made.SerializeToString()
    block.put_commit(made, [0, 11], b"\x07" * 32)
    assert block.header_hash(made) == before
    assert block.transaction_codes(made) == b"\x00\x0b"
    assert block.commit_hash(made) == b"\x07" * 32
    assert block.orderer_part(made).SerializeToString() == signed
    assert block.transaction_codes(made) == b"\x00\x0b", "the original is left as it is"


def test_metadata_has_fabric_order() -> None:
    assert [one.value for one in Metadata] == list(range(5))
    assert int(Metadata.TRANSACTIONS_FILTER) == common_pb2.BlockMetadataIndex.TRANSACTIONS_FILTER
    assert int(Metadata.COMMIT_HASH) == common_pb2.BlockMetadataIndex.COMMIT_HASH


@given(st.integers(1, 1000))
def test_two_quorums_share_an_honest_orderer(consenters: int) -> None:
    """2q - n > f: why no two blocks of one number can both be signed; and n - f are enough to go on."""
    faulty, needed = (consenters - 1) // 3, block.quorum(consenters)
    assert 2 * needed - consenters > faulty
    assert needed <= consenters - faulty or faulty == 0
