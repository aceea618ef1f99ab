"""What an organisation tells the others before there is a channel: public keys and certificates, in one JSON file.

All members' files together, with the topology and the hosts, determine block 0 to the byte.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from healthchain.config import Organisation, Topology
from healthchain.contract.ids import HPKE_PUBLIC_KEY_BYTES
from healthchain.errors import BadInput
from healthchain.identity.authorities import Authorities
from healthchain.identity.folders import OrganisationFolder
from healthchain.identity.requests import Request
from healthchain.identity.tls import is_one_certificate

SUFFIX = ".member.json"


class PartUnfit(BadInput):
    """A member's file cannot be used; the text names the member and what to do."""


class PublicPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Certificates are PEM: the roots, those between, the orderer's as a member and as a server; the key is base64."""

    name: str
    domain: str
    root: str
    tls_root: str
    intermediates: tuple[str, ...]
    orderer: str
    orderer_tls: str
    encryption_key: str

    @property
    def authorities(self) -> Authorities:
        between = tuple(one.encode() for one in self.intermediates)
        return Authorities(self.root.encode(), self.tls_root.encode(), between)

    def public_key(self) -> bytes:
        """Raises PartUnfit."""
        try:
            key = base64.b64decode(self.encryption_key, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != HPKE_PUBLIC_KEY_BYTES:
            raise PartUnfit(f"the file of {self.name}: its encryption key is damaged: ask for the file again")
        return key

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def fingerprint(self) -> str:
        """To be compared over another channel than the file came by."""
        return sha256(self.encode()).hexdigest()


def read_parts(folder: Path, topology: Topology) -> dict[str, PublicPart]:
    """Of every organisation of the topology. Raises PartUnfit."""
    return {one.name: _read(folder / f"{one.name}{SUFFIX}", one) for one in topology.organisations}


def check_part(part: PublicPart, msp_id: str, orderer: Sequence[Request], now: datetime.datetime) -> None:
    """As its organisation has checked its own; `orderer` is what it asked for, as member and as server.

    Raises PartUnfit.
    """
    _require_plain(part)
    authorities = part.authorities
    try:
        authorities.check(now)
        msp = authorities.msp(msp_id)
        for request, certificate in zip(orderer, (part.orderer, part.orderer_tls), strict=True):
            request.check(certificate.encode(), msp, authorities.tls_root, now, own=False)
    except BadInput as error:
        raise PartUnfit(f"the file of {part.name}: {error}") from None
    part.public_key()


def place_part(part: PublicPart, folder: OrganisationFolder) -> None:
    """Where the organisation's own tools would have put the public files, so that the rest finds them."""
    authorities = part.authorities
    folder.write_msp(authorities.root, authorities.tls_root, authorities.intermediates)
    folder.write_certificate(folder.orderer, part.orderer.encode())
    folder.write_server_certificate(folder.orderer, part.orderer_tls.encode())


def _require_plain(part: PublicPart) -> None:
    """Whoever reads the certificates later, also Fabric, reads what was checked."""
    fields = {"root": part.root, "tls_root": part.tls_root, "orderer": part.orderer, "orderer_tls": part.orderer_tls}
    for what, pem in (*fields.items(), *(("intermediates", one) for one in part.intermediates)):
        if not is_one_certificate(pem.encode()):
            raise PartUnfit(f"the file of {part.name}: its {what} must be one certificate in PEM, and nothing else")


def _read(path: Path, organisation: Organisation) -> PublicPart:
    try:
        part = msgspec.json.decode(path.read_bytes(), type=PublicPart)
    except FileNotFoundError:
        raise PartUnfit(f"there is no {path.name}: ask {organisation.name} for it") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PartUnfit(f"{path.name} is damaged ({error}): ask {organisation.name} for it again") from None
    if (part.name, part.domain) != (organisation.name, organisation.domain):
        raise PartUnfit(f"{path.name} is of another organisation: ask {organisation.name} for its own")
    return part
