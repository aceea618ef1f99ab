"""The certificates of an organisation's own authorities: the root of its members, what is between, the root for TLS."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from fabric_protos.msp.msp_config_pb2 import FabricMSPConfig

from healthchain.errors import BadInput
from healthchain.identity.msp import MSP, UNREADABLE, encode_msp_config


class AuthorityUnfit(BadInput):
    """A certificate cannot be an authority's; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Authorities:
    """Each one certificate in PEM; those between are in any order."""

    root: bytes
    tls_root: bytes
    intermediates: tuple[bytes, ...] = ()

    def msp_config(self, msp_id: str) -> bytes:
        """pb(FabricMSPConfig)."""
        return encode_msp_config(msp_id, self.root, self.tls_root, (), self.intermediates)

    def msp(self, msp_id: str) -> MSP:
        return MSP.from_config(self.msp_config(msp_id))

    def check(self, now: datetime.datetime) -> None:
        """Roots signed themselves, the others were signed by one of these; all are authorities' and valid now.

        Raises AuthorityUnfit.
        """
        root = _authority("the root", self.root, now)
        _require_signed("the root", root, [root])
        tls_root = _authority("the TLS root", self.tls_root, now)
        _require_signed("the TLS root", tls_root, [tls_root])
        between = [_authority("an intermediate", one, now) for one in self.intermediates]
        for one in between:
            _require_signed("an intermediate", one, [root, *(other for other in between if other != one)])


def same_authorities(one: bytes, other: bytes) -> bool:
    """Whether two pb(FabricMSPConfig) have the same certificates, in whatever order; lists of revoked ones aside."""
    first, second = (FabricMSPConfig.FromString(config) for config in (one, other))
    return all(
        sorted(getattr(first, kind)) == sorted(getattr(second, kind))
        for kind in ("root_certs", "intermediate_certs", "tls_root_certs", "tls_intermediate_certs")
    )


def _authority(what: str, pem: bytes, now: datetime.datetime) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        signs = certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except (x509.ExtensionNotFound, *UNREADABLE):
        raise AuthorityUnfit(
            f"{what}: it must be one certificate in PEM with basic constraints, key usage and subject key identifier"
        ) from None
    if not (constraints.ca and signs):
        raise AuthorityUnfit(f"{what}: it must be a CA's certificate that may sign certificates")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise AuthorityUnfit(f"{what}: it is expired, or not valid yet: renew it, or check the clock")
    return certificate


def _require_signed(what: str, certificate: x509.Certificate, issuers: Sequence[x509.Certificate]) -> None:
    for one in issuers:
        try:
            certificate.verify_directly_issued_by(one)
        except (InvalidSignature, ValueError, TypeError):
            continue
        return
    raise AuthorityUnfit(f"{what}: none of the certificates given signed it: give the whole chain")
