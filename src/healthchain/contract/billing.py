"""One service is billed once: tokens keyed by a secret that the hospital committed to for each encounter.

A token is HMAC(the encounter's secret, the service). The secret is chosen once, so that a service has one token; only
the claim's parties learn it, so that nobody else can test a guess. See docs/decisions/0011.
"""

from __future__ import annotations

from collections.abc import Sequence

from healthchain.chaincode.stub import Stub
from healthchain.contract import patients
from healthchain.contract.claim_states import CLAIMS, Line
from healthchain.contract.codes import Code, refusal
from healthchain.contract.ids import Arguments, Digest, Id
from healthchain.contract.members import acting, organisation_of, user_of
from healthchain.contract.patients import Use
from healthchain.contract.policies import Permission
from healthchain.contract.records import HEADERS, Header, RecordStatus
from healthchain.contract.state import State, Table, emit


class BoundEncounter(State, frozen=True):
    """`written_ms` is when the encounter's record came to the ledger: the date of care is not on it."""

    hospital: str
    commitment: bytes
    written_ms: int
    by: str
    time_ms: int


class BilledLine(State, frozen=True):
    claim: str
    line: int


class Billed(State, frozen=True):
    """The claims for one service that stand: the primary one, then the secondary."""

    lines: tuple[BilledLine, ...]


ENCOUNTERS = Table("encounter", BoundEncounter)  # patient, record
BILLED = Table("billed", Billed)  # patient, record of the encounter, token


class BindEncounter(Arguments, frozen=True):
    patient: Id
    record: Id
    commitment: Digest  # `commitments.secret`


def bind(stub: Stub, arguments: BindEncounter) -> None:
    """Once for an encounter, by the hospital that wrote its first version: not by who keeps or amends it now."""
    gate = acting(stub, Permission.CLAIM)
    patients.allowing(stub, arguments.patient, Use.READ)
    header = present(HEADERS.get(stub, arguments.patient, arguments.record))
    first = _first_version(stub, arguments.patient, arguments.record, header)
    if organisation_of(first.author) != gate.caller.msp_id:
        raise refusal(Code.RECORD_NOT_OWN)
    if ENCOUNTERS.get(stub, arguments.patient, arguments.record) is not None:
        raise refusal(Code.ENCOUNTER_BOUND)
    bound = BoundEncounter(
        hospital=gate.caller.msp_id,
        commitment=arguments.commitment,
        written_ms=first.time_ms,
        by=user_of(stub.caller),
        time_ms=stub.timestamp_ms,
    )
    ENCOUNTERS.put(stub, bound, arguments.patient, arguments.record)
    emit(stub, "claims:EncounterBound", arguments.patient, (arguments.record,))


def present(header: Header | None) -> Header:
    """Neither unknown nor erased."""
    if header is None:
        raise refusal(Code.RECORD_UNKNOWN)
    if header.status is RecordStatus.ERASED:
        raise refusal(Code.RECORD_ERASED)
    return header


def own_record(found: Header | None, hospital: str) -> Header:
    """It is there, and this hospital wrote it or keeps it."""
    header = present(found)
    if hospital not in (organisation_of(header.author), header.custodian):
        raise refusal(Code.RECORD_NOT_OWN)
    return header


def _first_version(stub: Stub, patient_id: str, record: str, header: Header) -> Header:
    """The oldest entry of a key's history never changes, so all endorsers find the same."""
    if header.version == 1:
        return header
    oldest = list(stub.history(HEADERS.key(patient_id, record)))[-1]
    first = HEADERS.decode(oldest.value)
    assert first is not None, "a header is never deleted"
    return first


def bound_encounter(stub: Stub, patient_id: str, record: str, hospital: str) -> BoundEncounter:
    bound = ENCOUNTERS.get(stub, patient_id, record)
    if bound is None or bound.hospital != hospital:
        raise refusal(Code.ENCOUNTER_UNBOUND)
    return bound


def take_tokens(stub: Stub, patient_id: str, claim_id: str, lines: Sequence[Line], primary_id: str | None) -> None:
    """For a new claim; a service that another claim bills is refused, unless that is the primary of this one."""
    places = [(line.encounter, line.token.hex()) for line in lines]
    if len(set(places)) != len(places):
        raise refusal(Code.BILLED_TWICE)
    for line, place in zip(lines, places, strict=True):
        found = BILLED.get(stub, patient_id, *place)
        standing = tuple(one for one in found.lines if _stands(stub, patient_id, one)) if found else ()
        if standing and standing[-1].claim != primary_id:
            raise refusal(Code.BILLED_TWICE)
        BILLED.put(stub, Billed((*standing, BilledLine(claim_id, line.number))), patient_id, *place)


def _stands(stub: Stub, patient_id: str, billed: BilledLine) -> bool:
    """Until its claim is withdrawn, or the line is denied for good."""
    claim = CLAIMS.get(stub, patient_id, billed.claim)
    assert claim is not None, "a claim is never deleted"
    denied = claim.has_ended(stub.timestamp_ms) and claim.denies(billed.line)
    return claim.stands and not denied


def require_billed(stub: Stub, patient_id: str, claim_id: str, lines: Sequence[Line]) -> None:
    """No other claim has taken a token of this one. Times alone do not tell: clients' clocks differ by minutes."""
    for line in lines:
        found = BILLED.get(stub, patient_id, line.encounter, line.token.hex())
        if found is None or BilledLine(claim_id, line.number) not in found.lines:
            raise refusal(Code.BILLED_TWICE)


def require_primary(stub: Stub, patient_id: str, primary_id: str, hospital: str, rank: int) -> None:
    """The claim that this hospital's secondary one follows: adjudicated, and under a coverage that pays before."""
    primary = CLAIMS.require(stub, Code.CLAIM_UNKNOWN, patient_id, primary_id)
    parties_fit = primary.hospital == hospital and primary.rank < rank
    if not parties_fit or not primary.adjudications or not primary.stands:
        raise refusal(Code.PRIMARY_INVALID)
