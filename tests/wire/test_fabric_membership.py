"""A member added, renewed or taken out, in a configuration of Fabric's Raft and SmartBFT orderers."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from fabric_protos.common import common_pb2, configuration_pb2, policies_pb2
from fabric_protos.common.configtx_pb2 import Config
from fabric_protos.msp import msp_config_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from fabric_protos.orderer.etcdraft import configuration_pb2 as raft_pb2

from healthchain.app.fabric.local import init
from healthchain.config import DEFAULT, Organisation
from healthchain.errors import BadInput
from healthchain.fabric.consenters import quorum_policy
from healthchain.fabric.membership import (
    VOTED,
    NodeAddresses,
    addresses_of,
    members_of,
    require_usable,
    signatures,
    split_address,
    with_member,
    without_member,
)
from healthchain.fabric.nodes import Consensus, Settings, members
from healthchain.identity.folders import OrganisationFolder, SigningIdentity
from healthchain.identity.tls import is_tls_certificate_of
from healthchain.network.provision import enrol_organisation, read_genesis_block
from healthchain.records.governing import sign_as
from healthchain.wire.channel import Organization, genesis_config
from healthchain.wire.config_update import (
    UpdateMalformed,
    applied,
    config_update,
    decode_update,
    encode_update,
    is_outdated,
    merged,
    update_envelope,
)

from .config_rules import accept, unversioned

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=9)
ISLAND = Organisation("island-hospital", "hospital")
CLINIC = "CityClinicMSP"


@dataclass(frozen=True, slots=True)
class Made:
    """A channel's configuration, everybody's credentials, and a newcomer's."""

    config: Config
    consensus: Consensus
    founders: Mapping[str, OrganisationFolder]
    island: OrganisationFolder
    renewed: OrganisationFolder

    @property
    def added(self) -> Config:
        return with_member(self.config, member(self.island), self.island.orderer_certificate(), at(self.island))

    def consenters(self, config: Config) -> list[bytes]:
        """Each as encoded, whichever kind it is of."""
        section = config.channel_group.groups["Orderer"]
        if self.consensus is Consensus.BFT:
            mapping = configuration_pb2.Orderers.FromString(section.values["Orderers"].value)
            return [one.SerializeToString() for one in mapping.consenter_mapping]
        kind = orderer_pb2.ConsensusType.FromString(section.values["ConsensusType"].value)
        return [one.SerializeToString() for one in raft_pb2.ConfigMetadata.FromString(kind.metadata).consenters]


def member(credentials: OrganisationFolder) -> Organization:
    return Organization(credentials.msp_id, credentials.msp_id, credentials.msp_config())


def at(credentials: OrganisationFolder, port: int = 9000) -> NodeAddresses:
    tls = (credentials.orderer / "tls" / "server.crt").read_bytes()
    return NodeAddresses(f"localhost:{port}", f"localhost:{port + 1}", tls)


@pytest.fixture(scope="module", params=list(Consensus))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder: Path = tmp_path_factory.mktemp(request.param)
    settings = Settings(request.param, 7051)
    init(folder / "network", DEFAULT, settings)
    founders = {one.msp_id: one.credentials for one in members(folder / "network", DEFAULT, settings)}
    clinic = DEFAULT.organisation("city-clinic")
    return Made(
        genesis_config(read_genesis_block(folder / "network")),
        request.param,
        founders,
        enrol_organisation(folder / "island", ISLAND, NOW),
        enrol_organisation(folder / "renewed", clinic, NOW),
    )


def test_fabric_takes_each_change_and_makes_of_it_what_was_meant(made: Made) -> None:
    gone = without_member(made.added, CLINIC)
    renewed = with_member(gone, member(made.renewed), made.renewed.orderer_certificate(), at(made.renewed, 9100))
    config = made.config
    for after in (made.added, gone, renewed, without_member(renewed, made.island.msp_id)):
        update = config_update("health", config, after)
        accept(config, update)
        config = applied(config, update)
        assert unversioned(config) == unversioned(after)
    assert members_of(config) == sorted(made.founders)


