"""An organisation that becomes a member later: its credentials, what a proposal says of it, and its peer's joining.

    change = prepare_organisation(folder, topology, spec)   # which is proposed, and voted on
    await join(folder, spec)                                # with the network closed: an operation, not a rule

From the block that adds it on, the ledger counts it (`ledger.membership`), whether or not its peer runs already.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec

from healthchain.app.consortium import ADMINISTRATOR, TOPOLOGY, Consortium, definition, opened, stored_topology
from healthchain.config import Organisation, Topology, read_topology, write_topology
from healthchain.contract.amendments import AddMember
from healthchain.contract.ids import Kind
from healthchain.errors import BadInput
from healthchain.identity.folders import CredentialsMissing, OrganisationFolder, write_private
from healthchain.identity.msp import IdentityRefused
from healthchain.network.provision import enrol_organisation, folder_of
from healthchain.records.keyring import Keyring


def prepare_organisation(folder: Path, topology: Topology, spec: Organisation) -> AddMember:
    """Its credentials and keys are made, or found if they were made before; the answer is what to propose.

    The network may run: nothing that it uses changes. Raises BadInput for a name that is taken.
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
    return AddMember(
        msp_id=spec.msp_id,
        kind=Kind(spec.kind),
        name=spec.title or spec.name,
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
