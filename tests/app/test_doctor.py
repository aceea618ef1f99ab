"""What the doctor makes of facts, one rule after another; the facts of a real network are in test_doctor_fabric.py."""

from __future__ import annotations

import asyncio
import datetime
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fabric_protos.peer import collection_pb2
from fabric_protos.peer.lifecycle import lifecycle_pb2

from healthchain.app.consortium import definition
from healthchain.app.doctor import agreement, channel, clocks, erasure, gossip, private_data, reach
from healthchain.app.doctor.examination import Options, examine
from healthchain.app.doctor.findings import Code, Finding, Severity, in_order
from healthchain.app.fabric.local import init
from healthchain.chaincode.membership import Standing
from healthchain.client.asking import Known
from healthchain.client.handshake import Handshake, Outcome
from healthchain.config import DEFAULT
from healthchain.fabric.nodes import Consensus, Settings, members
from healthchain.fabric.traces import STORES
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.folders import OrganisationFolder
from healthchain.network.provision import GENESIS, organisation_folder, read_genesis_block
from healthchain.wire.lifecycle import collection_package

HOSPITAL, CLINIC, INSURANCE, AGENCY = (one.name for one in DEFAULT.organisations)
MSP_IDS = {one.name: one.msp_id for one in DEFAULT.organisations}
NOW = datetime.datetime.now(datetime.UTC)
DAY_NS = 86_400 * 10**9
BASE_PORT = 21401  # where nothing listens

Seen = list[tuple[Code, str, str]]


def seen(findings: Sequence[Finding]) -> Seen:
    return [(one.code, one.organisation, one.node) for one in in_order(findings)]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "consortium"
    init(folder, DEFAULT, Settings(Consensus.BFT, BASE_PORT))
    return folder


@pytest.fixture
def made(made_once: Path, tmp_path: Path) -> Path:
    """Prepared for Fabric; none of its nodes runs."""
    copy = tmp_path / "consortium"
    shutil.copytree(made_once, copy)
    return copy


def on_disk(folder: Path, options: Options | None = None) -> Seen:
    """What an examination finds but that nothing runs, which it must find as well."""
    findings = asyncio.run(examine(folder, options or Options())).findings
    nodes = {
        (code, name, node)
        for name in MSP_IDS
        for code, node in (
            (Code.PEER_UNREACHABLE, "peer"),
            (Code.ORDERER_UNREACHABLE, "orderer"),
            (Code.SERVICE_UNREACHABLE, "chaincode"),
        )
    } | {(Code.ORDERERS_TOO_FEW, "", "orderers")}
    assert nodes <= set(seen(findings))
    return [one for one in seen(findings) if one not in nodes]


def clinic(folder: Path) -> OrganisationFolder:
    return organisation_folder(folder, DEFAULT, CLINIC)


# Credentials


def test_a_new_folder_is_in_order(made: Path) -> None:
    report = asyncio.run(examine(made))
    assert on_disk(made) == []
    assert len(report.unanswered) == 4
    assert report.errors == len(report.findings) == 13


def lose_certificate(folder: OrganisationFolder) -> None:
    (folder.peer / "msp" / "signcerts" / f"{folder.peer.name}-cert.pem").unlink()


def damage_key(folder: OrganisationFolder) -> None:
    (folder.orderer / "msp" / "keystore" / "priv_sk").write_text("-----BEGIN PRIVATE KEY-----\n")


def open_key(folder: OrganisationFolder) -> None:
    (folder.peer / "tls" / "server.key").chmod(0o644)


def swap_keys(folder: OrganisationFolder) -> None:
    shutil.copy(folder.orderer / "tls" / "server.key", folder.peer / "tls" / "server.key")


def swap_authority(folder: OrganisationFolder) -> None:
    other = CertificateAuthority.create("ca.other", "other", NOW)
    (copy,) = (folder.peer / "msp" / "cacerts").iterdir()
    copy.write_bytes(other.certificate)


