"""An organisation's certificate authority and the certificates that it issues, as cryptogen and Fabric-CA make them.

Sources: Fabric internal/cryptogen/ca/generator.go; Fabric-CA attribute extension 1.2.3.4.5.6.7.8.1 (lib/attrmgr).
"""

from __future__ import annotations

import datetime
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from healthchain.identity.keys import SigningKey

ATTRIBUTES_OID = ObjectIdentifier("1.2.3.4.5.6.7.8.1")
CA_DAYS = 10 * 365
LEAF_DAYS = 365
CLOCK_SKEW = datetime.timedelta(minutes=5)


class NodeOU(StrEnum):
    """Values of the subject's OU that say what a certificate is for (Fabric NodeOUs, default names)."""

    CLIENT = "client"
    PEER = "peer"
    ADMIN = "admin"
    ORDERER = "orderer"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A key and the certificate for it, in PEM."""

    key: SigningKey
    certificate: bytes


class CertificateAuthority:
    """One self-signed root; `now` is the issuing time."""

    def __init__(self, key: SigningKey, certificate: bytes) -> None:
        self.key = key
        self.certificate = certificate
        self._certificate = x509.load_pem_x509_certificate(certificate)

    @classmethod
    def create(
        cls, common_name: str, organisation: str, now: datetime.datetime, days: int = CA_DAYS
    ) -> CertificateAuthority:
        key = SigningKey.generate()
        name = _name(common_name, organisation)
        builder = _builder(name, name, key, now, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = key_usage(digital_signature=True, key_cert_sign=True, crl_sign=True)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public), critical=False)
        return cls(key, _pem(builder, key))

    def issue(
        self,
        common_name: str,
        ou: NodeOU,
        now: datetime.datetime,
        attributes: Mapping[str, str] | None = None,
        days: int = LEAF_DAYS,
        key: SigningKey | None = None,
    ) -> Enrolment:
        """A signing certificate; `attributes` become Fabric-CA's extension, which chaincode reads."""
        key = key or SigningKey.generate()
        builder = self._leaf(common_name, ou, key, now, days)
        builder = builder.add_extension(key_usage(digital_signature=True), critical=True)
        if attributes is not None:
            extension = x509.UnrecognizedExtension(ATTRIBUTES_OID, encode_attributes(attributes))
            builder = builder.add_extension(extension, critical=False)
        return Enrolment(key, _pem(builder, self.key))

    def issue_tls(
        self, common_name: str, hosts: Sequence[str], now: datetime.datetime, days: int = LEAF_DAYS
    ) -> Enrolment:
        """A TLS certificate for a server or client, with the hosts, if any, as subject alternative names."""
        key = SigningKey.generate()
        builder = self._leaf(common_name, None, key, now, days)
        usage = key_usage(digital_signature=True, key_encipherment=True)
        builder = builder.add_extension(usage, critical=True)
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return Enrolment(key, _pem(builder, self.key))

    def revoke(self, certificates: Sequence[bytes], now: datetime.datetime) -> bytes:
        """A certificate revocation list in PEM."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject)
        builder = builder.last_update(now).next_update(now + datetime.timedelta(days=CA_DAYS))
        for pem in certificates:
            serial = x509.load_pem_x509_certificate(pem).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(revoked)
        builder = builder.add_extension(self._authority_key(), critical=False)
        return builder.sign(self.key.private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _leaf(
        self, common_name: str, ou: NodeOU | None, key: SigningKey, now: datetime.datetime, days: int
    ) -> x509.CertificateBuilder:
        """From its authority's own beginning at the earliest: Fabric validates the chain as of the leaf's beginning."""
        name, begin = _name(common_name, None, ou), self._certificate.not_valid_before_utc
        builder = _builder(name, self._certificate.subject, key, now, days, begin if begin <= now else None)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        return builder.add_extension(self._authority_key(), critical=False)

    def _authority_key(self) -> x509.AuthorityKeyIdentifier:
        own = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def encode_attributes(attributes: Mapping[str, str]) -> bytes:
    return json.dumps({"attrs": dict(attributes)}, separators=(",", ":"), sort_keys=True).encode()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: SigningKey,
    now: datetime.datetime,
    days: int,
    earliest: datetime.datetime | None = None,
) -> x509.CertificateBuilder:
    begin = now - CLOCK_SKEW
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(begin, earliest or begin))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _name(common_name: str, organisation: str | None = None, ou: NodeOU | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation is not None:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    if ou is not None:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ou.value))
    return x509.Name(parts)


def general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(builder: x509.CertificateBuilder, issuer: SigningKey) -> bytes:
    return builder.sign(issuer.private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
