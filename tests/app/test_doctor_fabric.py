"""Each fault, really made in a real Fabric network: the doctor names it and nothing else."""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fabric_protos.common import common_pb2, configtx_pb2

from healthchain.app.doctor.examination import Options, examine
from healthchain.config import CHAINCODE, DEFAULT
from healthchain.fabric.nodes import Consensus, Member, Settings, write_settings
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.keys import SigningKey
from healthchain.network.provision import GENESIS, read_genesis_block
from healthchain.wire.block import new_block

from .conftest import fill
from .faulty import Network, another_authority, programs, put_tls, seen, tls_authority

pytestmark = pytest.mark.fabric

HOSPITAL, CLINIC, INSURANCE, AGENCY = (one.name for one in DEFAULT.organisations)
BASE_PORT, BFT_PORT = 21051, 21251
NOW = datetime.datetime.now(datetime.UTC)
LOCAL = ("localhost", "127.0.0.1")


def new_network(folder: Path, consensus: Consensus, base_port: int) -> Network:
    found = programs()
    if found is None or not (found / "orderer").is_file():
        pytest.skip("neither FABRIC_BIN nor PATH has Fabric's orderer, peer and osnadmin")
    return Network(folder, consensus, base_port, found)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    made = new_network(tmp_path_factory.mktemp("doctor") / "consortium", Consensus.RAFT, BASE_PORT)
    try:
        made.up()
        yield made
    finally:
        made.down()


def test_a_healthy_network_has_no_finding(network: Network) -> None:
    started = time.monotonic()
    report = network.examine()
    assert (report.findings, report.unanswered) == ((), ())
    assert time.monotonic() - started < 20
    assert "8 clocks" in report.examined


def test_one_organisation_s_part_of_a_network(network: Network, tmp_path: Path) -> None:
    """With its own keys only, it asks all members' nodes as itself."""
    part = tmp_path / "part"
    shutil.copytree(network.folder / "organizations", part / "organizations")
    for name, one in network.members.items():
        if name != CLINIC:
            for key in (part / one.credentials.path.relative_to(network.folder)).rglob("*_sk"):
                key.unlink()
    for file in ("topology.toml", GENESIS):
        shutil.copy(network.folder / file, part)
    hosts = {name: one.nodes for name, one in network.members.items()}
    write_settings(part, Settings(Consensus.RAFT, organisation=CLINIC, hosts=hosts))
    report = asyncio.run(examine(part))
    assert (report.findings, report.unanswered) == ((), ())
    assert {"8 clocks", "9 addresses, by a TLS handshake each"} < set(report.examined)
    assert report.examined[0] == "10 certificates of 1 organisations"


def test_nodes_that_ended(network: Network) -> None:
    network.kill(CLINIC, "peer")
    report = network.examine()
    assert seen(report) == [("PEER_UNREACHABLE", CLINIC, "peer")]
    assert "does not run" in report.findings[0].what
    assert report.unanswered == (f"{CLINIC}: what only its peer can tell",)
    network.kill(INSURANCE, "chaincode")
    both = [("PEER_UNREACHABLE", CLINIC, "peer"), ("SERVICE_UNREACHABLE", INSURANCE, "chaincode")]
    assert network.seen() == both
    network.kill(AGENCY, "orderer")
    one_orderer = [("ORDERER_UNREACHABLE", AGENCY, "orderer"), *both]
    assert network.eventually(one_orderer) == one_orderer
    network.kill(HOSPITAL, "orderer")
    codes = {code for code, _, _ in network.seen()}
    assert "ORDERERS_TOO_FEW" in codes
    network.up()
    assert network.eventually([]) == []


def test_something_else_listens(network: Network) -> None:
    network.kill(CLINIC, "peer")
    host, _, port = network.members[CLINIC].peer.partition(":")
    with socket.create_server((host, int(port)), backlog=20):
        assert network.seen() == [("NODE_SILENT", CLINIC, "peer")]
    network.up()
    network.signal(CLINIC, "peer", signal.SIGSTOP)
    try:
        assert network.seen() == [("NODE_SILENT", CLINIC, "peer")]
    finally:
        network.signal(CLINIC, "peer", signal.SIGCONT)
    assert network.eventually([]) == []