def foreign(folder: OrganisationFolder) -> None:
    other = CertificateAuthority.create("ca.other", "other", NOW)
    key = folder.signing_identity(folder.orderer).key
    (path,) = (folder.orderer / "msp" / "signcerts").iterdir()
    path.write_bytes(other.issue("orderer0", NodeOU.ORDERER, NOW, key=key).certificate)


def lose_authority(folder: OrganisationFolder) -> None:
    shutil.rmtree(folder.path / "msp" / "cacerts")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (lose_certificate, (Code.CREDENTIAL_MISSING, "peer")),
        (damage_key, (Code.CREDENTIAL_DAMAGED, "orderer")),
        (open_key, (Code.KEY_OPEN, "peer")),
        (swap_keys, (Code.KEY_FOREIGN, "peer")),
        (swap_authority, (Code.AUTHORITY_DIFFERS, "peer")),
        (foreign, (Code.CERTIFICATE_FOREIGN, "orderer")),
        (lose_authority, (Code.CREDENTIAL_MISSING, "authority")),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_one_fault_among_the_credentials(
    made: Path, fault: Callable[[OrganisationFolder], None], expected: tuple[Code, str]
) -> None:
    fault(clinic(made))
    code, node = expected
    assert on_disk(made) == [(code, CLINIC, node)]


def days_later(days: int) -> Options:
    return Options(clock_ns=lambda: time.time_ns() + days * DAY_NS)


def test_certificates_in_and_out_of_their_time(made: Path) -> None:
    nodes = 2 * ["peer"] + 2 * ["orderer"]
    assert {code for code, _, _ in on_disk(made, days_later(334))} == set()
    soon = on_disk(made, days_later(336))
    assert {code for code, _, _ in soon} == {Code.CERTIFICATE_EXPIRING}
    assert [node for _, name, node in soon if name == CLINIC and node in nodes] == sorted(nodes)
    assert {code for code, _, _ in on_disk(made, replace(days_later(336), expiring_days=20))} == set()
    assert {code for code, _, _ in on_disk(made, days_later(366))} == {Code.CERTIFICATE_EXPIRED}
    assert {code for code, _, _ in on_disk(made, days_later(-1))} == {Code.CERTIFICATE_NOT_YET_VALID}


def test_persons_are_counted_and_not_named(made: Path) -> None:
    folder = clinic(made)
    for name in ("somebody", "someone"):
        folder.enrol(name, NOW - datetime.timedelta(days=400), {"hc.role": "patient"})
    report = asyncio.run(examine(made))
    (found,) = [one for one in report.findings if one.code == Code.CERTIFICATE_EXPIRED]
    assert (found.organisation, found.node, found.what) == (CLINIC, "patients and guardians", "2 of them")
    assert "some" not in str(report)


def test_a_folder_that_others_may_open_and_without_block_0(made: Path) -> None:
    made.chmod(0o755)
    (made / GENESIS).write_bytes(b"\xff\xff")
    assert on_disk(made) == [(Code.FILE_DAMAGED, "", "folder"), (Code.FOLDER_OPEN, "", "folder")]


def damage(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    match rng.randrange(4):
        case 0:
            path.unlink()
        case 1:
            path.write_bytes(content[: rng.randrange(len(content) + 1)])
        case 2:
            at = rng.randrange(len(content))
            path.write_bytes(content[:at] + rng.randbytes(4) + content[at + 4 :])
        case _:
            path.unlink()
            path.mkdir()


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(30))
def test_no_damage_ends_the_examination(made: Path, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    files = sorted(path for path in made.rglob("*") if path.is_file())
    unexamined = {"topology.toml", "settings.json"}  # without which there is nothing to examine
    for path in rng.sample([one for one in files if one.name not in unexamined], 3):
        damage(path, rng)
    asyncio.run(examine(made))


# Who listens


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.DONE, None),
        (Outcome.NO_SUCH_HOST, Code.PEER_UNREACHABLE),
        (Outcome.NOTHING_LISTENS, Code.PEER_UNREACHABLE),
        (Outcome.SILENT, Code.NODE_SILENT),
        (Outcome.NOT_TLS, Code.NOT_TLS),
        (Outcome.OTHER_AUTHORITY, Code.OTHER_AUTHORITY),
        (Outcome.EXPIRED, Code.SERVED_EXPIRED),
        (Outcome.NOT_YET_VALID, Code.SERVED_EXPIRED),
        (Outcome.OTHER_HOST, Code.OTHER_HOST),
        (Outcome.REFUSED, Code.OTHER_AUTHORITY),
    ],
)
def test_what_a_handshake_says(outcome: Outcome, expected: Code | None) -> None:
    place = reach.Place(CLINIC, "peer", "localhost:1", b"", None)
    reached = [reach.Reached(place, Handshake(outcome, b"shown"), b"shown")]
    assert [one.code for one in reach.judge(reached, ())] == ([expected] if expected else [])
    unexplained = [one.code for one in reach.judge(reached, {(CLINIC, "peer")})]
    assert unexplained == ([expected] if expected == Code.PEER_UNREACHABLE else [])


