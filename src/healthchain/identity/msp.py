"""Membership service providers: whether a certificate makes somebody a member of an organisation, and as what.

Sources: Fabric msp/{mspimpl,mspimplvalidate,mspimplsetup,cert}.go. A certificate is checked in numbered steps, see
`MSP.validate`. Expiry is not among them, because a block must get the same verdict whenever it is checked; peers and
orderers refuse an expired identity when it asks for something (`Identity.require_unexpired`).
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from hashlib import sha256
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import NameOID
from fabric_protos.msp import identities_pb2, msp_config_pb2
from google.protobuf.message import DecodeError

from healthchain.errors import BadInput, HealthChainError
from healthchain.identity.certificates import ATTRIBUTES_OID, NodeOU
from healthchain.identity.keys import ORDERS, low_s

CACHED_IDENTITIES_MAX = 10_000
CHAIN_LENGTH_MAX = 8
PEM_BYTES_MAX = 64 * 1024  # creators are kept in a cache, and in blocks for ever

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InvalidSignature,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UserWarning,
)
"""All that a hostile certificate may raise: its parts are decoded only when they are looked at. Blocks hold such
certificates too, and none may stop a peer."""

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


class IdentityRefused(HealthChainError):
    """The certificate does not make its holder a member; the text says which step failed, never whose it is."""


class MSPMalformed(BadInput):
    """An organisation's MSP configuration cannot be used."""


class Role(Enum):
    """What a NodeOU says of a member; every valid identity is a MEMBER too."""

    CLIENT = "client"
    PEER = "peer"
    ADMIN = "admin"
    ORDERER = "orderer"


ROLE_OUS = frozenset(ou.value for ou in NodeOU)


class _Attributes(msgspec.Struct):
    attrs: dict[str, str]


class Identity:
    """A validated member. `fingerprint` is equal for two spellings of one certificate."""

    __slots__ = (
        "attributes",
        "common_name",
        "fingerprint",
        "msp_id",
        "not_after_ms",
        "not_before_ms",
        "ous",
        "public_key",
        "public_point",
        "role",
    )

    def __init__(self, msp_id: str, certificate: x509.Certificate) -> None:
        self.msp_id = msp_id
        self.fingerprint = _fingerprint(msp_id, certificate)
        self.public_key = _public_key(certificate)
        self.public_point = self.public_key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.ous = _texts(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME)
        self.role = _role(self.ous)
        self.common_name = _common_name(certificate)
        self.attributes = _attributes(certificate)
        self.not_before_ms = int(certificate.not_valid_before_utc.timestamp() * 1000)
        self.not_after_ms = int(certificate.not_valid_after_utc.timestamp() * 1000)

    def require_unexpired(self, now_ms: int) -> None:
        """Raises IdentityRefused."""
        if not self.not_before_ms <= now_ms <= self.not_after_ms:
            raise IdentityRefused("the certificate is expired or not valid yet: enrol again, or check the clock")


