"""A consortium's folder and the update of its channel's configuration: addresses from the folder, keys of one member.

envelope = await make(folder, name, proposal_id)         # any member
review = await sign(folder, name, proposal_id, envelope)   # each administrator; the file travels
await submit(folder, name, proposal_id, envelope)        # one of them, once enough have signed
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from pathlib import Path

from fabric_protos.common.configtx_pb2 import Config, ConfigUpdateEnvelope

from healthchain.app.consortium import ADMINISTRATOR, Consortium, opened
from healthchain.app.renewing import NEXT
from healthchain.client.remote import Endpoint
from healthchain.errors import BadInput
from healthchain.fabric.broadcast import broadcast
from healthchain.fabric.hosts import local_nodes
from healthchain.fabric.membership import NodeAddresses, addresses_of, orderers_of
from healthchain.fabric.nodes import PORT_STEP, FabricFailed, members, read_settings
from healthchain.fabric.tools import eventually
from healthchain.identity.folders import CredentialsMissing, OrganisationFolder
from healthchain.records import channel_membership as membership
from healthchain.records.actor import Actor
from healthchain.records.channel_membership import AlreadyDone, Decided, Review
from healthchain.records.governing import sign_as
from healthchain.wire.config_update import update_transaction
from healthchain.wire.proposal import NONCE_BYTES

NEW_CONFIG_S_MAX = 60.0
ORGANIZATIONS = "organizations"


class SignaturesMissing(BadInput):
    """The update has fewer signatures than the channel asks for."""


async def make(
    folder: Path, organisation: str, proposal_id: str, given: NodeAddresses | None = None
) -> ConfigUpdateEnvelope:
    """`given`: the addresses of a member whose credentials are elsewhere. Raises BadInput, Refused or AlreadyDone."""
    async with opened(folder) as consortium:
        administrator = _administrator(consortium, organisation)
        agreed = await membership.decided(administrator, proposal_id)
        at = NodeAddresses()
        if agreed.takes_part:
            config = await membership.current_config(administrator)
            at = given or _addresses(consortium, config, agreed)
        return await membership.make(administrator, proposal_id, at)


async def sign(folder: Path, organisation: str, proposal_id: str, envelope: ConfigUpdateEnvelope) -> Review:
    """With the organisation's key alone, if it has not signed yet. Raises what `membership.checked` raises."""
    async with opened(folder) as consortium:
        administrator = _administrator(consortium, organisation)
        review = await membership.checked(administrator, proposal_id, envelope)
        if administrator.recipient not in review.signatures.signed:
            sign_as(administrator.connection.identity, envelope)
            review = await membership.checked(administrator, proposal_id, envelope)
        return review


async def look(folder: Path, organisation: str, proposal_id: str, envelope: ConfigUpdateEnvelope) -> Review:
    """Raises what `membership.checked` raises."""
    async with opened(folder) as consortium:
        return await membership.checked(_administrator(consortium, organisation), proposal_id, envelope)


async def submit(folder: Path, organisation: str, proposal_id: str, envelope: ConfigUpdateEnvelope) -> bool:
    """Until every peer here has it; False if the channel had it already. Raises SignaturesMissing or FabricFailed."""
    async with opened(folder) as consortium:
        administrator = _administrator(consortium, organisation)
        try:
            review = await membership.checked(administrator, proposal_id, envelope)
        except AlreadyDone:
            return False
        found = review.signatures
        if not found.suffice:
            raise SignaturesMissing(
                f"{len(found.signed)} of the {found.needed} signatures that are needed: let administrators of"
                f" {', '.join(found.missing)} sign"
            )
        identity, channel = administrator.connection.identity, consortium.topology.channel
        nonce = secrets.token_bytes(NONCE_BYTES)
        transaction = update_transaction(
            channel, envelope, identity.serialized, nonce, identity.key.sign, time.time_ns()
        )
        orderers = [Endpoint(address, roots) for address, roots in orderers_of(review.config)]
        await broadcast(orderers, transaction)
        here = read_settings(folder).organisation  # of one machine among several
        for one in consortium.topology.organisations:
            if one.msp_id in review.getting_it and here in ("", one.name):
                await _has(_administrator(consortium, one.name), review.config.sequence + 1)
        return True


async def _has(actor: Actor, sequence: int) -> None:
    """Wait for the peer. Raises FabricFailed."""

    async def there() -> None:
        if (await membership.current_config(actor)).sequence < sequence:
            raise FabricFailed(f"the peer of {actor.recipient} has not got the new configuration")

    await eventually(there, seconds_max=NEW_CONFIG_S_MAX)


def credentials_with(folder: Path, msp_id: str, msp_config: bytes) -> OrganisationFolder:
    """Those that the members decided about, in use or prepared. Raises BadInput."""
    for root in (folder / ORGANIZATIONS, *sorted((folder / NEXT).glob(f"*/{ORGANIZATIONS}"))):
        for path in sorted((root / "peerOrganizations").glob("*")):
            found = OrganisationFolder(root, msp_id, path.name)
            with suppress(CredentialsMissing):
                if found.msp_config() == msp_config:
                    return found
    raise BadInput(
        f"the new credentials of {msp_id} are not in this folder: give --peer, --orderer and --orderer-tls, as it"
        " says them"
    )


def _addresses(consortium: Consortium, config: Config, agreed: Decided) -> NodeAddresses:
    """Where the member is already, in this folder or in the channel, or else on the next ports of this machine."""
    folder, settings = consortium.folder, read_settings(consortium.folder)
    credentials = credentials_with(folder, agreed.msp_id, agreed.msp_config)
    listed = members(folder, consortium.topology, settings)
    known = {one.msp_id: NodeAddresses(one.peer, one.orderer) for one in listed}
    if membership.is_member(config, agreed.msp_id):
        known[agreed.msp_id] = addresses_of(config, agreed.msp_id)
    following = local_nodes(max(one.port for one in listed) + PORT_STEP)
    at = known.get(agreed.msp_id) or NodeAddresses(following.peer, following.orderer)
    if not agreed.orders:
        return NodeAddresses(at.peer)
    return NodeAddresses(at.peer, at.orderer, (credentials.orderer / "tls" / "server.crt").read_bytes())


def _administrator(consortium: Consortium, organisation: str) -> Actor:
    return consortium.staff(organisation, ADMINISTRATOR)