def test_a_node_that_was_not_started_again() -> None:
    place = reach.Place(CLINIC, "peer", "localhost:1", b"", None)
    reached = [reach.Reached(place, Handshake(Outcome.DONE, b"old"), b"new")]
    assert [one.code for one in reach.judge(reached, ())] == [Code.OLD_CERTIFICATE]


# Clocks


@pytest.mark.parametrize(
    ("ahead_s", "expected"),
    [
        ([0, 1, -2, 0.5], []),
        ([], []),
        ([300], [(CLINIC, "peer")]),  # one alone does not outvote this machine
        ([0, 0, 0, 300], [("3", "peer")]),
        ([300, 301, 299, 300], [("", "this machine")]),
        ([-300, -300, 0, -300], [("", "this machine"), ("2", "peer")]),
        ([0, 300], [("1", "peer")]),
    ],
)
def test_clocks(ahead_s: list[float], expected: list[tuple[str, str]]) -> None:
    names = [CLINIC] if len(ahead_s) == 1 else [str(index) for index in range(len(ahead_s))]
    peers = [clocks.PeerClock(name, one) for name, one in zip(names, ahead_s, strict=True)]
    assert seen(clocks.judge(peers, [])) == [(Code.CLOCK_OFF, *one) for one in expected]


@pytest.mark.parametrize(
    ("now", "early", "late", "told"),
    [
        (True, True, True, None),
        (True, False, True, "ahead of"),
        (True, True, False, "behind"),
        (False, False, True, "0:15:00 or more"),
        (True, False, False, None),  # its window is a smaller one: nothing follows
    ],
)
def test_an_orderer_s_clock(*, now: bool, early: bool, late: bool, told: str | None) -> None:
    found = clocks.judge([], [clocks.OrdererClock(AGENCY, now, early, late)])
    assert [one.organisation for one in found] == ([AGENCY] if told else [])
    assert all(told in one.what for one in found if told)


# The channel


def configured(folder: Path) -> tuple[channel.Configured, list[channel.OnDisk]]:
    from healthchain.app.doctor.fabric import kept

    _, found = channel.read_config(read_genesis_block(folder).SerializeToString())
    return found, [kept(one) for one in members(folder, DEFAULT, Settings(Consensus.BFT, BASE_PORT))]


def test_block_0_is_what_is_on_disk(made: Path) -> None:
    assert channel.judge(*configured(made)) == []


