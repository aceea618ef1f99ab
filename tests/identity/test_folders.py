"""Credentials on disk: cryptogen's layout, keys for their owner only, and clear words for what is missing."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509

from healthchain.identity.certificates import NodeOU
from healthchain.identity.folders import CredentialsMissing, OrganisationFolder, write_private
from healthchain.identity.keys import KeyRefused, SigningKey, signature_holds
from healthchain.identity.msp import MSP, IdentityRefused, MSPs, Role

from .forge import NOW

DOMAIN = "hospital.example"
USERS = {
    "administrator": {"hc.role": "administrator"},
    "clinician": {"hc.role": "clinician"},
    "p1": {"hc.role": "patient", "hc.patient": "p1"},
}
HOSTS = ("ledger.hospital.example", "10.0.0.7")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("organizations")
    before = os.umask(0)  # the worst that an operator may have
    try:
        OrganisationFolder(root, "HospitalMSP", DOMAIN).create(NOW, USERS, HOSTS)
    finally:
        os.umask(before)
    return root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> OrganisationFolder:
    shutil.copytree(made, tmp_path / "organizations")
    return OrganisationFolder(tmp_path / "organizations", "HospitalMSP", DOMAIN)


def test_the_layout_is_cryptogens(made: Path) -> None:
    peer, orderer, user = f"peer0.{DOMAIN}", f"orderer0.{DOMAIN}", f"clinician@{DOMAIN}"
    own, ordering = made / "peerOrganizations" / DOMAIN, made / "ordererOrganizations" / DOMAIN
    expected = [
        own / "ca" / f"ca.{DOMAIN}-cert.pem",
        own / "ca" / "priv_sk",
        own / "tlsca" / f"tlsca.{DOMAIN}-cert.pem",
        own / "tlsca" / "priv_sk",
        own / "msp" / "cacerts" / f"ca.{DOMAIN}-cert.pem",
        own / "msp" / "tlscacerts" / f"tlsca.{DOMAIN}-cert.pem",
        own / "msp" / "config.yaml",
        own / "peers" / peer / "msp" / "signcerts" / f"{peer}-cert.pem",
        own / "peers" / peer / "msp" / "keystore" / "priv_sk",
        own / "peers" / peer / "msp" / "cacerts" / f"ca.{DOMAIN}-cert.pem",
        own / "peers" / peer / "msp" / "config.yaml",
        own / "peers" / peer / "tls" / "ca.crt",
        own / "peers" / peer / "tls" / "server.crt",
        own / "peers" / peer / "tls" / "server.key",
        own / "users" / user / "msp" / "signcerts" / f"{user}-cert.pem",
        own / "users" / user / "msp" / "keystore" / "priv_sk",
        ordering / "msp" / "cacerts" / f"ca.{DOMAIN}-cert.pem",
        ordering / "orderers" / orderer / "msp" / "signcerts" / f"{orderer}-cert.pem",
        ordering / "orderers" / orderer / "tls" / "server.key",
    ]
    assert [one for one in expected if not one.is_file()] == []


def test_servers_have_certificates_for_this_machine_and_the_hosts(folder: OrganisationFolder) -> None:
    for node in (folder.peer, folder.orderer):
        certificate = x509.load_pem_x509_certificate((node / "tls" / "server.crt").read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [node.name, "localhost", "ledger.hospital.example"]
        addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
        assert addresses == ["127.0.0.1", "::1", "10.0.0.7"]


def test_config_yaml_names_the_four_node_ous(made: Path) -> None:
    text = (made / "peerOrganizations" / DOMAIN / "msp" / "config.yaml").read_text()
    for ou in NodeOU:
        assert f"  {ou.value.capitalize()}OUIdentifier:\n    Certificate: cacerts/ca.{DOMAIN}-cert.pem\n" in text
        assert f"    OrganizationalUnitIdentifier: {ou.value}\n" in text
    assert text.startswith("NodeOUs:\n  Enable: true\n")


def test_only_the_owner_can_read_a_key(made: Path) -> None:
    keys = [one for one in made.rglob("*") if one.name in ("priv_sk", "server.key", "client.key")]
    assert len(keys) == 2 + 2 * 2 + 2 * len(USERS)
    for one in keys:
        assert stat.S_IMODE(one.stat().st_mode) == 0o600
        SigningKey.from_pem(one.read_bytes())
    others = [one for one in made.rglob("*") if one.is_file() and one not in keys]
    assert not any(b"PRIVATE" in one.read_bytes() for one in others)


def test_everybody_is_what_the_folder_says(folder: OrganisationFolder) -> None:
    members = MSPs({"HospitalMSP": MSP.from_config(folder.msp_config())})
    places = {
        folder.peer: Role.PEER,
        folder.orderer: Role.ORDERER,
        folder.user("administrator"): Role.ADMIN,
        folder.user("clinician"): Role.CLIENT,
        folder.user("p1"): Role.CLIENT,
    }
    for place, role in places.items():
        signer = folder.signing_identity(place)
        member = members.identify(signer.serialized)
        assert member.role is role
        assert signature_holds(member.public_key, sha256(b"m").digest(), signer.key.sign(b"m"))
    assert folder.users() == sorted(USERS)
    patient = members.identify(folder.signing_identity(folder.user("p1")).serialized)
    assert patient.attributes == {"hc.role": "patient", "hc.patient": "p1"}
    assert folder.orderer_certificate() in folder.signing_identity(folder.orderer).serialized


def test_who_enrols_again_has_a_new_key_and_the_old_one_can_be_revoked(folder: OrganisationFolder) -> None:
    old = folder.signing_identity(folder.user("clinician"))
    revoked = folder.revoke("clinician", NOW)
    folder.enrol("clinician", NOW, USERS["clinician"])
    new = folder.signing_identity(folder.user("clinician"))
    assert new.key.public != old.key.public
    members = MSPs({"HospitalMSP": MSP.from_config(folder.msp_config(revoked))})
    assert members.identify(new.serialized).common_name == "clinician"
    with pytest.raises(IdentityRefused, match="revoked"):
        members.identify(old.serialized)


def test_only_the_administrators_role_makes_an_admin(folder: OrganisationFolder) -> None:
    """The OU follows the attribute, not the user's name."""
    folder.enrol("administrator", NOW, {"hc.role": "clinician"})
    member = MSP.from_config(folder.msp_config()).validate(
        (folder.user("administrator") / "msp/signcerts" / f"administrator@{DOMAIN}-cert.pem").read_bytes()
    )
    assert member.role is Role.CLIENT


