"""Proposals: round trips, and every check of `parse_proposal` failing on its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2
from hypothesis import given
from hypothesis import strategies as st

from healthchain.wire.proposal import ProposalMalformed, build_proposal, parse_proposal, transaction_id

from . import samples

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


class Parts:
    """A proposal taken apart, to be spoiled in one place and put together again."""

    def __init__(self) -> None:
        proposal = proposal_pb2.Proposal.FromString(samples.proposal_bytes())
        header = common_pb2.Header.FromString(proposal.header)
        self.channel = common_pb2.ChannelHeader.FromString(header.channel_header)
        self.signer = common_pb2.SignatureHeader.FromString(header.signature_header)
        self.extension = proposal_pb2.ChaincodeHeaderExtension.FromString(self.channel.extension)
        self.payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
        self.invocation = chaincode_pb2.ChaincodeInvocationSpec.FromString(self.payload.input)

    def encoded(self) -> bytes:
        self.channel.extension = self.extension.SerializeToString()
        self.payload.input = self.invocation.SerializeToString()
        header = common_pb2.Header(
            channel_header=self.channel.SerializeToString(), signature_header=self.signer.SerializeToString()
        )
        return proposal_pb2.Proposal(
            header=header.SerializeToString(), payload=self.payload.SerializeToString(deterministic=True)
        ).SerializeToString()


def _rename(parts: Parts) -> None:
    parts.extension.chaincode_id.name = "other"


def _no_name(parts: Parts) -> None:
    parts.extension.chaincode_id.name = parts.invocation.chaincode_spec.chaincode_id.name = ""


def _no_input(parts: Parts) -> None:
    parts.invocation.chaincode_spec.ClearField("input")


def _config(parts: Parts) -> None:
    parts.channel.type = common_pb2.HeaderType.CONFIG


def _epoch(parts: Parts) -> None:
    parts.channel.epoch = 1


def _no_nonce(parts: Parts) -> None:
    parts.signer.nonce = b""
    parts.channel.tx_id = transaction_id(b"", parts.signer.creator)


def _no_creator(parts: Parts) -> None:
    parts.signer.creator = b""
    parts.channel.tx_id = transaction_id(parts.signer.nonce, b"")


def _tx_id(parts: Parts) -> None:
    parts.channel.tx_id = parts.channel.tx_id.upper()


SPOILED: list[tuple[Callable[[Parts], None], str]] = [
    (_no_name, "names no chaincode"),
    (_rename, "different chaincodes"),
    (_no_input, "different chaincodes"),
    (_config, "header type"),
    (_epoch, "epoch"),
    (_no_nonce, "nonce or creator"),
    (_no_creator, "nonce or creator"),
    (_tx_id, "transaction id"),
]


def test_parts_put_together_again_are_the_same_proposal() -> None:
    assert Parts().encoded() == samples.proposal_bytes()


@pytest.mark.parametrize(("spoil", "words"), SPOILED, ids=lambda one: getattr(one, "__name__", ""))
def test_each_check_refuses(spoil: Callable[[Parts], None], words: str) -> None:
    parts = Parts()
    spoil(parts)
    with pytest.raises(ProposalMalformed, match=words):
        parse_proposal(parts.encoded())


@given(
    creator=st.binary(min_size=1, max_size=40),
    nonce=st.binary(min_size=1, max_size=24),
    channel_id=TEXT,
    chaincode=TEXT.filter(bool),
    args=st.lists(st.binary(max_size=40), max_size=4),
    transient=st.dictionaries(TEXT, st.binary(max_size=20), max_size=4),
    timestamp_ns=st.integers(-(2**63) * 10**9, (2**63 - 1) * 10**9),
)
def test_what_is_built_is_parsed(
    creator: bytes,
    nonce: bytes,
    channel_id: str,
    chaincode: str,
    args: list[bytes],
    transient: dict[str, bytes],
    timestamp_ns: int,
) -> None:
    built = build_proposal(
        creator=creator,
        nonce=nonce,
        channel_id=channel_id,
        chaincode=chaincode,
        args=args,
        transient=transient,
        timestamp_ns=timestamp_ns,
    )
    parsed = parse_proposal(built.bytes_)
    assert parsed.tx_id == built.tx_id == transaction_id(nonce, creator)
    assert (parsed.creator, parsed.nonce, parsed.channel_id, parsed.chaincode) == (
        creator,
        nonce,
        channel_id,
        chaincode,
    )
    assert (parsed.args, parsed.transient, parsed.timestamp_ns) == (tuple(args), transient, timestamp_ns)


@given(seconds=st.integers(-(2**63), 2**63 - 1), nanos=st.integers(-(2**31), 2**31 - 1))
def test_any_timestamp_is_a_number(seconds: int, nanos: int) -> None:
    """Whether it is near the peer's clock is the endorser's question; nothing on the way overflows."""
    parts = Parts()
    parts.channel.timestamp.seconds, parts.channel.timestamp.nanos = seconds, nanos
    assert parse_proposal(parts.encoded()).timestamp_ns == seconds * 10**9 + nanos


def test_the_transient_map_is_signed_but_not_hashed() -> None:
    parts = Parts()
    parts.payload.TransientMap["R1/1"] = b"other"
    other = parts.encoded()
    assert other != samples.proposal_bytes()
    assert parse_proposal(other).hash == parse_proposal(samples.proposal_bytes()).hash


def test_unknown_fields_and_repeated_ones_are_read_as_protobuf_says() -> None:
    """The last of a repeated scalar counts; an unknown field of the payload is in no hash."""
    unknown = b"\xfa\xff\xff\xff\x0f\x01x"
    proposal = parse_proposal(samples.proposal_bytes() + unknown)
    assert proposal.bytes_ == samples.proposal_bytes() + unknown
    assert proposal._replace(bytes_=samples.proposal_bytes()) == parse_proposal(samples.proposal_bytes())
    parts = Parts()
    parts.payload.MergeFromString(unknown)
    assert parse_proposal(parts.encoded()).hash == proposal.hash
