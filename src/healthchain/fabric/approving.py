"""One organisation's share in a contract's definition: it approves, sees who else has, and may commit.

Source: Fabric docs/source/chaincode_lifecycle.md, internal/peer/lifecycle/chaincode.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from healthchain.fabric.nodes import FabricFailed, Member
from healthchain.fabric.tools import Tools, eventually
from healthchain.wire.lifecycle import ChaincodeDefinition

LEADER_S_MAX = 15.0
_NOT_ORDERED = (
    "SERVICE_UNAVAILABLE",
    "timed out waiting for txid",
    "context finished before block retrieved",
    "error receiving from deliver filtered",
)
"""Fabric's peer (internal/peer/common/deliverclient.go): the last three mean that no block came in time."""


class NotOrdered(FabricFailed):
    """Too few orderers are in the channel yet, or can be reached, to order anything."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Of `definition` by `own`; the file `collections` is as `deploying.write_collections` leaves it.

    What is to be ordered goes to the orderer of `through`, or to the own one.
    """

    tools: Tools
    own: Member
    channel: str
    definition: ChaincodeDefinition
    collections: Path
    through: Member | None = None

    async def approve(self, package_id: str, seconds_max: float = LEADER_S_MAX) -> None:
        """Unless it was approved so before, with this package. Raises NotOrdered or FabricFailed."""
        await eventually(partial(self._approve, package_id), seconds_max=seconds_max)

    async def _approve(self, package_id: str) -> None:
        """Looks each time: what was not seen in a block in time may be in one now, and Fabric refuses it twice."""
        if package_id in await self._approved() and self.own.msp_id not in await self.lacking():
            return
        await self._ordered(
            self._lifecycle("approveformyorg", *self._orderer(), *self._terms(), "--package-id", package_id)
        )

    async def lacking(self) -> list[str]:
        """The MSP ids of those who have not approved it; nobody once it is committed. Raises FabricFailed."""
        try:
            told = await self.tools.peer(*self._lifecycle("checkcommitreadiness", *self._terms(), "--output", "json"))
        except FabricFailed as failed:
            if f"requested sequence is {self.definition.sequence}, but new definition must be" in str(failed):
                return []
            raise
        approvals: dict[str, bool] = json.loads(told[told.index("{") :])["approvals"]
        return sorted(msp_id for msp_id, approved in approvals.items() if not approved)

    async def commit(self, members: Sequence[Member]) -> None:
        """With an endorsement by each of these peers. Raises FabricFailed."""
        peers = [
            part for one in members for part in ("--peerAddresses", one.peer, "--tlsRootCertFiles", str(one.tls_root))
        ]
        await self.tools.peer(*self._lifecycle("commit", *self._orderer(), *self._terms(), *peers))

    async def _ordered(self, arguments: Sequence[str]) -> str:
        try:
            return await self.tools.peer(*arguments)
        except FabricFailed as failed:
            if any(one in str(failed) for one in _NOT_ORDERED):
                raise NotOrdered(str(failed)) from None
            raise

    async def _approved(self) -> str:
        """What the peer tells of the own approval: nothing if there is none."""
        sequence = ("--sequence", str(self.definition.sequence))
        try:
            return await self.tools.peer(*self._lifecycle("queryapproved", *sequence))
        except FabricFailed as failed:
            if "could not fetch approved chaincode definition" in str(failed):
                return ""
            raise

    def _lifecycle(self, command: str, *options: str) -> tuple[str, ...]:
        return ("lifecycle", "chaincode", command, "-C", self.channel, "-n", self.definition.name, *options)

    def _terms(self) -> tuple[str, ...]:
        numbers = ("-v", self.definition.version, "--sequence", str(self.definition.sequence))
        return (*numbers, "--collections-config", str(self.collections))

    def _orderer(self) -> tuple[str, ...]:
        through = self.through or self.own
        return ("-o", through.orderer, "--tls", "--cafile", str(through.tls_root))
