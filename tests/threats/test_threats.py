"""SECURITY.md's table: each attack fails on the network as it is, and succeeds on one whose defence is taken away.

The second half is what makes the first worth something: an attack that cannot succeed anyway shows nothing.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import healthchain.client.gateway as gateway
import healthchain.contract.aggregates as aggregates
import healthchain.contract.amendments as amendments
import healthchain.contract.billing as billing
import healthchain.contract.consents as consents
import healthchain.contract.deciding as deciding
import healthchain.contract.emergency as emergency
import healthchain.contract.envelopes as envelopes
import healthchain.contract.governance as governance
import healthchain.contract.guardians as guardians
import healthchain.contract.licences as licences
import healthchain.contract.members as members
import healthchain.contract.merging as merging
import healthchain.contract.patients as patients
import healthchain.contract.reading as reading
import healthchain.contract.registry as registry
import healthchain.contract.reviews as reviews
import healthchain.contract.sessions as sessions
import healthchain.contract.suppression as suppression
import healthchain.contract.tally as tally
import healthchain.contract.trail as trail
import healthchain.fabric.machines.public_part as public_part
import healthchain.identity.msp as msp
import healthchain.identity.requests as requests
import healthchain.ledger.fsck_chain as fsck_chain
import healthchain.ledger.membership as membership
import healthchain.ledger.recovery as recovery
import healthchain.ledger.validate as validate
import healthchain.network.committer as committer
import healthchain.network.peer as peer
import healthchain.network.verifier as verifier
import healthchain.records.channel_membership as channel_membership
import healthchain.records.claiming as claiming
import healthchain.records.consenting as consenting
import healthchain.records.importing as importing
from healthchain.chaincode.dispatch import Contract
from healthchain.chaincode.stub import Stub
from healthchain.contract.ids import Purpose, Role
from healthchain.contract.policies import Policies
from healthchain.ledger.channel import Channel
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.segments import SegmentedLog
from healthchain.ledger.validate import SignatureCheck
from healthchain.records.keyring import ID_BYTES, Keyring, encode_id
from healthchain.records.sealing import BodySealer

from . import agreement_attacks as agreement
from . import fabric_attacks as fabric
from . import network_attacks as network
from . import record_attacks as record
from .stage import Stage

Patch = pytest.MonkeyPatch
Attack = Callable[[Stage], bool]

IDENTITY = "a client claims another identity, role or patient"
PEER = "one member's peer forges a result, or endorses what the rules forbid"
ORDERER = "one orderer forges or reorders; a block is altered on disk"
REPLAY = "replay of a proposal, an envelope or an access session"
CURIOUS = "a curious member reads its own disk or the wire"
GUESSES = "a member tests guesses against hashes"
BROWSING = "a clinician browses"
GLASS = "a clinician breaks the glass without need"
REVOKED = "a revoked grantee reads on"
PURGED = "a purged record comes back"
MALFORMED = "malformed or oversized input"
CRASH = "a crash or power loss at any instruction"
RULES = "one member changes the rules or the members alone"
SUSPENDED = "a suspended or removed member acts on"
UNLICENSED = "an unlicensed author writes"
SPEAKING = "somebody speaks for a patient, or takes one over, who may not"
BILLING = "one service is billed twice, or a member tests guesses of it"
COUNTS = "small numbers are read out of published tables"
RECEIPT = "a receipt is forged or altered"
UPDATE = "a channel's update says more than was decided"
FILES = "a member's file is made to deceive the others, or to end their nodes"
GATEWAY = "a gateway answers with another transaction than was proposed"
KEYED = "a key's own policy goes around the contract's"
LOST = "a certificate is lost, stolen or expired"


class EmptyTable:
    """Of the contract's state: keeps nothing, finds nothing."""

    def scan(self, *_: object) -> list[object]:
        return []

    def put(self, *_: object) -> None:
        pass


def every_signature_holds(patch: Patch) -> None:
    patch.setattr(SignatureCheck, "holds", lambda _: True)


def every_certificate_is_ours(patch: Patch) -> None:
    patch.setattr(msp, "_issued_by", lambda *_: True)


def bodies_in_the_clear(patch: Patch) -> None:
    patch.setattr(BodySealer, "seal", lambda self, binding, plaintext: plaintext)
    patch.setattr(BodySealer, "open", lambda self, binding, sealed: sealed)


def ids_without_a_secret(patch: Patch) -> None:
    def opaque_id(self: Keyring, *parts: str) -> str:
        encoded = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
        return encode_id(hmac.digest(b"", encoded, "sha256")[:ID_BYTES])

    patch.setattr(Keyring, "opaque_id", opaque_id)


def any_policy_is_satisfied(patch: Patch) -> None:
    patch.setattr(Channel, "endorsement_satisfied", lambda *_: True)


