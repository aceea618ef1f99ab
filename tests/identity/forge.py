"""Certificates of every kind, good and bad, made to order."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from fabric_protos.msp import msp_config_pb2

from healthchain.identity.certificates import ATTRIBUTES_OID, NodeOU
from healthchain.identity.msp import MSP, MSPs, encode_msp_config

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
MSP_ID = "HospitalMSP"

RSA_2048 = rsa.generate_private_key(65537, 2048)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Authority:
    """A root or intermediate: its certificate and the key that signs."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def name(common_name: str, ous: Sequence[str] = ()) -> x509.Name:
    units = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ou) for ou in ous]
    return x509.Name([*units, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def usage(*, sign: bool = False, certify: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not sign and not certify,
        key_cert_sign=certify,
        crl_sign=certify,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, serial: int | None = None
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=365))
    )


def authority(
    common_name: str = "ca",
    issuer: Authority | None = None,
    *,
    path_length: int | None = None,
    certify: bool = True,
    is_ca: bool = True,
    identified: bool = True,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Authority:
    key = key or ec_key()
    subject = name(common_name)
    builder = _builder(subject, issuer.certificate.subject if issuer else subject, key)
    builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
    builder = builder.add_extension(usage(sign=True, certify=certify), critical=True)
    if identified:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Authority(key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))


def leaf(
    issuer: Authority,
    *,
    common_names: Sequence[str] = ("somebody",),
    ous: Sequence[str] = (NodeOU.CLIENT.value,),
    key: PrivateKey | None = None,
    signed_by: ec.EllipticCurvePrivateKey | None = None,
    is_ca: bool | None = False,
    key_usage: x509.KeyUsage | None = None,
    attributes: bytes | None = None,
    names_authority: bool = True,
    serial: int | None = None,
) -> bytes:
    """PEM. `signed_by` another key than the issuer's makes a forgery."""
    subject = x509.Name(
        [
            *[x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ou) for ou in ous],
            *[x509.NameAttribute(NameOID.COMMON_NAME, one) for one in common_names],
        ]
    )
    builder = _builder(subject, issuer.certificate.subject, key or ec_key(), serial)
    if is_ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    builder = builder.add_extension(key_usage or usage(sign=True), critical=True)
    if names_authority:
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(own, critical=False)
    if attributes is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(ATTRIBUTES_OID, attributes), critical=False)
    return builder.sign(signed_by or issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def revocation_list(issuer: Authority, revoked: Sequence[bytes], signed_by: Authority | None = None) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(NOW).next_update(NOW + datetime.timedelta(days=365))
    for pem in revoked:
        serial = x509.load_pem_x509_certificate(pem).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build()
        builder = builder.add_revoked_certificate(entry)
    signed = builder.sign((signed_by or issuer).key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def msp_config(
    roots: Sequence[bytes],
    intermediates: Sequence[bytes] = (),
    revocations: Sequence[bytes] = (),
    msp_id: str = MSP_ID,
) -> bytes:
    config = msp_config_pb2.FabricMSPConfig.FromString(encode_msp_config(msp_id, roots[0], roots[0], revocations))
    config.root_certs[:] = roots
    config.intermediate_certs[:] = intermediates
    if len(roots) > 1:
        units = config.fabric_node_ous
        for ou in NodeOU:
            getattr(units, f"{ou.value}_ou_identifier").ClearField("certificate")
    return config.SerializeToString()


def msp(*roots: Authority, intermediates: Sequence[Authority] = (), revocations: Sequence[bytes] = ()) -> MSP:
    return MSP.from_config(msp_config([one.pem for one in roots], [one.pem for one in intermediates], revocations))


def msps(**by_id: Authority) -> MSPs:
    return MSPs({msp_id: MSP.from_config(msp_config([one.pem], msp_id=msp_id)) for msp_id, one in by_id.items()})


def der(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.strip().splitlines()[1:-1]))


def pem(encoded: bytes, kind: bytes = b"CERTIFICATE") -> bytes:
    text = base64.b64encode(encoded)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN " + kind + b"-----", *lines, b"-----END " + kind + b"-----", b""])


def length_of(content: bytes) -> bytes:
    """DER's length octets."""
    size = len(content)
    if size < 0x80:
        return bytes((size,))
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((0x80 | len(octets),)) + octets


def resigned(pem_certificate: bytes, issuer: Authority, old: bytes, new: bytes) -> bytes:
    """The certificate with bytes of its signed part exchanged for as many others, and signed again: what a hostile
    authority may issue though no library would build it."""
    certificate = x509.load_pem_x509_certificate(pem_certificate)
    signed = certificate.tbs_certificate_bytes
    assert signed.count(old) == 1
    assert len(old) == len(new)
    signed = signed.replace(old, new)
    signature = issuer.key.sign(signed, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    bits = b"\x03" + length_of(b"\x00" + signature) + b"\x00" + signature
    content = signed + algorithm + bits
    return pem(b"\x30" + length_of(content) + content)