def test_another_authority_s_certificate(network: Network) -> None:
    def change(member: Member) -> None:
        put_tls(member, another_authority().issue_tls("peer0", LOCAL, NOW))

    tls = network.members[CLINIC].credentials.peer / "tls"
    own = {path: path.read_bytes() for path in (tls / "server.crt", tls / "server.key")}
    with network.restarted_with(CLINIC, change):
        assert network.seen() == [("CERTIFICATE_FOREIGN", CLINIC, "peer")]
        for path, content in own.items():  # a disk in order, as far as one knows of another machine's
            path.write_bytes(content)
        assert network.seen() == [("OTHER_AUTHORITY", CLINIC, "peer")]
    assert network.eventually([]) == []


def test_a_certificate_that_has_expired(network: Network) -> None:
    def change(member: Member) -> None:
        put_tls(member, tls_authority(member).issue_tls("peer0", LOCAL, NOW - datetime.timedelta(days=400)))

    with network.restarted_with(CLINIC, change):
        report = network.examine()
        assert seen(report) == [("CERTIFICATE_EXPIRED", CLINIC, "peer")]
        assert re.search(r"was valid until \d{4}-\d\d-\d\d", report.findings[0].what)
    assert network.eventually([]) == []


def test_a_certificate_for_other_names(network: Network) -> None:
    def change(member: Member) -> None:
        put_tls(member, tls_authority(member).issue_tls("peer0", ("peer0.elsewhere",), NOW))

    with network.restarted_with(CLINIC, change):
        assert ("OTHER_HOST", CLINIC, "peer") in network.seen()
    assert network.eventually([]) == []


def test_an_administrator_whose_certificate_has_expired(network: Network) -> None:
    """Its peer answers none of its questions: that is no second fault."""
    folder = network.members[CLINIC].credentials.user("administrator") / "msp" / "signcerts"
    (path,) = folder.iterdir()
    kept = path.read_bytes()
    try:
        ca = network.members[CLINIC].credentials.path / "ca"
        (certificate,) = ca.glob("*.pem")
        key = SigningKey.from_pem((folder.parent / "keystore" / "priv_sk").read_bytes())
        authority = CertificateAuthority(SigningKey.from_pem((ca / "priv_sk").read_bytes()), certificate.read_bytes())
        past = NOW - datetime.timedelta(days=400)
        path.write_bytes(authority.issue("administrator", NodeOU.ADMIN, past, {}, key=key).certificate)
        assert network.seen() == [("CERTIFICATE_EXPIRED", CLINIC, "administrator")]
    finally:
        path.write_bytes(kept)
    assert network.seen() == []


@pytest.mark.parametrize("minutes", [3, -3, 40])
def test_a_clock_that_is_off(network: Network, minutes: int) -> None:
    """This machine's, since the nodes have no other one here."""

    def clock_ns() -> int:
        return time.time_ns() + minutes * 60 * 10**9

    report = network.examine(Options(clock_ns=clock_ns))
    assert seen(report) == [("CLOCK_OFF", "", "this machine")]
    assert ("ahead of" if minutes > 0 else "behind") in report.findings[0].what


def test_a_peer_that_purges_now_and_then(network: Network) -> None:
    network.change_core(CLINIC, "ledger", "pvtdataStore", "purgeInterval", value=100)
    try:
        assert network.seen() == [("PURGE_INTERVAL", CLINIC, "peer")]
    finally:
        network.change_core(CLINIC, "ledger", "pvtdataStore", "purgeInterval", value=1)
    assert network.seen() == []


def test_a_peer_that_the_others_do_not_find(network: Network) -> None:
    """Without an external endpoint a peer is unknown outside its organisation."""

    def change(member: Member) -> None:
        network.change_core(member.name, "peer", "gossip", "externalEndpoint", value="")

    with network.restarted_with(CLINIC, change):
        expected = sorted(("GOSSIP_INCOMPLETE", name, "peer") for name in (HOSPITAL, INSURANCE, AGENCY))
        assert network.eventually(expected) == expected
    assert network.eventually([]) == []


