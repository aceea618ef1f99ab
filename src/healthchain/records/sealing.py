"""Record bodies under a compartment's key, and compartment keys under a recipient's public key.

Bodies: AES-256-GCM with a key of their own for each record version, HKDF-SHA256(compartment key, record and version).
Envelopes: HPKE (RFC 9180) base mode with ML-KEM-768 and X25519, HKDF-SHA256, AES-256-GCM. No key is stored here.
Messages to several parties: a key of their own, in an envelope for each party, all in one ciphertext.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from healthchain.contract.ids import COMPARTMENTS_MAX, HPKE_PUBLIC_KEY_BYTES
from healthchain.contract.records import BODY_BYTES_MAX
from healthchain.errors import BadInput, HealthChainError

KEY_BYTES = 32
NONCE_BYTES, TAG_BYTES, LENGTH_BYTES = 12, 16, 4
PADDED_TO_BYTES = 256
SUITE_1 = b"\x01"
ENCAPSULATION_BYTES = 1088 + 32  # ML-KEM-768's ciphertext, X25519's public key
MESSAGE_ENVELOPE_BYTES = ENCAPSULATION_BYTES + KEY_BYTES + TAG_BYTES
# The largest body that the contract takes once it is padded and sealed.
PLAINTEXT_BYTES_MAX = (
    BODY_BYTES_MAX - len(SUITE_1) - NONCE_BYTES - TAG_BYTES
) // PADDED_TO_BYTES * PADDED_TO_BYTES - LENGTH_BYTES

MLKEM_SEED_BYTES, X25519_BYTES = 64, 32
HPKE_PRIVATE_KEY_BYTES = len(SUITE_1) + MLKEM_SEED_BYTES + X25519_BYTES
_HPKE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_NO_SALT = bytes(32)  # RFC 5869, section 2.2: a salt that is not given is a string of zeros


class SealBroken(HealthChainError):
    """What was sealed does not open: altered, bound to something else, or sealed to another key. No details."""

    def __init__(self) -> None:
        super().__init__("what was sealed does not open with this key in this place")


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a body belongs. A body opens nowhere else."""

    channel: str
    patient: str
    record: str
    version: int
    compartment: str
    epoch: int
    custodian: str


@dataclass(frozen=True, slots=True)
class EnvelopeContext:
    """Where an envelope belongs, and to whom."""

    channel: str
    patient: str
    compartment: str
    epoch: int
    recipient: str


@dataclass(frozen=True, slots=True)
class MessageContext:
    """Where a message belongs: `key` is its key in the contract's collection of messages."""

    channel: str
    key: str


class BodySealer:
    """A compartment's key, prepared once for many bodies."""

    def __init__(self, key: bytes) -> None:
        self._extracted = hmac.digest(_NO_SALT, _of_length(key, KEY_BYTES), "sha256")

    def seal(self, binding: Binding, plaintext: bytes) -> bytes:
        return seal_record(self.record_key(binding.record, binding.version), binding, plaintext)

    def open(self, binding: Binding, sealed: bytes) -> bytes:
        return open_record(self.record_key(binding.record, binding.version), binding, sealed)

    def record_key(self, record: str, version: int) -> bytes:
        """HKDF-Expand to one block. Whoever holds this key can read this version of this record alone."""
        return hmac.digest(self._extracted, _encode(b"record key", record, version) + b"\x01", "sha256")


def new_key() -> bytes:
    return urandom(KEY_BYTES)


def seal_body(key: bytes, binding: Binding, plaintext: bytes) -> bytes:
    """`key` is the compartment's. For many bodies of one compartment use BodySealer."""
    return BodySealer(key).seal(binding, plaintext)


def open_body(key: bytes, binding: Binding, sealed: bytes) -> bytes:
    return BodySealer(key).open(binding, sealed)


def seal_record(record_key: bytes, binding: Binding, plaintext: bytes) -> bytes:
    """suite (1) || nonce (12) || AES-256-GCM(length (4) || plaintext || zeros to a multiple of 256) with its tag."""
    _of_length(record_key, KEY_BYTES)  # AES would take a shorter one
    if len(plaintext) > PLAINTEXT_BYTES_MAX:
        raise BadInput(f"a record's body has at most {PLAINTEXT_BYTES_MAX} bytes")
    nonce = urandom(NONCE_BYTES)
    return SUITE_1 + nonce + AESGCM(record_key).encrypt(nonce, _padded(plaintext), _associated_data(binding))


