"""The types that arguments and state are made of, and how private keys are spelled.

Identifiers are 128 random bits, base64url without padding; they tell nothing about what they stand for.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from healthchain.chaincode.stub import PERSON_ROLES

BODIES = "records"  # the private collection of record bodies
ENVELOPES = "keys"  # the private collection of compartment key envelopes
MESSAGES = "messages"  # the private collection of texts sealed to named parties: claims, reports, reasons, comments
COLLECTIONS = (BODIES, ENVELOPES, MESSAGES)

COMPARTMENTS_MAX = 16
COMPARTMENTS = 5  # at the registration, the same number for every patient, so that it tells nothing
HPKE_PUBLIC_KEY_BYTES = 1184 + 32  # ML-KEM-768, then X25519

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22}\Z", max_length=22)]
# An MSP id never looks like an Id: both name recipients of envelopes, and one must not pass for the other.
MspId = Annotated[
    str, Meta(pattern=r"^(?![A-Za-z0-9_-]{22}\Z)[A-Za-z0-9][A-Za-z0-9._-]*\Z", min_length=1, max_length=64)
]
# A certificate's common name; who somebody is, is always their MSP id and this, joined by a slash (`members.user_of`).
CommonName = Annotated[str, Meta(pattern=r"^[^/\x00-\x1f\x7f\U0010ffff]+\Z", min_length=1, max_length=64)]
Text = Annotated[str, Meta(min_length=1, max_length=500)]  # public: never anything of a patient
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]  # a commitment or a keyed token
StartId = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]{22})?\Z", max_length=22)]
Milliseconds = Annotated[int, Meta(ge=0, lt=2**53)]
Counter = Annotated[int, Meta(ge=1, lt=2**31)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
PublicKey = Annotated[bytes, Meta(min_length=HPKE_PUBLIC_KEY_BYTES, max_length=HPKE_PUBLIC_KEY_BYTES)]


class Arguments(Struct, frozen=True, forbid_unknown_fields=True):
    """The one JSON object that a function takes."""


class Result(Struct, frozen=True):
    """The one JSON object that a function answers with."""


class Event(Struct, frozen=True):
    """The payload of every chaincode event: opaque ids only, since all members see it."""

    patient: str
    ids: tuple[str, ...]


class Kind(StrEnum):
    HOSPITAL = "hospital"
    INSURER = "insurer"
    AGENCY = "agency"


class Role(StrEnum):
    """The values of the certificate attribute `hc.role`."""

    CLINICIAN = "clinician"
    ADMINISTRATOR = "administrator"
    CLAIMS_AGENT = "claims-agent"
    HEALTH_OFFICER = "health-officer"
    PATIENT = "patient"
    GUARDIAN = "guardian"  # speaks for patients whom the custodian named; see `guardians`


PERSONS = frozenset(map(Role, PERSON_ROLES))


class Purpose(StrEnum):
    """Purposes of use, HL7 v3-PurposeOfUse."""

    TREAT = "TREAT"
    ETREAT = "ETREAT"
    HPAYMT = "HPAYMT"
    HOPERAT = "HOPERAT"
    HRESCH = "HRESCH"
    PUBHLTH = "PUBHLTH"
    PATRQT = "PATRQT"


class Action(StrEnum):
    READ = "read"
    CONTRIBUTE = "contribute"


def body_key(patient: str, record: str, version: int) -> str:
    """In BODIES. The patient is in it, so that no hospital can overwrite another patient's body."""
    return f"{patient}/{record}/{version}"


def envelope_key(compartment: str, epoch: int, recipient: str) -> str:
    """In ENVELOPES; `recipient` is the MSP id of an organisation or the pseudonym of the patient."""
    return f"{compartment}/{epoch}/{recipient}"
