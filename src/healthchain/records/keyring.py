"""The secrets of one organisation beside its credentials: HPKE keys, and the secret behind the ids of imported records.

peerOrganizations/DOMAIN/hpke/private.key       the organisation's own
peerOrganizations/DOMAIN/hpke/replaced-N.key    those it had before: what was sealed to them still opens
peerOrganizations/DOMAIN/hpke/ids.secret        see docs/decisions/0005
peerOrganizations/DOMAIN/hpke/public.key        of an organisation whose private key is on a machine of its own
peerOrganizations/DOMAIN/hpke/adopted.json       patients that another hospital registered
.../users/PSEUDONYM@DOMAIN/hpke/private.key     a patient's own
.../users/ID@DOMAIN/hpke/guardian.key           a guardian's own
"""

from __future__ import annotations

import base64
import datetime
import hmac
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from healthchain.contract.ids import Role
from healthchain.identity.folders import CredentialsMissing, OrganisationFolder, SigningIdentity, write_private
from healthchain.records.sealing import HpkeKey, generate_hpke_key, private_from_bytes, private_to_bytes

KEY = Path("hpke/private.key")
PUBLIC_KEY = Path("hpke/public.key")
ADOPTED = Path("hpke/adopted.json")
GUARDIAN_KEY = Path("hpke/guardian.key")
ID_BYTES = 16
_PSEUDONYM = re.compile(r"[A-Za-z0-9_-]{22}")


class Adopted(msgspec.Struct, frozen=True):
    """A patient whose pseudonym another hospital chose; `source` stands for its URL in this hospital's bundles."""

    source: str
    compartments: tuple[str, ...]  # in the order of `compartments.NAMES`


class Keyring:
    """Everything that this organisation's users can sign or open with."""

    def __init__(self, folder: OrganisationFolder) -> None:
        self._folder = folder
        self._secret: bytes | None = None

    @property
    def msp_id(self) -> str:
        return self._folder.msp_id

    def create(self) -> None:
        """When the network is made; what somebody left there before is not trusted."""
        write_private(self._folder.path / KEY, private_to_bytes(generate_hpke_key()))
        write_private(self._folder.path / "hpke" / "ids.secret", secrets.token_bytes(32))

    def identity(self, user: str) -> SigningIdentity:
        """Raises CredentialsMissing."""
        return self._folder.signing_identity(self._folder.user(user))

    def has_patient(self, pseudonym: str) -> bool:
        """Whether this organisation enrolled the patient, to the end: the key is written last."""
        return _PSEUDONYM.fullmatch(pseudonym) is not None and (self._folder.user(pseudonym) / KEY).exists()

    def organisation_key(self) -> HpkeKey:
        return _load(self._folder.path / KEY).replacing([_load(path) for path in self._replaced()])

    def public_key(self) -> bytes:
        """Of an organisation on another machine, what it told the others. Raises CredentialsMissing."""
        told = self._folder.path / PUBLIC_KEY
        return _read(told) if told.exists() else self.organisation_key().public_bytes

    def write_public_key(self, public_key: bytes) -> None:
        """Of an organisation on another machine."""
        write_private(self._folder.path / PUBLIC_KEY, public_key)

    def rotate_key(self) -> HpkeKey:
        """A new key. Nobody seals to it before a proposal has published it; the one before is kept."""
        current = self._folder.path / KEY
        write_private(current.with_name(f"replaced-{len(self._replaced()) + 1}.key"), _read(current))
        write_private(current, private_to_bytes(generate_hpke_key()))
        return self.organisation_key()

    def patient_key(self, pseudonym: str) -> HpkeKey:
        return _load(self._folder.user(pseudonym) / KEY)

    def has_guardian(self, guardian: str) -> bool:
        return _PSEUDONYM.fullmatch(guardian) is not None and (self._folder.user(guardian) / GUARDIAN_KEY).exists()

    def guardian_key(self, guardian: str) -> HpkeKey:
        return _load(self._folder.user(guardian) / GUARDIAN_KEY)

    def enrol_patient(self, pseudonym: str, now: datetime.datetime, key: HpkeKey | None = None) -> HpkeKey:
        """The patient's identity and key; the same again if an earlier attempt got this far.

        The key is new, or the one that the patient brings along from another custodian.
        """
        attributes = {"hc.role": Role.PATIENT.value, "hc.patient": pseudonym}
        self._enrol(pseudonym, now, attributes, KEY, key)
        return self.patient_key(pseudonym)

    def enrol_guardian(self, guardian: str, now: datetime.datetime, key: HpkeKey | None = None) -> HpkeKey:
        """As `enrol_patient`; the guardian's id is the name in its certificate."""
        self._enrol(guardian, now, {"hc.role": Role.GUARDIAN.value}, GUARDIAN_KEY, key)
        return self.guardian_key(guardian)

    def forget_patient(self, pseudonym: str) -> None:
        """Its identity and key, once it has taken them elsewhere."""
        if self.has_patient(pseudonym):
            shutil.rmtree(self._folder.user(pseudonym))

    def pseudonym(self, url: str) -> str:
        """Of the patient with this URL: the one that it came with, or this hospital's own choice."""
        own = self.opaque_id("patient", url)
        return next((pseudonym for pseudonym, one in self._adopted().items() if one.source == own), own)

    def adopt(self, pseudonym: str, url: str, compartments: Sequence[str]) -> None:
        """Remember a patient that came from another hospital, see `Adopted`."""
        everybody = self._adopted() | {pseudonym: Adopted(self.opaque_id("patient", url), tuple(compartments))}
        write_private(self._folder.path / ADOPTED, msgspec.json.encode(everybody))

    def adopted(self, pseudonym: str) -> Adopted | None:
        return self._adopted().get(pseudonym)

    def opaque_id(self, *parts: str) -> str:
        """128 bits, base64url: equal for equal parts, and meaningless without this organisation's secret."""
        return encode_id(self._keyed(*parts)[:ID_BYTES])

    def encounter_secret(self, patient: str, record: str) -> bytes:
        """256 bits, the same again whenever asked for: what keys the tokens of an encounter's services."""
        return self._keyed("encounter secret", patient, record)

    def _keyed(self, *parts: str) -> bytes:
        if self._secret is None:
            self._secret = _read(self._folder.path / "hpke" / "ids.secret")
        encoded = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
        return hmac.digest(self._secret, encoded, "sha256")

    def _replaced(self) -> list[Path]:
        return sorted((self._folder.path / KEY).parent.glob("replaced-*.key"))

    def _enrol(
        self, name: str, now: datetime.datetime, attributes: dict[str, str], key_path: Path, key: HpkeKey | None
    ) -> None:
        path = self._folder.user(name) / key_path
        if not path.exists():
            self._folder.enrol(name, now, attributes)
            write_private(path, private_to_bytes(key or generate_hpke_key()))

    def _adopted(self) -> dict[str, Adopted]:
        path = self._folder.path / ADOPTED
        return msgspec.json.decode(_read(path), type=dict[str, Adopted]) if path.exists() else {}


def random_id() -> str:
    return encode_id(secrets.token_bytes(ID_BYTES))


def encode_id(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _load(path: Path) -> HpkeKey:
    return private_from_bytes(_read(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialsMissing(f"a key file is missing or unreadable ({path.name}): restore it") from error
