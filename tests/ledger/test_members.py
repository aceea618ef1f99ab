"""Who counts, and from which block on: endorsers, orderers and clients of members that come, go and change keys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.msp import identities_pb2, msp_config_pb2, msp_principal_pb2

from healthchain.chaincode.membership import BARRED, Membership, Standing
from healthchain.contract.codes import Code
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.keys import SigningKey
from healthchain.identity.msp import IdentityRefused, encode_msp_config, serialize_identity
from healthchain.ledger import fsck
from healthchain.ledger.quorum import BlockRefused
from healthchain.ledger.recovery import close_ledger
from healthchain.ledger.simulate import Simulator
from healthchain.wire.lifecycle import ChaincodeDefinition

from . import chain_builder
from .chain_builder import BOOT, NOW, Organisation
from .crashes import STEPS, Crash, crash_before, tables
from .members_chain import ACTIVE, BAD_CREATOR, POLICY, REMOVED, SUSPENDED, VALID, Story, as_member, rows, whole_story
from .whole_chain import RESTARTED

ALL, OUT = [0, 1, 2, 3], [SUSPENDED, REMOVED]


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """Four members, and blocks 0 and 1."""
    begun = Story.begin(tmp_path / "peer")
    yield begun
    begun.ledger.close()


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return whole_story(tmp_path_factory.mktemp("story") / "peer")


def refused(story: Story, signers: list[int]) -> bool:
    """Whether a block of nothing but a harmless transaction is, for these signatures; the ledger stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(story.ledger), "prepare", lambda *_: None)
        try:
            chain_builder.prepare_block(story.ledger, story.block([story.put(ALL)], signers), {})
        except BlockRefused:
            return True
        return False


@pytest.mark.parametrize("out", OUT)
def test_an_endorser_of_one_that_is_out_does_not_count_and_the_majority_shrinks(story: Story, out: Membership) -> None:
    decision = story.decide([0, 1, 2], Org3MSP=out)
    in_time = [story.put([0, 1, 3], key="a"), story.put([0, 1], key="b")]
    assert story.commit([decision, *in_time], ALL) == [VALID, VALID, POLICY], "the block itself: as before it"
    after = [story.put([0, 3], key="c"), story.put([0, 1], key="d"), story.put([1, 2, 3], key="e"), story.put([0])]
    assert story.commit(after, [0, 1]) == [POLICY, VALID, VALID, POLICY]


@pytest.mark.parametrize("out", OUT)
def test_a_client_of_one_that_is_out_writes_nothing_from_the_next_block_on(story: Story, out: Membership) -> None:
    decision = story.decide([0, 1, 2], Org3MSP=out)
    assert story.commit([decision, story.put(ALL, client=3, key="a")], ALL) == [VALID, VALID]
    late = story.put([0, 1, 2], client=3, key="b")
    assert story.commit([late], [0, 1]) == [BAD_CREATOR]
    assert story.ledger.transaction(late.tx_id) is None, "its id stays free"


@pytest.mark.parametrize("out", OUT)
def test_an_orderer_of_one_that_is_out_does_not_count_and_the_quorum_shrinks(story: Story, out: Membership) -> None:
    assert refused(story, [0, 1])
    assert not refused(story, [0, 1, 3])
    story.commit([story.decide([0, 1, 2], Org3MSP=out)], [0, 1, 3])
    assert refused(story, [0, 3])
    assert not refused(story, [0, 1])


def test_what_one_that_is_out_is_told(story: Story) -> None:
    story.commit([story.decide([0, 1, 2], Org2MSP=REMOVED, Org3MSP=SUSPENDED)], ALL)
    for number, code in ((2, Code.MEMBER_REMOVED), (3, Code.MEMBER_SUSPENDED)):
        with pytest.raises(IdentityRefused) as said:
            story.ledger.channel.msps.identify(story.client(number).serialized)
        assert str(said.value) == f"{code}: {code.meaning}", "as the contract would"
    assert set(BARRED) == set(Standing) - {Standing.ACTIVE}


def test_one_that_is_resumed_counts_again(story: Story) -> None:
    story.commit([story.decide([0, 1, 2], Org3MSP=SUSPENDED)], ALL)
    story.commit([story.decide([0, 1], Org3MSP=ACTIVE)], [0, 1])
    assert story.commit([story.put([0, 3, 1], client=3), story.put([0, 1])], [0, 1, 3]) == [VALID, POLICY]
    assert story.ledger.channel.quorum == 3


