"""Folders for several machines: what is in them, what is not, and what an organisation puts in place there."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import json
import os
import pty
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from healthchain.app.consortium import FolderTaken, initialise, opened, stored_topology
from healthchain.app.fabric.local import down, status, up
from healthchain.app.fabric.machines import admitting
from healthchain.app.fabric.machines.admitting import admit, candidate
from healthchain.app.fabric.machines.assembling import assemble
from healthchain.app.fabric.machines.enrolling import install, request
from healthchain.app.fabric.machines.exporting import export
from healthchain.config import Organisation, Topology
from healthchain.errors import BadInput
from healthchain.fabric.hosts import local_nodes, read_hosts
from healthchain.fabric.machines.public_part import PartUnfit
from healthchain.fabric.membership import member_msp
from healthchain.fabric.nodes import Consensus, Member
from healthchain.identity.certificates import NodeOU
from healthchain.identity.folders import OrganisationFolder
from healthchain.identity.requests import CertificateUnfit
from healthchain.network.provision import read_genesis_block
from healthchain.network.serving.server import serving
from healthchain.records.keyring import Keyring
from healthchain.wire.channel import genesis_config, read_organizations

from .fabric_ca import fabric_ca
from .signing import Authorities

NOW = datetime.datetime.now(datetime.UTC)
TWO = Topology(
    organisations=(
        Organisation("one", "hospital", "Saint One's", domain_name="one.org"),
        Organisation("two", "agency", domain_name="two.org"),
    )
)
HOSTS = '[two]\npeer = "192.0.2.7:9051"\n'


JUNK = "-----BEGIN JUNK-----\nAAAA\n-----END JUNK-----\n"
"""Fabric would read it instead of the certificate behind it."""


def exported(out: Path, consensus: Consensus = Consensus.RAFT) -> Path:
    export(TWO, read_hosts(HOSTS, TWO), consensus, out)
    return out


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both organisations have their certificates, and each other's files are in `members`."""
    folder = tmp_path_factory.mktemp("ready")
    exported(folder / "export")
    (folder / "members").mkdir()
    for name in ("one", "two"):
        own = folder / "export" / name
        request(own)
        Authorities(NOW).sign_all(own / "requests", folder / f"{name}-certificates")
        install(own, folder / f"{name}-certificates")
        shutil.copy(own / f"{name}.member.json", folder / "members")
    return folder


@pytest.fixture
def machines(ready: Path, tmp_path: Path) -> Path:
    return shutil.copytree(ready, tmp_path / "machines")


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file()}


def test_an_export_has_all_that_is_needed_and_nobody_s_secrets(tmp_path: Path) -> None:
    out = exported(tmp_path / "out")
    assert sorted(files(out / "one")) == sorted(
        [
            "compose.yaml",
            "environment",
            "image/Dockerfile",
            *(f"fabric/builder/bin/{one}" for one in ("build", "detect", "release")),
            "fabric/one/orderer/orderer.yaml",
            "fabric/one/peer/core.yaml",
            "fabric/settings.json",
            "requests/fabric-ca.sh",
            "requests/openssl.sh",
            "topology.toml",
            *(f"units/healthchain-{one}.service" for one in ("chaincode", "orderer", "peer")),
        ]
    )
    for name, content in files(out).items():
        assert b"PRIVATE KEY" not in content, name
        assert str(tmp_path).encode() not in content, name
        assert name.startswith(("two/", "one/fabric/settings", "one/topology")) or b"two.org" not in content
    core = json.loads((out / "two/fabric/two/peer/core.yaml").read_text())
    assert (core["peer"]["address"], core["peer"]["listenAddress"]) == ("192.0.2.7:9051", "0.0.0.0:9051")
    assert core["metrics"] == {"provider": "prometheus"}
    assert core["ledger"]["pvtdataStore"]["purgeInterval"] == 1


