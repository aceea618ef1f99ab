"""How an administrator takes part in governing: propose, vote, look, and what follows from a decision."""

from __future__ import annotations

import contextlib
import secrets
from functools import partial

import msgspec
from fabric_protos.common import common_pb2
from fabric_protos.common.configtx_pb2 import Config, ConfigUpdate, ConfigUpdateEnvelope

from healthchain.chaincode.membership import Standing
from healthchain.contract import governance, leaving
from healthchain.contract.amendments import (
    AddMember,
    Amendment,
    CertificatesToRotate,
    MemberToAdd,
    RemoveMember,
    RotateCertificates,
    RotateEncryptionKey,
)
from healthchain.contract.governance import (
    ListedProposal,
    ListedVote,
    Outcome,
    ProposalStatus,
    ProposalSummary,
    ProposalWithVotes,
    proposal_comment,
    vote_comment,
)
from healthchain.contract.policies import Policies
from healthchain.errors import BadInput
from healthchain.fabric.membership import NodeAddresses, with_member, without_member
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.msp import MSP, IdentityRefused, MSPMalformed
from healthchain.identity.tls import tls_authority_keys
from healthchain.records.actor import Actor, repeated_on_conflict
from healthchain.records.keyring import Keyring, random_id
from healthchain.records.members import list_members
from healthchain.records.sealing import SealBroken
from healthchain.wire.channel import Organization, genesis_config, read_organizations
from healthchain.wire.config_update import applied, config_update, sign_update
from healthchain.wire.proposal import NONCE_BYTES

ORDERER_PORT = 7050
CSCC = "cscc"  # Fabric's system chaincode that tells the channel's configuration
ENDORSERS_CHANGED = (MemberToAdd, CertificatesToRotate, RemoveMember)


async def propose(administrator: Actor, change: Amendment, comment: str | None = None, *, sealed: bool = False) -> str:
    """Answers with the proposal's id. A sealed comment is for the active members only. Raises Refused or BadInput."""
    await _require_usable(administrator, change, administrator.recipient)
    proposing = governance.Propose(random_id(), change, None if sealed else comment)
    messages = await _sealed(administrator, proposal_comment(proposing.id), comment if sealed else None)
    await repeated_on_conflict(partial(administrator.submit, "governance:Propose", proposing, messages))
    return proposing.id


async def propose_new_key(administrator: Actor, keyring: Keyring) -> str:
    """Of the administrator's own organisation: made here, sealed to once the proposal has passed."""
    return await propose(administrator, RotateEncryptionKey(keyring.rotate_key().public_bytes))


async def vote(
    administrator: Actor, proposal_id: str, *, in_favour: bool, comment: str | None = None, sealed: bool = False
) -> Outcome:
    """What became of the proposal. Raises Refused, or BadInput for a vote in favour of what nobody could use.

    Whoever proposed it may have looked at nothing: an organisation that is let change to certificates that are none
    takes no part any more, and yet the others wait for its vote.
    """
    if in_favour:
        about = (await proposal(administrator, proposal_id)).proposal
        await _require_usable(administrator, about.change, about.proposer)
    casting = governance.CastVote(proposal_id, in_favour, None if sealed else comment)
    place = vote_comment(proposal_id, administrator.recipient)
    messages = await _sealed(administrator, place, comment if sealed else None)
    committed = await repeated_on_conflict(partial(administrator.submit, "governance:Vote", casting, messages))
    return msgspec.json.decode(committed.result, type=Outcome)


async def proposals(actor: Actor) -> list[ProposalSummary]:
    """All, the oldest first."""
    found: list[ProposalSummary] = []
    start: str | None = ""
    while start is not None:
        page = await actor.ask("governance:List", governance.List(start), governance.Proposals)
        found += page.proposals
        start = page.next
    return sorted(found, key=lambda one: (one.time_ms, one.id))


async def proposal(actor: Actor, proposal_id: str) -> ProposalWithVotes:
    """Raises Refused."""
    return await actor.ask("governance:Get", governance.Get(proposal_id), ProposalWithVotes)


async def policies(actor: Actor) -> Policies:
    return (await actor.ask("governance:Policies", governance.Show(), governance.InForce)).policies


async def sealed_comment(administrator: Actor, proposal_id: str, voter: str | None = None) -> str:
    """Of the member's vote, or of the proposal. Raises Refused, or SealBroken for one who joined later."""
    asked = governance.Comment(proposal_id, voter)
    place = proposal_comment(proposal_id) if voter is None else vote_comment(proposal_id, voter)
    return (await administrator.fetch("governance:Comment", asked, place)).decode(errors="replace")


async def comments(administrator: Actor, found: ProposalWithVotes) -> dict[str, str]:
    """By the MSP id of the voter, "" for the proposal's own; what was not sealed to this member is left out."""
    told: dict[str, ListedProposal | ListedVote] = {"": found.proposal}
    told |= {one.msp_id: one for one in found.votes}
    texts = {voter: one.comment for voter, one in told.items() if one.comment is not None}
    for voter, one in told.items():
        if one.sealed_comment:
            with contextlib.suppress(SealBroken):
                texts[voter] = await sealed_comment(administrator, found.proposal.id, voter or None)
    return texts