def test_one_that_is_added_endorses_orders_and_writes(story: Story) -> None:
    story.consortium.organisations.append(Organisation.create("Org4"))
    decision = story.decide([0, 1, 2], Org4MSP=as_member(story.consortium.organisations[4]))
    early = [story.put([0, 1, 4], key="a"), story.put([0, 1, 2], client=4, key="b")]
    assert story.commit([*early, decision], ALL) == [POLICY, BAD_CREATOR, VALID]
    assert refused(story, [0, 1, 2]), "four of five"
    after = [story.put([0, 1, 4], key="c"), story.put([0, 1, 2], client=4, key="d"), story.put([0, 4], key="e")]
    assert story.commit(after, [0, 1, 2, 4]) == [VALID, VALID, POLICY]


def test_ones_that_are_added_are_numbered_in_the_order_of_their_names(story: Story) -> None:
    """Block 0's keep theirs, and so does one that is out."""
    later = {name: Organisation.create(name) for name in ("Zeta", "Alpha")}
    story.commit([story.decide([0, 1, 2], ZetaMSP=as_member(later["Zeta"]), Org3MSP=SUSPENDED)], ALL)
    assert {number: one.msp_id for number, one in story.ledger.channel.consenters.items()}[5] == "ZetaMSP"
    story.commit([story.decide([0, 1, 2], AlphaMSP=as_member(later["Alpha"]))], [0, 1, 2])
    assert {number: one.msp_id for number, one in story.ledger.channel.consenters.items()} == {
        1: "Org0MSP",
        2: "Org1MSP",
        3: "Org2MSP",
        5: "AlphaMSP",
        6: "ZetaMSP",
    }


def test_one_without_an_orderer_of_its_own_only_endorses(story: Story) -> None:
    newcomer = Organisation.create("Org4")
    story.consortium.organisations.append(newcomer)
    row = msgspec.structs.replace(as_member(newcomer), orderer=b"")
    story.commit([story.decide([0, 1, 2], Org4MSP=row)], ALL)
    assert story.ledger.channel.quorum == 3
    assert story.commit([story.put([0, 1, 4])], [0, 1, 2]) == [VALID]


def test_new_certificates_replace_the_old_ones(story: Story) -> None:
    before = story.replace(1)
    decision = story.decide([0, 2, 3], Org1MSP=as_member(story.consortium.organisations[1]))
    assert story.commit([decision], [0, 2, 3]) == [VALID]
    after = [story.put([0, 1, 2], client=1, key="a"), story.put([0, 2, 3], key="b")]
    old_client = story.consortium.transaction(
        story.ledger, lambda stub: None, endorsers=story.peers([0, 2, 3]), client=before.client
    )
    old_endorser = story.consortium.transaction(
        story.ledger, lambda stub: None, endorsers=[*story.peers([0, 2]), before.peer]
    )
    assert story.commit([*after, old_client, old_endorser], [0, 1, 2]) == [VALID, VALID, BAD_CREATOR, POLICY]
    story.consortium.organisations[1] = before
    assert refused(story, [0, 1, 2]), "its old orderer"


def test_a_new_authority_without_a_new_orderer_leaves_none(story: Story) -> None:
    story.replace(1)
    row = msgspec.structs.replace(as_member(story.consortium.organisations[1]), orderer=b"")
    story.commit([story.decide([0, 2, 3], Org1MSP=row)], [0, 2, 3])
    assert sorted(story.ledger.channel.consenters) == [1, 3, 4]


def _claims_to_be(msp_id: str) -> bytes:
    """The configuration of an authority of one's own that would issue identities of another member."""
    own = Organisation.create("Own")
    return encode_msp_config(msp_id, own.authority.certificate, own.tls_root)


@pytest.mark.parametrize(
    "row",
    [
        b"\xff",
        b"{}",
        b"[" * 5000,
        b'{"standing":"honorary"}',
        b'{"standing":"active","more":1}',
        msgspec.json.encode(Membership(Standing.ACTIVE, b"\xff")),
        msgspec.json.encode(Membership(Standing.ACTIVE, b"\x0a\x00")),
        msgspec.json.encode(Membership(Standing.ACTIVE, _claims_to_be("Org0MSP"))),
    ],
)
@pytest.mark.parametrize("name", ["Org3MSP", "NewMSP"])
def test_a_row_that_makes_no_sense_keeps_its_member_out_and_stops_nobody(story: Story, name: str, row: bytes) -> None:
    before = story.ledger.channel.msps["Org0MSP"]
    story.commit([story.decide([0, 1, 2], **{name: row})], [0, 1, 2])
    assert name not in story.ledger.channel.msps
    assert story.ledger.channel.majority == (2 if name == "Org3MSP" else 3)
    assert vars(story.ledger.channel.msps["Org0MSP"]) == vars(before), "nobody gets another's name"
    assert story.commit([story.put([0, 1, 2])], [0, 1, 2]) == [VALID]