def transactions_are_forgotten(patch: Patch) -> None:
    patch.setattr(Ledger, "transaction", lambda *_: None)


def reads_need_no_session(patch: Patch) -> None:
    def access(stub: Stub, patient_id: str, session_id: str) -> sessions.Access:
        patient = patients.active(stub, patient_id)
        everything = tuple(sorted(patient.compartments))
        session = sessions.Session("", Role.CLINICIAN, patient_id, Purpose.TREAT, everything, 0, 0)
        return sessions.Access(session, patient, frozenset(everything))

    patch.setattr(reading, "access", access)
    patch.setattr(reading, "_require_disclosed", nothing)


def any_session_runs(patch: Patch) -> None:
    patch.setattr(sessions, "_running", lambda stub, role, patient, one: sessions.SESSIONS.get(stub, patient, one))


def reviews_never_fall_due(patch: Patch) -> None:
    patch.setattr(emergency, "PENDING_REVIEWS", EmptyTable())


def an_emergency_opens_everything(patch: Patch) -> None:
    patch.setattr(deciding, "emergency_compartments", lambda stub, patient_id, patient: frozenset(patient.compartments))


def votes_are_forgotten(patch: Patch) -> None:
    patch.setattr(governance, "VOTES", EmptyTable())


def whoever_is_active_votes(patch: Patch) -> None:
    patch.setattr(amendments, "voters", lambda change, now: now.active())


def no_standing_bars_a_caller(patch: Patch) -> None:
    """The network asks who takes part, and so does the contract's own gate: either is enough."""
    patch.setattr(membership, "BARRED", {})
    patch.setattr(members, "require_active", lambda member: member)


def one_key_for_ever(patch: Patch) -> None:
    for module in (importing, consenting):
        patch.setattr(module, "new_key", lambda: bytes(32))


def bytes_are_cut_anyhow(patch: Patch) -> None:
    patch.setattr(committer, "check_content", nothing)
    patch.setattr(committer, "check_headers", nothing)


def only_itself(target: object, name: str, value: object) -> Callable[[Patch], None]:
    """The defence is this one attribute."""

    def remove(patch: Patch) -> None:
        patch.setattr(target, name, value)

    return remove


def nothing(*_: object, **__: object) -> None:
    pass


@dataclass(frozen=True)
class Row:
    threat: str
    attack: Attack
    remove: Callable[[Patch], None]


