"""What the members decided about one of them, in the configuration of a real channel: made, checked, signed, submitted.

    made = await make(administrator, proposal_id, addresses)      # by whoever wants it; Fabric's bytes
    review = await checked(administrator, proposal_id, made)      # by each administrator, with its own peer
    sign_as(identity, made)                                       # with its own key

Whoever signs trusts no file: from its own peer come the channel's configuration and the proposal, and the update has
to be the very bytes that follow. Only where the member's nodes are, which nobody voted on, is taken from the update.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fabric_protos.common import common_pb2
from fabric_protos.common.configtx_pb2 import Config, ConfigUpdate, ConfigUpdateEnvelope
from google.protobuf.message import DecodeError

from healthchain.contract.amendments import (
    AddMember,
    Amendment,
    CertificatesToRotate,
    MemberToAdd,
    RemoveMember,
    ResumeMember,
    RotateCertificates,
    SuspendMember,
)
from healthchain.contract.governance import ListedProposal, ProposalStatus
from healthchain.errors import BadInput
from healthchain.fabric.consenters import orderer_of
from healthchain.fabric.membership import (
    ORDERER,
    NodeAddresses,
    Signatures,
    addresses_of,
    member_msp,
    members_of,
    orderers_of,
    require_usable,
    signatures,
    with_member,
    without_member,
)
from healthchain.records.actor import Actor
from healthchain.records.governing import config_block, enacted, proposal
from healthchain.wire.channel import Organization, genesis_config
from healthchain.wire.config_update import (
    UpdateMalformed,
    applied,
    config_update,
    differing,
    is_outdated,
    update_envelope,
)

QSCC = "qscc"  # Fabric's system chaincode that tells of blocks
SHOWN_MAX = 8


class NotDecided(BadInput):
    """The update is not what the members decided: nobody should sign it."""


class AlreadyDone(BadInput):
    """The channel's configuration is as the members decided."""


@dataclass(frozen=True, slots=True)
class Decided:
    """How the ledger would have the member: in or out, with its newest authorities, with an orderer or without.

    `orderer` is that one's certificate in PEM. Under Raft a founder's is nowhere on the ledger, and empty.
    """

    change: Amendment
    msp_id: str
    takes_part: bool
    msp_config: bytes
    orders: bool
    orderer: bytes


@dataclass(frozen=True, slots=True)
class Review:
    """`says` tells what the update changes, in whole sentences; `config` is as the channel has it before.

    `getting_it` are the MSP ids of the members whose peers it will come to: all but the one that it is about, whose
    peer is not there yet, not there any more, or has its old certificate still.
    """

    says: tuple[str, ...]
    signatures: Signatures
    config: Config
    getting_it: frozenset[str]


async def decided(actor: Actor, proposal_id: str) -> Decided:
    """Raises Refused, or BadInput for a proposal that did not pass, is about no member, or was followed by another."""
    found = (await proposal(actor, proposal_id)).proposal
    if found.status is not ProposalStatus.ENACTED:
        raise BadInput(f"the members have not decided this: the proposal is {found.status}")
    msp_id = _about(found)
    if msp_id is None:
        raise BadInput("nothing of the channel's configuration follows from this proposal: it is about no member")
    msp_config, orders, orderer = await _founder(actor, msp_id)
    history = [one for one in await enacted(actor, *_ABOUT_MEMBERS) if _about(one) == msp_id]
    if history[-1].id != proposal_id:
        raise BadInput(f"a later proposal about this member has passed, {history[-1].id}: make the update of that one")
    takes_part = True
    for one in history:
        match one.change:
            case AddMember() | RotateCertificates():
                msp_config, orderer = one.change.msp_config, one.change.orderer or orderer
                orders = orders or bool(orderer)
            case SuspendMember() | RemoveMember():
                takes_part = False
            case ResumeMember():
                takes_part = True
    return Decided(found.change, msp_id, takes_part, msp_config, orders, orderer)


async def make(actor: Actor, proposal_id: str, at: NodeAddresses) -> ConfigUpdateEnvelope:
    """Without signatures. `at` is of a member that takes part. Raises Refused, AlreadyDone or BadInput."""
    agreed = await decided(actor, proposal_id)
    return update_envelope(_update(actor.channel, await current_config(actor), agreed, at))


