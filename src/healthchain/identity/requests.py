"""What an organisation asks its own authorities for: keys that stay in its folder, and requests for certificates.

A request (PKCS#10) has the name, OU, hosts and attributes that the certificate has to have; `Request.check` refuses one
that has not. Sources: Fabric docs/source/{msp,membership/membership}; msp/mspimplvalidate.go.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from healthchain.errors import BadInput
from healthchain.identity.certificates import ATTRIBUTES_OID, NodeOU, encode_attributes, general_name, key_usage
from healthchain.identity.folders import KEY, LOOPBACK, OrganisationFolder, write_private
from healthchain.identity.keys import SigningKey
from healthchain.identity.msp import MSP, UNREADABLE, IdentityRefused
from healthchain.identity.tls import unusual_extensions

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_LEAF = x509.BasicConstraints(ca=False, path_length=None)
_PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
ADMINISTRATOR = "administrator"
AUTHORITY = "ca"


class CertificateUnfit(BadInput):
    """A certificate is not what was asked for; the text names its file and what to do."""


@dataclass(frozen=True, slots=True)
class Request:
    """One key and the certificate for it: of a member (`ou`), of a TLS server (`hosts`), or of an authority."""

    name: str
    common_name: str
    key: Path
    certificate: Path
    ou: NodeOU | None = None
    hosts: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    key_elsewhere: bool = False  # in an HSM

    def encode(self) -> bytes:
        """PEM. The key is made if there is none yet."""
        key = self.signing_key()
        builder = x509.CertificateSigningRequestBuilder().subject_name(self._subject())
        for extension, critical in self._extensions():
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(key.private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def signing_key(self) -> SigningKey:
        if not self.key.exists():
            write_private(self.key, SigningKey.generate().to_pem())
        return SigningKey.from_pem(self.key.read_bytes())

    def check(self, pem: bytes, msp: MSP, tls_root: bytes, now: datetime.datetime, *, own: bool = True) -> None:
        """1. for our key, unless an HSM has it; 2. from our authority, as asked for; 3. valid now.

        An authority's certificate is checked by `Authorities`. Another's, not our `own`, from 2 on.
        Raises CertificateUnfit.
        """
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            if own and not self.key_elsewhere:
                self._require_own_key(certificate)
            if self.ou is not None:
                self._require_member(pem, msp)
            elif self.hosts:
                self._require_server(certificate, tls_root)
            if self.hosts or self.ou is NodeOU.ORDERER:
                self._require_usual(pem)
        except (IdentityRefused, *UNREADABLE) as error:
            raise self._unfit(str(error) if isinstance(error, IdentityRefused) else "it does not decode") from None
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            raise self._unfit("it is expired, or not valid yet: ask for a new one, or check the clock")

    def _require_own_key(self, certificate: x509.Certificate) -> None:
        if not self.key.exists():
            raise self._unfit("there is no private key for it here: run `healthchain fabric request` first")
        if certificate.public_key() != SigningKey.from_pem(self.key.read_bytes()).public:
            raise self._unfit("it is for another key: have the request signed that is in this folder")

    def _require_member(self, pem: bytes, msp: MSP) -> None:
        identity = msp.validate(pem)
        if identity.role.value != self.ou or identity.common_name != self.common_name:
            raise self._unfit(
                f"its subject must have the CN {self.common_name} and the OU {self.ou}, and no other role"
            )
        if any(identity.attributes.get(name) != value for name, value in self.attributes.items()):
            wanted = encode_attributes(self.attributes).decode()
            raise self._unfit(f"its extension {ATTRIBUTES_OID.dotted_string} must be {wanted}: copy the request's")

    def _require_server(self, certificate: x509.Certificate, tls_root: bytes) -> None:
        try:
            certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(tls_root))
        except (InvalidSignature, ValueError, TypeError):
            raise self._unfit("the TLS root's certificate did not sign it") from None
        names = _extension(certificate, x509.SubjectAlternativeName)
        given = set(names) if names else set()
        lacking = [host for host in self.hosts if general_name(host) not in given]
        if lacking:
            raise self._unfit(f"its subject alternative names lack {', '.join(lacking)}: copy the request's")
        purposes = _extension(certificate, x509.ExtendedKeyUsage)
        if purposes is not None and not set(_PURPOSES).issubset(purposes):
            raise self._unfit("its extended key usage must be for servers and for clients")

    def _require_usual(self, pem: bytes) -> None:
        """The others' orderers read it too."""
        unusual = unusual_extensions(pem)
        if unusual:
            raise self._unfit(
                f"it has extensions that no node's may have ({', '.join(unusual)}): have it signed without"
            )

    def _subject(self) -> x509.Name:
        units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, self.ou.value)] if self.ou else []
        return x509.Name([*units, x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)])

    def _extensions(self) -> list[tuple[x509.ExtensionType, bool]]:
        if self.ou is not None:
            attributes = x509.UnrecognizedExtension(ATTRIBUTES_OID, encode_attributes(self.attributes))
            own: list[tuple[x509.ExtensionType, bool]] = [(attributes, False)] if self.attributes else []
            return [(_LEAF, True), (key_usage(digital_signature=True), True), *own]
        if self.hosts:
            names = x509.SubjectAlternativeName([general_name(host) for host in self.hosts])
            usage = key_usage(digital_signature=True, key_encipherment=True)
            return [(_LEAF, True), (usage, True), (x509.ExtendedKeyUsage(_PURPOSES), False), (names, False)]
        usage = key_usage(digital_signature=True, key_cert_sign=True, crl_sign=True)
        return [(x509.BasicConstraints(ca=True, path_length=0), True), (usage, True)]

    def _unfit(self, why: str) -> CertificateUnfit:
        return CertificateUnfit(f"{self.name}.pem: {why}")


