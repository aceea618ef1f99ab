"""The contract on the peers: defined as this version needs it, approved by whom, installed, and able to run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from fabric_protos.peer.lifecycle import lifecycle_pb2
from google.protobuf.message import Message

from healthchain.app.doctor.findings import Code, Finding
from healthchain.chaincode.membership import Standing
from healthchain.client.asking import Node, NodeRefuses
from healthchain.config import CHAINCODE
from healthchain.contract.members import Members
from healthchain.wire.lifecycle import LIFECYCLE

NOT_DEFINED = 404
CONTRACT = "contract"
_NO_APPROVAL = ("could not fetch approved", "private data matching public hash version is not available")
"""The second where a peer was made anew: the words of an approval are private to it, and it works by their hashes."""

Definition = lifecycle_pb2.QueryChaincodeDefinitionResult
Approved = lifecycle_pb2.QueryApprovedChaincodeDefinitionResult


@dataclass(frozen=True, slots=True)
class Installed:
    """On one organisation's peer: `approved` is its latest approval, None for none; `packages` are their ids."""

    organisation: str
    approved: Approved | None
    packages: frozenset[str]


@dataclass(frozen=True, slots=True)
class Pending:
    """A definition that follows the one in force, and who agrees with every word of it, by MSP id."""

    sequence: int
    version: str
    approvals: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Ran:
    """A call of the contract on one peer: what that said if it cannot run it, or the members' standings by MSP id."""

    said: str
    standings: Mapping[str, Standing] = field(default_factory=dict)


async def committed(node: Node, channel: str) -> Definition:
    """Of sequence 0 if there is none. Raises NodeSilent or NodeRefuses."""
    asked = lifecycle_pb2.QueryChaincodeDefinitionArgs(name=CHAINCODE)
    try:
        return Definition.FromString(await _ask(node, channel, "QueryChaincodeDefinition", asked))
    except NodeRefuses as refused:
        if refused.status == NOT_DEFINED:
            return Definition()
        raise


async def installed(organisation: str, node: Node, channel: str) -> Installed:
    """Raises NodeSilent or NodeRefuses."""
    listed = await _ask(node, "", "QueryInstalledChaincodes", lifecycle_pb2.QueryInstalledChaincodesArgs())
    found = lifecycle_pb2.QueryInstalledChaincodesResult.FromString(listed).installed_chaincodes
    asked = lifecycle_pb2.QueryApprovedChaincodeDefinitionArgs(name=CHAINCODE)
    try:
        told = await _ask(node, channel, "QueryApprovedChaincodeDefinition", asked)
        approved = Approved.FromString(told)
    except NodeRefuses as refused:
        if not any(one in str(refused) for one in _NO_APPROVAL):
            raise
        approved = None
    return Installed(organisation, approved, frozenset(one.package_id for one in found))


async def pending(node: Node, channel: str, following: Approved) -> Pending:
    """Who agrees with what one organisation has approved. Raises NodeSilent or NodeRefuses."""
    asked = lifecycle_pb2.CheckCommitReadinessArgs(
        sequence=following.sequence,
        name=CHAINCODE,
        version=following.version,
        endorsement_plugin=following.endorsement_plugin,
        validation_plugin=following.validation_plugin,
        validation_parameter=following.validation_parameter,
        collections=following.collections,
        init_required=following.init_required,
    )
    told = await _ask(node, channel, "CheckCommitReadiness", asked)
    approvals = lifecycle_pb2.CheckCommitReadinessResult.FromString(told).approvals
    return Pending(following.sequence, following.version, dict(approvals))


async def runs(node: Node, channel: str) -> Ran:
    """Raises NodeSilent."""
    try:
        listed = await node.ask(channel, CHAINCODE, b"members:List", b"{}")
        standings = {one.msp_id: one.standing for one in msgspec.json.decode(listed, type=Members).members}
    except NodeRefuses as refused:
        by_contract = refused.status != 0 and _is_code(str(refused).partition(":")[0])
        return Ran("" if by_contract else str(refused))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Ran("its answer is not that of this version of the contract")
    return Ran("", standings)


def judge(
    definition: Definition, version: str, msp_ids: Mapping[str, str], found: Sequence[Installed]
) -> Iterator[Finding]:
    """`version` is what this program has; `msp_ids` by organisation."""
    if not definition.sequence:
        yield Finding(Code.CHAINCODE_NOT_COMMITTED, "", CONTRACT, f"no chaincode {CHAINCODE} on the channel")
        return
    if definition.version != version:
        yield Finding(Code.CHAINCODE_OTHER, "", CONTRACT, f"version {definition.version} is in force, not {version}")
    missing = [name for name, msp_id in msp_ids.items() if not definition.approvals.get(msp_id, False)]
    for name in missing:
        yield Finding(Code.CHAINCODE_NOT_APPROVED, name, CONTRACT, f"sequence {definition.sequence}")
    for one in found:
        if one.organisation not in missing and one.approved is not None:
            yield from _package(one)


def judge_pending(waiting: Sequence[Pending], msp_ids: Mapping[str, str]) -> Iterator[Finding]:
    for one in waiting:
        agree = [name for name, msp_id in msp_ids.items() if one.approvals.get(msp_id, False)]
        others = [name for name in msp_ids if name not in agree]
        what = f"sequence {one.sequence}, version {one.version}: approved by {_listed(agree)}; not by {_listed(others)}"
        yield Finding(Code.CHAINCODE_PENDING, "", CONTRACT, what)


def judge_runs(said: Mapping[str, str], explained: Collection[str]) -> Iterator[Finding]:
    """`said` by organisation; `explained` are those of which the cause is known already."""
    for name, text in said.items():
        if text and name not in explained:
            yield Finding(Code.CHAINCODE_FAILS, name, "peer", text)


def judge_members(ran: Sequence[Ran], msp_ids: Mapping[str, str], in_channel: Collection[str]) -> Iterator[Finding]:
    """`in_channel` are the organisations that the channel's configuration has."""
    for name, msp_id in msp_ids.items():
        removed = [one for one in ran if one.standings.get(msp_id) is Standing.REMOVED]
        if removed and name in in_channel:
            yield Finding(Code.MEMBER_STAYS, name, "channel", "removed by the members' votes")


def following(found: Sequence[Installed], definition: Definition) -> list[Approved]:
    """What organisations have approved beyond the definition in force, each kind once."""
    kinds: dict[bytes, Approved] = {}
    for one in found:
        if one.approved is not None and one.approved.sequence > definition.sequence:
            words = Approved()
            words.CopyFrom(one.approved)
            words.ClearField("source")  # each organisation's own
            kinds.setdefault(words.SerializeToString(deterministic=True), words)
    return list(kinds.values())


def _package(one: Installed) -> Iterator[Finding]:
    assert one.approved is not None
    package = one.approved.source.local_package.package_id
    if not package:
        yield Finding(Code.PACKAGE_MISSING, one.organisation, "peer", "approved without a package")
    elif package not in one.packages:
        yield Finding(Code.PACKAGE_MISSING, one.organisation, "peer", f"{package[:30]}... is not installed")


async def _ask(node: Node, channel: str, function: str, arguments: Message) -> bytes:
    return await node.ask(channel, LIFECYCLE, function.encode(), arguments.SerializeToString())


def _is_code(text: str) -> bool:
    """As the contract's refusals begin."""
    return text.isupper() and text.replace("_", "").isalnum()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nobody"