def test_what_a_channel_may_lack(made: Path) -> None:
    found, disk = configured(made)

    def judged(**changes: object) -> Seen:
        return seen(channel.judge(replace(found, **changes), disk))  # type: ignore[arg-type]

    def without(mapping: object) -> dict[str, object]:
        assert isinstance(mapping, dict)
        return {name: one for name, one in mapping.items() if name != CLINIC}

    assert judged(anchors=without(found.anchors)) == [(Code.ANCHOR_PEER_MISSING, CLINIC, "channel")]
    elsewhere = {**found.anchors, CLINIC: ("elsewhere:7051",)}
    assert judged(anchors=elsewhere) == [(Code.ANCHOR_PEER_OTHER, CLINIC, "channel")]
    assert judged(endpoints=without(found.endpoints)) == [(Code.ENDPOINT_MISSING, CLINIC, "channel")]
    assert judged(authorities=without(found.authorities)) == [(Code.MEMBER_MISSING, CLINIC, "channel")]
    swapped = {**found.authorities, CLINIC: found.authorities[AGENCY]}
    assert judged(authorities=swapped) == [(Code.AUTHORITY_UNKNOWN, CLINIC, "authority")]
    assert judged(consenters=found.consenters[1:]) == [(Code.CONSENTER_MISSING, HOSPITAL, "orderer")]
    assert judged(capabilities=frozenset(["V2_0"])) == [(Code.CAPABILITY_MISSING, "", "channel")]
    assert judged(capabilities=frozenset(["V3_0"])) == []
    first, second, *others = found.consenters
    for changed in (
        replace(first, tls_certificate=second.tls_certificate),
        replace(first, identity=second.identity),
    ):
        expected = [(Code.CONSENTER_OTHER_CERTIFICATE, HOSPITAL, "orderer")]
        assert judged(consenters=(changed, second, *others)) == expected


def test_peers_that_are_behind_or_forked() -> None:
    chains = [channel.Chain(HOSPITAL, 9, b"a"), channel.Chain(CLINIC, 7, b"b"), channel.Chain(AGENCY, 9, b"a")]
    assert seen(channel.judge_chains(chains, {CLINIC: 9})) == []
    assert seen(channel.judge_chains(chains, {CLINIC: 8})) == [(Code.PEER_BEHIND, CLINIC, "peer")]
    forked = [*chains[:2], channel.Chain(AGENCY, 9, b"other")]
    assert seen(channel.judge_chains(forked, {})) == [(Code.PEER_FORKED, "", "peers")]


# The contract and its collections


def in_force(approvals: dict[str, bool] | None = None) -> agreement.Definition:
    everybody = dict.fromkeys(MSP_IDS.values(), True)
    return agreement.Definition(sequence=1, version="1", approvals={**everybody, **(approvals or {})})


def approved(package_id: str, sequence: int = 1) -> agreement.Approved:
    source = lifecycle_pb2.ChaincodeSource(local_package=lifecycle_pb2.ChaincodeSource.Local(package_id=package_id))
    return agreement.Approved(sequence=sequence, version="1", source=source)


def test_a_contract_that_is_agreed_on_and_installed() -> None:
    installed = [agreement.Installed(name, approved("ehr:1"), frozenset(["ehr:1"])) for name in MSP_IDS]
    assert list(agreement.judge(in_force(), "1", MSP_IDS, installed)) == []
    assert agreement.following(installed, in_force()) == []


def test_a_contract_that_is_not() -> None:
    def judged(found: agreement.Definition, *installed: agreement.Installed) -> Seen:
        return seen(list(agreement.judge(found, "1", MSP_IDS, installed)))

    assert judged(agreement.Definition()) == [(Code.CHAINCODE_NOT_COMMITTED, "", "contract")]
    missing = in_force({MSP_IDS[CLINIC]: False})
    unapproved = [(Code.CHAINCODE_NOT_APPROVED, CLINIC, "contract")]
    assert judged(missing, agreement.Installed(CLINIC, approved("ehr:0"), frozenset())) == unapproved
    other = agreement.Definition(sequence=1, version="0", approvals=in_force().approvals)
    assert judged(other) == [(Code.CHAINCODE_OTHER, "", "contract")]
    nowhere = agreement.Installed(CLINIC, approved("ehr:1"), frozenset(["ehr:0"]))
    assert judged(in_force(), nowhere) == [(Code.PACKAGE_MISSING, CLINIC, "peer")]
    without = agreement.Installed(CLINIC, approved(""), frozenset(["ehr:0"]))
    assert judged(in_force(), without) == [(Code.PACKAGE_MISSING, CLINIC, "peer")]