def test_a_newcomer_orders_and_nobody_elses_consenter_changes(made: Made) -> None:
    before, after = made.consenters(made.config), made.consenters(made.added)
    assert (after[:4], len(after)) == (before, 5)
    assert addresses_of(made.added, made.island.msp_id) == at(made.island)
    assert made.consenters(without_member(made.added, made.island.msp_id)) == before
    assert made.consenters(without_member(made.added, CLINIC)) == [before[0], *after[2:]]


def test_a_block_needs_a_quorum_of_those_who_order_then(made: Made) -> None:
    if made.consensus is Consensus.RAFT:  # any one orderer signs a block
        policies = [
            one.channel_group.groups["Orderer"].policies["BlockValidation"] for one in (made.config, made.added)
        ]
        assert policies[0] == policies[1]
        return
    for config, orderers, needed in (
        (made.added, 5, 4),
        (made.config, 4, 3),
        (without_member(made.config, CLINIC), 3, 2),
    ):
        section = config.channel_group.groups["Orderer"]
        mapping = configuration_pb2.Orderers.FromString(section.values["Orderers"].value).consenter_mapping
        policy = section.policies["BlockValidation"].policy
        assert policy == quorum_policy(mapping)
        rule = policies_pb2.SignaturePolicyEnvelope.FromString(policy.value)
        assert (len(rule.identities), rule.rule.n_out_of.n) == (orderers, needed)


def test_a_renewed_member_keeps_its_place_and_only_its_consenter_changes(made: Made) -> None:
    where = addresses_of(made.config, CLINIC)
    there = NodeAddresses(where.peer, where.orderer, at(made.renewed).orderer_tls)
    after = with_member(made.config, member(made.renewed), made.renewed.orderer_certificate(), there)
    pairs = zip(made.consenters(made.config), made.consenters(after), strict=True)
    assert [one == other for one, other in pairs] == [True, False, True, True]
    assert addresses_of(after, CLINIC) == there


def test_an_organisation_s_authorities_are_not_its_own_to_change(made: Made) -> None:
    for name in ("Application", "Orderer"):
        for one in made.added.channel_group.groups[name].groups.values():
            assert one.mod_policy == one.values["MSP"].mod_policy == VOTED
            assert {policy.mod_policy for policy in one.policies.values()} == {VOTED}


def test_certificates_and_addresses_that_would_not_do(made: Made) -> None:
    island, certificate = member(made.island), made.island.orderer_certificate()
    require_usable(made.config, island, certificate, at(made.island))
    with pytest.raises(BadInput, match="TLS certificate was not issued"):
        require_usable(made.config, island, certificate, at(made.renewed))
    with pytest.raises(BadInput, match="GeneralHospitalMSP has one of these"):
        require_usable(made.config, island, certificate, at(made.island, 7051))
    peer = made.island.signing_identity(made.island.peer)
    for broken in (certificate[1:], made.renewed.orderer_certificate()):
        with pytest.raises(BadInput, match="orderer's certificate cannot be used"):
            require_usable(made.config, island, broken, at(made.island))
    with pytest.raises(BadInput, match="is not an orderer's"):
        require_usable(made.config, island, peer.serialized[peer.serialized.index(b"-----") :], at(made.island))


def test_a_tls_certificate_is_read_by_fabric_as_it_was_by_us(made: Made) -> None:
    """Go takes the first block whatever it is, this library the first certificate: SmartBFT's orderers would end."""
    island, certificate, usual = member(made.island), made.island.orderer_certificate(), at(made.island)
    junk = b"-----BEGIN JUNK-----\nAAAA\n-----END JUNK-----\n"
    tls = usual.orderer_tls
    for pem in (junk + tls, tls + junk, tls + tls, b"a text\n" + tls, tls.replace(b"\n", b"\n\n"), b""):
        with pytest.raises(BadInput, match="one certificate in PEM, and nothing"):
            require_usable(made.config, island, certificate, replace(usual, orderer_tls=pem))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        *dict.fromkeys(("a curve", "an algorithm", "a name"), "one certificate in PEM, and nothing").items(),
        ("an extension", r"extensions that none may have \(2\.5\.29\.32\)"),
    ],
)
def test_a_tls_certificate_that_fabric_cannot_read_is_none(made: Made, what: str, told: str) -> None:
    """Go's x509 knows no secp256k1 and no Ed448, and looks into all names and many extensions at once."""
    key: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey = ec.generate_private_key(
        ec.SECP256K1() if what == "a curve" else ec.SECP256R1()
    )
    if what == "an algorithm":
        key = ed448.Ed448PrivateKey.generate()
    authority = made.island.path / "tlsca"
    signer = serialization.load_pem_private_key((authority / "priv_sk").read_bytes(), None)
    issuer = x509.load_pem_x509_certificate(made.island.tls_authority())
    builder = x509.CertificateBuilder(issuer.subject, issuer.subject, key.public_key(), 7, NOW, LATER)
    if what == "a name":
        malformed = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x05\x87\x03abc")  # 3 bytes of IP
        builder = builder.add_extension(malformed, critical=False)
    if what == "an extension":  # sound here, but of a kind that no node needs
        policies = [x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)]
        builder = builder.add_extension(x509.CertificatePolicies(policies), critical=False)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    tls = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    assert is_tls_certificate_of(made.island.msp_config(), tls)
    unread = replace(at(made.island), orderer_tls=tls)
    with pytest.raises(BadInput, match=told):
        require_usable(made.config, member(made.island), made.island.orderer_certificate(), unread)


