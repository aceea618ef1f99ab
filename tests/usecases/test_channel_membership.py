"""The update that a passed proposal means for a real channel: nobody signs one that says anything else.

The embedded network answers as a peer does that has block 0's configuration still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fabric_protos.common import configuration_pb2, policies_pb2
from fabric_protos.common.configtx_pb2 import Config, ConfigUpdateEnvelope
from fabric_protos.orderer import configuration_pb2 as orderer_pb2

from healthchain.app.consortium import ADMINISTRATOR, Consortium, stored_topology
from healthchain.app.joining import prepare_organisation
from healthchain.config import DEFAULT, Organisation
from healthchain.contract.amendments import Amendment, ChangePolicies, RemoveMember, ResumeMember, SuspendMember
from healthchain.errors import BadInput
from healthchain.fabric.membership import NodeAddresses, addresses_of, with_member, without_member
from healthchain.identity.folders import OrganisationFolder
from healthchain.network.provision import folder_of
from healthchain.records import governing
from healthchain.records.actor import Actor
from healthchain.records.channel_membership import (
    NotDecided,
    checked,
    current_config,
    decided,
    make,
)
from healthchain.wire.channel import Organization
from healthchain.wire.config_update import UpdateMalformed, config_update, update_envelope

from .consortium import AGENCY, CLINIC, HOSPITAL, INSURER, within

ISLAND = Organisation("island-hospital", "hospital", "Island Hospital")
MALLORY = Organisation("mallory-hospital", "hospital", "Mallory")
VOTERS = (HOSPITAL, INSURER, AGENCY)
INSURER_MSP = DEFAULT.organisation(INSURER).msp_id


async def pass_(consortium: Consortium, change: Amendment) -> str:
    proposal = await governing.propose(administrator(consortium), change)
    voters = (HOSPITAL, CLINIC, AGENCY) if isinstance(change, SuspendMember | ResumeMember | RemoveMember) else VOTERS
    for name in voters:
        await governing.vote(administrator(consortium, name), proposal, in_favour=True)
        if (await governing.proposal(administrator(consortium), proposal)).proposal.decided_ms:
            break
    return proposal


def administrator(consortium: Consortium, name: str = HOSPITAL) -> Actor:
    return consortium.staff(name, ADMINISTRATOR)


def where(folder: Path, spec: Organisation, port: int = 9000) -> NodeAddresses:
    tls = (folder_of(folder, spec).orderer / "tls" / "server.crt").read_bytes()
    return NodeAddresses(f"localhost:{port}", f"localhost:{port + 1}", tls)


def other_batch_size(after: Config) -> None:
    batch = orderer_pb2.BatchSize(max_message_count=1, absolute_max_bytes=1, preferred_max_bytes=1)
    after.channel_group.groups["Orderer"].values["BatchSize"].value = batch.SerializeToString()


def anybody_administrates(after: Config) -> None:
    rule = policies_pb2.ImplicitMetaPolicy(sub_policy="Writers", rule=policies_pb2.ImplicitMetaPolicy.ANY)
    policy = policies_pb2.Policy(type=policies_pb2.Policy.IMPLICIT_META, value=rule.SerializeToString())
    after.channel_group.groups["Application"].policies["Admins"].policy.CopyFrom(policy)


def anybody_changes_it_later(after: Config) -> None:
    after.channel_group.groups["Application"].groups[ISLAND.msp_id].mod_policy = "Writers"


def another_goes_as_well(after: Config) -> None:
    after.CopyFrom(without_member(after, INSURER_MSP))


def a_second_orderer(after: Config) -> None:
    value = after.channel_group.groups["Orderer"].values["Orderers"]
    orderers = configuration_pb2.Orderers.FromString(value.value)
    orderers.consenter_mapping.add().CopyFrom(orderers.consenter_mapping[0])
    orderers.consenter_mapping[-1].id = 9
    value.value = orderers.SerializeToString()


def a_value_nobody_knows(after: Config) -> None:
    after.channel_group.groups["Application"].values["ACLs"].value = b""


SLIPPED_IN: dict[str, tuple[Callable[[Config], None], str]] = {
    "another batch size": (other_batch_size, "Channel/Orderer/BatchSize"),
    "anybody an administrator": (anybody_administrates, "Channel/Application/Admins"),
    "anybody may change the newcomer": (anybody_changes_it_later, "IslandHospitalMSP .who may change it"),
    "another member taken out": (another_goes_as_well, f"Channel/Application/{INSURER}"),
    "an orderer more": (a_second_orderer, "Channel/Orderer/Orderers"),
    "a value more": (a_value_nobody_knows, "Channel/Application/ACLs"),
}


def attacks(folder: Path, config: Config, good: Config) -> Iterator[tuple[ConfigUpdateEnvelope, type[BadInput], str]]:
    """Update, how it is refused, and what the refusal names."""
    for change, named in SLIPPED_IN.values():
        after = Config()
        after.CopyFrom(good)
        change(after)
        yield made(config, after), NotDecided, named
    island, mallory = folder_of(folder, ISLAND), folder_of(folder, MALLORY)
    with_own_authority = OrganisationFolder(folder / "organizations", ISLAND.msp_id, MALLORY.domain).msp_config()
    forged = Organization(ISLAND.msp_id, ISLAND.msp_id, with_own_authority)
    orderer = island.orderer_certificate()
    yield made(config, with_member(config, forged, orderer, where(folder, ISLAND))), NotDecided, "MSP"
    genuine = Organization(ISLAND.msp_id, ISLAND.msp_id, island.msp_config())
    for at, named in (
        (where(folder, MALLORY), "TLS certificate"),
        (NodeAddresses("localhost:9000"), "address of its peer"),
    ):
        yield made(config, with_member(config, genuine, orderer, at)), BadInput, named
    mallorys = mallory.orderer_certificate()
    yield made(config, with_member(config, genuine, mallorys, where(folder, ISLAND))), NotDecided, "Orderers"
    stranger = Organization(MALLORY.msp_id, MALLORY.msp_id, mallory.msp_config())
    at = where(folder, MALLORY)
    yield made(config, with_member(config, stranger, mallorys, at)), BadInput, "address of its peer"
    yield made(config, good, "other"), NotDecided, "in its bytes"
    yield made(config, good, junk=b"\x7a\x01x"), NotDecided, "in its bytes"
    yield ConfigUpdateEnvelope(config_update=b"\xff"), UpdateMalformed, "does not decode"


def made(config: Config, after: Config, channel: str = "health", junk: bytes = b"") -> ConfigUpdateEnvelope:
    envelope = update_envelope(config_update(channel, config, after))
    envelope.config_update += junk
    return envelope


def test_an_update_that_says_anything_else_than_was_decided_is_refused(folder: Path) -> None:
    change = prepare_organisation(folder, stored_topology(folder), ISLAND)
    prepare_organisation(folder, stored_topology(folder), MALLORY)

    async def work(consortium: Consortium) -> None:
        clinic, at = administrator(consortium, CLINIC), where(folder, ISLAND)
        config = await current_config(clinic)
        open_ = await governing.propose(clinic, change)
        with pytest.raises(BadInput, match="have not decided this"):
            await make(clinic, open_, at)
        proposal = await pass_(consortium, change)
        envelope = await make(clinic, proposal, at)
        review = await checked(administrator(consortium, AGENCY), proposal, envelope)
        assert review.says[0] == (
            "IslandHospitalMSP joins the channel: its peer is at localhost:9000, its orderer at localhost:9001."
        )
        assert review.signatures.needed == 3
        member = Organization(ISLAND.msp_id, ISLAND.msp_id, change.msp_config)
        good = with_member(config, member, change.orderer, at)
        assert made(config, good) == envelope
        for attack, refusal, named in attacks(folder, config, good):
            with pytest.raises(refusal, match=named):
                await checked(clinic, proposal, attack)
        assert await checked(clinic, proposal, envelope) == review
        assert await current_config(clinic) == config, "asking for a value makes none"

    within(folder, work)


def test_only_the_last_decision_about_a_member_has_an_update(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        hospital = administrator(consortium)
        config = await current_config(hospital)
        policy = await pass_(consortium, ChangePolicies({"cell_min": 10}))
        with pytest.raises(BadInput, match="about no member"):
            await make(hospital, policy, NodeAddresses())
        suspended = await pass_(consortium, SuspendMember(INSURER_MSP))
        envelope = await make(hospital, suspended, NodeAddresses())
        assert (await checked(hospital, suspended, envelope)).says[0].startswith(f"{INSURER_MSP} leaves the channel")
        resumed = await pass_(consortium, ResumeMember(INSURER_MSP))
        with pytest.raises(BadInput, match=f"has passed, {resumed}"):
            await checked(hospital, suspended, envelope)
        back = await decided(hospital, resumed)
        assert (back.takes_part, back.orders) == (True, True)
        founder = next(one for one in consortium.topology.organisations if one.name == INSURER)
        assert back.orderer == folder_of(folder, founder).orderer_certificate()
        assert addresses_of(config, INSURER_MSP).peer == ""
        removed = await pass_(consortium, RemoveMember(INSURER_MSP))
        envelope = await make(hospital, removed, NodeAddresses())
        assert (await checked(hospital, removed, envelope)).getting_it.isdisjoint({INSURER_MSP})
        spoiled = made(config, without_member(without_member(config, INSURER_MSP), DEFAULT.organisation(CLINIC).msp_id))
        with pytest.raises(NotDecided, match=f"Channel/Application/{CLINIC}"):
            await checked(hospital, removed, spoiled)

    within(folder, work)