def test_a_following_definition_is_asked_about_once() -> None:
    installed = [
        agreement.Installed(HOSPITAL, approved("ehr:1", 2), frozenset()),
        agreement.Installed(CLINIC, approved("ehr:2", 2), frozenset()),
        agreement.Installed(AGENCY, None, frozenset()),
    ]
    (one,) = agreement.following(installed, in_force())
    assert one.sequence == 2
    approvals = {MSP_IDS[HOSPITAL]: True, MSP_IDS[CLINIC]: True, MSP_IDS[AGENCY]: False}
    (finding,) = agreement.judge_pending([agreement.Pending(2, "1", approvals)], MSP_IDS)
    assert finding.what == (f"sequence 2, version 1: approved by {HOSPITAL}, {CLINIC}; not by {INSURANCE}, {AGENCY}")


def test_a_peer_that_cannot_run_the_contract() -> None:
    said = {HOSPITAL: "", CLINIC: "the chaincode does not register", AGENCY: "no service"}
    assert seen(list(agreement.judge_runs(said, {AGENCY}))) == [(Code.CHAINCODE_FAILS, CLINIC, "peer")]


def test_a_member_that_was_removed() -> None:
    standings = dict.fromkeys(MSP_IDS.values(), Standing.ACTIVE) | {MSP_IDS[AGENCY]: Standing.SUSPENDED}
    removed = agreement.Ran("", {**standings, MSP_IDS[CLINIC]: Standing.REMOVED})

    def judged(ran: agreement.Ran, in_channel: Sequence[str]) -> Seen:
        return seen(list(agreement.judge_members([agreement.Ran("silent"), ran], MSP_IDS, in_channel)))

    assert judged(agreement.Ran("", standings), list(MSP_IDS)) == []
    assert judged(removed, list(MSP_IDS)) == [(Code.MEMBER_STAYS, CLINIC, "channel")]
    assert judged(removed, [HOSPITAL, INSURANCE, AGENCY]) == []


def collections(**changes: object) -> collection_pb2.CollectionConfigPackage:
    package = collection_pb2.CollectionConfigPackage.FromString(collection_package(definition(DEFAULT).collections))
    for name, value in changes.items():
        setattr(package.config[0].static_collection_config, name, value)
    return package


def judged_collections(package: collection_pb2.CollectionConfigPackage, answering: Sequence[str]) -> Seen:
    names = [one.name for one in definition(DEFAULT).collections]
    return seen(list(private_data.judge(package, names, MSP_IDS, answering)))


def test_collections() -> None:
    everybody = list(MSP_IDS)
    too_many = [(Code.COLLECTION_PEERS_TOO_MANY, "", "collections")]
    assert judged_collections(collections(), everybody) == []
    assert judged_collections(collections(required_peer_count=3), everybody) == []
    assert judged_collections(collections(required_peer_count=4), everybody) == too_many
    assert judged_collections(collections(required_peer_count=3), everybody[:3]) == too_many
    expiring = collections(block_to_live=100)
    assert judged_collections(expiring, everybody) == [(Code.COLLECTION_EXPIRES, "", "collections")]
    fewer = collections()
    del fewer.config[0]
    assert judged_collections(fewer, everybody) == [(Code.COLLECTION_MISSING, "", "collections")]
    another = {**MSP_IDS, "new-clinic": "NewClinicMSP"}
    names = [one.name for one in definition(DEFAULT).collections]
    found = seen(list(private_data.judge(collections(), names, another, everybody)))
    assert set(found) == {(Code.COLLECTION_MEMBER_MISSING, "new-clinic", "collections")}


