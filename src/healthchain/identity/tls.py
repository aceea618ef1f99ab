"""Whose TLS certificate it is: an organisation's MSP configuration names the authorities that issue them.

Source: Fabric msp/mspimplsetup.go (setupTLSCAs). Expiry is not looked at: a new certificate replaces an expired one.
"""

from __future__ import annotations

from cryptography import x509
from fabric_protos.msp import msp_config_pb2
from google.protobuf.message import DecodeError

from healthchain.identity.msp import UNREADABLE


def is_tls_certificate_of(msp_config: bytes, certificate: bytes) -> bool:
    """Whether an authority for TLS in pb(FabricMSPConfig) issued this certificate, in PEM."""
    try:
        config = msp_config_pb2.FabricMSPConfig.FromString(msp_config)
        leaf = x509.load_pem_x509_certificate(certificate)
        authorities = [*config.tls_root_certs, *config.tls_intermediate_certs]
        return any(_issued(leaf, x509.load_pem_x509_certificate(one)) for one in authorities)
    except (DecodeError, *UNREADABLE):
        return False


def tls_authorities(msp_config: bytes) -> bytes:
    """All of them, in PEM, one after the other."""
    return b"".join(msp_config_pb2.FabricMSPConfig.FromString(msp_config).tls_root_certs)


def _issued(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except UNREADABLE:
        return False
    return True