def requests(
    folder: OrganisationFolder,
    roles: Mapping[str, str],
    peer_hosts: Sequence[str],
    orderer_hosts: Sequence[str],
    *,
    persons: bool,
    hsm: bool = False,
) -> list[Request]:
    """Of the peer, the orderer and the users (name -> `hc.role`); with `persons` an authority that enrols patients.

    With `hsm` the keys of peer and orderer are elsewhere; those for TLS cannot be (Fabric docs/source/hsm.md).
    """
    listed = [_authority(folder)] if persons else []
    listed += [
        _member("peer0", folder.peer, folder.peer.name, NodeOU.PEER, {}, hsm),
        _member("orderer0", folder.orderer, folder.orderer.name, NodeOU.ORDERER, {}, hsm),
        _server("peer0-tls", folder.peer, peer_hosts),
        _server("orderer0-tls", folder.orderer, orderer_hosts),
    ]
    for name, role in roles.items():
        ou = NodeOU.ADMIN if role == ADMINISTRATOR else NodeOU.CLIENT
        listed.append(_member(name, folder.user(name), name, ou, {"hc.role": role}, False))
    return listed


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _member(
    name: str, folder: Path, common_name: str, ou: NodeOU, attributes: Mapping[str, str], key_elsewhere: bool
) -> Request:
    msp = folder / "msp"
    certificate = msp / "signcerts" / f"{folder.name}-cert.pem"
    return Request(name, common_name, msp / KEY, certificate, ou, (), attributes, key_elsewhere)


def _authority(folder: OrganisationFolder) -> Request:
    own, name = folder.path / AUTHORITY, f"{AUTHORITY}.{folder.domain}"
    return Request(AUTHORITY, name, own / "priv_sk", own / f"{name}-cert.pem")


def _server(name: str, folder: Path, hosts: Sequence[str]) -> Request:
    tls = folder / "tls"
    every = tuple(dict.fromkeys((folder.name, *hosts, *LOOPBACK)))
    return Request(name, folder.name, tls / "server.key", tls / "server.crt", hosts=every)
