"""Handing out sealed key envelopes: to readers within a session, to writers for the current epoch."""

from __future__ import annotations

from collections.abc import Iterable

from healthchain.chaincode.stub import Stub
from healthchain.contract import envelopes, guardians, patients
from healthchain.contract.codes import Code, refusal
from healthchain.contract.envelopes import Address
from healthchain.contract.guardians import Scope, recipient_of
from healthchain.contract.ids import ENVELOPES, PERSONS, Arguments, Id, Result
from healthchain.contract.members import acting
from healthchain.contract.patients import Use
from healthchain.contract.policies import Permission
from healthchain.contract.records import writable_compartments
from healthchain.contract.sessions import access


class Envelope(Result, frozen=True):
    compartment: str
    epoch: int
    ciphertext: bytes


class Envelopes(Result, frozen=True):
    envelopes: list[Envelope]


class Get(Arguments, frozen=True):
    session: Id
    patient: Id


def get(stub: Stub, arguments: Get) -> Envelopes:
    """Of all epochs, to the caller's organisation (or the calling patient), in the session's scope."""
    granted = access(stub, arguments.patient, arguments.session)
    recipient = recipient_of(stub.caller, arguments.patient)
    found = [one for compartment in sorted(granted.permitted) for one in envelopes.held(stub, compartment, recipient)]
    return _open(stub, found)


class GetForWriting(Arguments, frozen=True):
    patient: Id


def get_for_writing(stub: Stub, arguments: GetForWriting) -> Envelopes:
    """Of the current epoch, for whoever may write a record: contributing needs the key, but no session."""
    acting(stub, Permission.WRITE_RECORD)
    patient = patients.active(stub, arguments.patient)
    compartments = writable_compartments(stub, arguments.patient, patient)
    if not compartments:
        raise refusal(Code.CONSENT_MISSING)
    held = [one for each in sorted(compartments) for one in envelopes.held(stub, each, stub.caller.msp_id)]
    return _open(stub, [one for one in held if one.epoch == patient.compartments[one.compartment]])


class GetForHanding(Arguments, frozen=True):
    patient: Id


def get_for_handing(stub: Stub, arguments: GetForHanding) -> Envelopes:
    """Of all epochs, for those who seal them to others: the patient, guardians who consent, the custodian's staff.

    It needs no session: with keys alone nothing is read. And a consent that denies reading must not keep them here.
    """
    is_person = stub.caller.role in PERSONS
    acting(stub, None if is_person else Permission.MOVE_PATIENT)
    patient = patients.allowing(stub, arguments.patient, Use.KEEP)
    if is_person:
        guardians.require_speaker(stub, arguments.patient, patient, Scope.CONSENT)
    else:
        patients.require_custodian(stub, patient)
    recipient = recipient_of(stub.caller, arguments.patient)
    return _open(stub, [one for each in patient.compartments for one in envelopes.held(stub, each, recipient)])


def _open(stub: Stub, addresses: Iterable[Address]) -> Envelopes:
    found = []
    for address in sorted(addresses):
        ciphertext = stub.get_private(ENVELOPES, address.key)
        assert ciphertext is not None, "a recipient's entry and its envelope come and go together"
        found.append(Envelope(address.compartment, address.epoch, ciphertext))
    return Envelopes(found)
