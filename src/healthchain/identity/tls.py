"""Whose TLS certificate it is: an organisation's MSP configuration names the authorities that issue them.

Source: Fabric msp/mspimplsetup.go (setupTLSCAs). Expiry is not looked at: a new certificate replaces an expired one.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID
from fabric_protos.msp import msp_config_pb2
from google.protobuf.message import DecodeError

from healthchain.identity.certificates import ATTRIBUTES_OID
from healthchain.identity.msp import UNREADABLE, IdentityRefused, no_later_refusal, one_certificate

KEYS = (rsa.RSAPublicKey, ed25519.Ed25519PublicKey)
CURVES = frozenset(("secp256r1", "secp384r1", "secp521r1"))
"""Keys that Go's crypto/x509 decodes, and TLS takes."""
EXTENSIONS = frozenset(
    (
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ATTRIBUTES_OID,
    )
)
"""Those of our requests, of cryptogen and of Fabric CA. Go decodes others too, and refuses the whole certificate for
what this library takes in them: an orderer that cannot read another's ends."""


def is_tls_certificate_of(msp_config: bytes, certificate: bytes) -> bool:
    """Whether an authority for TLS in pb(FabricMSPConfig) issued this certificate, in PEM."""
    try:
        leaf = x509.load_pem_x509_certificate(certificate)
        return any(_issued(leaf, one) for one in _authorities(msp_config))
    except (DecodeError, *UNREADABLE):
        return False


def is_one_certificate(pem: bytes) -> bool:
    """And nothing else, and one that Fabric can read too: Go's x509 refuses keys and parts that this library takes.

    Of several blocks this library takes the first certificate, Go the first block.
    """
    try:
        with no_later_refusal():
            certificate = one_certificate(pem)
            _ = certificate.extensions  # decoded only now
            key, serial = certificate.public_key(), certificate.serial_number
            encoded = certificate.public_bytes(Encoding.PEM)
    except (IdentityRefused, *UNREADABLE):
        return False
    usual = key.curve.name in CURVES if isinstance(key, ec.EllipticCurvePublicKey) else isinstance(key, KEYS)
    return usual and serial > 0 and pem.strip(b"\n") == encoded.strip(b"\n")


def unusual_extensions(pem: bytes) -> list[str]:
    """Dotted object identifiers of a certificate's extensions that are none of `EXTENSIONS`. Raises UNREADABLE."""
    extensions = x509.load_pem_x509_certificate(pem).extensions
    return [one.oid.dotted_string for one in extensions if one.oid not in EXTENSIONS]


def tls_authority_keys(msp_config: bytes) -> frozenset[bytes]:
    """Public keys in DER: equal however they are certified. None of a configuration that does not decode."""
    try:
        keys = [one.public_key() for one in _authorities(msp_config)]
        return frozenset(one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for one in keys)
    except (DecodeError, *UNREADABLE):
        return frozenset()


def tls_authorities(msp_config: bytes) -> bytes:
    """All of them, in PEM, one after the other."""
    return b"".join(msp_config_pb2.FabricMSPConfig.FromString(msp_config).tls_root_certs)


def _authorities(msp_config: bytes) -> list[x509.Certificate]:
    config = msp_config_pb2.FabricMSPConfig.FromString(msp_config)
    return [x509.load_pem_x509_certificate(one) for one in (*config.tls_root_certs, *config.tls_intermediate_certs)]


def _issued(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except UNREADABLE:
        return False
    return True