def test_nobody_takes_another_s_orderer_by_naming_its_authority(made: Made) -> None:
    config = msp_config_pb2.FabricMSPConfig.FromString(made.island.msp_config())
    config.tls_root_certs.append(made.founders[CLINIC].tls_authority())
    greedy = Organization(made.island.msp_id, made.island.msp_id, config.SerializeToString())
    with pytest.raises(BadInput, match=r"authority for TLS .* is CityClinicMSP's"):
        require_usable(made.config, greedy, made.island.orderer_certificate(), at(made.island))


@pytest.mark.parametrize("host", ["a b", "a\nb", "\x1b[2J", "ü", "-a", "a" * 300, ""])
def test_an_address_has_nothing_in_it_that_a_terminal_or_an_orderer_reads_otherwise(host: str) -> None:
    with pytest.raises(BadInput, match="HOST:PORT"):
        split_address(f"{host}:7050")


def test_a_majority_s_administrators_sign_each_once(made: Made) -> None:
    envelope = update_envelope(config_update("health", made.config, made.added))
    who = {name: administrator(one) for name, one in made.founders.items()}
    first, second, third, _ = sorted(who)
    clinician = made.founders[CLINIC].signing_identity(made.founders[CLINIC].user("clinician"))
    for one in (who[first], who[first], clinician, administrator(made.island), administrator(made.renewed)):
        sign_as(one, envelope)
    assert signatures(made.config, envelope).signed == (first,)
    sign_as(who[second], envelope)
    envelope.signatures[-1].signature = envelope.signatures[0].signature
    assert signatures(made.config, envelope).signed == (first,)
    for name in (second, third):
        found = signatures(made.config, envelope)
        assert (found.suffice, found.needed) == (False, 3)
        sign_as(who[name], envelope)
    assert signatures(made.config, envelope).suffice


def test_the_file_travels_and_copies_that_were_signed_apart_are_put_together(made: Made) -> None:
    envelope = update_envelope(config_update("health", made.config, made.added))
    copies = [decode_update("health", encode_update("health", envelope)) for _ in range(2)]
    for one, name in zip(copies, (CLINIC, "HealthAgencyMSP"), strict=True):
        sign_as(administrator(made.founders[name]), one)
    assert signatures(made.config, merged([*copies, copies[0]])).signed == (CLINIC, "HealthAgencyMSP")
    other = update_envelope(config_update("health", made.config, without_member(made.config, CLINIC)))
    with pytest.raises(UpdateMalformed, match="different updates"):
        merged([envelope, other])
    foreign = common_pb2.Envelope(payload=b"\xff").SerializeToString()
    for channel, encoded in (("other", encode_update("health", envelope)), ("health", foreign), ("health", b"")):
        with pytest.raises(UpdateMalformed):
            decode_update(channel, encoded)


def test_an_update_is_outdated_once_another_was_applied(made: Made) -> None:
    update = config_update("health", made.config, made.added)
    other = config_update("health", made.config, without_member(made.config, CLINIC))
    assert not is_outdated(made.config, update)
    assert is_outdated(applied(made.config, other), update)


def administrator(credentials: OrganisationFolder) -> SigningIdentity:
    return credentials.signing_identity(credentials.user("administrator"))
