"""An organisation's own authorities, who sign what is asked of them, or something else."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from healthchain.identity.certificates import CertificateAuthority

YEAR = datetime.timedelta(days=365)


class Authorities:
    """A root with one authority for members below it, and a root for TLS."""

    def __init__(self, now: datetime.datetime) -> None:
        self.now = now
        self.root = CertificateAuthority.create("root", "organisation", now)
        self.tls_root = CertificateAuthority.create("tls-root", "organisation", now)
        self.members = self._below()

    def sign_all(self, requests: Path, certificates: Path) -> None:
        """Every request, as it asks, and the authorities' own certificates."""
        certificates.mkdir(exist_ok=True)
        for path in sorted(requests.glob("*.csr.pem")):
            name = path.name.removesuffix(".csr.pem")
            (certificates / f"{name}.pem").write_bytes(self.sign(path.read_bytes(), self.issuer(name)))
        own = {"root": self.root, "tls-root": self.tls_root, "intermediates": self.members}
        for name, authority in own.items():
            (certificates / f"{name}.pem").write_bytes(authority.certificate)

    def issuer(self, name: str) -> CertificateAuthority:
        return self.tls_root if name.endswith("-tls") else self.root if name == "ca" else self.members

    def sign(
        self,
        pem: bytes,
        issuer: CertificateAuthority,
        *,
        subject: x509.Name | None = None,
        without: type[x509.ExtensionType] | None = None,
        extra: x509.ExtensionType | None = None,
        start: datetime.timedelta = datetime.timedelta(),
    ) -> bytes:
        """With another subject, without an extension or with one more, from another time on."""
        request = x509.load_pem_x509_csr(pem)
        assert request.is_signature_valid
        issued_by = x509.load_pem_x509_certificate(issuer.certificate)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject or request.subject)
            .issuer_name(issued_by.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now + start)
            .not_valid_after(self.now + start + YEAR)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
        )
        for extension in request.extensions:
            if without is None or not isinstance(extension.value, without):
                builder = builder.add_extension(extension.value, critical=extension.critical)
        if extra is not None:
            builder = builder.add_extension(extra, critical=False)
        signed = builder.sign(issuer.key.private, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    def _below(self) -> CertificateAuthority:
        made = CertificateAuthority.create("members", "organisation", self.now)
        issued_by = x509.load_pem_x509_certificate(self.root.certificate)
        own = x509.load_pem_x509_certificate(made.certificate)
        builder = (
            x509.CertificateBuilder()
            .subject_name(own.subject)
            .issuer_name(issued_by.subject)
            .public_key(made.key.public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(own.not_valid_before_utc)
            .not_valid_after(own.not_valid_after_utc)
        )
        for extension in own.extensions:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        signed = builder.sign(self.root.key.private, hashes.SHA256())
        return CertificateAuthority(made.key, signed.public_bytes(serialization.Encoding.PEM))
