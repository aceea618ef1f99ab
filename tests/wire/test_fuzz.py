"""Whatever bytes come from outside, a parser answers or raises its one typed error."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from healthchain.ledger.mvcc import effects, keys_fit
from healthchain.ledger.private import body_holds, encode_body, matching_bodies
from healthchain.wire.block import OrdererSignature, signatures
from healthchain.wire.channel import ChannelMalformed, read_genesis
from healthchain.wire.lifecycle import DefinitionMalformed, read_definition
from healthchain.wire.proposal import ProposalMalformed, parse_proposal
from healthchain.wire.rwset import encode_private
from healthchain.wire.transaction import TransactionInvalid, decode_action, decode_header

from . import samples

SHORT_ROUNDS = 250
LONG_ROUNDS = 40_000
INTERESTING = (
    b"",
    b"\x00",
    b"\xff" * 10,
    b"\x80" * 11,  # a varint that never ends
    b"\xff\xfe",  # never UTF-8
    b"\xed\xa0\x80",  # a lone surrogate
    b"\x0a\xff\xff\xff\xff\x0f",  # longer than everything
    b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # -1
    b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # the largest int64
    b"\x0b" * 200,  # groups in groups
    b"\x0a\x00" * 50,  # one field fifty times
    b"\xfa\xff\xff\xff\x0f\x01x",  # an unknown field with the largest number
)


@dataclass(frozen=True)
class Parser:
    run: Callable[[bytes], object]
    refusal: type[Exception]
    sample: bytes


def _action(level: str) -> Callable[[bytes], object]:
    def run(piece: bytes) -> object:
        action = decode_action(decode_header(samples.transaction_around(level, piece)))
        sets = encode_private(samples.NAMESPACES)
        return keys_fit(effects(action)), matching_bodies(action, sets)

    return run


def _block(piece: bytes) -> common_pb2.Block:
    """Bytes that are no block never reach the parsers of what is in it."""
    try:
        return common_pb2.Block.FromString(piece)
    except DecodeError:
        return common_pb2.Block()


def _signatures(piece: bytes) -> tuple[bytes, list[OrdererSignature]]:
    block = samples.signed_block()
    block.metadata.metadata[0] = piece
    return signatures(block)


def _genesis(piece: bytes) -> object:
    block = samples.genesis(2)
    block.data.data[0] = piece
    return read_genesis(block)


def _definition(index: int) -> Callable[[bytes], object]:
    fields = samples.definition_fields()

    def run(piece: bytes) -> object:
        replaced = list(fields)
        replaced[index] = piece
        sequence, endorsement, validation, collections = replaced
        return read_definition("ehr", sequence, endorsement, validation, collections)

    return run


PARSERS = {
    "proposal": Parser(parse_proposal, ProposalMalformed, samples.proposal_bytes()),
    "block signatures": Parser(
        lambda b: signatures(_block(b)), DecodeError, samples.signed_block().SerializeToString()
    ),
    "signature metadata": Parser(_signatures, DecodeError, samples.signed_block().metadata.metadata[0]),
    "genesis block": Parser(
        lambda b: read_genesis(_block(b)), ChannelMalformed, samples.genesis(2).SerializeToString()
    ),
    "genesis envelope": Parser(_genesis, ChannelMalformed, samples.genesis(2).data.data[0]),
    "private body": Parser(
        lambda b: body_holds(b, b"k", b"h"), DecodeError, encode_body("ehr", "bodies", "key", b"value")
    ),
    **{
        f"definition {index}": Parser(_definition(index), DefinitionMalformed, sample)
        for index, sample in enumerate(samples.definition_fields())
    },
    **{
        f"transaction {level}": Parser(_action(level), TransactionInvalid, piece)
        for level, piece in samples.transaction_pieces().items()
    },
}


@pytest.mark.parametrize("name", PARSERS)
def test_the_sample_itself_is_accepted(name: str) -> None:
    PARSERS[name].run(PARSERS[name].sample)


@pytest.mark.parametrize("name", PARSERS)
def test_every_truncation_and_every_altered_byte(name: str) -> None:
    parser = PARSERS[name]
    step = max(1, len(parser.sample) // 150)
    for position in range(0, len(parser.sample), step):
        _try(parser, parser.sample[:position])
        for mask in (0x01, 0x80, 0xFF):
            altered = bytearray(parser.sample)
            altered[position] ^= mask
            _try(parser, bytes(altered))


@pytest.mark.parametrize("name", PARSERS)
def test_random_damage(name: str) -> None:
    _damage(PARSERS[name], random.Random(name), SHORT_ROUNDS)  # noqa: S311


@pytest.mark.fuzz
@pytest.mark.parametrize("name", PARSERS)
def test_random_damage_for_long(name: str) -> None:
    _damage(PARSERS[name], random.Random(f"long {name}"), LONG_ROUNDS)  # noqa: S311


def _damage(parser: Parser, chance: random.Random, rounds: int) -> None:
    for piece in INTERESTING:
        _try(parser, piece)
        _try(parser, parser.sample + piece)
        _try(parser, piece + parser.sample)
    for _ in range(rounds):
        damaged = parser.sample
        for _ in range(chance.randint(1, 4)):
            damaged = _damaged(damaged, chance)
        _try(parser, damaged)


def _damaged(sample: bytes, chance: random.Random) -> bytes:
    begin, end = sorted((chance.randint(0, len(sample)), chance.randint(0, len(sample))))
    match chance.randrange(6):
        case 0:
            return sample[:begin] + chance.randbytes(end - begin) + sample[end:]
        case 1:
            return sample[:begin] + sample[end:]
        case 2:
            return sample[:end] + sample[begin:]
        case 3:
            return sample[:begin] + chance.choice(INTERESTING) + sample[begin:]
        case 4:
            return sample[:begin] + bytes((chance.randrange(256),)) + sample[begin + 1 :]
        case _:
            return chance.randbytes(chance.randint(0, 64))


def _try(parser: Parser, piece: bytes) -> None:
    with contextlib.suppress(parser.refusal):
        parser.run(piece)