ROWS = [
    Row(IDENTITY, network.foreign_authority, every_certificate_is_ours),
    Row(IDENTITY, network.borrowed_certificate, every_signature_holds),
    Row(IDENTITY, network.unsigned_envelope, every_signature_holds),
    Row(IDENTITY, network.claimed_patient, only_itself(patients, "require_self", nothing)),
    Row(IDENTITY, network.claimed_role, only_itself(Policies, "may", lambda *_: True)),
    Row(LOST, network.expired_certificate, only_itself(msp.Identity, "require_unexpired", nothing)),
    Row(PEER, network.one_peer_forges, any_policy_is_satisfied),
    Row(PEER, network.one_peer_counts_three_times, any_policy_is_satisfied),
    Row(PEER, network.forged_endorsements, every_signature_holds),
    Row(ORDERER, network.lone_orderer, only_itself(committer, "check_quorum", nothing)),
    Row(ORDERER, network.reordered_block, only_itself(committer, "check_content", nothing)),
    Row(ORDERER, network.merged_envelopes, bytes_are_cut_anyhow),
    Row(ORDERER, network.withholding_orderer, only_itself(Channel, "quorum", 4)),
    Row(ORDERER, network.altered_block, only_itself(fsck_chain, "_signed", lambda *_: True)),
    Row(REPLAY, network.replayed_envelope, transactions_are_forgotten),
    Row(REPLAY, network.replayed_proposal, transactions_are_forgotten),
    Row(REPLAY, network.late_proposal, only_itself(peer, "CLOCK_SKEW_MS_MAX", 3_600_000)),
    Row(REPLAY, record.colleagues_session, only_itself(sessions, "user_of", lambda caller: "anybody")),
    Row(REPLAY, record.session_after_its_end, any_session_runs),
    Row(CURIOUS, record.curious_member, bodies_in_the_clear),
    Row(CURIOUS, record.tapped_wire, bodies_in_the_clear),
    Row(GUESSES, record.guessed_body, bodies_in_the_clear),
    Row(GUESSES, record.guessed_id, ids_without_a_secret),
    Row(BROWSING, record.without_session, reads_need_no_session),
    Row(BROWSING, record.unseen_reading, only_itself(trail, "_sessions", lambda *_: [])),
    Row(BROWSING, record.undisclosed_reading, only_itself(reading, "_require_disclosed", nothing)),
    Row(GLASS, record.glass_broken_by_habit, reviews_never_fall_due),
    Row(GLASS, record.emergency_cleared_at_home, only_itself(reviews, "_require_other", nothing)),
    Row(GLASS, agreement.glass_broken_against_a_denial, an_emergency_opens_everything),
    Row(REVOKED, record.session_after_revocation, only_itself(consents, "end", nothing)),
    Row(REVOKED, record.envelopes_after_revocation, only_itself(envelopes, "purge", nothing)),
    Row(REVOKED, record.old_key_after_revocation, one_key_for_ever),
    Row(PURGED, record.restored_backup, only_itself(SegmentedLog, "erase", nothing)),
    Row(PURGED, record.purged_at_an_instruction_of_its_own, only_itself(SegmentedLog, "erase", nothing)),
    Row(PURGED, record.read_into_a_block, only_itself(Contract, "only_reads", lambda *_: False)),
    Row(MALFORMED, network.hostile_certificate, only_itself(msp, "UNREADABLE", (ValueError,))),
    Row(MALFORMED, network.endless_signature, only_itself(verifier, "SIGNATURE_BYTES_MAX", 1 << 30)),
    Row(CRASH, record.power_loss, only_itself(recovery, "_replay", nothing)),
    Row(RULES, agreement.decided_alone, only_itself(tally, "decided", lambda *_: True)),
    Row(RULES, agreement.votes_by_another_certificate, votes_are_forgotten),
    Row(RULES, agreement.votes_on_its_own_suspension, whoever_is_active_votes),
    Row(SUSPENDED, agreement.suspended_member_acts, no_standing_bars_a_caller),
    Row(SUSPENDED, agreement.suspended_members_endorse, only_itself(membership, "BARRED", {})),
    Row(SUSPENDED, agreement.suspended_members_order, only_itself(membership, "BARRED", {})),
    Row(LOST, agreement.stolen_certificate, only_itself(Channel, "following", lambda self, _: self)),
    Row(UNLICENSED, agreement.unlicensed_author, only_itself(licences, "require_found", nothing)),
    Row(UNLICENSED, agreement.hospital_licenses_its_own, only_itself(Policies, "may", lambda *_: True)),
    Row(SPEAKING, agreement.guardian_of_another_authority, only_itself(guardians, "require_speaker", nothing)),
    Row(SPEAKING, agreement.guardian_beyond_its_scope, only_itself(guardians, "require_speaker", nothing)),
    Row(SPEAKING, agreement.merged_by_one_custodian, only_itself(merging, "_require_both", nothing)),
    Row(SPEAKING, agreement.custody_taken, only_itself(registry, "require_inactive", nothing)),
    Row(BILLING, agreement.billed_twice, only_itself(billing, "take_tokens", nothing)),
    Row(BILLING, agreement.billed_again_under_another_secret, only_itself(claiming, "check", nothing)),
    Row(BILLING, agreement.guessed_service, only_itself(Keyring, "encounter_secret", lambda *_: bytes(32))),
    Row(COUNTS, agreement.total_less_the_rest, only_itself(suppression, "check", nothing)),
    Row(COUNTS, agreement.one_table_less_another, only_itself(aggregates, "_connected", lambda *_: [])),
    Row(RECEIPT, agreement.receipt_of_what_changed_nothing, only_itself(Channel, "majority", 1)),
    Row(RECEIPT, agreement.altered_receipt, every_signature_holds),
    Row(UPDATE, fabric.another_goes_as_well, only_itself(channel_membership, "_require_decided", nothing)),
    Row(FILES, fabric.two_readings_of_a_file, only_itself(public_part, "is_one_certificate", lambda _: True)),
    Row(FILES, fabric.extension_that_only_go_decodes, only_itself(requests, "unusual_extensions", lambda _: [])),
    Row(GATEWAY, network.swapped_header, only_itself(gateway, "_is_of", lambda *_: True)),
    Row(KEYED, network.policy_of_a_key, only_itself(validate, "_metadata_written", lambda _: False)),
]
NAMES = [row.attack.__name__ for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_attack_fails(stage: Stage, row: Row) -> None:
    assert not row.attack(stage)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_without_its_defence_the_attack_succeeds(stage: Stage, row: Row, monkeypatch: Patch) -> None:
    row.remove(monkeypatch)
    assert row.attack(stage)


def test_every_row_of_the_table_is_attacked() -> None:
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text()
    protected = text.partition("## What is protected")[2].partition("## ")[0]
    rows = re.findall(r"^\| ([^|]+) \|", protected, re.MULTILINE)
    assert rows[0] == "threat"
    assert set(rows[1:]) == {row.threat for row in ROWS}
