"""The nodes of a Fabric network, asked side by side; what one of them cannot answer is noted, and stops nobody else."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fabric_protos.common import ledger_pb2
from google.protobuf.message import DecodeError
from grpc import aio, ssl_channel_credentials

from healthchain.app.consortium import ADMINISTRATOR
from healthchain.app.doctor import agreement, channel, clocks
from healthchain.app.doctor.findings import Code, Finding
from healthchain.client.asking import Known, Node, NodeRefuses, NodeSilent
from healthchain.client.remote import OPTIONS
from healthchain.config import CHAINCODE
from healthchain.errors import BadInput, HealthChainError
from healthchain.fabric.nodes import Member
from healthchain.identity.folders import OrganisationFolder

NOT_FOUND, UNAVAILABLE = 404, 503  # Fabric's common.Status
PEER, ORDERER = "peer", "orderer"

_Answer = TypeVar("_Answer")


class NotJoined(HealthChainError):
    """The peer has no such channel."""


@dataclass(frozen=True, slots=True)
class PeerAnswers:
    """Of one organisation's peer that has joined the channel; None for what it did not answer."""

    organisation: str
    node: Node
    chain: channel.Chain
    config: tuple[int, channel.Configured] | None
    definition: agreement.Definition | None
    installed: agreement.Installed | None
    ran: agreement.Ran | None
    known: Known | None


@dataclass(slots=True)
class Asking:
    """One examination's questions: on which channel, by which clock, and what the asking itself found."""

    channel_id: str
    clock_ns: Callable[[], int]
    findings: list[Finding] = field(default_factory=list)
    peer_clocks: list[clocks.PeerClock] = field(default_factory=list)
    orderer_clocks: list[clocks.OrdererClock] = field(default_factory=list)
    _silent: dict[tuple[str, str], str] = field(default_factory=dict)
    _refused: dict[tuple[str, str], str] = field(default_factory=dict)

    async def attempt(self, organisation: str, node: str, question: Awaitable[_Answer]) -> _Answer | None:
        try:
            return await question
        except NodeSilent as error:
            self._silent.setdefault((organisation, node), str(error))
        except NodeRefuses as error:
            self._refused.setdefault((organisation, node), str(error))
        except DecodeError:
            self._refused.setdefault((organisation, node), "its answer does not decode")
        return None

    def unanswered(self) -> Iterator[Finding]:
        """One finding a node."""
        for code, nodes in ((Code.NODE_SILENT, self._silent), (Code.NODE_REFUSES, self._refused)):
            for (organisation, node), said in nodes.items():
                yield Finding(code, organisation, node, said)

    async def ask_peer(self, member: Member, node: Node, *, own: bool) -> PeerAnswers | None:
        """The clock first: all else is asked with the peer's own time, or one that is off would refuse it.

        What is installed a peer tells its `own` organisation only.
        """
        name = member.name
        clock = await self.attempt(name, PEER, clocks.ask_peer(name, node, self.clock_ns))
        if (name, PEER) in self._silent:
            return None
        if clock is not None:
            self.peer_clocks.append(clock)
            ahead_ns = int(clock.ahead_s * 1e9)
            node = node.by(lambda: self.clock_ns() + ahead_ns)
        try:
            chain = await self.attempt(name, PEER, chain_of(name, node, self.channel_id))
        except NotJoined:
            self.findings.append(Finding(Code.NOT_JOINED, name, PEER, f"channel {self.channel_id}"))
            return None
        return await self._ask_joined(name, node, chain, own=own) if chain is not None else None

    async def _ask_joined(self, name: str, node: Node, chain: channel.Chain, *, own: bool) -> PeerAnswers:
        here = self.channel_id
        config, definition, installed, ran, known = await asyncio.gather(
            self.attempt(name, PEER, _config(node, here)),
            self.attempt(name, PEER, agreement.committed(node, here)),
            self.attempt(name, PEER, agreement.installed(name, node, here) if own else _untold()),
            self.attempt(name, PEER, agreement.runs(node, here)),
            self.attempt(name, PEER, node.known(here, CHAINCODE)),
        )
        return PeerAnswers(name, node, chain, config, definition, installed, ran, known)

    async def ask_orderer(self, member: Member, node: Node) -> None:
        status = await self.attempt(member.name, ORDERER, node.deliver_status(self.channel_id, self.clock_ns()))
        if status == NOT_FOUND:
            self.findings.append(Finding(Code.NOT_JOINED, member.name, ORDERER, f"channel {self.channel_id}"))
        elif status == UNAVAILABLE:
            self.findings.append(Finding(Code.NO_LEADER, member.name, ORDERER, "it takes no part in ordering"))
        elif status is not None:
            question = clocks.ask_orderer(member.name, node, self.channel_id, self.clock_ns)
            clock = await self.attempt(member.name, ORDERER, question)
            self.orderer_clocks += [clock] if clock is not None else []


def connected(
    member: Member, address: str, credentials: OrganisationFolder, clock_ns: Callable[[], int]
) -> tuple[aio.Channel, Node]:
    """A member's node, asked by the administrator of an organisation; the channel is to be closed.

    Raises BadInput for credentials that cannot be used.
    """
    administrator = credentials.user(ADMINISTRATOR)
    identity = credentials.signing_identity(administrator)
    certificate = key = None
    tls_hash = b""
    if (administrator / "tls").is_dir():  # networks that an earlier version made have none
        try:
            certificate = (administrator / "tls" / "client.crt").read_bytes()
            key = (administrator / "tls" / "client.key").read_bytes()
            der = x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
        except (OSError, ValueError):
            raise BadInput("the administrator's TLS certificate or key cannot be used") from None
        tls_hash = hashlib.sha256(der).digest()
    shown = ssl_channel_credentials(member.credentials.tls_authority(), key, certificate)
    at = aio.secure_channel(address, shown, options=OPTIONS)
    return at, Node(at, identity, tls_hash, clock_ns)


async def chain_of(organisation: str, node: Node, channel_id: str) -> channel.Chain:
    """Raises NotJoined, NodeSilent or NodeRefuses."""
    try:
        told = await node.ask(channel_id, "qscc", b"GetChainInfo", channel_id.encode())
    except NodeRefuses as refused:
        if "channel" in str(refused) and "not found" in str(refused):
            raise NotJoined(str(refused)) from None
        raise
    info = ledger_pb2.BlockchainInfo.FromString(told)
    return channel.Chain(organisation, info.height, info.currentBlockHash)


async def _untold() -> None:
    return None


async def _config(node: Node, channel_id: str) -> tuple[int, channel.Configured]:
    return channel.read_config(await node.ask(channel_id, "cscc", b"GetConfigBlock", channel_id.encode()))