def test_nodes_that_have_not_joined(network: Network, tmp_path: Path) -> None:
    def change(member: Member) -> None:
        network.change_core(member.name, "peer", "fileSystemPath", value=str(tmp_path))

    with network.restarted_with(CLINIC, change):
        assert network.seen() == [("NOT_JOINED", CLINIC, "peer")]
        network.osnadmin(AGENCY, "channel", "remove", "--channelID", DEFAULT.channel)
        both = [("NOT_JOINED", CLINIC, "peer"), ("NOT_JOINED", AGENCY, "orderer")]
        assert network.eventually(both) == both
    assert network.eventually([]) == []


def test_a_definition_that_not_all_approve_and_nobody_can_meet(network: Network, tmp_path: Path) -> None:
    """The last one: it leaves the network with another definition."""
    described = json.loads((network.folder / "fabric" / "collections.json").read_text())
    collections = tmp_path / "collections.json"
    collections.write_text(json.dumps([one | {"requiredPeerCount": 4, "maxPeerCount": 4} for one in described]))
    scope = ("--channelID", DEFAULT.channel, "--name", CHAINCODE)
    terms = ("-v", "1", "--sequence", "2", "--collections-config", str(collections))
    for count, name in enumerate((HOSPITAL, CLINIC, INSURANCE), start=1):
        listed = network.peer(name, "lifecycle", "chaincode", "queryinstalled")
        package = re.search(r"Package ID: (\S+),", listed)
        assert package is not None
        approve = ("lifecycle", "chaincode", "approveformyorg", *network.ordering(), *scope, *terms)
        network.peer(name, *approve, "--package-id", package[1])
        report = network.examine()
        assert seen(report) == [("CHAINCODE_PENDING", "", "contract")]
        approved = ", ".join((HOSPITAL, CLINIC, INSURANCE)[:count])
        assert f"sequence 2, version 1: approved by {approved}; not by" in report.findings[0].what
        assert AGENCY in report.findings[0].what
    addresses = [
        part
        for name, one in network.members.items()
        if name != AGENCY
        for part in ("--peerAddresses", one.peer, "--tlsRootCertFiles", str(one.tls_root))
    ]
    network.peer(HOSPITAL, "lifecycle", "chaincode", "commit", *network.ordering(), *scope, *terms, *addresses)
    too_many = [("COLLECTION_PEERS_TOO_MANY", "", "collections")] * len(described)
    expected = [("CHAINCODE_NOT_APPROVED", AGENCY, "contract"), *too_many]
    assert network.eventually(expected) == expected


def test_smartbft_without_an_anchor_peer_and_what_erasing_leaves(tmp_path: Path) -> None:
    made = new_network(tmp_path / "consortium", Consensus.BFT, BFT_PORT)
    without_anchor(made.folder, AGENCY)
    try:
        made.up()
        anchor = ("ANCHOR_PEER_MISSING", AGENCY, "channel")
        assert made.seen() == [anchor]
        asyncio.run(fill(made.folder))
        erased = [("ERASED_ON_DISK", one.name, "peer") for one in DEFAULT.organisations]
        assert made.seen() == sorted([anchor, *erased])
    finally:
        made.down()


def without_anchor(folder: Path, organisation: str) -> None:
    """In block 0, before anybody has it."""
    block = read_genesis_block(folder)
    envelope = common_pb2.Envelope.FromString(block.data.data[0])
    payload = common_pb2.Payload.FromString(envelope.payload)
    config = configtx_pb2.ConfigEnvelope.FromString(payload.data)
    del config.config.channel_group.groups["Application"].groups[organisation].values["AnchorPeers"]
    payload.data = config.SerializeToString(deterministic=True)
    changed = new_block(0, b"", [common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString()])
    (folder / GENESIS).write_bytes(changed.SerializeToString(deterministic=True))