async def checked(actor: Actor, proposal_id: str, envelope: ConfigUpdateEnvelope) -> Review:
    """Of what is to be signed, and who has. Raises Refused, AlreadyDone, NotDecided, UpdateMalformed or BadInput."""
    agreed, config = await decided(actor, proposal_id), await current_config(actor)
    try:
        update = ConfigUpdate.FromString(envelope.config_update)
        after = applied(config, update)
        at = addresses_of(after, agreed.msp_id) if agreed.takes_part else NodeAddresses()
    except (DecodeError, UnicodeDecodeError):
        raise UpdateMalformed("the update does not decode: make it again") from None
    expected = _update(actor.channel, config, agreed, at)
    if is_outdated(config, update):
        raise BadInput("the channel's configuration has moved on since this update was made: make it again")
    _require_decided(envelope, after, expected, applied(config, expected))
    getting_it = frozenset(members_of(config)) - {agreed.msp_id}
    return Review(tuple(_told(agreed, config, after, at)), signatures(config, envelope), config, getting_it)


def _require_decided(envelope: ConfigUpdateEnvelope, after: Config, expected: ConfigUpdate, wanted: Config) -> None:
    if update_envelope(expected).config_update != envelope.config_update:
        found = list(differing(wanted.channel_group, after.channel_group))[:SHOWN_MAX]
        what = ", ".join(found) or "in its bytes"
        raise NotDecided(f"the update is not what the members decided; it differs at {what}: do not sign it")


async def current_config(actor: Actor) -> Config:
    """As the actor's own peer has it."""
    return genesis_config(common_pb2.Block.FromString(await config_block(actor)))


def is_member(config: Config, msp_id: str) -> bool:
    return msp_id in members_of(config)


def _update(channel: str, config: Config, agreed: Decided, at: NodeAddresses) -> ConfigUpdate:
    if agreed.takes_part:
        member = Organization(agreed.msp_id, agreed.msp_id, agreed.msp_config)
        _require_fitting(config, agreed, at)
        require_usable(config, member, agreed.orderer, at)
        after = with_member(config, member, agreed.orderer, at)
    else:
        after = without_member(config, agreed.msp_id)
    if after == config:
        raise AlreadyDone("the channel's configuration is as the members decided already")
    return config_update(channel, config, after)


def _require_fitting(config: Config, agreed: Decided, at: NodeAddresses) -> None:
    """Raises BadInput where the addresses are not those of the nodes that the members decided about."""
    if not at.peer or bool(at.orderer) != agreed.orders:
        raise BadInput("a member needs the address of its peer, and of its orderer if and only if it was given one")
    if is_member(config, agreed.msp_id):
        before = addresses_of(config, agreed.msp_id)
        if (at.peer, at.orderer) != (before.peer, before.orderer):
            raise BadInput("the nodes of a member do not move with its certificates: leave the addresses as they are")


async def _founder(actor: Actor, msp_id: str) -> tuple[bytes, bool, bytes]:
    """Authorities, whether it orders, and with which certificate, as block 0 says; nothing of who came later."""
    encoded = await actor.connection.to(QSCC).evaluate("GetBlockByNumber", actor.channel.encode(), b"0")
    config = genesis_config(common_pb2.Block.FromString(encoded))
    msp_config = member_msp(config, msp_id)
    orderer = orderer_of(config.channel_group.groups[ORDERER], msp_config, msp_id)
    return msp_config, orderer is not None, b"" if orderer is None else orderer.identity


def _about(one: ListedProposal) -> str | None:
    """The MSP id of the member."""
    match one.change:
        case AddMember(msp_id=msp_id) | RemoveMember(msp_id=msp_id):
            return msp_id
        case SuspendMember(msp_id=msp_id) | ResumeMember(msp_id=msp_id):
            return msp_id
        case RotateCertificates():
            return one.proposer
    return None


_ABOUT_MEMBERS = (MemberToAdd, SuspendMember, ResumeMember, RemoveMember, CertificatesToRotate)


def _told(agreed: Decided, config: Config, after: Config, at: NodeAddresses) -> Sequence[str]:
    name, members, orderers = agreed.msp_id, len(members_of(after)), len(list(orderers_of(after)))
    then = f"Then there are {members} members and {orderers} orderers."
    if not agreed.takes_part:
        return f"{name} leaves the channel: from then on it neither endorses nor orders, and gets no blocks.", then
    orders = f", its orderer at {at.orderer}" if at.orderer else "; it orders nothing"
    if is_member(config, name):
        return f"{name} gets new certificates; its peer is at {at.peer}{orders}.", then
    return f"{name} joins the channel: its peer is at {at.peer}{orders}.", then
