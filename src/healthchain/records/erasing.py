"""Erasing records, or all of a patient: bodies and envelopes are purged on every peer, a receipt stays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from healthchain.contract import erasure
from healthchain.contract.consents import ConsentStatus
from healthchain.contract.patients import PatientStatus
from healthchain.records import consenting
from healthchain.records.actor import Actor, repeated_on_conflict
from healthchain.records.patients import registered

AT_ONCE = 100


async def erase_records(actor: Actor, patient: str, ids: Sequence[str]) -> int:
    """All versions of these records; answers with the number of the last block. Raises Refused."""
    block = 0
    for begin in range(0, len(ids), AT_ONCE):
        erasing = erasure.EraseRecords(patient=patient, records=tuple(ids[begin : begin + AT_ONCE]))
        committed = await repeated_on_conflict(partial(actor.submit, "records:Erase", erasing))
        block = committed.block
    return block


async def erase_patient(actor: Actor, patient: str) -> int:
    """Access ends with the first call; calls go on until no body is left. Answers with the last block's number.

    A patient first ends every consent, so that nobody can keep the erasure from coming by writing all the time.
    """
    if actor.recipient == patient:
        await _end_consents(actor, patient)
    while True:
        erasing = erasure.ErasePatient(patient=patient)
        committed = await repeated_on_conflict(partial(actor.submit, "patients:Erase", erasing))
        if msgspec.json.decode(committed.result, type=erasure.Erased).remaining == 0:
            return committed.block


async def _end_consents(actor: Actor, patient: str) -> None:
    given = await consenting.list_consents(actor, patient)
    active = [one.id for one in given if one.status is ConsentStatus.ACTIVE]
    if active and (await registered(actor, patient)).status is PatientStatus.ACTIVE:
        await consenting.revoke(actor, consent_ids=active)
