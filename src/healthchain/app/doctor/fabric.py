"""A network on Fabric: who listens, what peers and orderers answer, and what all that says together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from healthchain.app.consortium import ADMINISTRATOR, definition
from healthchain.app.doctor import agreement, channel, clocks, erasure, gossip, private_data, reach
from healthchain.app.doctor.credentials import TLS
from healthchain.app.doctor.findings import Code, Finding, Report, Severity
from healthchain.app.doctor.questions import Asking, PeerAnswers, chain_of, connected
from healthchain.app.fabric.local import NodeStatus, status
from healthchain.client.handshake import ClientFiles
from healthchain.config import Topology
from healthchain.errors import BadInput
from healthchain.fabric.nodes import Consensus, Member, Settings, members, read_settings
from healthchain.identity.folders import CredentialsMissing
from healthchain.wire.block import quorum

LATER_S = 2.0
Reached = dict[tuple[str, str], reach.Reached]


async def examine(folder: Path, topology: Topology, on_disk: Sequence[Finding], clock_ns: Callable[[], int]) -> Report:
    """`on_disk` is what is wrong with credentials. Raises BadInput."""
    settings = read_settings(folder)
    listed = members(folder, topology, settings)
    running = [] if settings.organisation else await asyncio.to_thread(status, folder)
    places = [place for one in listed for place in _places(one, running, settings.organisation)]
    reached = {(one.place.organisation, one.place.node): one for one in await reach.reach(places)}
    errors = [one for one in on_disk if one.code.severity == Severity.ERROR]
    explained = {(one.organisation, one.node) for one in errors if TLS in one.what}
    explained |= {(name, reach.SERVICE) for name, node in explained if node == reach.PEER}  # it shows its peer's
    asking = Asking(topology.channel, clock_ns)
    async with AsyncExitStack() as stack:
        answers = await _ask(asking, stack, listed, reached, settings.organisation)
        findings = [
            *reach.judge(list(reached.values()), explained),
            *_orderers(reached, settings),
            *await _judge(asking, topology, listed, answers, reached),
        ]
    files = await asyncio.to_thread(_files, listed)  # last: it takes the processor from the others
    findings += [finding for one in listed for finding in _purges(one)]
    findings += [finding for one in files for finding in erasure.judge_files(one)]
    admins = {one.organisation for one in errors if one.node == ADMINISTRATOR}  # whose questions are refused for that
    refused = [one for one in asking.unanswered() if (settings.organisation or one.organisation) not in admins]
    silent = [name for name in (one.name for one in listed) if name not in {one.organisation for one in answers}]
    return Report(
        tuple(findings + refused),
        (
            f"{len(places)} addresses, by a TLS handshake each",
            f"{len(asking.peer_clocks) + len(asking.orderer_clocks)} clocks",
            f"the channel, the contract, its collections and gossip, as {len(answers)} peers have them",
            f"the files of {len(files)} peers",
        ),
        (
            *(f"{name}: what only its peer can tell" for name in silent),
            *(text for one in files for text in erasure.unread(one)),
        ),
    )


async def _ask(
    asking: Asking, stack: AsyncExitStack, listed: Sequence[Member], reached: Reached, whose: str
) -> list[PeerAnswers]:
    """Each node by its own organisation's administrator, or all by that of `whose` folder this is."""
    credentials = {one.name: one.credentials for one in listed}
    peers, orderers = [], []
    for one in listed:
        for node, address in (("peer", one.peer), ("orderer", one.orderer)):
            found = reached.get((one.name, node))
            if found is None or not found.answers:
                continue
            try:
                opened, asked = connected(one, address, credentials[whose or one.name], asking.clock_ns)
            except BadInput:  # found among the credentials
                continue
            await stack.enter_async_context(opened)
            if node == "peer":
                peers.append(asking.ask_peer(one, asked, own=whose in ("", one.name)))
            else:
                orderers.append(asking.ask_orderer(one, asked))
    answers, _ = await asyncio.gather(asyncio.gather(*peers), asyncio.gather(*orderers))
    return [one for one in answers if one is not None]


async def _judge(
    asking: Asking, topology: Topology, listed: Sequence[Member], answers: Sequence[PeerAnswers], reached: Reached
) -> list[Finding]:
    msp_ids = {one.name: one.msp_id for one in listed}
    findings = asking.findings + clocks.judge(asking.peer_clocks, asking.orderer_clocks)
    configs = [one.config for one in answers if one.config is not None]
    if configs:
        _, latest = max(configs, key=lambda one: one[0])
        findings += channel.judge(latest, [kept(one) for one in listed])
        ran = [one.ran for one in answers if one.ran is not None]
        findings += agreement.judge_members(ran, msp_ids, latest.authorities)
    chains = [one.chain for one in answers]
    findings += channel.judge_chains(chains, await _later(asking, answers, channel.highest(chains)))
    findings += await _contract(asking, topology, msp_ids, answers, reached)
    views = [gossip.View(one.organisation, one.known) for one in answers if one.known is not None]
    answering = {one.organisation for one in answers}
    findings += gossip.judge(views, {one.name: one.peer for one in listed if one.name in answering})
    return findings


