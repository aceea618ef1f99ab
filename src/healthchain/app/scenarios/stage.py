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


@dataclass(frozen=True, slots=True)
class Update:
    """pb(ConfigUpdateEnvelope) for a Fabric channel; `told` says what it is good for here."""

    told: str
    encoded: bytes
    signatures: int


class Memberships(Protocol):
    """Members that come: what a network does once the votes have added one."""

    @property
    def follow_votes(self) -> bool:
        """Whether the deciding vote alone says who endorses and orders, from the next block on."""

    async def count(self, consortium: Consortium) -> int:
        """How many endorse and order now."""

    async def join(self, spec: Organisation, proposal_id: str) -> Update:
        """Let the nodes of a member that this proposal added take part; the consortium must be closed."""

    async def joined(self, consortium: Consortium, spec: Organisation) -> Joined:
        """What the last block and all peers show."""


class Stage(Protocol):
    """`embedded.Embedded` or `on_fabric.OnFabric`; the consortium stays in its folder."""

    @property
    def memberships(self) -> Memberships: ...

    @property
    def copied(self) -> str:
        """What `tampered` makes a copy of."""

    async def found(self) -> None:
        """Make the demo's consortium: four members."""

    def opened(self) -> AbstractAsyncContextManager[Consortium]: ...

    async def held(self, consortium: Consortium, organisation: str, collection: str, key: str) -> bytes | None:
        """The private value that the organisation's own peer holds now."""

    async def let_go(self) -> None:
        """Do what keeps erased values from lying in peers' files."""

    async def on_disk(self, traces: Collection[bytes]) -> bool:
        """Whether any file of any peer has any of these pieces of private values."""

    async def check(self) -> Checked:
        """Every block of every peer, with the network closed."""

    async def tampered(self, organisation: str) -> str:
        """What the check says of a copy of a peer's blocks in which one byte is different."""
