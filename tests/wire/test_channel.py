"""Block 0 and chaincode definitions: what is written is read again, and what makes no sense is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256

import pytest
from fabric_protos.common import common_pb2

from healthchain.wire.channel import (
    BatchSize,
    ChannelConfig,
    ChannelMalformed,
    Consenter,
    Organization,
    config_hash,
    genesis_block,
    read_genesis,
)
from healthchain.wire.lifecycle import (
    ChaincodeDefinition,
    Collection,
    DefinitionMalformed,
    definition_writes,
    read_definition,
)

from . import samples, vectors

CONFIG = read_genesis(samples.genesis(4))
DIGEST = "print(hashlib.sha256(samples.genesis(4).SerializeToString()).hexdigest())"


def made(config: ChannelConfig) -> common_pb2.Block:
    return genesis_block(config, b"creator", samples.NONCE, 1_700_000_000)


def test_what_is_written_is_read() -> None:
    batch = BatchSize(7, 1_000_000, 200_000, 1500)
    assert read_genesis(made(replace(CONFIG, batch=batch))) == replace(CONFIG, batch=batch)
    assert [one.msp_id for one in CONFIG.organizations] == ["Org0MSP", "Org1MSP", "Org2MSP", "Org3MSP"]
    assert [one.id for one in CONFIG.consenters] == [1, 2, 3, 4]


@pytest.mark.parametrize("seed", ["1", "2"])
def test_block_0_is_the_same_under_every_hash_seed(seed: str) -> None:
    """Protobuf maps are encoded in hash order unless told otherwise: then every run would make another channel."""
    here = sha256(samples.genesis(4).SerializeToString()).hexdigest()
    code = f"import hashlib; from tests.wire import samples; {DIGEST}"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    found = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert found.stdout.strip() == here


def test_config_hash_covers_the_envelope() -> None:
    assert config_hash(made(CONFIG)) == config_hash(made(CONFIG))
    assert config_hash(made(CONFIG)) != config_hash(made(replace(CONFIG, channel_id="other")))


def _twice(config: ChannelConfig) -> ChannelConfig:
    double = Organization("Org9", "Org0MSP", config.organizations[0].msp_config)
    return replace(config, organizations=(*config.organizations, double))


def _same_id(config: ChannelConfig) -> ChannelConfig:
    first, second, *rest = config.consenters
    return replace(config, consenters=(first, replace(second, id=first.id), *rest))


def _same_identity(config: ChannelConfig) -> ChannelConfig:
    first, second, *rest = config.consenters
    return replace(config, consenters=(first, replace(second, identity=first.identity), *rest))


def _stranger(config: ChannelConfig) -> ChannelConfig:
    return replace(config, consenters=(*config.consenters, Consenter(9, "h", 1, "NoMSP", b"pem")))


SPOILED = {
    "no name": replace(CONFIG, channel_id=""),
    "no member": replace(CONFIG, organizations=()),
    "no orderer, so that nobody's signature is needed": replace(CONFIG, consenters=()),
    "a member twice": _twice(CONFIG),
    "an orderer's id twice": _same_id(CONFIG),
    "an orderer's certificate twice": _same_identity(CONFIG),
    "an orderer of no member": _stranger(CONFIG),
    "blocks of no transaction": replace(CONFIG, batch=BatchSize(max_message_count=0)),
    "blocks at once": replace(CONFIG, batch=BatchSize(timeout_ms=0)),
    "blocks before now": replace(CONFIG, batch=BatchSize(timeout_ms=-1)),
}


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED.keys())
def test_a_channel_that_makes_no_sense_is_refused(spoiled: ChannelConfig) -> None:
    with pytest.raises(ChannelMalformed):
        read_genesis(made(spoiled))


def test_block_0_is_exactly_one_configuration() -> None:
    for envelopes in ([], [*samples.genesis().data.data, b""], [samples.transaction_pieces()["envelope"]]):
        block = samples.genesis()
        del block.data.data[:]
        block.data.data.extend(envelopes)
        with pytest.raises(ChannelMalformed):
            read_genesis(block)


@pytest.mark.parametrize("policy", [None, vectors.OUT_OF_2])
def test_a_definition_that_is_written_is_read(policy: bytes | None) -> None:
    definition = ChaincodeDefinition(
        "ehr", "2.1", 7, (Collection("bodies", ("AMSP", "BMSP")), Collection("keys", ())), policy
    )
    writes = definition_writes(definition)
    names = ("Sequence", "EndorsementInfo", "ValidationInfo", "Collections")
    sequence, endorsement, validation, collections = [writes[f"namespaces/fields/ehr/{name}"] for name in names]
    assert read_definition("ehr", sequence, endorsement, validation, collections) == definition
    assert set(writes) == {f"namespaces/fields/ehr/{name}" for name in names} | {"namespaces/metadata/ehr"}


def test_a_definition_that_does_not_decode_is_a_typed_error() -> None:
    with pytest.raises(DefinitionMalformed):
        read_definition("ehr", b"\xff", b"", b"", b"")
