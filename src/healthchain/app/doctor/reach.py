"""Who listens where a node should, and whether what it shows is what is on its disk."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from healthchain.app.doctor.findings import Code, Finding
from healthchain.client.handshake import ClientFiles, Handshake, Outcome, shake_hands

PEER, ORDERER, SERVICE = "peer", "orderer", "chaincode"
_UNREACHABLE = {
    PEER: Code.PEER_UNREACHABLE,
    ORDERER: Code.ORDERER_UNREACHABLE,
    SERVICE: Code.SERVICE_UNREACHABLE,
}
_CODES = {
    Outcome.NOT_TLS: Code.NOT_TLS,
    Outcome.SILENT: Code.NODE_SILENT,
    Outcome.OTHER_AUTHORITY: Code.OTHER_AUTHORITY,
    Outcome.EXPIRED: Code.SERVED_EXPIRED,
    Outcome.NOT_YET_VALID: Code.SERVED_EXPIRED,
    Outcome.OTHER_HOST: Code.OTHER_HOST,
    Outcome.REFUSED: Code.OTHER_AUTHORITY,
}
_NOBODY = frozenset((Outcome.NO_SUCH_HOST, Outcome.NOTHING_LISTENS))


@dataclass(frozen=True, slots=True)
class Place:
    """Where one node listens, and as whom: `root` is its authority's certificate in PEM (None: it speaks no TLS),
    `shown` the file of its own. `runs` says whether the process that was started here does, None if none was.
    """

    organisation: str
    node: str
    address: str
    root: bytes | None
    shown: Path | None
    client: ClientFiles | None = None
    runs: bool | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """`handshake` is None where own files could not be used; `on_disk` is the certificate in DER."""

    place: Place
    handshake: Handshake | None
    on_disk: bytes | None

    @property
    def answers(self) -> bool:
        return self.handshake is not None and self.handshake.outcome == Outcome.DONE


async def reach(places: Sequence[Place]) -> list[Reached]:
    """All at once."""
    return list(await asyncio.gather(*(_reach(one) for one in places)))


def judge(reached: Sequence[Reached], explained: Collection[tuple[str, str]]) -> list[Finding]:
    """`explained` are the (organisation, node) whose TLS certificate on disk is the cause already."""
    return [finding for one in reached for finding in _judge(one, explained)]


def _judge(one: Reached, explained: Collection[tuple[str, str]]) -> Iterator[Finding]:
    place, handshake = one.place, one.handshake
    if handshake is None:
        return
    if handshake.outcome in _NOBODY:
        process = {True: ", though its process runs", False: "; its process does not run", None: ""}[place.runs]
        what = f"{place.address}: {handshake.outcome}{process}"
        yield Finding(_UNREACHABLE[place.node], place.organisation, place.node, what)
    elif (place.organisation, place.node) in explained:
        return
    elif handshake.outcome in _CODES:
        what = f"{place.address}: {handshake.outcome}" + (f" ({handshake.said})" if handshake.said else "")
        yield Finding(_CODES[handshake.outcome], place.organisation, place.node, what)
    elif one.on_disk is not None and handshake.certificate != one.on_disk:
        what = f"{place.address}: not the certificate of its folder"
        yield Finding(Code.OLD_CERTIFICATE, place.organisation, place.node, what)


async def _reach(place: Place) -> Reached:
    """What is wrong with own files is found elsewhere."""
    try:
        handshake = await shake_hands(place.address, place.root, place.client)
    except (OSError, ssl.SSLError, ValueError):
        return Reached(place, None, None)
    try:
        on_disk = x509.load_pem_x509_certificate(place.shown.read_bytes()) if place.shown else None
    except (OSError, ValueError):
        on_disk = None
    return Reached(place, handshake, on_disk.public_bytes(Encoding.DER) if on_disk else None)
