"""The secrets of one organisation beside its credentials: HPKE keys, and the secret behind the ids of imported records.

peerOrganizations/DOMAIN/hpke/private.key       the organisation's own
peerOrganizations/DOMAIN/hpke/replaced-N.key    those it had before: what was sealed to them still opens
peerOrganizations/DOMAIN/hpke/ids.secret        see docs/decisions/0005
.../users/PSEUDONYM@DOMAIN/hpke/private.key     a patient's own
"""

from __future__ import annotations

import base64
import datetime
import hmac
import re
import secrets
from pathlib import Path

from healthchain.contract.ids import Role
from healthchain.identity.folders import CredentialsMissing, OrganisationFolder, SigningIdentity, write_private
from healthchain.records.sealing import HpkeKey, generate_hpke_key, private_from_bytes, private_to_bytes

KEY = Path("hpke/private.key")
ID_BYTES = 16
_PSEUDONYM = re.compile(r"[A-Za-z0-9_-]{22}")


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

    def rotate_key(self) -> HpkeKey:
        """A new key. Nobody seals to it before a proposal has published it; the one before is kept."""
        current = self._folder.path / KEY
        write_private(current.with_name(f"replaced-{len(self._replaced()) + 1}.key"), _read(current))
        write_private(current, private_to_bytes(generate_hpke_key()))
        return self.organisation_key()

    def patient_key(self, pseudonym: str) -> HpkeKey:
        return _load(self._folder.user(pseudonym) / KEY)

    def enrol_patient(self, pseudonym: str, now: datetime.datetime) -> HpkeKey:
        """The patient's identity and key; the same again if an earlier attempt got this far."""
        user = self._folder.user(pseudonym)
        if not (user / KEY).exists():
            self._folder.enrol(pseudonym, now, {"hc.role": Role.PATIENT.value, "hc.patient": pseudonym})
            self._create_key(user / KEY)
        return self.patient_key(pseudonym)

    def opaque_id(self, *parts: str) -> str:
        """128 bits, base64url: equal for equal parts, and meaningless without this organisation's secret."""
        if self._secret is None:
            self._secret = _read(self._folder.path / "hpke" / "ids.secret")
        encoded = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
        return encode_id(hmac.digest(self._secret, encoded, "sha256")[:ID_BYTES])

    def _replaced(self) -> list[Path]:
        return sorted((self._folder.path / KEY).parent.glob("replaced-*.key"))

    def _create_key(self, path: Path) -> None:
        if not path.exists():
            write_private(path, private_to_bytes(generate_hpke_key()))


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
