"""Messages to several parties: each opens it with its own key, nobody else, and nowhere else."""

from __future__ import annotations

import pytest

from healthchain.errors import BadInput
from healthchain.records.sealing import (
    MESSAGE_ENVELOPE_BYTES,
    HpkeKey,
    MessageContext,
    SealBroken,
    generate_hpke_key,
    open_message,
    seal_message,
)

CONTEXT = MessageContext("health", "claim/x/body")
KEYS = {name: generate_hpke_key() for name in ("Agency", "HospitalA", "patient")}
PUBLIC = {name: key.public_bytes for name, key in KEYS.items()}
SEALED = seal_message(PUBLIC, CONTEXT, b"for three")


@pytest.mark.parametrize("name", KEYS)
def test_each_recipient_opens_it(name: str) -> None:
    assert open_message(KEYS[name], name, CONTEXT, SEALED) == b"for three"


@pytest.mark.parametrize(
    ("key", "recipient", "context"),
    [
        (generate_hpke_key(), "Agency", CONTEXT),
        (KEYS["Agency"], "HospitalA", CONTEXT),
        (KEYS["Agency"], "Agency", MessageContext("other", CONTEXT.key)),
        (KEYS["Agency"], "Agency", MessageContext("health", "claim/y/body")),
    ],
    ids=["another key", "another's name", "another channel", "another place"],
)
def test_it_opens_for_nobody_else_and_nowhere_else(key: HpkeKey, recipient: str, context: MessageContext) -> None:
    with pytest.raises(SealBroken):
        open_message(key, recipient, context, SEALED)


@pytest.mark.parametrize("place", [0, 1, 2, 2 + 3 * MESSAGE_ENVELOPE_BYTES, len(SEALED) - 1])
def test_an_altered_byte_breaks_it(place: int) -> None:
    altered = bytearray(SEALED)
    altered[place] ^= 1
    with pytest.raises(SealBroken):
        open_message(KEYS["Agency"], "Agency", CONTEXT, bytes(altered))


@pytest.mark.parametrize("length", [0, 1, 2, 100, 2 + 3 * MESSAGE_ENVELOPE_BYTES, len(SEALED) - 1])
def test_a_part_of_it_is_broken(length: int) -> None:
    with pytest.raises(SealBroken):
        open_message(KEYS["patient"], "patient", CONTEXT, SEALED[:length])


def test_lengths_tell_little() -> None:
    assert len(seal_message(PUBLIC, CONTEXT, b"")) == len(SEALED) == len(seal_message(PUBLIC, CONTEXT, bytes(252)))


def test_what_cannot_be_sealed() -> None:
    with pytest.raises(BadInput, match="recipients"):
        seal_message({}, CONTEXT, b"x")
    with pytest.raises(BadInput):
        seal_message({"Agency": bytes(10)}, CONTEXT, b"x")
