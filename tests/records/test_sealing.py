"""Bodies and envelopes open where they belong and nowhere else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from healthchain.contract.ids import COMPARTMENTS_MAX, HPKE_PUBLIC_KEY_BYTES
from healthchain.contract.records import BODY_BYTES_MAX
from healthchain.errors import BadInput
from healthchain.records import sealing
from healthchain.records.sealing import Binding, BodySealer, EnvelopeContext, SealBroken

VECTORS = Path(__file__).parent / "vectors"
KEY = bytes(range(32))
BINDING = Binding("ehr", "p" * 22, "r" * 22, 1, "c" * 22, 1, "HospitalMSP")
CONTEXT = EnvelopeContext("ehr", "p" * 22, "c" * 22, 1, "InsurerMSP")
OWN = sealing.generate_hpke_key()

ALTERED_BINDINGS: list[dict[str, Any]] = [
    {"channel": "ehr2"},
    {"patient": "q" * 22},
    {"record": "s" * 22},
    {"version": 2},
    {"compartment": "d" * 22},
    {"epoch": 2},
    {"custodian": "OtherMSP"},
    {"channel": "ehrp", "patient": "p" * 21},  # a byte moved from one field to the next
]
ALTERED_CONTEXTS: list[dict[str, Any]] = [
    {"channel": "ehr2"},
    {"patient": "q" * 22},
    {"compartment": "d" * 22},
    {"epoch": 2},
    {"recipient": "OtherMSP"},
    {"channel": "ehrp", "patient": "p" * 21},
]


@given(st.binary(max_size=2000))
def test_a_body_opens_to_what_was_sealed(plaintext: bytes) -> None:
    sealed = sealing.seal_body(KEY, BINDING, plaintext)
    assert sealing.open_body(KEY, BINDING, sealed) == plaintext
    assert BodySealer(KEY).open(BINDING, sealed) == plaintext


@pytest.mark.parametrize("altered", ALTERED_BINDINGS)
def test_a_body_opens_in_no_other_place(altered: dict[str, Any]) -> None:
    """Under the record's own key too, so that it is the binding which refuses and not only the derivation."""
    elsewhere = replace(BINDING, **altered)
    sealed = sealing.seal_body(KEY, BINDING, b"body")
    record_key = BodySealer(KEY).record_key(BINDING.record, BINDING.version)
    with pytest.raises(SealBroken):
        sealing.open_body(KEY, elsewhere, sealed)
    with pytest.raises(SealBroken):
        sealing.open_record(record_key, elsewhere, sealed)


def test_every_altered_byte_of_a_body_is_found() -> None:
    sealed = sealing.seal_body(KEY, BINDING, b"body")
    for index in range(len(sealed)):
        altered = bytearray(sealed)
        altered[index] ^= 1
        with pytest.raises(SealBroken):
            sealing.open_body(KEY, BINDING, bytes(altered))


def test_every_truncated_or_longer_body_is_found() -> None:
    sealed = sealing.seal_body(KEY, BINDING, b"body")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            sealing.open_body(KEY, BINDING, sealed[:length])
    with pytest.raises(SealBroken):
        sealing.open_body(KEY, BINDING, sealed + b"\0")


def test_a_body_does_not_open_with_another_key() -> None:
    with pytest.raises(SealBroken):
        sealing.open_body(sealing.new_key(), BINDING, sealing.seal_body(KEY, BINDING, b"body"))


def test_lengths_are_padded_and_nonces_differ() -> None:
    def sealed_bytes(count: int) -> int:
        return len(sealing.seal_body(KEY, BINDING, bytes(count)))

    assert {sealed_bytes(count) for count in range(253)} == {29 + 256}
    assert sealed_bytes(253) == 29 + 512
    assert len({sealing.seal_body(KEY, BINDING, b"body")[:13] for _ in range(100)}) == 100
    largest = sealed_bytes(sealing.PLAINTEXT_BYTES_MAX)
    assert largest <= BODY_BYTES_MAX < largest + 256
    with pytest.raises(BadInput):
        sealing.seal_body(KEY, BINDING, bytes(sealing.PLAINTEXT_BYTES_MAX + 1))


@pytest.mark.parametrize("padded", [b"", b"\0\0\0", b"\xff" * 256, bytes(512), bytes(255) + b"\1"])
def test_a_wrong_padding_is_refused_even_from_a_holder_of_the_key(padded: bytes) -> None:
    record_key = BodySealer(KEY).record_key(BINDING.record, BINDING.version)
    ciphertext = AESGCM(record_key).encrypt(bytes(12), padded, sealing._associated_data(BINDING))
    with pytest.raises(SealBroken):
        sealing.open_body(KEY, BINDING, b"\x01" + bytes(12) + ciphertext)


def test_the_record_key_is_hkdf_sha256() -> None:
    """The library's HKDF is the slow twin."""
    info = b"HealthChain/1/record key\0" + (22).to_bytes(4) + b"r" * 22 + (8).to_bytes(4) + (1).to_bytes(8)
    twin = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(KEY)
    assert BodySealer(KEY).record_key("r" * 22, 1) == twin


def test_a_body_sealed_by_the_first_version_still_opens() -> None:
    """Made by this code on its first day: the format of stored bodies does not change by accident."""
    sealed = bytes.fromhex(FIRST_BODY)
    assert sealing.open_body(KEY, BINDING, sealed) == b'{"resourceType":"Basic"}'


@pytest.mark.parametrize("index", range(COMPARTMENTS_MAX))
def test_an_envelope_opens_to_the_key_and_the_compartments_number(index: int) -> None:
    sealed = sealing.seal_envelope(OWN.public_bytes, CONTEXT, KEY, index)
    assert len(sealed) == 1120 + 33 + 16
    assert sealing.open_envelope(OWN, CONTEXT, sealed) == (KEY, index)