class MSP:
    """One organisation's rules for who belongs to it, from pb(FabricMSPConfig).

    `authorities` are the public keys of its certificates' issuers: equal however those are certified themselves.
    """

    def __init__(
        self,
        msp_id: str,
        roots: Sequence[x509.Certificate],
        intermediates: Sequence[x509.Certificate],
        revocation_lists: Sequence[x509.CertificateRevocationList],
    ) -> None:
        self.msp_id = msp_id
        self._roots = [_checked_ca(one) for one in roots]
        self._intermediates = [_checked_ca(one) for one in intermediates]
        self._above = [ca for ca in (*self._roots, *self._intermediates) if self._has_below(ca)]
        self._revoked = self._read_revocations(revocation_lists)
        self.authorities = frozenset(map(_key_bytes, (*self._roots, *self._intermediates)))

    @classmethod
    def from_config(cls, encoded: bytes) -> MSP:
        """Raises MSPMalformed."""
        try:
            config = msp_config_pb2.FabricMSPConfig.FromString(encoded)
            _require_supported(config)
            with no_later_refusal():
                roots = [x509.load_pem_x509_certificate(pem) for pem in config.root_certs]
                intermediates = [x509.load_pem_x509_certificate(pem) for pem in config.intermediate_certs]
                revocations = [x509.load_pem_x509_crl(pem) for pem in config.revocation_list]
                return cls(config.name, roots, intermediates, revocations)
        except (DecodeError, IdentityRefused, *UNREADABLE) as error:
            raise MSPMalformed("the MSP configuration does not decode") from error

    def validate(self, pem: bytes) -> Identity:
        """1. one PEM certificate; 2. a signer's key and usage; 3. one chain to a root; 4. not revoked; 5. one NodeOU.

        Raises IdentityRefused.
        """
        try:
            with no_later_refusal():
                return self._validated(one_certificate(pem))
        except UNREADABLE:
            raise IdentityRefused("the certificate does not decode") from None

    def _validated(self, certificate: x509.Certificate) -> Identity:
        _require_signer(certificate)
        chain = self._chain(certificate)
        for one, issuer in itertools.pairwise(chain):
            if (_subject_key(issuer), one.serial_number) in self._revoked:
                raise IdentityRefused("the certificate, or one that it depends on, was revoked")
        return Identity(self.msp_id, certificate)

    def _chain(self, certificate: x509.Certificate) -> list[x509.Certificate]:
        """From the certificate to a root of this MSP."""
        chain = [certificate]
        while len(chain) < CHAIN_LENGTH_MAX:
            issuer = self._issuer(chain[-1])
            depth = _path_length(issuer)
            if depth is not None and len(chain) - 1 > depth:
                raise IdentityRefused("the certificate's chain is longer than its authority permits")
            chain.append(issuer)
            if len(chain) == 2 and issuer in self._above:
                raise IdentityRefused(
                    "the certificate was issued by an authority that has others below it: only those issue for members"
                )
            if issuer in self._roots:
                return chain
        raise IdentityRefused("the certificate's chain is too long")

    def _issuer(self, certificate: x509.Certificate) -> x509.Certificate:
        candidates = [one for one in (*self._roots, *self._intermediates) if _issued_by(certificate, one)]
        if len(candidates) != 1:
            raise IdentityRefused("the certificate was not issued by an authority of the organisation it names")
        return candidates[0]

    def _has_below(self, authority: x509.Certificate) -> bool:
        """Fabric takes members from the leaves of the tree of authorities only (mspimpl.go, getValidationChain)."""
        return any(one != authority and _issued_by(one, authority) for one in self._intermediates)

    def _read_revocations(self, lists: Sequence[x509.CertificateRevocationList]) -> set[tuple[bytes, int]]:
        """(issuer's subject key identifier, serial); the date is ignored, as Fabric does."""
        revoked: set[tuple[bytes, int]] = set()
        for one in lists:
            issuers = [ca for ca in (*self._roots, *self._intermediates) if ca.subject == one.issuer]
            signed = [ca for ca in issuers if one.is_signature_valid(_public_key(ca))]
            if len(signed) != 1:
                raise MSPMalformed("a revocation list is not signed by an authority of its organisation")
            revoked.update((_subject_key(signed[0]), entry.serial_number) for entry in one)
        return revoked