@pytest.mark.parametrize("part", ["msp/keystore/priv_sk", f"msp/signcerts/clinician@{DOMAIN}-cert.pem"])
def test_what_is_missing_is_named_but_nobody_is(folder: OrganisationFolder, part: str) -> None:
    (folder.user("clinician") / part).unlink()
    with pytest.raises(CredentialsMissing, match="missing or unreadable") as caught:
        folder.signing_identity(folder.user("clinician"))
    assert "clinician" not in str(caught.value)


def test_a_key_that_is_damaged_is_refused(folder: OrganisationFolder) -> None:
    (folder.user("clinician") / "msp/keystore/priv_sk").write_bytes(b"nonsense")
    with pytest.raises(KeyRefused):
        folder.signing_identity(folder.user("clinician"))


def test_a_private_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "key"
    write_private(path, b"first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"second")
    assert path.read_bytes() == b"first"


def test_a_private_file_is_private_though_a_readable_one_was_left_in_its_way(tmp_path: Path) -> None:
    left = tmp_path / "key.new"
    left.write_bytes(b"old")
    left.chmod(0o644)
    write_private(tmp_path / "key", b"secret")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


# With Fabric's own tool


@pytest.fixture(scope="module")
def cryptogen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Credentials that Fabric's own cryptogen made."""
    binaries = os.environ.get("FABRIC_BIN")
    if not binaries or not (Path(binaries) / "cryptogen").is_file():
        pytest.skip("FABRIC_BIN names no folder with Fabric's cryptogen")
    folder = tmp_path_factory.mktemp("cryptogen")
    config = folder / "crypto-config.yaml"
    config.write_text(
        "PeerOrgs:\n- Name: Hospital\n  Domain: hospital.example\n  EnableNodeOUs: true\n"
        "  Template: {Count: 1}\n  Users: {Count: 1}\n"
    )
    command = [str(Path(binaries) / "cryptogen"), "generate", "--config", str(config), "--output", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603
    return folder


@pytest.mark.fabric
def test_what_cryptogen_makes_is_read(cryptogen: Path) -> None:
    theirs = OrganisationFolder(cryptogen, "HospitalMSP", DOMAIN)
    members = MSPs({"HospitalMSP": MSP.from_config(theirs.msp_config())})
    places = {theirs.peer: Role.PEER, theirs.user("User1"): Role.CLIENT, theirs.user("Admin"): Role.ADMIN}
    for place, role in places.items():
        signer = theirs.signing_identity(place)
        member = members.identify(signer.serialized)
        assert member.role is role
        assert signature_holds(member.public_key, sha256(b"m").digest(), signer.key.sign(b"m"))
    with pytest.raises(IdentityRefused):
        members["HospitalMSP"].validate((theirs.peer / "tls" / "server.crt").read_bytes())


@pytest.mark.fabric
def test_our_files_are_where_cryptogen_puts_its_own(cryptogen: Path, made: Path) -> None:
    peer = Path("peerOrganizations") / DOMAIN / "peers" / f"peer0.{DOMAIN}"
    theirs = {one.relative_to(cryptogen) for one in (cryptogen / peer).rglob("*") if one.is_file()}
    ours = {one.relative_to(made) for one in (made / peer).rglob("*") if one.is_file()}
    assert theirs == ours
