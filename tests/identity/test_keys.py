"""Signatures: low S when signing, and nothing but the one low-S DER encoding when verifying, on both curves."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import example, given
from hypothesis import strategies as st

from healthchain.identity.keys import ORDERS, KeyRefused, SigningKey, low_s, signature_holds

from .forge import RSA_2048, ec_key

CURVES = [ec.SECP256R1(), ec.SECP384R1()]
DIGEST = sha256(b"message").digest()
KEYS = {curve.name: SigningKey(ec_key(curve)) for curve in CURVES}


@pytest.mark.parametrize("curve", KEYS)
def test_signatures_have_low_s_and_hold(curve: str) -> None:
    key, order = KEYS[curve], ORDERS[curve]
    for index in range(40):
        signature = key.sign(b"%d" % index)
        _, s = decode_dss_signature(signature)
        assert s <= order // 2
        assert signature_holds(key.public, sha256(b"%d" % index).digest(), signature)
        assert not signature_holds(key.public, DIGEST, signature)


@pytest.mark.parametrize("curve", KEYS)
def test_high_s_is_refused_though_it_is_mathematically_right(curve: str) -> None:
    key, order = KEYS[curve], ORDERS[curve]
    r, s = decode_dss_signature(key.sign_digest(DIGEST))
    high = encode_dss_signature(r, order - s)
    assert not signature_holds(key.public, DIGEST, high)
    assert low_s(high, order) == encode_dss_signature(r, s)
    assert signature_holds(key.public, DIGEST, low_s(high, order))


def test_low_s_of_fabrics_vector() -> None:
    """Fabric's own Go code, bccsp/utils."""
    high = bytes.fromhex("302702020080022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc63254c")
    assert low_s(high, ORDERS["secp256r1"]).hex() == "300702020080020105"


@pytest.mark.parametrize("curve", KEYS)
def test_half_of_the_order_itself_is_low(curve: str) -> None:
    half = ORDERS[curve] >> 1
    assert low_s(encode_dss_signature(1, half), ORDERS[curve]) == encode_dss_signature(1, half)
    assert low_s(encode_dss_signature(1, half + 1), ORDERS[curve]) == encode_dss_signature(1, half)


def test_the_orders_are_those_of_the_curves() -> None:
    """n times the generator is the point at infinity: n - 1 is the largest private key that there is."""
    for curve in CURVES:
        order = ORDERS[curve.name]
        assert ec.derive_private_key(order - 1, curve).curve.name == curve.name
        with pytest.raises(ValueError, match=r".*"):
            ec.derive_private_key(order, curve)


def _longer(signature: bytes) -> bytes:
    """BER, not DER: the length in two octets."""
    return b"\x30\x81" + signature[1:]


@pytest.mark.parametrize("curve", KEYS)
def test_other_encodings_of_a_right_signature_are_refused(curve: str) -> None:
    key = KEYS[curve]
    good = key.sign_digest(DIGEST)
    r, s = decode_dss_signature(good)
    for one in (good + b"\x00", good[:-1], b"\x00" + good, _longer(good), b"", good + good):
        assert not signature_holds(key.public, DIGEST, one)
    for pair in ((0, s), (r, 0), (0, 0), (ORDERS[curve], s), (r + ORDERS[curve], s)):
        assert not signature_holds(key.public, DIGEST, encode_dss_signature(*pair))


@given(st.binary(max_size=120), st.sampled_from(sorted(KEYS)))
@example(bytes.fromhex("3006020180020180"), "secp256r1")  # negative numbers
@example(b"\x30" * 100, "secp384r1")
def test_bytes_that_nobody_signed_never_hold(signature: bytes, curve: str) -> None:
    assert not signature_holds(KEYS[curve].public, DIGEST, signature)


@pytest.mark.parametrize("curve", KEYS)
def test_no_bit_of_a_signature_can_be_flipped(curve: str) -> None:
    key = KEYS[curve]
    good = key.sign_digest(DIGEST)
    for bit in range(len(good) * 8):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not signature_holds(key.public, DIGEST, bytes(flipped))


def test_another_curve_never_holds() -> None:
    key = ec_key(ec.SECP521R1())
    assert not signature_holds(key.public_key(), DIGEST, KEYS["secp256r1"].sign_digest(DIGEST))


@pytest.mark.parametrize("curve", KEYS)
def test_a_key_reads_back_from_pem(curve: str) -> None:
    again = SigningKey.from_pem(KEYS[curve].to_pem())
    assert again.public == KEYS[curve].public
    assert signature_holds(KEYS[curve].public, DIGEST, again.sign_digest(DIGEST))


def _pem(key: object, password: bytes | None = None) -> bytes:
    assert isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | type(RSA_2048))
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"nonsense",
        _pem(RSA_2048),
        _pem(ed25519.Ed25519PrivateKey.generate()),
        _pem(ec_key(ec.SECP521R1())),
        _pem(ec_key(), b"password"),
    ],
    ids=["empty", "nonsense", "RSA", "Ed25519", "P-521", "encrypted"],
)
def test_other_keys_are_refused(pem: bytes) -> None:
    with pytest.raises(KeyRefused, match="enrol again"):
        SigningKey.from_pem(pem)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_key_are_refused(pem: bytes) -> None:
    with pytest.raises(KeyRefused):
        SigningKey.from_pem(pem)
