"""A transaction from proposal to commit: what every stage lets through, and whom it refuses with what."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2

from healthchain.client.errors import CommitFailed, EndorseFailed, EvaluateFailed, StageFailed, SubmitFailed
from healthchain.client.gateway import Connection, Transaction
from healthchain.errors import HealthChainError
from healthchain.identity.certificates import CertificateAuthority, NodeOU
from healthchain.identity.folders import SigningIdentity
from healthchain.identity.msp import serialize_identity
from healthchain.network.network import Network, peer_folder
from healthchain.wire.codes import Code
from healthchain.wire.gateway import GatewayError, Status
from healthchain.wire.transaction import endorsed_response

from .toy import (
    ALL,
    MSP_IDS,
    NAMES,
    TOY,
    Toy,
    block_codes,
    clock_ms,
    connect,
    endorse_request,
    identity,
    issued,
    now,
    proposal,
    run,
    status_request,
    submit_request,
)

DAY = datetime.timedelta(days=1)
SIX_MINUTES_MS = 6 * 60 * 1000


async def refused(awaited: object, status: Status) -> GatewayError:
    assert asyncio.iscoroutine(awaited)
    with pytest.raises(GatewayError) as caught:
        await awaited
    assert caught.value.status is status, caught.value
    return caught.value


def test_what_one_organisation_writes_every_peer_has(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        committed = await connect(network, folder, "north").submit("Put", b"k", b"v")
        assert committed.block == network.height - 1
        for name in NAMES:
            assert network.peers[name].ledger.height == network.height
            assert network.peers[name].ledger.transaction(committed.transaction_id) is not None
            user = "administrator"
            assert await connect(network, folder, name, user).evaluate("Get", b"k") == b"v"

    run(folder, scenario)


def test_the_caller_is_who_the_certificate_says(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        # Through another organisation's gateway, too.
        mine = Connection(network.gateway("south"), identity(folder, "north"), "health", TOY)
        assert await mine.evaluate("Who") == b"NorthMSP/clinician/clinician"

    run(folder, scenario)


def test_an_evaluation_writes_nothing(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        height = network.height
        assert await connect(network, folder, "north").evaluate("Add", b"n") == b"1"
        assert await connect(network, folder, "north").evaluate("Add", b"n") == b"1"
        assert network.height == height

    run(folder, scenario)


def test_two_readers_of_one_version_cannot_both_write(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north, south = connect(network, folder, "north"), connect(network, folder, "south")
        first = await north.proposal("Add", b"n").endorse()
        second = await south.proposal("Add", b"n").endorse()
        assert first.result == second.result == b"1"
        await (await first.submit()).committed()
        with pytest.raises(CommitFailed) as caught:
            await (await second.submit()).committed()
        assert caught.value.code == Code.MVCC_READ_CONFLICT
        assert caught.value.is_conflict
        assert await north.evaluate("Get", b"n") == b"1"

    run(folder, scenario)


def test_a_key_that_appeared_in_a_range_is_a_phantom(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        counted = await north.proposal("Count", b"a", b"z", b"~total").endorse()
        await north.submit("Put", b"m", b"new")
        with pytest.raises(CommitFailed) as caught:
            await (await counted.submit()).committed()
        assert caught.value.code == Code.PHANTOM_READ_CONFLICT
        assert caught.value.is_conflict

    run(folder, scenario)


def test_an_envelope_counts_once_however_often_it_is_sent(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        added = await north.proposal("Add", b"n").endorse()
        commits = [await added.submit() for _ in range(3)]
        assert {(await one.status()).result for one in commits} == {Code.VALID}
        later = await added.submit()
        await north.submit("Put", b"other", b"x")  # so that the repeated envelope is in a block as well
        assert (await later.status()).result == Code.VALID  # the first commit decides
        assert block_codes(network).count(Code.DUPLICATE_TXID) == 3
        assert await north.evaluate("Get", b"n") == b"1"

    run(folder, scenario)


def test_a_committed_proposal_is_not_endorsed_again(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        who = identity(folder, "north")
        built = proposal(who, "Put", "k", "v")
        gateway = network.gateway("north")
        endorsed = await gateway.endorse(endorse_request(who, built))
        payload = endorsed.prepared_transaction.payload
        await gateway.submit(submit_request(payload, who.key.sign(payload)))
        await gateway.commit_status(status_request(who, built.tx_id))
        error = await refused(gateway.endorse(endorse_request(who, built)), Status.ABORTED)
        assert len(error.details) == len(NAMES)
        assert all("duplicate transaction" in one.message for one in error.details)

    run(folder, scenario)


def test_a_wrong_signature_is_refused_at_every_stage(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        who, other = identity(folder, "north"), identity(folder, "north", "administrator")
        gateway = network.gateway("north")
        built = proposal(who, "Put", "k", "v")
        wrong = other.key.sign(built.bytes_)
        error = await refused(gateway.endorse(endorse_request(who, built, signature=wrong)), Status.ABORTED)
        assert {one.msp_id for one in error.details} == set(MSP_IDS)
        signed = proposal_pb2.SignedProposal(proposal_bytes=built.bytes_, signature=wrong)
        await refused(
            gateway.evaluate(gateway_pb2.EvaluateRequest(proposed_transaction=signed)), Status.FAILED_PRECONDITION
        )
        payload = (await gateway.endorse(endorse_request(who, built))).prepared_transaction.payload
        forged = await refused(gateway.submit(submit_request(payload, other.key.sign(payload))), Status.ABORTED)
        assert "403" in forged.details[0].message
        await refused(gateway.submit(submit_request(payload, b"")), Status.INVALID_ARGUMENT)
        asked = status_request(who, built.tx_id, signature=other.key.sign(b"something"))
        await refused(gateway.commit_status(asked), Status.PERMISSION_DENIED)
        assert network.peers["north"].ledger.transaction(built.tx_id) is None

    run(folder, scenario)


def test_an_expired_certificate_opens_nothing(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        gone = issued(folder, "north", at=now() - 10 * DAY, days=5)
        early = issued(folder, "north", at=now() + 2 * DAY, days=5)
        gateway = network.gateway("north")
        for who in (gone, early):
            connection = connect(network, folder, "north", who)
            with pytest.raises(EvaluateFailed, match="expired"):
                await connection.evaluate("Get", b"k")
            with pytest.raises(EndorseFailed, match="expired"):
                await connection.proposal("Put", b"k", b"v").endorse()
            await refused(gateway.commit_status(status_request(who, "0" * 64)), Status.PERMISSION_DENIED)

    run(folder, scenario)


def test_a_certificate_that_expires_before_submission_is_refused_by_the_orderers(folder: Path) -> None:
    offset_ms = 0

    async def scenario(network: Network) -> None:
        nonlocal offset_ms
        who = issued(folder, "north", at=now(), days=1)
        transaction = await connect(network, folder, "north", who).proposal("Put", b"k", b"v").endorse()
        offset_ms = 2 * 24 * 3600 * 1000
        with pytest.raises(SubmitFailed, match="expired"):
            await transaction.submit()

    run(folder, scenario, clock=lambda: clock_ms() + offset_ms)


@pytest.mark.parametrize(("minutes", "taken"), [(9, True), (11, False)])
def test_an_endorsement_cannot_be_kept_for_long(folder: Path, minutes: int, taken: bool) -> None:
    """What it rests on, a consent for instance, may be over by then."""
    offset_ms = 0

    async def scenario(network: Network) -> None:
        nonlocal offset_ms
        transaction = await connect(network, folder, "north").proposal("Put", b"k", b"v").endorse()
        offset_ms = minutes * 60 * 1000
        if taken:
            await (await transaction.submit()).committed()
        else:
            with pytest.raises(SubmitFailed, match="ten minutes"):
                await transaction.submit()

    run(folder, scenario, clock=lambda: clock_ms() + offset_ms)


def test_a_read_is_not_ordered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(network: Network) -> None:
        connection = connect(network, folder, "north")
        await connection.submit("Put", b"k", b"v")
        height = network.height
        monkeypatch.setattr(Toy, "only_reads", lambda self, args: args[0] == b"Get")
        assert await connection.evaluate("Get", b"k") == b"v"
        with pytest.raises(EndorseFailed, match="only reads"):
            await connection.submit("Get", b"k")
        assert network.height == height

    run(folder, scenario)


def test_peers_that_decide_differently_stop_before_anything_is_written(folder: Path) -> None:
    """One peer's state was altered behind its back: the others must not go on as if all agreed."""

    async def scenario(network: Network) -> None:
        connection = connect(network, folder, "north")
        await connection.submit("Put", b"k", b"1")
        altered = network.peers["payer"].ledger
        altered.version = lambda key: None  # type: ignore[method-assign]
        height = network.height
        with pytest.raises(HealthChainError, match="decide block"):
            await connection.submit("Add", b"k")
        assert {one.ledger.height for one in network.peers.values()} == {height}

    run(folder, scenario)