@pytest.mark.parametrize(
    ("core", "blocks"),
    [
        ('{"ledger": {"pvtdataStore": {"purgeInterval": 1, "other": 100}}}', 1),
        ("ledger:\n  pvtdataStore:\n    # purgeInterval: 1\n    purgeInterval: 100  # blocks\n", 100),
        ("ledger:\n  pvtdataStore:\n    collElgProcMaxDbBatchSize: 1\n", 100),
        ("ledger: {pvtdataStore: {purgeInterval: 7}}", 7),
    ],
)
def test_purge_intervals(core: str, blocks: int, tmp_path: Path) -> None:
    (tmp_path / "core.yaml").write_text(core)
    found = erasure.read_interval(CLINIC, tmp_path / "core.yaml")
    assert found.blocks == blocks
    assert [one.code for one in erasure.judge_interval(found)] == ([Code.PURGE_INTERVAL] if blocks > 1 else [])
    unread = erasure.read_interval(CLINIC, tmp_path)
    assert [one.code for one in erasure.judge_interval(unread)] == [Code.FILE_DAMAGED]


def test_what_peers_files_hold(tmp_path: Path) -> None:
    def judged(files: erasure.Files) -> list[Code]:
        return [one.code for one in erasure.judge_files(files)]

    assert judged(erasure.Files(CLINIC)) == []
    assert judged(erasure.Files(CLINIC, dead=1)) == judged(erasure.Files(CLINIC, marked=1)) == [Code.ERASED_ON_DISK]
    assert list(erasure.unread(erasure.Files(CLINIC))) == []
    assert judged(erasure.read_files(CLINIC, tmp_path)) == [Code.FILE_DAMAGED]
    for store in STORES:
        (tmp_path / store).mkdir(parents=True)
    (tmp_path / STORES[0] / "CURRENT").write_text("nothing\n")
    assert judged(erasure.read_files(CLINIC, tmp_path)) == [Code.FILE_DAMAGED]
    (tmp_path / STORES[0] / "000001.ldb").write_bytes(bytes(3 * erasure.MIB))
    large = erasure.read_files(CLINIC, tmp_path, bytes_max=1 << 20)
    assert judged(large) == []
    assert ["3 MiB" in one for one in erasure.unread(large)] == [True]
    (tmp_path / STORES[0] / "000002.ldb").symlink_to("gone")  # as a file that was merged meanwhile
    assert ["too quickly" in one for one in erasure.unread(erasure.read_files(CLINIC, tmp_path))] == [True]


# Gossip


def test_peers_that_do_not_know_each_other() -> None:
    addresses = {HOSPITAL: "a:1", CLINIC: "b:1"}
    both = frozenset(addresses.values())
    hospital, clinic_ = gossip.View(HOSPITAL, Known(both)), gossip.View(CLINIC, Known(both))
    assert list(gossip.judge([hospital, clinic_], addresses)) == []
    alone = gossip.View(CLINIC, Known(frozenset(["b:1"]), "no combination"))
    assert seen(list(gossip.judge([hospital, alone], addresses))) == [(Code.GOSSIP_INCOMPLETE, CLINIC, "peer")]
    few = gossip.View(CLINIC, Known(both, "no combination"))
    assert seen(list(gossip.judge([hospital, few], addresses))) == [(Code.ENDORSERS_TOO_FEW, CLINIC, "peer")]


# Reports


def test_errors_come_first_and_each_finding_once() -> None:
    warning = Finding(Code.FOLDER_OPEN, "", "folder", "")
    first, second = Finding(Code.FILE_DAMAGED, "", "folder", ""), Finding(Code.CLOCK_OFF, CLINIC, "peer", "")
    assert in_order([second, warning, first, second]) == (first, second, warning)
    assert {one.severity for one in Code} == set(Severity)


# The embedded network


def test_an_embedded_network_in_order(filled: Path) -> None:
    report = asyncio.run(examine(filled))
    assert (report.findings, report.unanswered) == ((), ())


def test_an_embedded_network_that_does_not_open(filled: Path) -> None:
    (filled / GENESIS).write_bytes(b"\xff\xff")
    found = asyncio.run(examine(filled, Options(base_port=BASE_PORT))).findings
    codes = [(Code.FILE_DAMAGED, "", "folder")]
    codes += [(Code.PEER_UNREACHABLE, name, "peer") for name in sorted(MSP_IDS)]
    assert seen(found) == [*codes, (Code.NETWORK_DOES_NOT_OPEN, "", "network")]
