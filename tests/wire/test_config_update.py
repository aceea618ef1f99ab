"""Configuration updates: what they hold, that Fabric's rules take them, and what the channel is afterwards."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import pytest
from fabric_protos.common import common_pb2, configuration_pb2
from fabric_protos.common.configtx_pb2 import Config

from healthchain.errors import BadInput
from healthchain.fabric.membership import NodeAddresses, with_member, without_member
from healthchain.identity.keys import SigningKey, signature_holds
from healthchain.identity.msp import encode_msp_config
from healthchain.wire.channel import Organization, genesis_config
from healthchain.wire.config_update import applied, config_update, sign_update, update_envelope

from . import samples
from .config_rules import accept, unversioned

BEFORE = genesis_config(samples.genesis(4))
NEW = Organization("Org9MSP", "Org9MSP", encode_msp_config("Org9MSP", b"root", b"tls"))
RENEWED = Organization("Org1MSP", "Org1MSP", encode_msp_config("Org1MSP", b"other root", b"tls"))
ADDED = with_member(BEFORE, NEW, b"certificate", NodeAddresses(orderer="orderer0.org9:7050"))

CHANGES = {
    "added": ADDED,
    "added without an orderer": with_member(BEFORE, NEW, b"", NodeAddresses()),
    "removed": without_member(BEFORE, "Org2MSP"),
    "renewed": with_member(BEFORE, RENEWED, b"new certificate", NodeAddresses(orderer="orderer0.org1:7050")),
    "renewed but for the orderer": with_member(BEFORE, RENEWED, b"", NodeAddresses()),
}


@pytest.mark.parametrize("after", CHANGES.values(), ids=CHANGES)
def test_an_update_turns_one_configuration_into_the_other(after: Config) -> None:
    update = config_update("health", BEFORE, after)
    accept(BEFORE, update)
    assert unversioned(applied(BEFORE, update)) == unversioned(after)
    assert len(update.SerializeToString()) < len(BEFORE.SerializeToString()) // 2


def test_updates_follow_each_other() -> None:
    """As proposals do: each is computed from what the one before made of the channel."""
    chain = [
        BEFORE,
        ADDED,
        without_member(ADDED, "Org2MSP"),
        without_member(without_member(ADDED, "Org2MSP"), "Org9MSP"),
    ]
    config = BEFORE
    for _, after in pairwise(chain):
        update = config_update("health", config, after)
        accept(config, update)
        config = applied(config, update)
        assert unversioned(config) == unversioned(after)
    application = config.channel_group.groups["Application"]
    assert (config.sequence, application.version) == (3, 3)


def test_an_added_member_endorses_and_orders() -> None:
    update = config_update("health", BEFORE, ADDED)
    application, orderer = (update.write_set.groups[one] for one in ("Application", "Orderer"))
    assert (application.version, orderer.version) == (1, 1)
    assert sorted(application.groups["Org9MSP"].policies) == ["Admins", "Endorsement", "Readers", "Writers"]
    assert sorted(orderer.groups["Org9MSP"].policies) == ["Admins", "Readers", "Writers"]
    assert sorted(orderer.values) == sorted(BEFORE.channel_group.groups["Orderer"].values)
    changed = {name: one.version for name, one in orderer.values.items() if one.version}
    assert changed == {"Orderers": 1}
    found = configuration_pb2.Orderers.FromString(orderer.values["Orderers"].value).consenter_mapping
    assert [(one.id, one.msp_id) for one in found][-1] == (5, "Org9MSP")
    assert (found[-1].host, found[-1].port, found[-1].identity) == ("orderer0.org9", 7050, b"certificate")


def test_a_removed_member_neither_endorses_nor_orders() -> None:
    update = config_update("health", BEFORE, CHANGES["removed"])
    for name in ("Application", "Orderer"):
        section = update.write_set.groups[name]
        assert section.version == 1
        assert len(section.groups) == 3
    after = applied(BEFORE, update).channel_group.groups["Orderer"]
    found = configuration_pb2.Orderers.FromString(after.values["Orderers"].value).consenter_mapping
    assert [one.id for one in found] == [1, 2, 4]


def test_a_renewed_orderer_keeps_its_number_and_the_groups_their_versions() -> None:
    update = config_update("health", BEFORE, CHANGES["renewed"])
    assert all(update.write_set.groups[name].version == 0 for name in ("Application", "Orderer"))
    after = applied(BEFORE, update).channel_group.groups["Orderer"]
    found = configuration_pb2.Orderers.FromString(after.values["Orderers"].value).consenter_mapping
    assert [(one.id, one.identity == b"new certificate") for one in found] == [
        (1, False),
        (2, True),
        (3, False),
        (4, False),
    ]


def test_what_changes_nothing_is_no_update() -> None:
    with pytest.raises(BadInput):
        config_update("health", BEFORE, without_member(BEFORE, "Org9MSP"))


def test_administrators_sign_header_and_update() -> None:
    envelope = update_envelope(config_update("health", BEFORE, ADDED))
    assert len(envelope.signatures) == 0
    key = SigningKey.generate()
    for creator in (b"first", b"second"):
        sign_update(envelope, creator, b"nonce", key.sign)
    headers = [common_pb2.SignatureHeader.FromString(one.signature_header) for one in envelope.signatures]
    assert [one.creator for one in headers] == [b"first", b"second"]
    for one in envelope.signatures:
        signed = sha256(one.signature_header + envelope.config_update).digest()
        assert signature_holds(key.public, signed, one.signature)
