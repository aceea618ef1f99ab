"""An organisation that becomes a member later: its credentials, what a proposal says of it, and its peer's joining.

    joining = prepare_organisation(folder, topology, spec)      # then a proposal adds it, and the members vote
    await join(folder, spec)                                    # with the network closed: an operation, not a rule

From the block that adds it on, the ledger counts it (`ledger.membership`), whether or not its peer runs already.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import msgspec

from healthchain.app.consortium import ADMINISTRATOR, TOPOLOGY, Consortium, definition, opened, stored_topology
from healthchain.config import Organisation, Topology, read_topology, write_topology
from healthchain.contract.ids import Kind
from healthchain.errors import BadInput
from healthchain.identity.folders import CredentialsMissing, OrganisationFolder, write_private
from healthchain.identity.msp import IdentityRefused
from healthchain.network.provision import enrol_organisation, folder_of
from healthchain.records.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Joining:
    """What the proposal that adds the organisation says: `msp_config` is pb(FabricMSPConfig), `orderer` is in PEM."""

    msp_id: str
    kind: Kind
    title: str
    contact: str
    public_key: bytes
    msp_config: bytes
    orderer: bytes


def prepare_organisation(folder: Path, topology: Topology, spec: Organisation) -> Joining:
    """Its credentials and keys are made, or found if they were made before. Raises BadInput for a name that is taken.

    The folder need not be closed: nothing that a running network uses changes.
    """
    extended(topology, spec)
    credentials = folder_of(folder, spec)
    keyring = Keyring(credentials)
    try:
        public_key = keyring.organisation_key().public_bytes
    except CredentialsMissing:
        enrol_organisation(folder, spec, datetime.datetime.now(datetime.UTC))
        keyring.create()  # last: it tells that all is there
        public_key = keyring.organisation_key().public_bytes
    return Joining(
        msp_id=spec.msp_id,
        kind=Kind(spec.kind),
        title=spec.title or spec.name,
        contact=f"{ADMINISTRATOR}@{spec.domain}",
        public_key=public_key,
        msp_config=credentials.msp_config(),
        orderer=credentials.orderer_certificate(),
    )


async def join(folder: Path, spec: Organisation) -> None:
    """Run the peer and orderer of an organisation that the members have added; an attempt that was cut off goes on.

    1. The contract's next definition names it in the collections, so that its peer may hold private values. 2. The
    topology lists it. 3. Its peer fetches all blocks and those values. The network must be closed. Raises BadInput
    before the members have added it.
    """
    topology = stored_topology(folder)
    if spec not in topology.organisations:
        larger = extended(topology, spec)
        agreed = definition(larger)
        async with opened(folder, agreed=agreed) as consortium:
            _require_added(consortium, folder_of(folder, spec))
            await consortium.define(agreed)
            write_private(folder / TOPOLOGY, write_topology(larger).encode())
    async with opened(folder):
        pass


def _require_added(consortium: Consortium, credentials: OrganisationFolder) -> None:
    try:
        peer = credentials.signing_identity(credentials.peer)
        consortium.network.channel.msps.identify(peer.serialized)
    except (CredentialsMissing, IdentityRefused):
        raise BadInput("the members have not added this organisation: propose it, and wait for their votes") from None


def extended(topology: Topology, spec: Organisation) -> Topology:
    """With one organisation more. Raises BadInput where the two do not go together."""
    return read_topology(
        write_topology(msgspec.structs.replace(topology, organisations=(*topology.organisations, spec)))
    )