def sharing(story: Story, msp_id: str, authority: CertificateAuthority) -> Membership:
    """A row of a member under another one's authority, which issued it a peer and an orderer."""
    orderer = authority.issue(f"orderer0.{msp_id}", NodeOU.ORDERER, NOW)
    config = encode_msp_config(msp_id, authority.certificate, story.consortium.organisations[0].tls_root)
    return Membership(Standing.ACTIVE, config, orderer.certificate)


@pytest.mark.parametrize("standing", [ACTIVE, SUSPENDED])
@pytest.mark.parametrize("name", ["Org2MSP", "AheadMSP"])
def test_one_authority_counts_for_one_member(story: Story, name: str, standing: Membership) -> None:
    """Whoever holds its key would endorse and order as both. Who has it from block 0 on keeps it, suspended too."""
    own = story.consortium.organisations[3].authority
    row = sharing(story, name, own)
    story.commit([story.decide([0, 1, 2], Org3MSP=standing)], ALL)
    before = set(story.ledger.channel.msps)
    story.commit([story.decide([0, 1, 2], **{name: row})], [0, 1, 2])
    channel = story.ledger.channel
    assert set(channel.msps) == before - {name}
    assert len(channel.consenters) == len(before - {name})
    peer = own.issue("peer0", NodeOU.PEER, NOW)
    with pytest.raises(IdentityRefused, match="another member's"):
        channel.msps.identify(serialize_identity(name, peer.certificate))
    story.commit([story.decide([0, 1, 2], Org3MSP=REMOVED)], [0, 1, 2])
    assert name in story.ledger.channel.msps, "a removed one is no member"


def test_of_later_members_with_one_authority_the_first_by_name_has_it(story: Story) -> None:
    own = Organisation.create("Own").authority
    rows_of = {name: sharing(story, name, own) for name in ("ZMSP", "AheadMSP", "MiddleMSP")}
    story.commit([story.decide([0, 1, 2], **rows_of)], ALL)
    assert set(story.ledger.channel.msps) - {f"Org{number}MSP" for number in ALL} == {"AheadMSP"}
    story.commit([story.decide([0, 1, 2], Org0MSP=sharing(story, "Org0MSP", own))], ALL)
    assert "Org0MSP" not in story.ledger.channel.msps, "its certificates came later, too"


