"""The contract, and beside it what a passed proposal leaves on the ledger: for tests of what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from healthchain.app.consortium import ADMINISTRATOR, Consortium, definition, opened, stored_topology
from healthchain.app.joining import Joining
from healthchain.chaincode.dispatch import OK, Response
from healthchain.chaincode.membership import Membership, Standing
from healthchain.chaincode.stub import Stub
from healthchain.contract.ehr import CONTRACT
from healthchain.contract.members import MEMBERS, MEMBERSHIPS, Member, MemberKey, put_member
from healthchain.records.actor import Actor


class Decided:
    """As the contract, but for two functions more: `Admit` and `Set`."""

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return CONTRACT.only_reads(args)

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        if args[0] == b"Admit":
            one = msgspec.json.decode(args[1], type=Joining)
            put_member(stub, one.msp_id, Member(one.kind, one.title), one.contact, MemberKey(1, one.public_key))
            MEMBERSHIPS.put(stub, Membership(Standing.ACTIVE, one.msp_config, one.orderer), one.msp_id)
        elif args[0] == b"Set":
            msp_id, standing = args[1].decode(), Standing(args[2].decode())
            member = MEMBERS.get(stub, msp_id)
            assert member is not None
            MEMBERS.put(stub, msgspec.structs.replace(member, standing=standing), msp_id)
            MEMBERSHIPS.put(stub, Membership(standing), msp_id)
        else:
            return CONTRACT.invoke(stub, args)
        return Response(OK, "", b"")


def decided(folder: Path, work: Callable[[Consortium], Awaitable[None]]) -> None:
    async def opening() -> None:
        extra = [(definition(stored_topology(folder)), Decided())]
        async with opened(folder, extra=extra) as consortium:
            await work(consortium)

    asyncio.run(opening())


async def admit(consortium: Consortium, joining: Joining) -> None:
    await _administrator(consortium).connection.submit("Admit", msgspec.json.encode(joining))


async def set_standing(consortium: Consortium, msp_id: str, standing: Standing) -> None:
    await _administrator(consortium).connection.submit("Set", msp_id.encode(), standing.encode())


def _administrator(consortium: Consortium) -> Actor:
    return consortium.staff(consortium.topology.organisations[0].name, ADMINISTRATOR)
