"""An organisation's own part of a network on several machines: its keys, its certificates, and its file for the others.

    request(folder)                   # at the organisation: keys, which stay, and requests for its authorities
    install(folder, certificates)     # what they answered with, checked before any of it is put in place

Both may be repeated: keys that are there are kept, so that certificates are renewed by having them signed again.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from healthchain.app.consortium import stored_topology
from healthchain.config import CHAINCODE, Organisation, Topology
from healthchain.contract.ehr import CONTRACT
from healthchain.errors import BadInput
from healthchain.fabric import nodes
from healthchain.fabric.hosts import host_and_port
from healthchain.fabric.machines.public_part import SUFFIX, PublicPart
from healthchain.fabric.machines.units import ENVIRONMENT
from healthchain.fabric.nodes import Member, Settings
from healthchain.fabric.package import write_package
from healthchain.identity.authorities import Authorities
from healthchain.identity.folders import CredentialsMissing, OrganisationFolder, write_private
from healthchain.identity.requests import AUTHORITY, CertificateUnfit, Request, requests
from healthchain.network.provision import folder_of
from healthchain.records.keyring import Keyring

REQUESTS = "requests"
_END = b"-----END CERTIFICATE-----"


def request(folder: Path, *, hsm: bool = False) -> list[str]:
    """Makes keys and HPKE keys that there are not, and writes all requests; their files' names. Raises BadInput."""
    topology, settings = own_network(folder)
    keyring = Keyring(folder_of(folder, topology.organisation(settings.organisation)))
    try:
        keyring.organisation_key()
    except CredentialsMissing:
        keyring.create()
    asked = [one for one in requests_of(folder, topology, settings, hsm=hsm) if not one.key_elsewhere]
    for one in asked:
        write_private(folder / REQUESTS / f"{one.name}.csr.pem", one.encode())
    return [f"{one.name}.csr.pem" for one in asked]


def install(folder: Path, certificates: Path, *, hsm: bool = False) -> PublicPart:
    """Puts them in place, with the contract's package for the peer; answers with what the others may know.

    Raises BadInput, with nothing written.
    """
    topology, settings = own_network(folder)
    organisation = topology.organisation(settings.organisation)
    now = datetime.datetime.now(datetime.UTC)
    asked = requests_of(folder, topology, settings, hsm=hsm)
    given = {one.name: _read(certificates / f"{one.name}.pem") for one in asked}
    authorities = _authorities(certificates, given.get(AUTHORITY))
    authorities.check(now)
    credentials = folder_of(folder, organisation)
    msp = authorities.msp(credentials.msp_id)
    for one in asked:
        one.check(given[one.name], msp, authorities.tls_root, now)
    part = _public_part(organisation, credentials, authorities, given)
    _place(credentials, authorities, asked, given)
    member = next(one for one in nodes.members(folder, topology, settings) if one.name == organisation.name)
    _, package_id = packaged(member)
    (member.folder / ENVIRONMENT).write_text(f"CHAINCODE_ID={package_id}\n")
    (folder / f"{organisation.name}{SUFFIX}").write_bytes(part.encode())
    return part


def packaged(member: Member) -> tuple[Path, str]:
    """The contract's package for the organisation's peer, and its id: the same again for the same certificates."""
    return write_package(member, f"{CHAINCODE}_{CONTRACT.version}")


def own_network(folder: Path) -> tuple[Topology, Settings]:
    """Raises BadInput for a folder that is not one organisation's among several."""
    topology, settings = stored_topology(folder), nodes.read_settings(folder)
    if not settings.organisation:
        raise BadInput(
            "this folder is of a whole network on one machine, which `healthchain fabric up` runs: for several"
            " machines, make their folders with `healthchain fabric export`"
        )
    return topology, settings


def requests_of(
    folder: Path, topology: Topology, settings: Settings, name: str = "", *, hsm: bool = False
) -> list[Request]:
    """Of the organisation whose folder it is, or another one."""
    organisation = topology.organisation(name or settings.organisation)
    at = settings.hosts[organisation.name]
    return requests(
        folder_of(folder, organisation),
        organisation.roles,
        _hosts(at.peer, at.chaincode),
        _hosts(at.orderer, at.admin),
        persons=organisation.kind == "hospital",
        hsm=hsm,
    )


def _hosts(*addresses: str) -> Sequence[str]:
    return [host_and_port(one)[0] for one in addresses]


def _authorities(certificates: Path, persons: bytes | None) -> Authorities:
    """Roots, and those between: the one that enrols patients, and what intermediates.pem has."""
    path = certificates / "intermediates.pem"
    between = [one.lstrip() + _END + b"\n" for one in _read(path).split(_END)[:-1]] if path.exists() else []
    own = [persons] if persons else []
    return Authorities(_read(certificates / "root.pem"), _read(certificates / "tls-root.pem"), (*own, *between))


def _public_part(
    organisation: Organisation, credentials: OrganisationFolder, authorities: Authorities, given: dict[str, bytes]
) -> PublicPart:
    key = Keyring(credentials).organisation_key().public_bytes
    return PublicPart(
        name=organisation.name,
        domain=organisation.domain,
        root=authorities.root.decode(),
        tls_root=authorities.tls_root.decode(),
        intermediates=tuple(one.decode() for one in authorities.intermediates),
        orderer=given["orderer0"].decode(),
        orderer_tls=given["orderer0-tls"].decode(),
        encryption_key=base64.b64encode(key).decode(),
    )


def _place(
    credentials: OrganisationFolder, authorities: Authorities, asked: Sequence[Request], given: dict[str, bytes]
) -> None:
    credentials.write_msp(authorities.root, authorities.tls_root, authorities.intermediates)
    for one in asked:
        if one.ou is not None:
            credentials.write_certificate(one.certificate.parents[2], given[one.name])
        elif one.hosts:
            credentials.write_server_certificate(one.certificate.parents[1], given[one.name])
        else:
            one.certificate.write_bytes(given[one.name])


def _read(path: Path) -> bytes:
    """One PEM certificate, or several, without what some tools print above it. Raises CertificateUnfit."""
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except FileNotFoundError:
        raise CertificateUnfit(
            f"{path.name}: it is not in the folder of --certificates: have its request signed"
        ) from None
    except ValueError:
        raise CertificateUnfit(f"{path.name}: it is no certificate in PEM") from None
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