@pytest.mark.parametrize("altered", ALTERED_CONTEXTS)
def test_an_envelope_opens_in_no_other_place(altered: dict[str, Any]) -> None:
    sealed = sealing.seal_envelope(OWN.public_bytes, CONTEXT, KEY, 0)
    with pytest.raises(SealBroken):
        sealing.open_envelope(OWN, replace(CONTEXT, **altered), sealed)


def test_every_altered_byte_of_an_envelope_is_found() -> None:
    sealed = sealing.seal_envelope(OWN.public_bytes, CONTEXT, KEY, 0)
    for index in range(len(sealed)):
        altered = bytearray(sealed)
        altered[index] ^= 1
        with pytest.raises(SealBroken):
            sealing.open_envelope(OWN, CONTEXT, bytes(altered))


@given(st.binary(max_size=1400))
def test_whatever_is_not_an_envelope_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        sealing.open_envelope(OWN, CONTEXT, sealed)


@pytest.mark.parametrize("point", [bytes(32), (1).to_bytes(32, "little")])
def test_points_of_small_order_are_refused(point: bytes) -> None:
    with pytest.raises(BadInput):
        sealing.seal_envelope(OWN.public_bytes[:-32] + point, CONTEXT, KEY, 0)
    sealed = sealing.seal_envelope(OWN.public_bytes, CONTEXT, KEY, 0)
    with pytest.raises(SealBroken):
        sealing.open_envelope(OWN, CONTEXT, sealed[:1088] + point + sealed[1120:])


def test_what_cannot_be_sealed_is_bad_input() -> None:
    for public_key in (b"", OWN.public_bytes[:-1], b"\xff" * HPKE_PUBLIC_KEY_BYTES):
        with pytest.raises(BadInput):
            sealing.seal_envelope(public_key, CONTEXT, KEY, 0)
    for key, index in ((KEY, -1), (KEY, COMPARTMENTS_MAX), (KEY[1:], 0)):
        with pytest.raises(BadInput):
            sealing.seal_envelope(OWN.public_bytes, CONTEXT, key, index)
    for key in (b"", KEY[:16]):  # AES itself takes 16 bytes
        with pytest.raises(BadInput):
            sealing.seal_body(key, BINDING, b"body")
        with pytest.raises(BadInput):
            sealing.seal_record(key, BINDING, b"body")


def test_a_private_key_survives_storing() -> None:
    stored = sealing.private_to_bytes(OWN)
    again = sealing.private_from_bytes(stored)
    assert len(OWN.public_bytes) == HPKE_PUBLIC_KEY_BYTES
    assert again.public_bytes == OWN.public_bytes
    assert sealing.open_envelope(again, CONTEXT, sealing.seal_envelope(OWN.public_bytes, CONTEXT, KEY, 4)) == (KEY, 4)
    for bad in (b"", stored[:-1], b"\x02" + stored[1:]):
        with pytest.raises(BadInput):
            sealing.private_from_bytes(bad)


def test_the_hybrid_kem_is_the_published_one() -> None:
    """The vector's suite has ChaCha20-Poly1305: the KEM, its keys' encoding and the key schedule are what we share."""
    vector = json.loads((VECTORS / "hpke_mlkem768_x25519.json").read_text())
    values = {name: bytes.fromhex(value) for name, value in vector.items() if name != "origin"}
    parts = hashlib.shake_256(values["seed"]).digest(96)  # X-Wing's expansion of its 32-byte private key
    key = sealing.private_from_bytes(b"\x01" + parts)
    assert key.public_bytes == values["public_key"]
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    sealed = values["encapsulation"] + values["ciphertext"]
    opened = openssl.hpke._decrypt_with_aad(suite, sealed, key.hybrid, values["info"], values["aad"])
    assert opened == values["plaintext"]


FIRST_BODY = (
    "01f235dba981d20c04496322719babee9ee69ec23931084d24b0f8d302096a887636799ea97d54e64990f4a12b94311ac126"
    "1e39fd3f6ca45f3904fa5a6fb65642edb58ab81ca5f8ed9a4666b09125b0dafd619aa4bc867b45d7a068b1dabe50e048cde3"
    "c94d8795eec0827940ed667094a2ffbfaf171ab5f593305f843a056b53cabbf012ac4ed58489092cf979bc04dee6a2e8d213"
    "3a48c253498e95867ddcec1f8ed0de143d5573276e0cfd368b0f7c5cb633743e57973b15676b0d71337355afbe9f598d1b0e"
    "cef74fbcddfaadac4e45c7f8666bcd8ae0ba90a89db2137b79cd51592a6dddb646dea99bbba329a564110ff7a43f6a743762"
    "aab30f155e5586d29d63e6e499a3a15370cc2749cf51ce910fe69c7d0dd2957f5ed2aa"
)


def test_a_new_key_opens_what_was_sealed_to_those_that_it_replaced() -> None:
    first, second, third = (sealing.generate_hpke_key() for _ in range(3))
    rotated = third.replacing([first, second])
    assert rotated.public_bytes == third.public_bytes
    for one in (first, second, third):
        assert sealing.open_envelope(rotated, CONTEXT, sealing.seal_envelope(one.public_bytes, CONTEXT, KEY, 2)) == (
            KEY,
            2,
        )
    for key in (third, rotated):
        with pytest.raises(SealBroken):
            sealing.open_envelope(key, CONTEXT, sealing.seal_envelope(OWN.public_bytes, CONTEXT, KEY, 2))
    with pytest.raises(SealBroken):
        sealing.open_envelope(third, CONTEXT, sealing.seal_envelope(first.public_bytes, CONTEXT, KEY, 2))