def test_the_same_input_gives_the_same_bytes_and_modes(tmp_path: Path) -> None:
    first, second = exported(tmp_path / "first"), exported(tmp_path / "elsewhere/second")
    assert files(first) == files(second)
    for path in first.rglob("*"):
        program = path.is_dir() or path.suffix == ".sh" or path.parent.name == "bin"
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if program else 0o644), path
    assert stat.S_IMODE(first.stat().st_mode) == 0o755


def test_an_export_is_whole_or_not_at_all(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    with pytest.raises(FolderTaken, match="not empty"):
        exported(taken)
    with pytest.raises(BadInput, match="SmartBFT needs 4"):
        exported(tmp_path / "bft", Consensus.BFT)
    assert [one.name for one in tmp_path.iterdir()] == ["taken"]


def test_a_compose_file_mounts_what_a_service_needs_and_no_more(tmp_path: Path) -> None:
    own = exported(tmp_path / "out") / "one"
    services = json.loads((own / "compose.yaml").read_text())["services"]
    assert set(services) == {"orderer", "peer", "chaincode"}
    for name, service in services.items():
        assert service["network_mode"] == "host"
        assert "ports" not in service
        mounted = {one["source"]: one["target"] for one in service["volumes"]}
        assert all(target == f"/healthchain/{source.removeprefix('./')}" for source, target in mounted.items())
        assert not any(re.search("/(users|hpke|ca)$|organizations$|/one.org$", source) for source in mounted), name
        writable = [one["source"] for one in service["volumes"] if not one["read_only"]]
        assert writable == ([] if name == "chaincode" else [f"./fabric/one/{name}"])
    assert re.fullmatch(r"hyperledger/fabric-peer:3\.1\.\d+", services["peer"]["image"])
    dockerfile = (own / "image" / "Dockerfile").read_text()
    assert dockerfile.count("healthchain_consortium-") == 3


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")
def test_systemd_knows_every_directive_of_the_units(tmp_path: Path) -> None:
    folder = tmp_path / "opt"
    hosts = read_hosts(f'[one]\nfolder = "{folder}"\n', TWO)
    export(TWO, hosts, Consensus.RAFT, tmp_path / "out")
    for program in ("bin/peer", "bin/orderer", "venv/bin/healthchain"):
        (folder / program).parent.mkdir(parents=True, exist_ok=True)
        (folder / program).write_text("#!/bin/sh\n")
        (folder / program).chmod(0o755)
    units = sorted(map(str, (tmp_path / "out/one/units").iterdir()))
    told = subprocess.run(  # noqa: S603
        [str(shutil.which("systemd-analyze")), "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in told.stderr.splitlines() if "healthchain-" in line] == []
    assert len(units) == 3


def test_the_builder_takes_the_contract_s_package_and_no_other(machines: Path, tmp_path: Path) -> None:
    programs = machines / "export/one/fabric/builder/bin"
    source, metadata, built, released = (tmp_path / one for one in ("source", "metadata", "built", "released"))
    for one in (source, metadata, built, released):
        one.mkdir()
    (source / "connection.json").write_text("{}")

    def run(name: str, *arguments: Path) -> int:
        return subprocess.run([str(programs / name), *map(str, arguments)], check=False).returncode  # noqa: S603

    (metadata / "metadata.json").write_text('{"type": "golang", "label": "ehr"}')
    assert run("detect", source, metadata) == 1
    (metadata / "metadata.json").write_text('{"type": "ccaas", "label": "ehr"}')
    assert (run("detect", source, metadata), run("build", source, metadata, built)) == (0, 0)
    assert run("release", built, released) == 0
    assert (released / "chaincode/server/connection.json").read_text() == "{}"


def test_requests_ask_for_what_certificates_must_have(machines: Path) -> None:
    asked = {
        path.name.removesuffix(".csr.pem"): x509.load_pem_x509_csr(path.read_bytes())
        for path in (machines / "export/one/requests").glob("*.csr.pem")
    }
    assert set(asked) == {"peer0", "orderer0", "peer0-tls", "orderer0-tls", "administrator", "clinician", "ca"}
    ous = {name: one.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME) for name, one in asked.items()}
    told = {name: found[0].value for name, found in ous.items() if found}
    assert told == {
        "peer0": NodeOU.PEER,
        "orderer0": NodeOU.ORDERER,
        "administrator": NodeOU.ADMIN,
        "clinician": NodeOU.CLIENT,
    }
    names = asked["peer0-tls"].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["peer0.one.org", "localhost"]


def test_keys_stay_and_only_their_owner_reads_them(machines: Path) -> None:
    own = machines / "export" / "one"
    keys = {path: path.read_bytes() for path in own.rglob("*") if path.name in ("priv_sk", "server.key")}
    assert len(keys) == 7
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)
    request(own)
    assert all(path.read_bytes() == key for path, key in keys.items())
    assert b"PRIVATE" not in (own / "one.member.json").read_bytes()
    assert (own / "fabric/one/chaincode.env").read_text().startswith("CHAINCODE_ID=ehr_1:")
    assert (own / "fabric/one/ehr_1.tar.gz").stat().st_mode & 0o077 == 0


def test_each_member_makes_the_same_block_0(machines: Path) -> None:
    made = {name: assemble(machines / "export" / name, machines / "members") for name in ("one", "two")}
    assert made["one"] == made["two"]
    block, fingerprints = made["one"]
    assert block == hashlib.sha256((machines / "export/one/genesis.block").read_bytes()).hexdigest()
    for name, fingerprint in fingerprints.items():
        assert fingerprint == hashlib.sha256((machines / f"members/{name}.member.json").read_bytes()).hexdigest()
    listed = read_organizations(read_genesis_block(machines / "export/two"))
    assert [one.msp_id for one in listed] == ["OneMSP", "TwoMSP"]
    group = genesis_config(read_genesis_block(machines / "export/two")).channel_group
    assert b"192.0.2.7" in group.groups["Application"].groups["two"].values["AnchorPeers"].value
    others = OrganisationFolder(machines / "export/one/organizations", "TwoMSP", "two.org")
    assert list(others.path.rglob("*key*")) == [others.path / "hpke/public.key"]


def test_what_no_block_0_is_made_of(machines: Path) -> None:
    own, members = machines / "export/one", machines / "members"
    theirs = members / "two.member.json"
    content = theirs.read_text()
    document = json.loads(content)
    intermediates = document["intermediates"]
    other = json.loads((members / "one.member.json").read_text())
    spoiled: dict[str, Any] = {
        "is damaged": "{",
        "is damaged .'utf-8'": '{"name":"\udcff"}',
        "another organisation": document | {"name": "three"},
        "unknown field": document | {"colour": 1},
        "not issued by an authority": document | {"orderer": other["orderer"]},
        "must have the CN orderer0.two.org": document
        | {"root": other["root"], "intermediates": other["intermediates"], "orderer": other["orderer"]},
        "did not sign it": document | {"tls_root": other["tls_root"]},
        "none of the certificates given signed it": document | {"root": other["root"], "intermediates": intermediates},
        "encryption key is damaged": document | {"encryption_key": "AAAA"},
        **{
            f"its {field} must be one certificate": document | {field: JUNK + document[field]}
            for field in ("root", "tls_root", "orderer", "orderer_tls")
        },
        "its intermediates must be one certificate": document | {"intermediates": [intermediates[0] + JUNK]},
    }
    for told, instead in spoiled.items():
        text = instead if isinstance(instead, str) else json.dumps(instead)
        theirs.write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(PartUnfit, match=told) as refused:
            assemble(own, members)
        assert "two" in str(refused.value)
    theirs.unlink()
    with pytest.raises(PartUnfit, match="there is no two\\.member\\.json: ask two"):
        assemble(own, members)
    theirs.write_text(content)
    (own / "one.member.json").unlink()
    with pytest.raises(PartUnfit, match="fabric install"):
        assemble(own, members)
    assert not (own / "genesis.block").exists()
    assert not (own / "organizations/peerOrganizations/two.org").exists()


def _refusals() -> Iterator[tuple[str, str, dict[str, Any]]]:
    wrong = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "client"),
            x509.NameAttribute(NameOID.COMMON_NAME, "peer0.one.org"),
        ]
    )
    yield "peer0", "must have the CN peer0.one.org and the OU peer", {"subject": wrong}
    yield "clinician", 'must be {"attrs":{"hc.role":"clinician"}}', {"without": x509.UnrecognizedExtension}
    yield "peer0-tls", "subject alternative names lack peer0.one.org", {"without": x509.SubjectAlternativeName}
    unusual = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.32"), b"\x30\x00")
    for name in ("orderer0", "orderer0-tls", "peer0-tls"):
        yield name, "it has extensions that no node's may have (2.5.29.32)", {"extra": unusual}
    yield "orderer0", "expired, or not valid yet", {"start": datetime.timedelta(days=1)}
    yield "orderer0-tls", "expired, or not valid yet", {"start": datetime.timedelta(days=-366)}