class MSPs(Mapping[str, MSP]):
    """All members' MSPs, and a cache of the identities they validated, by the creator's bytes as received.

    `barred` says of organisations that are no members any more, or not at present, what they are told.
    """

    def __init__(self, msps: Mapping[str, MSP], barred: Mapping[str, str] | None = None) -> None:
        self._msps = dict(msps)
        self._barred = dict(barred or {})
        self._identities: dict[bytes, Identity] = {}

    def identify(self, creator: bytes) -> Identity:
        """pb(SerializedIdentity) -> its validated identity; raises IdentityRefused."""
        known = self._identities.get(creator)
        if known is not None:
            return known
        try:
            serialized = identities_pb2.SerializedIdentity.FromString(creator)
        except (DecodeError, UnicodeDecodeError):
            raise IdentityRefused("the creator does not decode: send a Fabric SerializedIdentity") from None
        msp = self._msps.get(serialized.mspid)
        if msp is None:
            said = self._barred.get(serialized.mspid, "the creator's organisation is not a member of this channel")
            raise IdentityRefused(said)
        identity = msp.validate(serialized.id_bytes)
        if len(self._identities) >= CACHED_IDENTITIES_MAX:
            self._identities.clear()
        self._identities[creator] = identity
        return identity

    def __getitem__(self, msp_id: str) -> MSP:
        return self._msps[msp_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._msps)

    def __len__(self) -> int:
        return len(self._msps)


def claimed_name(creator: bytes) -> tuple[str, str]:
    """The MSP id and common name in pb(SerializedIdentity), for what was validated before: checks nothing again."""
    serialized = identities_pb2.SerializedIdentity.FromString(creator)
    return serialized.mspid, _common_name(x509.load_pem_x509_certificate(serialized.id_bytes))


def claimed_identity(creator: bytes) -> Identity:
    """Who pb(SerializedIdentity) says, for one whom the peer that asks has validated: checks nothing again.

    Raises IdentityRefused if it does not decode.
    """
    try:
        with no_later_refusal():
            serialized = identities_pb2.SerializedIdentity.FromString(creator)
            return Identity(serialized.mspid, one_certificate(serialized.id_bytes))
    except (DecodeError, *UNREADABLE):
        raise IdentityRefused("the creator does not decode: send a Fabric SerializedIdentity") from None


def serialize_identity(msp_id: str, certificate_pem: bytes) -> bytes:
    """pb(SerializedIdentity): the creator or endorser bytes."""
    return identities_pb2.SerializedIdentity(mspid=msp_id, id_bytes=certificate_pem).SerializeToString()


def encode_msp_config(
    msp_id: str,
    root: bytes,
    tls_root: bytes,
    revocation_lists: Sequence[bytes] = (),
    intermediates: Sequence[bytes] = (),
) -> bytes:
    """pb(FabricMSPConfig) with NodeOUs, as configtxgen makes it from cryptogen's folder."""
    identifiers = {
        f"{ou.value}_ou_identifier": msp_config_pb2.FabricOUIdentifier(
            certificate=b"" if intermediates else root, organizational_unit_identifier=ou.value
        )
        for ou in NodeOU
    }
    return msp_config_pb2.FabricMSPConfig(
        name=msp_id,
        root_certs=[root],
        intermediate_certs=intermediates,
        revocation_list=revocation_lists,
        crypto_config=msp_config_pb2.FabricCryptoConfig(
            signature_hash_family="SHA2", identity_identifier_hash_function="SHA256"
        ),
        tls_root_certs=[tls_root],
        fabric_node_ous=msp_config_pb2.FabricNodeOUs(enable=True, **identifiers),
    ).SerializeToString(deterministic=True)


