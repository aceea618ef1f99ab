"""New certificates for a whole organisation: its authorities, its nodes, and everybody whom it enrolled.

    change = prepare_certificates(folder, topology, name)   # which its administrator proposes, with the old ones
    await renew(folder, name)                               # once it has passed, with the network closed

From the block that enacts the change on, the old ones are nobody's. Keys for sealing are others, and stay.
"""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

from healthchain.app.consortium import opened, stored_topology
from healthchain.config import Organisation, Topology
from healthchain.contract.amendments import RotateCertificates
from healthchain.errors import BadInput
from healthchain.identity.folders import CredentialsMissing, OrganisationFolder
from healthchain.identity.msp import IdentityRefused
from healthchain.network.network import folder_lock
from healthchain.network.provision import enrol_organisation, folder_of

NEXT = "renewed"
"""The folder, beside `organizations`, of credentials that are not in use yet."""


def prepare_certificates(folder: Path, topology: Topology, name: str) -> RotateCertificates:
    """They are made, or found if they were made before; the answer is what to propose. The network may run."""
    organisation = topology.organisation(name)
    following = _following(folder, organisation)
    *_, last = organisation.roles
    try:
        following.signing_identity(following.user(last))
    except CredentialsMissing:
        enrol_organisation(_apart(folder, organisation), organisation, datetime.datetime.now(datetime.UTC))
    return RotateCertificates(following.msp_config(), following.orderer_certificate())


async def renew(folder: Path, name: str) -> None:
    """Put them in the place of the old ones; whoever was enrolled is enrolled again. What was cut off goes on.

    Raises BadInput before the members have accepted them.
    """
    organisation = stored_topology(folder).organisation(name)
    following = _following(folder, organisation)
    async with opened(folder) as consortium:
        try:
            peer = following.signing_identity(following.peer)
            consortium.network.channel.msps.identify(peer.serialized)
        except (CredentialsMissing, IdentityRefused):
            raise BadInput(
                "the members have not accepted new certificates of this organisation: propose them"
            ) from None
    with folder_lock(folder):
        put_in_place(folder, organisation)


def prepared(folder: Path, organisation: Organisation) -> OrganisationFolder:
    """The credentials that are not in use yet. Raises BadInput if there are none."""
    if not _apart(folder, organisation).exists():
        raise BadInput("there are no new certificates in this folder: `healthchain certificates prepare` makes them")
    return _following(folder, organisation)


def put_in_place(folder: Path, organisation: Organisation) -> None:
    """Whoever was enrolled is enrolled again; what was cut off goes on. Nothing of the organisation may run."""
    current, following = folder_of(folder, organisation), _following(folder, organisation)
    now = datetime.datetime.now(datetime.UTC)
    for user in sorted(set(current.users()) - set(following.users())):
        following.enrol(user, now, current.attributes(user))
    following.replace(current)
    shutil.rmtree(_apart(folder, organisation))


def _apart(folder: Path, organisation: Organisation) -> Path:
    return folder / NEXT / organisation.name


def _following(folder: Path, organisation: Organisation) -> OrganisationFolder:
    return folder_of(_apart(folder, organisation), organisation)