@pytest.mark.parametrize(
    ("name", "told", "change"), [*_refusals()], ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_certificate_that_is_not_as_asked_for_is_not_put_in_place(
    machines: Path, name: str, told: str, change: dict[str, Any]
) -> None:
    own, given = machines / "export/one", machines / "one-certificates"
    before = files(own)
    authorities = Authorities(NOW)
    authorities.sign_all(own / "requests", given)
    signed = authorities.sign((own / f"requests/{name}.csr.pem").read_bytes(), authorities.issuer(name), **change)
    (given / f"{name}.pem").write_bytes(signed)
    with pytest.raises(CertificateUnfit) as refused:
        install(own, given)
    assert told in str(refused.value)
    assert f"{name}.pem" in str(refused.value)
    assert files(own) == before


def test_certificates_of_somebody_else_are_not_put_in_place(machines: Path) -> None:
    own, given = machines / "export/one", machines / "one-certificates"
    before = files(own)
    authorities = Authorities(NOW)
    authorities.sign_all(own / "requests", given)
    kept = {path.name: path.read_bytes() for path in given.iterdir()}
    root_issued = authorities.sign((own / "requests/peer0.csr.pem").read_bytes(), authorities.root)
    for name, content, told in (
        ("peer0.pem", kept["orderer0.pem"], "for another key"),
        ("peer0.pem", root_issued, "has others below it"),
        ("peer0.pem", b"nothing", "no certificate in PEM"),
        ("peer0.pem", None, "not in the folder of --certificates"),
        ("root.pem", kept["tls-root.pem"], "none of the certificates given signed it"),
        ("root.pem", kept["peer0.pem"], "the root: it must be a CA's certificate"),
        ("peer0-tls.pem", kept["peer0.pem"], "for another key"),
        ("ca.pem", kept["intermediates.pem"], "for another key"),
    ):
        if content is None:
            (given / name).unlink()
        else:
            (given / name).write_bytes(content)
        with pytest.raises(BadInput, match=told):
            install(own, given)
        (given / name).write_bytes(kept[name])
    assert files(own) == before


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_a_fabric_ca_is_asked_with_any_secret_which_nobody_sees(machines: Path, tmp_path: Path) -> None:
    own, given, secret = machines / "export/two", tmp_path / "given", ' a "quoted\\" secret\\'
    authorities = Authorities(NOW)
    terminal, typed = pty.openpty()
    with fabric_ca(tmp_path, authorities, secret) as environment:
        script = subprocess.Popen(  # noqa: S603
            ["/bin/sh", str(own / "requests/fabric-ca.sh"), str(own / "requests"), str(given)],
            stdin=typed,
            stdout=subprocess.DEVNULL,
            stderr=typed,
            env=os.environ | environment,
        )
        os.close(typed)
        shown = b""
        with contextlib.suppress(OSError):  # at its end
            while some := os.read(terminal, 4096):
                shown += some
                if some.endswith(b": "):
                    os.write(terminal, secret.encode() + b"\n")
        assert script.wait() == 0, shown
    os.close(terminal)
    assert b"secret of administrator: " in shown
    assert b"quoted" not in shown
    for name, authority in (("root", authorities.root), ("tls-root", authorities.tls_root)):
        (given / f"{name}.pem").write_bytes(authority.certificate)
    (given / "intermediates.pem").write_bytes(authorities.members.certificate)
    install(own, given)


def test_a_renewed_certificate_keeps_the_key_and_an_hsm_has_its_own(machines: Path) -> None:
    own, given = machines / "export/two", machines / "two-certificates"
    credentials = OrganisationFolder(own / "organizations", "TwoMSP", "two.org")
    before = credentials.orderer_certificate()
    authorities = Authorities(NOW)
    authorities.sign_all(own / "requests", given)
    install(own, given)
    after = credentials.orderer_certificate()
    keys = [x509.load_pem_x509_certificate(one).public_key() for one in (before, after)]
    assert before != after
    assert keys[0] == keys[1]

    (credentials.orderer / "msp/keystore/priv_sk").unlink()
    with pytest.raises(CertificateUnfit, match="no private key for it here"):
        install(own, given)
    install(own, given, hsm=True)
    assert not (credentials.orderer / "msp/keystore/priv_sk").exists()
    assert "orderer0.csr.pem" not in request(own, hsm=True)


def test_a_newcomer_proposes_what_its_folder_has(machines: Path) -> None:
    own = machines / "export/one"
    credentials = OrganisationFolder(own / "organizations", "OneMSP", "one.org")
    change = candidate(own)
    assert (change.msp_id, change.name, change.contact) == ("OneMSP", "Saint One's", "administrator@one.org")
    assert (change.msp_config, change.orderer) == (credentials.msp_config(), credentials.orderer_certificate())
    assert change.public_key == Keyring(credentials).organisation_key().public_bytes
    shutil.rmtree(own / "organizations/ordererOrganizations")
    with pytest.raises(BadInput, match="fabric install"):
        candidate(own)


def given_blocks(machines: Path) -> Path:
    """The newcomer's folder, with the channel's configuration from the other member, and nothing else of it."""
    own, other = machines / "export/one", machines / "export/two"
    assemble(other, machines / "members")
    for file in ("genesis.block", "fabric/channel.block"):
        shutil.copy(other / "genesis.block", own / file)
    return own


def test_a_newcomer_gets_the_others_files_once_and_never_others(machines: Path) -> None:
    own, members = machines / "export/one", machines / "members"
    with pytest.raises(BadInput, match=r"a member gives you its genesis\.block and fabric/channel\.block"):
        asyncio.run(admit(own, members))
    assert not (own / "organizations/peerOrganizations/two.org").exists()
    given_blocks(machines)
    done = asyncio.run(admit(own, members))
    fingerprint = hashlib.sha256((members / "two.member.json").read_bytes()).hexdigest()
    assert (done.fingerprints, done.configuration) == ({"two": fingerprint}, False)  # its peer is in no channel yet
    placed = files(own)
    assert "organizations/peerOrganizations/two.org/hpke/public.key" in placed
    assert asyncio.run(admit(own, members)).fingerprints == {}
    assert files(own) == placed

    theirs = members / "two.member.json"
    document = json.loads(theirs.read_bytes())
    foreign = json.loads((members / "one.member.json").read_bytes())["encryption_key"]
    theirs.write_text(json.dumps(document | {"encryption_key": foreign}))
    with pytest.raises(PartUnfit, match="the file of two: its encryption key is not what the members agreed on"):
        asyncio.run(admit(own, members))
    assert files(own) == placed


def test_a_member_takes_the_configuration_from_its_own_peer_alone(tmp_path: Path) -> None:
    """No other member's certificates are looked at: the newcomer's are not here yet."""

    async def ask() -> bytes:
        await initialise(tmp_path, TWO)
        async with opened(tmp_path) as consortium, serving(consortium.network, tmp_path, base_port=0) as addresses:
            credentials = OrganisationFolder(tmp_path / "organizations", "OneMSP", "one.org")
            shutil.rmtree(tmp_path / "organizations/peerOrganizations/two.org")
            nodes = msgspec.structs.replace(local_nodes(7051), peer=dict(addresses)["one"])
            return await admitting._asked(Member("one", credentials, tmp_path, nodes), TWO)

    block = asyncio.run(ask())
    credentials = OrganisationFolder(tmp_path / "organizations", "OneMSP", "one.org")
    assert member_msp(admitting._config(block), "OneMSP") == credentials.msp_config()
    assert member_msp(admitting._config(block), "TwoMSP")


def test_a_member_s_file_with_authorities_of_its_own_is_not_put_in_place(machines: Path) -> None:
    """All in it fits together; the channel has others."""
    own, two = given_blocks(machines), machines / "export/two"
    before = files(own)
    Authorities(NOW).sign_all(two / "requests", machines / "two-certificates")
    install(two, machines / "two-certificates")
    shutil.copy(two / "two.member.json", machines / "members")
    with pytest.raises(PartUnfit, match="the file of two: its authorities are not what the members agreed on"):
        asyncio.run(admit(own, machines / "members"))
    (own / "fabric/channel.block").write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"channel\.block is no configuration of a channel"):
        asyncio.run(admit(own, machines / "members"))
    (own / "fabric/channel.block").write_bytes(before["fabric/channel.block"])
    assert files(own) == before