async def _contract(
    asking: Asking, topology: Topology, msp_ids: dict[str, str], answers: Sequence[PeerAnswers], reached: Reached
) -> list[Finding]:
    defined = [(one.definition, one) for one in answers if one.definition is not None]
    if not defined:
        return []
    in_force, informed = max(defined, key=lambda one: one[0].sequence)
    installed = [one.installed for one in answers if one.installed is not None]
    expected = definition(topology)
    findings = list(agreement.judge(in_force, expected.version, msp_ids, installed))
    asked = [
        asking.attempt(informed.organisation, "peer", agreement.pending(informed.node, asking.channel_id, one))
        for one in agreement.following(installed, in_force)
    ]
    waiting = [one for one in await asyncio.gather(*asked) if one is not None]
    findings += agreement.judge_pending(waiting, msp_ids)
    if in_force.sequence:
        names = [one.name for one in expected.collections]
        answering = [one.organisation for one in answers]
        findings += private_data.judge(in_force.collections, names, msp_ids, answering)
        services = {name for (name, node), one in reached.items() if node == reach.SERVICE and not one.answers}
        known = services | {one.organisation for one in findings}
        findings += agreement.judge_runs({one.organisation: one.ran.said for one in answers if one.ran}, known)
    return findings


async def _later(asking: Asking, answers: Sequence[PeerAnswers], highest: int) -> dict[str, int]:
    """Who was behind, asked once more: others may just have committed."""
    behind = [one for one in answers if one.chain.height < highest]
    if not behind:
        return {}
    await asyncio.sleep(LATER_S)
    asked = [
        asking.attempt(one.organisation, "peer", chain_of(one.organisation, one.node, asking.channel_id))
        for one in behind
    ]
    return {one.organisation: one.height for one in await asyncio.gather(*asked) if one is not None}


def _orderers(reached: Reached, settings: Settings) -> Iterator[Finding]:
    orderers = [one for (_, node), one in reached.items() if node == reach.ORDERER]
    answering = sum(one.answers for one in orderers)
    needed = quorum(len(orderers)) if settings.consensus == Consensus.BFT else len(orderers) // 2 + 1
    if answering < needed:
        what = f"{answering} of {len(orderers)} answer, {needed} must agree"
        yield Finding(Code.ORDERERS_TOO_FEW, "", "orderers", what)


def _purges(member: Member) -> Iterator[Finding]:
    core = member.folder / "peer" / "core.yaml"
    if core.exists():  # `healthchain fabric up` writes it
        yield from erasure.judge_interval(erasure.read_interval(member.name, core))


def _files(listed: Sequence[Member]) -> list[erasure.Files]:
    """Of the peers that have their ledgers here."""
    return [erasure.read_files(one.name, one.ledger) for one in listed if one.ledger.is_dir()]


def _places(member: Member, running: Collection[NodeStatus], whose: str) -> Iterator[reach.Place]:
    """None for an organisation whose TLS authority cannot be read: that is found elsewhere.

    A chaincode service answers its own organisation's peer only; `whose` folder this is, if not everybody's.
    """
    try:
        root = member.credentials.tls_authority()
    except CredentialsMissing:
        return
    runs = {one.node: one.running for one in running if one.organisation == member.name}
    peer_tls, orderer_tls = member.credentials.peer / "tls", member.credentials.orderer / "tls"
    peer = ClientFiles(peer_tls / "server.crt", peer_tls / "server.key")
    nodes: list[tuple[str, str, Path, ClientFiles | None]] = [
        (reach.PEER, member.peer, peer_tls, None),
        (reach.ORDERER, member.orderer, orderer_tls, None),
    ]
    if whose in ("", member.name):
        nodes.append((reach.SERVICE, member.chaincode, peer_tls, peer))  # as the peer dials it
    for node, address, shown, client in nodes:
        yield reach.Place(member.name, node, address, root, shown / "server.crt", client, runs.get(node))


def kept(member: Member) -> channel.OnDisk:
    credentials = member.credentials
    return channel.OnDisk(
        organisation=member.name,
        peer=member.peer,
        orderer=member.orderer,
        authority=_read(credentials.path / "msp" / "cacerts" / f"ca.{credentials.domain}-cert.pem"),
        tls_authority=_read(credentials.path / "msp" / "tlscacerts" / f"tlsca.{credentials.domain}-cert.pem"),
        orderer_tls=_read(credentials.orderer / "tls" / "server.crt"),
        orderer_identity=_read(credentials.orderer / "msp" / "signcerts" / f"{credentials.orderer.name}-cert.pem"),
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
