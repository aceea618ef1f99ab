"""Deploying another maker's chaincode, a service that runs already, to the peers of all organisations."""

from __future__ import annotations

from pathlib import Path

from healthchain.app.chaincodes import Connection, require_members, store_connection
from healthchain.app.consortium import NotEmbedded, opened
from healthchain.fabric.nodes import is_fabric
from healthchain.network.external import External
from healthchain.wire.lifecycle import ChaincodeDefinition


async def deploy(folder: Path, definition: ChaincodeDefinition, connection: Connection) -> int:
    """Reach the service, keep its address, commit the definition unless it is in force; its sequence number.

    Repeatable: a service that moved is deployed again. Every organisation of the folder approves.
    Raises ChaincodeFailed if the service cannot be reached, and BadInput.
    """
    if is_fabric(folder):
        raise NotEmbedded
    async with External(connection.endpoint()) as external:
        await external.reach()
        async with opened(folder, extra=[(definition, external)]) as consortium:
            require_members(definition, consortium.network.channel.msp_ids)
            store_connection(folder, definition.name, connection)
            await consortium.define(definition)
            peer = next(iter(consortium.network.peers.values()))
            return peer.ledger.definitions[definition.name].sequence