@pytest.mark.parametrize("offset_ms", [SIX_MINUTES_MS, -SIX_MINUTES_MS])
def test_a_clock_more_than_five_minutes_off_is_refused(folder: Path, offset_ms: int) -> None:
    async def scenario(network: Network) -> None:
        with pytest.raises(EndorseFailed, match="five minutes"):
            await connect(network, folder, "north", offset_ms=offset_ms).submit("Put", b"k", b"v")
        with pytest.raises(EvaluateFailed, match="five minutes"):
            await connect(network, folder, "north", offset_ms=offset_ms).evaluate("Get", b"k")
        near = offset_ms * 4 // 6 + 1000
        await connect(network, folder, "north", offset_ms=near).submit("Put", b"k", b"v")

    run(folder, scenario)


@pytest.mark.parametrize("claimed", ["NorthMSP", "SouthMSP", "NobodyMSP"])
def test_a_foreign_authority_makes_no_members(folder: Path, claimed: str) -> None:
    """Its names are those of the true authority; its key is not."""

    async def scenario(network: Network) -> None:
        domain = "north.healthchain.example"
        forged = CertificateAuthority.create(f"ca.{domain}", domain, now())
        enrolment = forged.issue("clinician", NodeOU.CLIENT, now(), {"hc.role": "clinician"})
        who = SigningIdentity(claimed, serialize_identity(claimed, enrolment.certificate), enrolment.key)
        connection = connect(network, folder, "north", who)
        with pytest.raises(EvaluateFailed, match="creator was refused"):
            await connection.evaluate("Get", b"k")
        with pytest.raises(EndorseFailed, match="creator was refused"):
            await connection.submit("Put", b"k", b"v")
        gateway = network.gateway("north")
        await refused(gateway.commit_status(status_request(who, "0" * 64)), Status.PERMISSION_DENIED)

    run(folder, scenario)