def open_record(record_key: bytes, binding: Binding, sealed: bytes) -> bytes:
    """With the key of one record alone, as BodySealer.record_key gives it."""
    _of_length(record_key, KEY_BYTES)
    if sealed[:1] != SUITE_1 or len(sealed) < 1 + NONCE_BYTES + TAG_BYTES:
        raise SealBroken
    nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        padded = AESGCM(record_key).decrypt(nonce, ciphertext, _associated_data(binding))
    except InvalidTag:
        raise SealBroken from None
    return _unpadded(padded)


def seal_envelope(public_key: bytes, context: EnvelopeContext, key: bytes, compartment_index: int) -> bytes:
    """encapsulation (1120) || ciphertext (33 + 16): the same length for every compartment."""
    if compartment_index not in range(COMPARTMENTS_MAX):
        raise BadInput("no compartment has this number")
    plaintext = _of_length(key, KEY_BYTES) + compartment_index.to_bytes(1)
    try:
        return _HPKE.encrypt(plaintext, _public_from_bytes(public_key), _envelope_info(context))
    except ValueError:  # a coefficient out of range, or a point of small order
        raise BadInput("these bytes are not a public key of ML-KEM-768 and X25519") from None


def open_envelope(private_key: HpkeKey, context: EnvelopeContext, sealed: bytes) -> tuple[bytes, int]:
    """The compartment's key, and the number of its name in `compartments.NAMES`."""
    try:
        plaintext = private_key.decrypt(sealed, _envelope_info(context))
    except InvalidTag:
        raise SealBroken from None
    if len(plaintext) != KEY_BYTES + 1 or plaintext[KEY_BYTES] >= COMPARTMENTS_MAX:
        raise SealBroken
    return plaintext[:KEY_BYTES], plaintext[KEY_BYTES]


def seal_message(public_keys: Mapping[str, bytes], context: MessageContext, plaintext: bytes) -> bytes:
    """To each recipient -> its public key: suite (1) || count (1) || an envelope (1168) each, by recipient || body.

    The body is nonce (12) || AES-256-GCM(length (4) || plaintext || zeros to a multiple of 256) with its tag; its
    associated data is the context, the envelopes' info the context and the recipient.
    """
    if not 0 < len(public_keys) < 256:
        raise BadInput("a message has 1 to 255 recipients")
    key, nonce = new_key(), urandom(NONCE_BYTES)
    try:
        envelopes = [
            _HPKE.encrypt(key, _public_from_bytes(public_key), _message_info(context, recipient))
            for recipient, public_key in sorted(public_keys.items())
        ]
    except ValueError:
        raise BadInput("these bytes are not a public key of ML-KEM-768 and X25519") from None
    body = AESGCM(key).encrypt(nonce, _padded(plaintext), _encode(b"message", context.channel, context.key))
    return SUITE_1 + len(envelopes).to_bytes(1) + b"".join(envelopes) + nonce + body


def open_message(private_key: HpkeKey, recipient: str, context: MessageContext, sealed: bytes) -> bytes:
    """By one of its recipients. Raises SealBroken, also for somebody to whom it was not sealed."""
    start = len(SUITE_1) + 1
    count = sealed[len(SUITE_1)] if len(sealed) > start and sealed[:1] == SUITE_1 else 0
    end = start + count * MESSAGE_ENVELOPE_BYTES
    if not count or len(sealed) < end + NONCE_BYTES + TAG_BYTES:
        raise SealBroken
    for place in range(start, end, MESSAGE_ENVELOPE_BYTES):
        envelope = sealed[place : place + MESSAGE_ENVELOPE_BYTES]
        try:
            key = private_key.decrypt(envelope, _message_info(context, recipient))
        except InvalidTag:
            continue
        nonce, body = sealed[end : end + NONCE_BYTES], sealed[end + NONCE_BYTES :]
        try:
            padded = AESGCM(_of_length(key, KEY_BYTES)).decrypt(
                nonce, body, _encode(b"message", context.channel, context.key)
            )
        except (InvalidTag, BadInput):
            raise SealBroken from None
        return _unpadded(padded)
    raise SealBroken


