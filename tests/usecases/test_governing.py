"""Governing on the embedded network: votes that meet, comments, keys that change, members that leave and come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from fabric_protos.common.configtx_pb2 import ConfigUpdate
from fabric_protos.msp.msp_config_pb2 import FabricMSPConfig

from healthchain.app.consortium import ADMINISTRATOR, Consortium, stored_topology
from healthchain.app.joining import join, prepare_organisation
from healthchain.config import CHAINCODE, Organisation
from healthchain.contract.amendments import (
    Amendment,
    ChangePolicies,
    RemoveMember,
    ResumeMember,
    RotateCertificates,
    SuspendMember,
)
from healthchain.contract.custody import offered_keys
from healthchain.contract.governance import ProposalStatus, Propose
from healthchain.contract.ids import ENVELOPES, MESSAGES
from healthchain.contract.leaving import Purged
from healthchain.errors import BadInput, Refused
from healthchain.records import consenting, custody, governing
from healthchain.records.actor import Actor
from healthchain.records.keyring import random_id
from healthchain.records.patients import registered
from healthchain.records.sealing import SealBroken
from healthchain.wire.channel import genesis_config
from healthchain.wire.config_update import applied

from .bundles import simple
from .consortium import (
    AGENCY,
    CLINIC,
    HOSPITAL,
    INSURER,
    assert_clean,
    assert_equal_peers,
    clinician,
    code,
    consent,
    content,
    imported,
    read,
    within,
)

SHORTER = ChangePolicies({"session_ms_max": 60_000})
ISLAND = Organisation("island-hospital", "hospital", "Island Hospital")
EVERYBODY = (HOSPITAL, CLINIC, INSURER, AGENCY)


def administrator(consortium: Consortium, organisation: str) -> Actor:
    return consortium.staff(organisation, ADMINISTRATOR)


async def enacted(consortium: Consortium, change: Amendment, proposer: str, voters: Iterable[str]) -> str:
    """The proposal's id; the last of the voters decides."""
    proposal = await governing.propose(administrator(consortium, proposer), change)
    outcomes = [await governing.vote(administrator(consortium, one), proposal, in_favour=True) for one in voters]
    assert outcomes[-1].status is ProposalStatus.ENACTED
    return proposal


def msp_id(consortium: Consortium, organisation: str) -> str:
    return consortium.topology.organisation(organisation).msp_id


