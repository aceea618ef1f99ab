"""ECDSA keys as Fabric uses them: SHA-256 digests, DER signatures, low S only (Fabric bccsp/utils/ecdsa.go)."""

from __future__ import annotations

from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from healthchain.errors import BadInput

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P384_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
ORDERS = {"secp256r1": P256_ORDER, "secp384r1": P384_ORDER}

_SHA256_DIGEST = ec.ECDSA(Prehashed(hashes.SHA256()))


class KeyRefused(BadInput):
    """Not a private key that HealthChain can sign with."""


class SigningKey:
    """A private key of one identity; also a P-384 key signs a SHA-256 digest."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self._order = ORDERS[private.curve.name]

    @classmethod
    def generate(cls) -> Self:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Raises KeyRefused."""
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in ORDERS:
            raise KeyRefused("the key is not an unencrypted P-256 or P-384 private key in PEM: enrol again")
        return cls(private)

    @classmethod
    def from_der(cls, encoded: bytes) -> Self:
        """What `to_der` gave."""
        private = serialization.load_der_private_key(encoded, password=None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        return cls(private)

    def to_der(self) -> bytes:
        """PKCS#8, for another process of the same owner."""
        return self._private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def to_pem(self) -> bytes:
        """PKCS#8, as cryptogen writes it; for a file that only its owner may read."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def private(self) -> ec.EllipticCurvePrivateKey:
        return self._private

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        return self._private.public_key()

    def sign(self, message: bytes) -> bytes:
        return self.sign_digest(sha256(message).digest())

    def sign_digest(self, digest: bytes) -> bytes:
        """`digest` is the SHA-256 of the message."""
        return low_s(self._private.sign(digest, _SHA256_DIGEST), self._order)


def low_s(signature: bytes, order: int) -> bytes:
    """The same signature with s <= order / 2; OpenSSL gives either form."""
    r, s = decode_dss_signature(signature)
    return signature if s <= order >> 1 else encode_dss_signature(r, order - s)


def signature_holds(public: ec.EllipticCurvePublicKey, digest: bytes, signature: bytes) -> bool:
    """False for a wrong signature, for another encoding than DER's one, and for high S (malleable)."""
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return False
    order = ORDERS.get(public.curve.name)
    if order is None or s > order >> 1 or encode_dss_signature(r, s) != signature:
        return False
    try:
        public.verify(signature, digest, _SHA256_DIGEST)
    except InvalidSignature:
        return False
    return True