async def purge_removed(administrator: Actor, msp_id: str) -> leaving.Purged:
    """Purge every key that is sealed to a removed member; answers with how many. Raises Refused."""
    purged = leaving.Purged(0, 0)
    start: str | None = ""
    while start is not None:
        left = await administrator.ask("governance:Left", leaving.Left(msp_id, start), leaving.LeftKeys)
        for first in range(0, len(left.compartments), leaving.COMPARTMENTS_AT_ONCE):
            chosen = tuple(left.compartments[first : first + leaving.COMPARTMENTS_AT_ONCE])
            purging = leaving.PurgeMember(msp_id, chosen)
            done = await repeated_on_conflict(partial(administrator.submit, "governance:PurgeMember", purging))
            more = msgspec.json.decode(done.result, type=leaving.Purged)
            purged = leaving.Purged(purged.envelopes + more.envelopes, purged.offers + more.offers)
        start = left.next
    return purged


async def fabric_update(
    actor: Actor, genesis: common_pb2.Block, proposal_id: str, port: int = ORDERER_PORT
) -> ConfigUpdate:
    """What the proposal means for a Fabric channel that began with this block and had all earlier updates.

    An orderer's host is its certificate's common name. Raises BadInput for a proposal that no update follows from.
    """
    config = genesis_config(genesis)
    for one in await enacted(actor, *ENDORSERS_CHANGED):
        changed = _changed(config, one.change, one.proposer, port)
        if changed is None or changed == config:
            continue
        update = config_update(actor.channel, config, changed)
        if one.id == proposal_id:
            return update
        config = applied(config, update)
    raise BadInput("no configuration update follows from this: choose an enacted add, remove or rotate-certificates")


def sign_as(administrator: SigningIdentity, envelope: ConfigUpdateEnvelope) -> None:
    """Add an administrator's signature to a configuration update; Fabric asks a majority for theirs."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    sign_update(envelope, administrator.serialized, nonce, administrator.key.sign)


async def config_block(actor: Actor) -> bytes:
    """pb(Block), the newest one with a configuration that the actor's own peer has."""
    return await actor.connection.to(CSCC).evaluate("GetConfigBlock", actor.channel.encode())


async def enacted(actor: Actor, *kinds: type) -> list[ListedProposal]:
    """The changes of these kinds, as `Summary` lists them, in the order of the deciding votes."""
    chosen = [
        one for one in await proposals(actor) if one.status is ProposalStatus.ENACTED and isinstance(one.change, kinds)
    ]
    chosen.sort(key=lambda one: (one.decided_ms, one.time_ms, one.id))
    return [(await proposal(actor, one.id)).proposal for one in chosen]


def _changed(config: Config, change: Amendment, proposer: str, port: int) -> Config | None:
    match change:
        case AddMember() | RotateCertificates():
            msp_id = _member(change, proposer)
            member = Organization(msp_id, msp_id, change.msp_config)
            at = NodeAddresses(orderer=f"{_host(change)}:{port}" if change.orderer else "")
            return with_member(config, member, change.orderer, at)
        case RemoveMember(msp_id=msp_id):
            return without_member(config, msp_id)
    return None


def _member(change: AddMember | RotateCertificates, proposer: str) -> str:
    return change.msp_id if isinstance(change, AddMember) else proposer


def _host(change: AddMember | RotateCertificates) -> str:
    if not change.orderer:
        return ""
    try:
        return MSP.from_config(change.msp_config).validate(change.orderer).common_name
    except (MSPMalformed, IdentityRefused):
        raise BadInput("the orderer's certificate is none of this member's: it orders nothing") from None


async def _require_usable(actor: Actor, change: Amendment, proposer: str) -> None:
    """What the contract, which knows no certificates, cannot tell; the network would leave such a member out."""
    if isinstance(change, AddMember | RotateCertificates):
        try:
            msp = MSP.from_config(change.msp_config)
        except MSPMalformed as malformed:
            raise BadInput(f"the MSP configuration cannot be used: {malformed}") from None
        if msp.msp_id != _member(change, proposer):
            raise BadInput("the MSP configuration is another organisation's")
        _host(change)
        if (msp.authorities | tls_authority_keys(change.msp_config)) & await _authorities(actor, msp.msp_id):
            raise BadInput("an authority in the MSP configuration is another member's: it would count twice")


async def _authorities(actor: Actor, msp_id: str) -> set[bytes]:
    """Of all other members that there are, for TLS too: as the channel has them, and as proposals changed them."""
    known = read_organizations(common_pb2.Block.FromString(await config_block(actor)))
    configs = {one.msp_id: one.msp_config for one in known}
    for one in await enacted(actor, *ENDORSERS_CHANGED):
        match one.change:
            case AddMember() | RotateCertificates():
                configs[_member(one.change, one.proposer)] = one.change.msp_config
            case RemoveMember(msp_id=removed):
                configs.pop(removed, None)
    found: set[bytes] = set()
    for other, config in configs.items():
        with contextlib.suppress(MSPMalformed):  # it takes no part
            if other != msp_id:
                found |= MSP.from_config(config).authorities | tls_authority_keys(config)
    return found


async def _sealed(administrator: Actor, place: str, comment: str | None) -> dict[str, bytes]:
    if comment is None:
        return {}
    audience = {
        one.msp_id: one.public_key for one in await list_members(administrator) if one.standing is Standing.ACTIVE
    }
    return administrator.seal(place, audience, comment.encode())