def test_votes_at_one_time_are_all_counted(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        proposal = await governing.propose(administrator(consortium, CLINIC), SHORTER)
        voting = [governing.vote(administrator(consortium, one), proposal, in_favour=True) for one in EVERYBODY]
        ended = await asyncio.gather(*voting, return_exceptions=True)
        late = [one for one in ended if isinstance(one, Refused)]
        assert {one.code for one in late} <= {"PROPOSAL_DECIDED"}
        found = await governing.proposal(administrator(consortium, INSURER), proposal)
        assert found.proposal.status is ProposalStatus.ENACTED
        assert len(found.votes) == 4 - len(late)
        assert (await governing.policies(clinician(consortium))).session_ms_max == 60_000
        assert_equal_peers(consortium)

    within(folder, work)


def test_a_sealed_comment_opens_for_the_members_and_for_nobody_who_came_later(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        clinic, insurer = administrator(consortium, CLINIC), administrator(consortium, INSURER)
        proposal = await governing.propose(clinic, SHORTER, "Shared screens.", sealed=True)
        await governing.vote(insurer, proposal, in_favour=False, comment="Too short.", sealed=True)
        found = await governing.proposal(clinic, proposal)
        assert (found.proposal.comment, found.proposal.sealed_comment) == (None, True)
        assert (found.votes[0].comment, found.votes[0].sealed_comment) == (None, True)
        for one in map(administrator, [consortium] * 4, EVERYBODY):
            assert await governing.sealed_comment(one, proposal) == "Shared screens."
            assert await governing.sealed_comment(one, proposal, insurer.recipient) == "Too short."
        consortium.keyring(AGENCY).create()  # a key of its own, unlike the one that was sealed to
        with pytest.raises(SealBroken):
            await governing.sealed_comment(administrator(consortium, AGENCY), proposal)

    within(folder, work)


def test_a_suspended_member_neither_reads_nor_votes_until_it_is_resumed(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        bundle = simple(2)
        patient = (await imported(consortium, bundle)).patient
        await consenting.grant(consortium.patient(patient), consent(consortium))
        clinic = msp_id(consortium, CLINIC)
        await enacted(consortium, SuspendMember(clinic), HOSPITAL, (HOSPITAL, INSURER, AGENCY))
        doctor = clinician(consortium, CLINIC)
        assert await code(read(doctor, patient)) == "MEMBER_SUSPENDED"
        assert await code(governing.propose(administrator(consortium, CLINIC), SHORTER)) == "MEMBER_SUSPENDED"
        assert await code(governing.proposals(doctor)) == "MEMBER_SUSPENDED"
        await enacted(consortium, ResumeMember(clinic), HOSPITAL, (HOSPITAL, INSURER, AGENCY))
        assert await read(doctor, patient) == content(bundle)
        assert_equal_peers(consortium)

    within(folder, work)
    assert_clean(folder)


def test_a_removed_members_envelopes_are_purged_on_every_peer(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(2))).patient
        owner, insurer = consortium.patient(patient), msp_id(consortium, INSURER)
        await consenting.grant(owner, consent(consortium, INSURER))
        await consenting.grant(owner, consent(consortium))
        held = [f"{one}/1/{insurer}" for one in await compartments(consortium, patient)]
        assert holders(consortium, held) == 4 * len(held)
        refused = code(governing.purge_removed(administrator(consortium, AGENCY), insurer))
        assert await refused == "MEMBER_STANDING"
        await enacted(consortium, RemoveMember(insurer), AGENCY, (AGENCY, HOSPITAL))
        assert await governing.purge_removed(administrator(consortium, AGENCY), insurer) == Purged(len(held), 0)
        assert await governing.purge_removed(administrator(consortium, HOSPITAL), insurer) == Purged(0, 0)
        assert holders(consortium, held) == 0
        assert len(await read(clinician(consortium, CLINIC), patient)) == 3
        assert_equal_peers(consortium)

    within(folder, work)
    assert_clean(folder)


def test_keys_that_a_removed_hospital_was_offered_are_purged_on_every_peer(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        patient = (await imported(consortium, simple(1))).patient
        clinic = msp_id(consortium, CLINIC)
        offer = await custody.offer(clinician(consortium), patient, clinic)
        await enacted(consortium, RemoveMember(clinic), HOSPITAL, (HOSPITAL, INSURER, AGENCY))
        ledgers = [one.ledger for one in consortium.network.peers.values()]
        sealed = [one.private(CHAINCODE, MESSAGES, offered_keys(patient, offer)) for one in ledgers]
        assert all(sealed)
        assert await governing.purge_removed(administrator(consortium, AGENCY), clinic) == Purged(0, 1)
        assert not any(one.private(CHAINCODE, MESSAGES, offered_keys(patient, offer)) for one in ledgers)
        found = await registered(clinician(consortium), patient)
        assert sorted(found.rekey) == sorted(found.compartments)
        await imported(consortium, simple(2))
        assert (await registered(clinician(consortium), patient)).rekey == ()
        assert_equal_peers(consortium)

    within(folder, work)
    assert_clean(folder)


def test_nobody_votes_an_organisation_out_of_the_network_unawares(folder: Path) -> None:
    """The one agency has no vote in its absence, cannot be suspended, and nothing else would pass without its vote."""

    async def work(consortium: Consortium) -> None:
        agency = administrator(consortium, AGENCY)
        another = consortium.network.channel.config.organizations[0].msp_config
        for name, config in (("none", b"no configuration"), ("another's", another)):
            proposing = Propose(random_id(), RotateCertificates(config))
            await agency.submit("governance:Propose", proposing)  # not by `governing.propose`, which looks at it
            for voter in (HOSPITAL, INSURER):
                with pytest.raises(BadInput, match="MSP configuration"):
                    await governing.vote(administrator(consortium, voter), proposing.id, in_favour=True)
            outcome = await governing.vote(administrator(consortium, HOSPITAL), proposing.id, in_favour=False)
            assert outcome.status is ProposalStatus.OPEN, name
        assert await code(governing.vote(agency, random_id(), in_favour=True)) == "PROPOSAL_UNKNOWN"

    within(folder, work)


def test_nobody_votes_for_an_authority_that_another_member_has(folder: Path) -> None:
    """Its own old one is no other's; a removed member's is free."""
    prepared = prepare_organisation(folder, stored_topology(folder), ISLAND)

    async def work(consortium: Consortium) -> None:
        hospital, agency = administrator(consortium, HOSPITAL), administrator(consortium, AGENCY)
        insurer, clinic = administrator(consortium, INSURER), msp_id(consortium, CLINIC)
        configs = {one.msp_id: one.msp_config for one in consortium.network.channel.config.organizations}
        twice = msgspec.structs.replace(prepared, msp_config=named(configs[clinic], prepared.msp_id), orderer=b"")
        with pytest.raises(BadInput, match="another member's"):
            await governing.propose(hospital, twice)
        servers = msgspec.structs.replace(prepared, msp_config=with_servers_of(configs[clinic], prepared.msp_config))
        with pytest.raises(BadInput, match="another member's"):
            await governing.propose(hospital, servers)
        proposing = Propose(random_id(), twice)
        await hospital.submit("governance:Propose", proposing)  # not by `governing.propose`, which looks at it
        with pytest.raises(BadInput, match="another member's"):
            await governing.vote(agency, proposing.id, in_favour=True)
        await governing.propose(insurer, RotateCertificates(configs[insurer.recipient]))
        await enacted(consortium, RemoveMember(clinic), HOSPITAL, (HOSPITAL, INSURER, AGENCY))
        await governing.vote(agency, proposing.id, in_favour=True)
        await enacted(consortium, prepared, HOSPITAL, (HOSPITAL, AGENCY, INSURER))
        with pytest.raises(BadInput, match="another member's"):
            await governing.propose(insurer, RotateCertificates(named(prepared.msp_config, insurer.recipient)))

    within(folder, work)


def with_servers_of(other: bytes, config: bytes) -> bytes:
    """Vouches for the other's TLS certificates too."""
    added = FabricMSPConfig.FromString(config)
    added.tls_root_certs.extend(FabricMSPConfig.FromString(other).tls_root_certs)
    return added.SerializeToString()


def named(config: bytes, msp_id: str) -> bytes:
    """The same authorities under another name."""
    renamed = FabricMSPConfig.FromString(config)
    renamed.name = msp_id
    return renamed.SerializeToString()


async def compartments(consortium: Consortium, patient: str) -> list[str]:
    return sorted((await registered(clinician(consortium), patient)).compartments)


def holders(consortium: Consortium, keys: list[str]) -> int:
    """How many of these envelopes there are, on all peers."""
    ledgers = [one.ledger for one in consortium.network.peers.values()]
    return sum(one.private(CHAINCODE, ENVELOPES, key) is not None for one in ledgers for key in keys)


def test_a_new_encryption_key_is_sealed_to_and_the_old_one_still_opens(folder: Path) -> None:
    async def work(consortium: Consortium) -> None:
        bundle = simple(2)
        patient = (await imported(consortium, bundle)).patient
        owner = consortium.patient(patient)
        await consenting.grant(owner, consent(consortium, compartments=("general",)))
        before = consortium.keyring(CLINIC).organisation_key()
        clinic = administrator(consortium, CLINIC)
        proposal = await governing.propose_new_key(clinic, consortium.keyring(CLINIC))
        for one in (CLINIC, INSURER, AGENCY):
            await governing.vote(administrator(consortium, one), proposal, in_favour=True)
        assert await read(clinician(consortium, CLINIC), patient) == content(bundle)
        second = (await imported(consortium, simple(3, patient=1))).patient
        await consenting.grant(consortium.patient(second), consent(consortium))
        assert len(await read(clinician(consortium, CLINIC), second)) == 4
        old = Actor(clinician(consortium, CLINIC).connection, clinic.recipient, before)
        assert await read(old, patient) == content(bundle)
        assert await read(old, second) == {}

    within(folder, work)


def test_an_added_hospital_takes_part_and_fabric_would_have_the_update(folder: Path) -> None:
    change = prepare_organisation(folder, stored_topology(folder), ISLAND)

    async def work(consortium: Consortium) -> ConfigUpdate:
        hospital, genesis = administrator(consortium, HOSPITAL), consortium.network.channel.genesis
        other = msgspec.structs.replace(change, msp_id="OtherMSP")
        with pytest.raises(BadInput, match="another organisation's"):
            await governing.propose(hospital, other)
        renewal = RotateCertificates(consortium.network.channel.config.organizations[-1].msp_config)
        with pytest.raises(BadInput, match="another organisation's"):
            await governing.propose(administrator(consortium, CLINIC), renewal)
        policy = await enacted(consortium, SHORTER, HOSPITAL, (HOSPITAL, INSURER, AGENCY))
        with pytest.raises(BadInput, match="no configuration update"):
            await governing.fabric_update(hospital, genesis, policy)
        added = await enacted(consortium, change, HOSPITAL, (HOSPITAL, INSURER, AGENCY))
        return await governing.fabric_update(hospital, genesis, added)

    update = within(folder, work)
    asyncio.run(join(folder, ISLAND))

    async def afterwards(consortium: Consortium) -> None:
        genesis = consortium.network.channel.genesis
        config = applied(genesis_config(genesis), update)
        assert change.msp_id in config.channel_group.groups["Application"].groups
        assert change.msp_id in config.channel_group.groups["Orderer"].groups
        removal = RemoveMember(msp_id(consortium, CLINIC))
        island = administrator(consortium, ISLAND.name)
        removed = await enacted(consortium, removal, ISLAND.name, (ISLAND.name, INSURER, AGENCY))
        later = await governing.fabric_update(island, genesis, removed)
        orderers = applied(config, later).channel_group.groups["Orderer"].groups
        assert sorted(orderers) == sorted({HOSPITAL, INSURER, AGENCY, change.msp_id})
        assert_equal_peers(consortium)

    within(folder, afterwards)
    assert_clean(folder)