class HpkeKey:
    """A private key, with those that it replaced. The library's own gives away neither halves nor public bytes."""

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey, older: Sequence[HpkeKey] = ()) -> None:
        self._mlkem, self._x25519 = mlkem, x25519
        self.hybrid = MLKEM768X25519PrivateKey(mlkem, x25519)
        self._older = tuple(older)

    def replacing(self, older: Sequence[HpkeKey]) -> HpkeKey:
        """Opens also what was sealed to these."""
        return HpkeKey(self._mlkem, self._x25519, older)

    def decrypt(self, sealed: bytes, info: bytes) -> bytes:
        """Raises InvalidTag where no key opens it."""
        try:
            return _HPKE.decrypt(sealed, self.hybrid, info)
        except InvalidTag:
            for one in self._older:
                with contextlib.suppress(InvalidTag):
                    return one.decrypt(sealed, info)
            raise

    @property
    def public_bytes(self) -> bytes:
        """ML-KEM-768 (1184), then X25519 (32), as X-Wing and the contract have it."""
        return self._mlkem.public_key().public_bytes_raw() + self._x25519.public_key().public_bytes_raw()

    @property
    def private_parts(self) -> bytes:
        """ML-KEM seed d || z (64), then X25519 (32)."""
        return self._mlkem.private_bytes_raw() + self._x25519.private_bytes_raw()


def generate_hpke_key() -> HpkeKey:
    return HpkeKey(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())


def private_to_bytes(key: HpkeKey) -> bytes:
    """suite (1) || private parts (96), in the clear: whoever stores it protects it."""
    return SUITE_1 + key.private_parts


def private_from_bytes(stored: bytes) -> HpkeKey:
    if _of_length(stored, HPKE_PRIVATE_KEY_BYTES)[:1] != SUITE_1:
        raise BadInput("this private key is of a kind that this version does not know")
    seed, x25519 = stored[1 : 1 + MLKEM_SEED_BYTES], stored[1 + MLKEM_SEED_BYTES :]
    return HpkeKey(MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(x25519))


def _public_from_bytes(public_key: bytes) -> MLKEM768X25519PublicKey:
    """Raises ValueError."""
    mlkem, x25519 = _of_length(public_key, HPKE_PUBLIC_KEY_BYTES)[:-X25519_BYTES], public_key[-X25519_BYTES:]
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(mlkem), X25519PublicKey.from_public_bytes(x25519)
    )


def _padded(plaintext: bytes) -> bytes:
    padding = bytes(-(LENGTH_BYTES + len(plaintext)) % PADDED_TO_BYTES)
    return len(plaintext).to_bytes(LENGTH_BYTES) + plaintext + padding


def _unpadded(padded: bytes) -> bytes:
    end = LENGTH_BYTES + int.from_bytes(padded[:LENGTH_BYTES])
    # A holder of the key can seal anything: one plaintext has one padding, so that nothing hides behind it.
    if len(padded) != end + -end % PADDED_TO_BYTES or padded[end:].strip(b"\0"):
        raise SealBroken
    return padded[LENGTH_BYTES:end]


def _associated_data(binding: Binding) -> bytes:
    b = binding
    return _encode(b"body", b.channel, b.patient, b.record, b.version, b.compartment, b.epoch, b.custodian)


def _envelope_info(context: EnvelopeContext) -> bytes:
    c = context
    return _encode(b"envelope", c.channel, c.patient, c.compartment, c.epoch, c.recipient)


def _message_info(context: MessageContext, recipient: str) -> bytes:
    return _encode(b"message key", context.channel, context.key, recipient)


def _encode(use: bytes, *fields: str | int) -> bytes:
    """Unambiguous: the use, then each field with its length in front, a number in 8 bytes."""
    encoded = b"HealthChain/1/" + use + b"\0"
    for field in fields:
        value = field.encode() if isinstance(field, str) else field.to_bytes(8)
        encoded += len(value).to_bytes(4) + value
    return encoded


def _of_length(value: bytes, length: int) -> bytes:
    if len(value) != length:
        raise BadInput(f"this key must have {length} bytes")
    return value