@contextlib.contextmanager
def no_later_refusal() -> Iterator[None]:
    """What `cryptography` only warns of, and a later version will refuse, is refused now: a block gets one verdict."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # which its deprecations are, too
        yield


def _require_supported(config: msp_config_pb2.FabricMSPConfig) -> None:
    """What would restrict membership and is not looked at here must not be there. Raises MSPMalformed."""
    if not config.name or not config.root_certs or not config.fabric_node_ous.enable:
        raise MSPMalformed("an MSP needs a name, a root certificate and NodeOUs")
    units = config.fabric_node_ous
    for ou in NodeOU:
        named: msp_config_pb2.FabricOUIdentifier = getattr(units, f"{ou.value}_ou_identifier")
        if named.organizational_unit_identifier != ou.value:
            raise MSPMalformed("an MSP's NodeOUs must be client, peer, admin and orderer")
        if named.certificate and (named.certificate != config.root_certs[0] or len(config.root_certs) > 1):
            raise MSPMalformed("an MSP's NodeOUs can name only the one root certificate that there is")
    if config.organizational_unit_identifiers or config.crypto_config.signature_hash_family not in ("", "SHA2"):
        raise MSPMalformed("an MSP can require no further OUs, and no other hash than SHA2")


def one_certificate(pem: bytes) -> x509.Certificate:
    """Raises IdentityRefused, or one of UNREADABLE."""
    stripped = pem.strip(b"\r\n")
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    blocks = stripped.count(b"-----BEGIN"), stripped.count(b"-----END")
    if not stripped.startswith(begin) or not stripped.endswith(end) or blocks != (1, 1) or len(pem) > PEM_BYTES_MAX:
        raise IdentityRefused("an identity is exactly one certificate in PEM")
    return x509.load_pem_x509_certificate(pem)


def _require_signer(certificate: x509.Certificate) -> None:
    _public_key(certificate)
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise IdentityRefused("a certificate authority's certificate cannot sign as a member")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        raise IdentityRefused("the certificate's key usage does not permit digital signatures")


def _issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    named = _extension(certificate, x509.AuthorityKeyIdentifier)
    if named is not None and named.key_identifier not in (None, _subject_key(authority)):
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        return False
    return True


def _checked_ca(certificate: x509.Certificate) -> x509.Certificate:
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    if constraints is None or not constraints.ca or usage is None or not usage.key_cert_sign:
        raise MSPMalformed("an authority's certificate must be a CA's that may sign certificates")
    _subject_key(certificate)
    return certificate


def _subject_key(certificate: x509.Certificate) -> bytes:
    found = _extension(certificate, x509.SubjectKeyIdentifier)
    if found is None:
        raise MSPMalformed("an authority's certificate must have a subject key identifier")
    return found.digest


def _path_length(authority: x509.Certificate) -> int | None:
    constraints = _extension(authority, x509.BasicConstraints)
    return constraints.path_length if constraints else None


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _public_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in ORDERS:
        raise IdentityRefused("the certificate's key must be ECDSA on P-256 or P-384")
    return key


def _key_bytes(certificate: x509.Certificate) -> bytes:
    key = _public_key(certificate)
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _fingerprint(msp_id: str, certificate: x509.Certificate) -> bytes:
    """Over the certificate with its own signature in low-S form: anybody can flip that (sanitizeECDSASignedCert)."""
    signature = certificate.signature
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        r = s = 0
    if s and encode_dss_signature(r, s) == signature:
        order = next((order for order in ORDERS.values() if s < order), s)
        signature = low_s(signature, order)
    return sha256(msp_id.encode() + b"\x00" + certificate.tbs_certificate_bytes + signature).digest()


def _role(ous: Sequence[str]) -> Role:
    roles = [ou for ou in ous if ou in ROLE_OUS]
    if len(roles) != 1:
        raise IdentityRefused("the certificate must have exactly one of the OUs client, peer, admin, orderer")
    return Role(roles[0])


def _common_name(certificate: x509.Certificate) -> str:
    names = _texts(certificate, NameOID.COMMON_NAME)
    if len(names) != 1 or not names[0] or not names[0].isprintable():
        raise IdentityRefused("the certificate must have one common name, of printable characters")
    return names[0]


def _texts(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> tuple[str, ...]:
    values = [one.value for one in certificate.subject.get_attributes_for_oid(oid)]
    return tuple(value if isinstance(value, str) else "" for value in values)


def _attributes(certificate: x509.Certificate) -> dict[str, str]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ATTRIBUTES_OID).value
    except x509.ExtensionNotFound:
        return {}
    assert isinstance(extension, x509.UnrecognizedExtension)
    try:
        return msgspec.json.decode(extension.value, type=_Attributes).attrs
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise IdentityRefused("the certificate's attributes are not Fabric-CA's JSON object") from None