@pytest.mark.parametrize(("name", "field"), [("orderer0", "orderer"), ("orderer0-tls", "orderer_tls")])
def test_a_member_s_file_has_no_extension_that_only_we_could_read(machines: Path, name: str, field: str) -> None:
    two, given = machines / "export/two", machines / "two-certificates"
    authorities = Authorities(NOW)
    authorities.sign_all(two / "requests", given)
    install(two, given)
    unusual = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.99"), b"nothing")
    signed = authorities.sign((two / f"requests/{name}.csr.pem").read_bytes(), authorities.issuer(name), extra=unusual)
    document = json.loads((two / "two.member.json").read_bytes()) | {field: signed.decode()}
    (machines / "members/two.member.json").write_text(json.dumps(document))
    with pytest.raises(PartUnfit, match=r"two: .*extensions that no node's may have \(1\.3\.6\.1"):
        assemble(machines / "export/one", machines / "members")


def test_block_0_is_made_once(machines: Path) -> None:
    own, two = machines / "export/one", machines / "export/two"
    first = assemble(own, machines / "members")
    made = files(own)
    assert assemble(own, machines / "members") == first
    assert files(own) == made
    Authorities(NOW).sign_all(two / "requests", machines / "two-certificates")
    install(two, machines / "two-certificates")
    shutil.copy(two / "two.member.json", machines / "members")
    with pytest.raises(BadInput, match=r"another genesis\.block here already"):
        assemble(own, machines / "members")
    assert files(own) == made


def test_one_organisation_s_folder_is_not_the_network_s(machines: Path) -> None:
    own = machines / "export/one"
    assert stored_topology(own) == TWO
    for command in (down, status):
        with pytest.raises(BadInput, match="one's part of a network on several machines"):
            command(own)
    (machines / "bin").mkdir()
    for program in ("peer", "orderer", "osnadmin"):
        (machines / "bin" / program).touch()
    with pytest.raises(BadInput, match="one's part of a network on several machines"):
        asyncio.run(up(own, machines / "bin", print))
