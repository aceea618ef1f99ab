"""Receipts of what happened to a patient: attested by the members' peers, verified by anybody (`ledger.receipt`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from healthchain.app.consortium import Consortium
from healthchain.chaincode.stub import MAX_CODE_POINT, split_composite_key
from healthchain.config import CHAINCODE
from healthchain.contract import audit
from healthchain.contract.consents import CONSENTS
from healthchain.contract.disclosures import DISCLOSURES
from healthchain.contract.emergency import EMERGENCIES
from healthchain.contract.erasure import ERASURES
from healthchain.contract.records import HEADERS
from healthchain.contract.sessions import SESSIONS
from healthchain.contract.state import Table
from healthchain.errors import BadInput
from healthchain.ledger.attesting import AttestationRefused, attest, state_transaction
from healthchain.ledger.ledger import Ledger
from healthchain.ledger.receipt import Receipt, ReceiptRefused, Verified, encode_receipt, verify_receipt
from healthchain.ledger.segments import LogCorrupted
from healthchain.network.peer import Peer
from healthchain.records.actor import Actor, now_ms


class Kind(StrEnum):
    """What there are receipts of."""

    RECORD = "record"
    CONSENT = "consent"
    SESSION = "session"
    DISCLOSURE = "disclosure"
    EMERGENCY = "emergency"
    ERASURE = "erasure"


TABLES: dict[Kind, Table[Any]] = {
    Kind.RECORD: HEADERS,
    Kind.CONSENT: CONSENTS,
    Kind.SESSION: SESSIONS,
    Kind.DISCLOSURE: DISCLOSURES,
    Kind.EMERGENCY: EMERGENCIES,
    Kind.ERASURE: ERASURES,
}
"""In all of these the key begins with the patient and ends with the id."""


class ReceiptUnavailable(BadInput):
    """There is nothing to make a receipt of."""


@dataclass(frozen=True, slots=True)
class Subject:
    """`id` is the record's, consent's, session's or emergency's; a disclosure's or erasure's is its transaction's.

    `version` is a record's version; of anything else it counts what was written of it, from 1: a consent's grant,
    then its revocation. None is the newest.
    """

    kind: Kind
    patient: str
    id: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Proven:
    """A receipt that holds: what it is of, what was written, and the evidence."""

    kind: Kind
    patient: str
    id: str
    written: msgspec.Struct | None
    evidence: Verified


async def issue(consortium: Consortium, actor: Actor, subject: Subject) -> bytes:
    """For whoever may see the patient's audit trail: attested by those active members' peers that say the same.

    A majority of the members is enough, so a peer that is behind, damaged or dishonest keeps nobody from a receipt.
    Raises Refused, ReceiptUnavailable if no peer has what it is of, AttestationRefused if too few say the same.
    """
    await actor.ask("audit:List", audit.List(patient=subject.patient, limit=1), audit.Trail)
    now = now_ms()
    agreeing = _agreeing(consortium, subject, now)
    ledger = agreeing[0].ledger
    if len(agreeing) < ledger.channel.majority:
        raise AttestationRefused(
            f"{len(agreeing)} peers say the same, {ledger.channel.majority} are needed: run `healthchain verify`"
        )
    key, tx_id = _written(ledger, subject)
    statement = state_transaction(ledger, tx_id, key, [peer.identity.serialized for peer in agreeing], now)
    signatures = [attest(peer.ledger, peer.identity, tx_id, statement, now) for peer in agreeing]
    return encode_receipt(Receipt(statement, tuple(signatures)))


def verify(encoded: bytes, fingerprint: str | None = None) -> Proven:
    """Needs nothing but the file, which anybody may have made up to look like something. Raises ReceiptRefused."""
    evidence = verify_receipt(encoded, fingerprint)
    object_type, attributes = split_composite_key(evidence.key)
    kind = next((kind for kind, table in TABLES.items() if table.object_type == object_type), None)
    if kind is None or len(attributes) < len(("patient", "id")):
        raise ReceiptRefused("it is of something that has no receipts")
    if not all(map(str.isprintable, (*attributes, evidence.creator, *evidence.endorsers, *evidence.attesters))):
        raise ReceiptRefused("it has names that would not show as what they are")
    try:
        written = TABLES[kind].decode(evidence.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ReceiptRefused(f"what was written is no {kind}") from None
    return Proven(kind, attributes[0], attributes[-1], written, evidence)


def _agreeing(consortium: Consortium, subject: Subject, now: int) -> list[Peer]:
    """The largest set of active members' peers that state the same, in the order of MSP ids."""
    said: dict[bytes, list[Peer]] = {}
    for peer in sorted(consortium.network.peers.values(), key=lambda peer: peer.msp_id):
        with contextlib.suppress(ReceiptUnavailable, AttestationRefused, LogCorrupted):
            if peer.member:
                key, tx_id = _written(peer.ledger, subject)
                statement = state_transaction(peer.ledger, tx_id, key, (), now)
                said.setdefault(statement.digest(), []).append(peer)
    if not said:
        raise ReceiptUnavailable(f"this patient has no such {subject.kind}: see `healthchain audit patient`")
    return max(said.values(), key=len)


def _written(ledger: Ledger, subject: Subject) -> tuple[str, str]:
    """The key, and the transaction that wrote the version asked for. Raises ReceiptUnavailable."""
    key = next(_keys(ledger, subject), None)
    history = [] if key is None else list(ledger.history(CHAINCODE, key))[::-1]
    place = len(history) if subject.version is None else subject.version
    if key is None or not 1 <= place <= len(history):
        raise ReceiptUnavailable(f"there is no such {subject.kind} here")
    return key, history[place - 1][1]


def _keys(ledger: Ledger, subject: Subject) -> Iterator[str]:
    start = TABLES[subject.kind].key(subject.patient)
    for key, _ in ledger.range(CHAINCODE, start, start + MAX_CODE_POINT):
        if split_composite_key(key)[1][-1] == subject.id:
            yield key