def test_a_member_cannot_claim_another_members_name(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        who = issued(folder, "south", at=now(), days=5, msp_id="NorthMSP")
        with pytest.raises(EndorseFailed, match="creator was refused"):
            await connect(network, folder, "south", who).submit("Put", b"k", b"v")

    run(folder, scenario)


def test_another_channel_is_refused_at_every_stage(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        who, gateway = identity(folder, "north"), network.gateway("north")
        built = proposal(who, "Put", "k", "v", channel="other")
        error = await refused(gateway.endorse(endorse_request(who, built)), Status.FAILED_PRECONDITION)
        assert error.details == ()
        evaluated = gateway_pb2.EvaluateRequest(proposed_transaction=endorse_request(who, built).proposed_transaction)
        await refused(gateway.evaluate(evaluated), Status.UNAVAILABLE)
        await refused(gateway.commit_status(status_request(who, built.tx_id, channel="other")), Status.NOT_FOUND)
        good = proposal(who, "Put", "k", "v")
        payload = common_pb2.Payload.FromString(
            (await gateway.endorse(endorse_request(who, good))).prepared_transaction.payload
        )
        header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        header.channel_id = "other"
        payload.header.channel_header = header.SerializeToString()
        moved = payload.SerializeToString()
        sent = await refused(gateway.submit(submit_request(moved, who.key.sign(moved))), Status.ABORTED)
        assert "404" in sent.details[0].message

    run(folder, scenario)


def test_an_unknown_chaincode_is_a_failed_precondition(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        connection = connect(network, folder, "north", chaincode="nothing")
        with pytest.raises(EndorseFailed) as endorsing:
            await connection.submit("Put")
        with pytest.raises(EvaluateFailed) as evaluating:
            await connection.evaluate("Get")
        failures: list[StageFailed] = [endorsing.value, evaluating.value]
        assert [one.status for one in failures] == [Status.FAILED_PRECONDITION] * 2
        assert [one.details for one in failures] == [(), ()]

    run(folder, scenario)


@pytest.mark.parametrize("spoiled", [b"", b"\xff\xff", b"\x0a\x02\x0a\x00"])
def test_bytes_that_are_no_proposal_are_an_invalid_argument(folder: Path, spoiled: bytes) -> None:
    async def scenario(network: Network) -> None:
        gateway = network.gateway("north")
        signed = proposal_pb2.SignedProposal(proposal_bytes=spoiled, signature=b"s")
        await refused(gateway.endorse(gateway_pb2.EndorseRequest(proposed_transaction=signed)), Status.INVALID_ARGUMENT)
        await refused(
            gateway.evaluate(gateway_pb2.EvaluateRequest(proposed_transaction=signed)), Status.INVALID_ARGUMENT
        )
        asked = gateway_pb2.SignedCommitStatusRequest(request=spoiled or b"\xff", signature=b"s")
        with pytest.raises(GatewayError):
            await gateway.commit_status(asked)
        with pytest.raises(GatewayError):
            await gateway.submit(submit_request(spoiled, b"s"))

    run(folder, scenario)


@pytest.mark.parametrize(
    ("argument", "write", "code"),
    [
        (b"greedy", b"modest", Code.INVALID_ENDORSER_TRANSACTION),
        (b"modest", b"greedy", Code.ENDORSEMENT_POLICY_FAILURE),
        (b"greedy", b"greedy", Code.INVALID_ENDORSER_TRANSACTION),
    ],
)
def test_what_endorsers_signed_cannot_be_changed_afterwards(
    folder: Path, argument: bytes, write: bytes, code: int
) -> None:
    """Not even by the client, who signs the envelope."""

    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        endorsed = await north.proposal("Put", b"sum", b"modest").endorse()
        before, between, after = endorsed.payload.split(b"modest")
        changed = Transaction(north, endorsed.transaction_id, before + argument + between + write + after)
        with pytest.raises(CommitFailed) as caught:
            await (await changed.submit()).committed()
        assert caught.value.code == code
        assert not caught.value.is_conflict
        assert await north.evaluate("Get", b"sum") == b""

    run(folder, scenario)


def test_transient_data_reaches_the_chaincode_and_no_block(folder: Path) -> None:
    secret = b"never on the public ledger"

    async def scenario(network: Network) -> None:
        north = connect(network, folder, "north")
        await north.submit("PutPrivate", ALL.encode(), b"k", transient={"value": secret})
        south = connect(network, folder, "south")
        assert await south.evaluate("GetPrivate", ALL.encode(), b"k") == secret

    run(folder, scenario)
    for name in NAMES:
        peer = peer_folder(folder, name)
        assert not any(secret in one.read_bytes() for one in (peer / "blocks").iterdir())
        assert any(secret in one.read_bytes() for one in (peer / "private").iterdir())


@pytest.mark.parametrize(
    ("organisations", "code"),
    [
        (MSP_IDS[:1], Code.ENDORSEMENT_POLICY_FAILURE),
        (MSP_IDS[:2], Code.ENDORSEMENT_POLICY_FAILURE),
        (MSP_IDS[:2] * 2, Code.ENDORSEMENT_POLICY_FAILURE),
        (MSP_IDS[1:], Code.VALID),
        (MSP_IDS, Code.VALID),
    ],
)
def test_as_many_organisations_as_the_policy_asks_for(folder: Path, organisations: tuple[str, ...], code: int) -> None:
    async def scenario(network: Network) -> None:
        who, gateway = identity(folder, "north"), network.gateway("north")
        built = proposal(who, "Put", "k", "v")
        endorsed = await gateway.endorse(endorse_request(who, built, organizations=organisations))
        payload = endorsed.prepared_transaction.payload
        await gateway.submit(submit_request(payload, who.key.sign(payload)))
        assert (await gateway.commit_status(status_request(who, built.tx_id))).result == code

    run(folder, scenario)


def test_an_organisation_without_peers_cannot_be_asked(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        who, gateway = identity(folder, "north"), network.gateway("north")
        asked = endorse_request(who, proposal(who, "Put", "k", "v"), organizations=["NobodyMSP"])
        await refused(gateway.endorse(asked), Status.UNAVAILABLE)

    run(folder, scenario)


def test_peers_that_answer_differently_are_named(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        with pytest.raises(EndorseFailed, match="do not match") as caught:
            await connect(network, folder, "north").submit("Vary")
        assert caught.value.status is Status.ABORTED
        assert [one.msp_id for one in caught.value.details] == ["SouthMSP", "PayerMSP"]  # the last could not help

    run(folder, scenario)


def test_a_refusal_of_the_chaincode_is_not_asked_for_again(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        who, gateway = identity(folder, "north"), network.gateway("north")
        built = proposal(who, "Refuse", "RULE_BROKEN")
        error = await refused(gateway.endorse(endorse_request(who, built)), Status.ABORTED)
        assert [(one.msp_id, one.message) for one in error.details] == [
            ("NorthMSP", "chaincode response 403, RULE_BROKEN: the toy's rules forbid it")
        ]

    run(folder, scenario)


def test_the_answer_that_was_endorsed_is_the_one_in_the_envelope(folder: Path) -> None:
    async def scenario(network: Network) -> None:
        who, gateway = identity(folder, "north"), network.gateway("north")
        endorsed = await gateway.endorse(endorse_request(who, proposal(who, "Add", "n")))
        assert endorsed_response(endorsed.prepared_transaction.payload).payload == b"1"

    run(folder, scenario)