def test_a_certificate_made_again_or_an_intermediate_is_the_same_authority(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is the key: it signs the same whatever its certificate says."""
    own = Organisation.create("Own")
    key = story.consortium.organisations[3].authority.key
    monkeypatch.setattr(SigningKey, "generate", lambda: key)
    again = CertificateAuthority.create("of another name", "Own", NOW).certificate
    as_root = encode_msp_config("OwnMSP", again, own.tls_root)
    below = msp_config_pb2.FabricMSPConfig.FromString(own.config().msp_config)
    below.intermediate_certs.append(again)
    for config in (as_root, below.SerializeToString()):
        story.commit([story.decide([0, 1, 2], OwnMSP=Membership(Standing.ACTIVE, config))], ALL)
        assert set(story.ledger.channel.msps) == {f"Org{number}MSP" for number in ALL}


def test_an_orderer_that_is_none_does_not_count(story: Story) -> None:
    """Its client's or peer's certificate, another member's orderer, and no certificate at all."""
    organisations = story.consortium.organisations
    own = [identities_pb2.SerializedIdentity.FromString(one.serialized) for one in (story.client(1), *story.peers([1]))]
    for certificate in (own[0].id_bytes, own[1].id_bytes, organisations[2].orderer_certificate, b"none"):
        story.commit([story.decide([0, 1, 2], Org1MSP=Membership(Standing.ACTIVE, b"", certificate))], [0, 2, 3])
        assert sorted(story.ledger.channel.consenters) == [1, 3, 4]


def test_keys_beside_the_rows_mean_nothing(story: Story) -> None:
    def run(stub: Simulator) -> None:
        stub.put_state("\x00membership\x00Org3MSP\x00more\x00", b'{"standing":"removed"}')
        stub.put_state("membership", b'{"standing":"removed"}')

    beside = story.consortium.transaction(story.ledger, run, chaincode="ehr", endorsers=story.peers([0, 1, 2]))
    elsewhere = story.consortium.transaction(story.ledger, rows(Org3MSP=REMOVED), endorsers=story.peers([0, 1, 2]))
    assert story.commit([beside, elsewhere], ALL) == [VALID, VALID]
    assert story.ledger.channel.majority == 3
    assert set(story.ledger.channel.msps) == {f"Org{number}MSP" for number in ALL}


def test_where_no_member_is_left_nothing_is_valid_and_no_block_is_taken(story: Story) -> None:
    story.commit([story.decide([0, 1, 2], **{f"Org{number}MSP": REMOVED for number in ALL})], ALL)
    assert (story.ledger.channel.majority, story.ledger.channel.quorum) == (1, 1)
    assert not story.ledger.channel.endorsement_satisfied(None, [])
    assert refused(story, [])
    assert refused(story, ALL)


def test_a_policy_that_names_somebody_who_is_out_still_holds_for_the_others(story: Story) -> None:
    principals = [
        msp_principal_pb2.MSPPrincipal(
            principal_classification=msp_principal_pb2.MSPPrincipal.IDENTITY, principal=one.serialized
        )
        for one in story.peers([0, 3])
    ]
    either = policies_pb2.SignaturePolicy.NOutOf(
        n=1, rules=[policies_pb2.SignaturePolicy(signed_by=index) for index in range(2)]
    )
    encoded = policies_pb2.SignaturePolicyEnvelope(
        rule=policies_pb2.SignaturePolicy(n_out_of=either), identities=principals
    ).SerializeToString()
    definition = ChaincodeDefinition("toy", "1", 2, story.consortium.definition.collections, encoded)
    story.commit([story.consortium.define(story.ledger, definition)], ALL)
    assert story.commit([story.put([3], key="a"), story.put([0], key="b"), story.put([1, 2])], ALL) == [0, 0, POLICY]
    story.commit([story.decide([0, 1, 2], Org3MSP=SUSPENDED)], ALL)
    assert story.commit([story.put([3], key="c"), story.put([0], key="d")], [0, 1]) == [POLICY, VALID]


# The whole story: replayed, interrupted, checked


def test_fsck_finds_nothing_in_the_whole_story(told: Story) -> None:
    report = fsck.check(told.ledger.folder, told.consortium.genesis)
    assert report.findings == []
    assert report.height == len(told.blocks)


def test_a_peer_without_tables_comes_to_the_same(told: Story, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(told.ledger.folder, tmp_path / "peer"))
    ledger = told.consortium.open(folder)
    before, members = tables(ledger), ledger.channel.memberships
    assert {msp_id: row.standing for msp_id, row in members.items()} == {
        "Org1MSP": Standing.ACTIVE,
        "Org2MSP": Standing.REMOVED,
        "Org3MSP": Standing.ACTIVE,
        "Org4MSP": Standing.ACTIVE,
    }
    close_ledger(ledger)
    shutil.rmtree(folder / "state")
    again = told.consortium.open(folder)
    assert tables(again) == before
    assert again.channel.memberships == members
    close_ledger(again)


@pytest.mark.crash
@pytest.mark.parametrize("boot_id", [BOOT, RESTARTED])
def test_a_crash_at_any_step_of_any_of_its_blocks(
    told: Story, tmp_path: Path, boot_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2, len(told.blocks)):
        for step in range(len(STEPS) + 2):
            folder = tmp_path / f"{number} {step}"
            ledger = told.consortium.open(folder)
            told.again(ledger, number)
            with crash_before(step, monkeypatch):
                try:
                    told.again(ledger, number + 1)
                except Crash:
                    assert step < len(STEPS) + 1
            ledger.close()
            again = told.consortium.open(folder, boot_id)
            told.again(again, len(told.blocks))
            assert again.state.commit_hash == told.commit_hash
            close_ledger(again)
            shutil.rmtree(folder)


@pytest.mark.parametrize("signers", [[0, 3], [3], [1, 3, 3]])
def test_fsck_finds_a_block_whose_quorum_counts_a_suspended_orderer(
    story: Story, signers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that does not look takes it; whoever checks it does not."""
    story.commit([story.decide([0, 1, 2], Org3MSP=SUSPENDED)], ALL)
    monkeypatch.setattr(chain_builder, "check_block", lambda *_: None)
    story.commit([story.put([0, 1])], signers)
    close_ledger(story.ledger)
    found = fsck.check(story.ledger.folder, story.consortium.genesis).findings
    assert [(one.where, one.what) for one in found if one.where.startswith("block 3")] == [
        ("block 3", f"has {len(set(signers) - {3})} valid orderer signatures, 2 are needed")
    ]


def test_fsck_finds_a_transaction_of_a_suspended_client_that_was_taken_for_valid(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    founding = story.ledger.channel
    story.commit([story.decide([0, 1, 2], Org3MSP=SUSPENDED)], ALL)
    monkeypatch.setattr(chain_builder, "check_block", lambda *_: None)
    monkeypatch.setattr(story.ledger, "channel", founding)
    assert story.commit([story.put([0, 1, 2], client=3)], [0, 1]) == [VALID]
    close_ledger(story.ledger)
    found = fsck.check(story.ledger.folder, story.consortium.genesis).findings
    assert ("block 3", "transaction 0 has code 0, and should have BAD_CREATOR_SIGNATURE") in [
        (one.where, one.what) for one in found
    ]
