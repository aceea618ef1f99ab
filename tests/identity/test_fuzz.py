"""Hostile bytes: whatever a certificate, MSP configuration or policy holds, the answer is a value or typed refusal."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from fabric_protos.common import policies_pb2
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from healthchain.identity.certificates import encode_attributes
from healthchain.identity.msp import MSP, IdentityRefused, MSPMalformed, encode_msp_config, serialize_identity
from healthchain.identity.policy import PolicyMalformed, compile_policy

from .forge import MSP_ID, authority, der, leaf, msp, msp_config, msps, pem, revocation_list

ROOT = authority("ca.hospital")
INTERMEDIATE = authority("below", ROOT)
GOOD = leaf(ROOT, attributes=encode_attributes({"hc.role": "clinician"}))
MEMBERS = msps(HospitalMSP=ROOT)
CREATOR = serialize_identity(MSP_ID, GOOD)
CRL = revocation_list(ROOT, [GOOD])
LIKELY = (0, 1, 2, 3, 5, 6, 0x0C, 0x13, 0x30, 0x31, 0x7F, 0x80, 0xA0, 0xA3, 0xFF)

_Value = TypeVar("_Value")


def spoiled(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Copies with a few bytes changed, cut out or put in."""
    chance = random.Random(seed)  # noqa: S311
    for _ in range(count):
        copy = bytearray(content)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            at = chance.randrange(len(copy))
            byte = chance.choice((chance.randrange(256), chance.choice(LIKELY), copy[at] ^ 1))
            match chance.randrange(8):
                case 0:
                    del copy[at : at + chance.randrange(1, 4)]
                case 1:
                    copy.insert(at, byte)
                case _:
                    copy[at] = byte
            if not copy:
                copy = bytearray(1)
        yield bytes(copy)


def outcomes(
    contents: Iterator[bytes], use: Callable[[bytes], _Value], refused: type[Exception]
) -> tuple[list[_Value], int]:
    """What was accepted, and how many were refused; every other exception is the test's failure."""
    accepted, refusals = [], 0
    for one in contents:
        try:
            accepted.append(use(one))
        except refused:
            refusals += 1
    return accepted, refusals


def check_certificates(count: int, seed: int) -> None:
    """What is still accepted is the same person with the same rights."""
    members = msp(ROOT)
    good = members.validate(GOOD)
    contents = (pem(one) for one in spoiled(der(GOOD), count, seed))
    accepted, refused = outcomes(contents, members.validate, IdentityRefused)
    assert refused > count // 2
    assert {one.fingerprint for one in accepted} <= {good.fingerprint}
    assert all(one.attributes == good.attributes and one.role is good.role for one in accepted)


def check_creators(count: int, seed: int) -> None:
    accepted, _ = outcomes(spoiled(CREATOR, count, seed), MEMBERS.identify, IdentityRefused)
    assert {one.msp_id for one in accepted} <= {MSP_ID}
    assert {one.fingerprint for one in accepted} <= {MEMBERS.identify(CREATOR).fingerprint}


def check_configurations(count: int, seed: int) -> None:
    root, below, revoked = der(ROOT.pem), der(INTERMEDIATE.pem), der(CRL)
    configurations = [
        spoiled(msp_config([ROOT.pem], [INTERMEDIATE.pem], [CRL]), count, seed),
        (msp_config([ROOT.pem], [pem(one)], [CRL]) for one in spoiled(below, count, seed)),
        (msp_config([pem(one)], [INTERMEDIATE.pem]) for one in spoiled(root, count, seed)),
        (msp_config([ROOT.pem], revocations=[pem(one, b"X509 CRL")]) for one in spoiled(revoked, count, seed)),
    ]
    for one in configurations:
        outcomes(one, MSP.from_config, MSPMalformed)


def check_policies(count: int, seed: int) -> None:
    encoded = bytes.fromhex(
        "1210120e08021202080012020801120208021a0f120d0a094167656e63794d535010031a11120f0a0b486f73706974616c4d535010"
        "031a10120e0a0a496e73757265724d53501003"
    )

    def use(content: bytes) -> bool:
        try:
            envelope = policies_pb2.SignaturePolicyEnvelope.FromString(content)
        except (DecodeError, UnicodeDecodeError):
            return False
        return compile_policy(envelope, MEMBERS).evaluate([MEMBERS.identify(CREATOR)])

    outcomes(spoiled(encoded, count, seed), use, PolicyMalformed)


CHECKS = [check_certificates, check_creators, check_configurations, check_policies]


@pytest.mark.parametrize("check", CHECKS)
def test_spoiled_bytes(check: Callable[[int, int], None]) -> None:
    check(600, 1)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(2, 7))
@pytest.mark.parametrize("check", CHECKS)
def test_many_spoiled_bytes(check: Callable[[int, int], None], seed: int) -> None:
    check(15_000, seed)


@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    outcomes(iter([content]), MEMBERS.identify, IdentityRefused)
    outcomes(iter([pem(content)]), msp(ROOT).validate, IdentityRefused)
    outcomes(iter([content, encode_msp_config(MSP_ID, content, content)]), MSP.from_config, MSPMalformed)


@given(st.text(max_size=40), st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=4))
def test_any_text_in_a_certificate_comes_back_as_it_was(common_name: str, attributes: dict[str, str]) -> None:
    usable = common_name.encode("utf-8", "replace").decode()[:20] or "x"
    made = leaf(ROOT, common_names=(usable,), attributes=encode_attributes(attributes))
    accepted, _ = outcomes(iter([made]), msp(ROOT).validate, IdentityRefused)
    assert all(one.common_name == usable and one.attributes == attributes for one in accepted)
