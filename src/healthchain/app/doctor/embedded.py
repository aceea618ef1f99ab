"""The embedded network: whether it opens or is open, who serves it, and whether other makers' chaincodes answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from healthchain.app.chaincodes import ChaincodeInvalid, stored_connections
from healthchain.app.consortium import Consortium, opened
from healthchain.app.doctor import reach
from healthchain.app.doctor.credentials import TLS
from healthchain.app.doctor.findings import Code, Finding, Report, Severity
from healthchain.app.profile import endpoints
from healthchain.config import Topology
from healthchain.errors import HealthChainError
from healthchain.identity.folders import CredentialsMissing
from healthchain.identity.msp import IdentityRefused
from healthchain.network.network import FolderInUse
from healthchain.network.provision import organisation_folder


async def examine(folder: Path, topology: Topology, on_disk: Sequence[Finding], base_port: int | None) -> Report:
    """`on_disk` is what is wrong with credentials. Raises BadInput."""
    explained = {(one.organisation, one.node) for one in on_disk if one.code.severity == Severity.ERROR}
    try:
        places = [*_served(folder, topology, base_port), *_services(folder)]
        damaged = []
    except ChaincodeInvalid as error:
        places, damaged = [], [Finding(Code.FILE_DAMAGED, "", "folder", str(error))]
    found = damaged + reach.judge(await reach.reach(places), {one for one in explained if TLS in one})
    opening, unanswered = await _opening(folder, topology)
    return Report(tuple(found + opening), (f"{len(places)} addresses", "whether the network opens"), unanswered)


async def _opening(folder: Path, topology: Topology) -> tuple[list[Finding], tuple[str, ...]]:
    """Whoever has it open keeps others out: then only its process can tell."""
    try:
        async with opened(folder) as consortium:
            return list(_known(consortium, folder, topology)), ()
    except FolderInUse:
        return [], ("the ledgers: another process has the network open",)
    except HealthChainError as error:
        return [Finding(Code.NETWORK_DOES_NOT_OPEN, "", "network", str(error))], ()


def _known(consortium: Consortium, folder: Path, topology: Topology) -> Iterator[Finding]:
    """Each member's peer, by the authorities that the ledger has now."""
    for one in topology.organisations:
        credentials = organisation_folder(folder, topology, one.name)
        try:
            peer = credentials.signing_identity(credentials.peer)
            consortium.network.channel.msps.identify(peer.serialized)
        except CredentialsMissing:
            continue  # found among the credentials
        except IdentityRefused as refused:
            yield Finding(Code.AUTHORITY_UNKNOWN, one.name, "peer", str(refused))


def _served(folder: Path, topology: Topology, base_port: int | None) -> Iterator[reach.Place]:
    """By `healthchain up`."""
    if base_port is None:
        return
    for name, one in endpoints(folder, topology, base_port).items():
        try:
            root = one.credentials.tls_authority()
        except CredentialsMissing:
            continue
        yield reach.Place(name, reach.PEER, one.address, root, one.credentials.peer / "tls" / "server.crt")


def _services(folder: Path) -> Iterator[reach.Place]:
    for one in stored_connections(folder).values():
        root = one.root_cert.encode() if one.tls_required else None
        yield reach.Place("", reach.SERVICE, one.address, root, None)
