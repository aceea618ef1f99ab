"""The members of the consortium, as the ledger lists them."""

from __future__ import annotations

from healthchain.contract import members
from healthchain.contract.members import ListedMember
from healthchain.records.actor import Actor


async def list_members(actor: Actor) -> list[ListedMember]:
    """Suspended and removed ones too, by MSP id."""
    return (await actor.ask("members:List", members.List(), members.Members)).members
