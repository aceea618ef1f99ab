"""Credentials on disk, in cryptogen's folder layout, so that Fabric's own tools find them (internal/cryptogen/msp).

    peerOrganizations/DOMAIN/{ca,tlsca,msp,peers/peer0.DOMAIN,users/NAME@DOMAIN}
    ordererOrganizations/DOMAIN/{msp,orderers/orderer0.DOMAIN}

Each organisation has one authority for its members and one for TLS. Private keys have mode 0600.
"""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from healthchain.errors import BadInput
from healthchain.identity.certificates import CertificateAuthority, Enrolment, NodeOU
from healthchain.identity.keys import SigningKey
from healthchain.identity.msp import MSP, encode_msp_config, serialize_identity

KEY = Path("keystore/priv_sk")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class CredentialsMissing(BadInput):
    """A file of the organisation's credentials is not there."""


@dataclass(frozen=True, slots=True)
class SigningIdentity:
    """Somebody who can sign: `serialized` are the creator or endorser bytes."""

    msp_id: str
    serialized: bytes
    key: SigningKey


class OrganisationFolder:
    """The credentials of one organisation below the folder `organizations`."""

    def __init__(self, root: Path, msp_id: str, domain: str) -> None:
        self.msp_id = msp_id
        self.domain = domain
        self.path = root / "peerOrganizations" / domain
        self._orderers = root / "ordererOrganizations" / domain

    @property
    def peer(self) -> Path:
        return self.path / "peers" / f"peer0.{self.domain}"

    @property
    def orderer(self) -> Path:
        return self._orderers / "orderers" / f"orderer0.{self.domain}"

    def user(self, name: str) -> Path:
        return self.path / "users" / f"{name}@{self.domain}"

    def create(self, now: datetime.datetime, users: Mapping[str, Mapping[str, str]], hosts: Sequence[str] = ()) -> None:
        """Both authorities, peer, orderer and users: name -> attributes. The administrator's OU is admin.

        The servers' TLS certificates are for this machine and for `hosts`. These users get a TLS certificate as well,
        for networks that ask clients for one.
        """
        authority = CertificateAuthority.create(f"ca.{self.domain}", self.domain, now)
        tls = CertificateAuthority.create(f"tlsca.{self.domain}", self.domain, now)
        for name, one in (("ca", authority), ("tlsca", tls)):
            _write(self.path / name / f"{name}.{self.domain}-cert.pem", one.certificate)
            _write_key(self.path / name / "priv_sk", one.key)
        self.write_msp(authority.certificate, tls.certificate)
        for folder, ou in ((self.peer, NodeOU.PEER), (self.orderer, NodeOU.ORDERER)):
            self._write_identity(folder, authority.issue(folder.name, ou, now))
            names = (folder.name, *LOOPBACK, *hosts)
            self._write_tls(folder, "server", tls.issue_tls(folder.name, names, now))
        for name, attributes in users.items():
            self.enrol(name, now, attributes)
            self._write_tls(self.user(name), "client", tls.issue_tls(self.user(name).name, (), now))

    def write_msp(self, root: bytes, tls_root: bytes, intermediates: Sequence[bytes] = ()) -> None:
        """By which certificates the organisation's members, servers and TLS clients are known, in PEM."""
        certificates = {"cacerts": root, "tlscacerts": tls_root}
        for msp in (self.path / "msp", self._orderers / "msp"):
            for kind, certificate in certificates.items():
                _write(msp / kind / self._ca_file(kind.removesuffix("certs")), certificate)
            shutil.rmtree(msp / "intermediatecerts", ignore_errors=True)
            for index, certificate in enumerate(intermediates):
                _write(msp / "intermediatecerts" / f"{index}.pem", certificate)
            _write(msp / "config.yaml", _node_ous("" if intermediates else self._ca_file("ca")).encode())
        _write(self.tls_root, tls_root)

    def copy_msp(self, folder: Path) -> None:
        """Of the organisation, for a node or user."""
        shutil.copytree(self.path / "msp", folder / "msp", dirs_exist_ok=True)

    def write_certificate(self, folder: Path, certificate: bytes) -> None:
        """Of a peer, orderer or user that has its key elsewhere, or already."""
        self.copy_msp(folder)
        _write(folder / "msp" / "signcerts" / f"{folder.name}-cert.pem", certificate)

    def write_server_certificate(self, folder: Path, certificate: bytes) -> None:
        _write(folder / "tls" / "ca.crt", self.tls_authority())
        _write(folder / "tls" / "server.crt", certificate)

    def enrol(self, name: str, now: datetime.datetime, attributes: Mapping[str, str]) -> None:
        """Issue a client's certificate; somebody enrolled before gets a new key."""
        authority = self._authority("ca")
        ou = NodeOU.ADMIN if attributes.get("hc.role") == "administrator" else NodeOU.CLIENT
        self._write_identity(self.user(name), authority.issue(name, ou, now, attributes))

    def revoke(self, name: str, now: datetime.datetime) -> bytes:
        """A revocation list with this user's certificate, for the MSP configuration."""
        return self._authority("ca").revoke([self._certificate(self.user(name))], now)

    def attributes(self, user: str) -> Mapping[str, str]:
        """With which a user is enrolled. Raises CredentialsMissing, or IdentityRefused for another's certificate."""
        return MSP.from_config(self.msp_config()).validate(self._certificate(self.user(user))).attributes

    def replace(self, other: OrganisationFolder) -> None:
        """Overwrite the other's credentials with these, for good; what is kept beside them stays. May be repeated."""
        shutil.copytree(self.path, other.path, dirs_exist_ok=True)
        shutil.copytree(self._orderers, other._orderers, dirs_exist_ok=True)
        os.sync()

    def msp_config(self, *revocation_lists: bytes) -> bytes:
        """pb(FabricMSPConfig) for the channel's configuration."""
        msp = self.path / "msp"
        root, tls_root = (_read(msp / f"{kind}certs" / self._ca_file(kind)) for kind in ("ca", "tlsca"))
        intermediates = [_read(one) for one in sorted((msp / "intermediatecerts").glob("*.pem"))]
        return encode_msp_config(self.msp_id, root, tls_root, revocation_lists, intermediates)

    def signing_identity(self, folder: Path) -> SigningIdentity:
        """Of a peer, orderer or user's folder; raises CredentialsMissing or KeyRefused."""
        key = SigningKey.from_pem(_read(folder / "msp" / KEY))
        return SigningIdentity(self.msp_id, serialize_identity(self.msp_id, self._certificate(folder)), key)

    def orderer_certificate(self) -> bytes:
        return self._certificate(self.orderer)

    def tls_server(self) -> tuple[bytes, bytes]:
        """Key and certificate with which this organisation's nodes listen, in PEM. Raises CredentialsMissing."""
        tls = self.peer / "tls"
        return _read(tls / "server.key"), _read(tls / "server.crt")

    @property
    def tls_root(self) -> Path:
        return self.path / "tlsca" / self._ca_file("tlsca")

    def tls_authority(self) -> bytes:
        """The certificate, in PEM, by which its servers and TLS clients are known. Raises CredentialsMissing."""
        return _read(self.tls_root)

    def users(self) -> list[str]:
        suffix = f"@{self.domain}"
        return sorted(one.name.removesuffix(suffix) for one in (self.path / "users").glob(f"*{suffix}"))

    def _authority(self, kind: str) -> CertificateAuthority:
        folder = self.path / kind
        certificate = _read(folder / f"{kind}.{self.domain}-cert.pem")
        return CertificateAuthority(SigningKey.from_pem(_read(folder / "priv_sk")), certificate)

    def _certificate(self, folder: Path) -> bytes:
        return _read(folder / "msp" / "signcerts" / f"{folder.name}-cert.pem")

    def _ca_file(self, kind: str) -> str:
        return f"{kind}.{self.domain}-cert.pem"

    def _write_identity(self, folder: Path, enrolment: Enrolment) -> None:
        self.write_certificate(folder, enrolment.certificate)
        _write_key(folder / "msp" / KEY, enrolment.key)

    def _write_tls(self, folder: Path, name: str, enrolment: Enrolment) -> None:
        _write(folder / "tls" / "ca.crt", _read(self.path / "tlsca" / self._ca_file("tlsca")))
        _write(folder / "tls" / f"{name}.crt", enrolment.certificate)
        _write_key(folder / "tls" / f"{name}.key", enrolment.key)


def write_private(path: Path, content: bytes) -> None:
    """A file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)  # the mode counts only for a file that this call makes
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def _write_key(path: Path, key: SigningKey) -> None:
    write_private(path, key.to_pem())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        # The path may hold a user's name; the file's own name tells the operator enough.
        what = path.parent.name if "@" in path.name else path.name
        raise CredentialsMissing(f"credentials are missing or unreadable ({what}): enrol, or restore") from error


def _node_ous(ca_file: str) -> str:
    """Without a file, whichever of the organisation's authorities issued the certificate."""
    lines = ["NodeOUs:", "  Enable: true"]
    for ou in NodeOU:
        lines += [f"  {ou.value.capitalize()}OUIdentifier:"]
        lines += [f"    Certificate: cacerts/{ca_file}"] if ca_file else []
        lines += [f"    OrganizationalUnitIdentifier: {ou.value}"]
    return "\n".join(lines) + "\n"
