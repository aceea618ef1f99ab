"""What a scenario needs of the network that it is played on, beyond what every consortium has."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from healthchain.app.consortium import Consortium
from healthchain.config import Organisation


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of all peers' blocks found: `told` says what was checked, and how many findings there are."""

    told: str
    clean: bool
    blocks: int
    transactions: int


@dataclass(frozen=True, slots=True)
class Joined:
    """A new member's peer beside the others, after it endorsed."""

    peers: int
    endorsed_by_it: bool
    peers_equal: bool


class Memberships(Protocol):
    """Of a network whose members come and go by vote alone."""

    def members(self, consortium: Consortium) -> int:
        """How many endorse and order now."""

    async def join(self, spec: Organisation) -> None:
        """Let the peer of a member that the votes added take part, with the network closed."""

    async def joined(self, consortium: Consortium, spec: Organisation) -> Joined:
        """What the last block and all peers show."""


class Stage(Protocol):
    """`embedded.Embedded` or `on_fabric.OnFabric`; the consortium stays in its folder."""

    @property
    def where_erased(self) -> str:
        """How it is told that an erased value is nowhere; what was looked at is the network's own."""

    @property
    def copied(self) -> str:
        """What `tampered` makes a copy of."""

    @property
    def memberships(self) -> Memberships | None: ...

    async def found(self) -> None:
        """Make the demo's consortium: four members."""

    def opened(self) -> AbstractAsyncContextManager[Consortium]: ...

    async def held(self, consortium: Consortium, organisation: str, collection: str, key: str) -> bytes | None:
        """The private value that the organisation's own peer holds now."""

    async def any_left(self, traces: Collection[bytes]) -> bool:
        """Whether any peer has any of these pieces of private values."""

    async def check(self) -> Checked:
        """Every block of every peer, with the network closed."""

    async def tampered(self, organisation: str) -> str:
        """What the check says of a copy of a peer's blocks in which one byte is different."""
