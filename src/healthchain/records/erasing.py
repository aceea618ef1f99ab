"""Erasing records, or all of a patient: bodies and envelopes are purged on every peer, a receipt stays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from healthchain.contract import erasure
from healthchain.contract.patients import PatientStatus
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

    Access ends by itself first: whoever keeps writing could conflict with the rest, and nothing new comes after it.
    """
    if (await registered(actor, patient)).status is not PatientStatus.ERASED:
        ending = erasure.ErasePatient(patient=patient, only_access=True)
        await repeated_on_conflict(partial(actor.submit, "patients:Erase", ending))
    while True:
        erasing = erasure.ErasePatient(patient=patient)
        committed = await repeated_on_conflict(partial(actor.submit, "patients:Erase", erasing))
        if msgspec.json.decode(committed.result, type=erasure.Erased).remaining == 0:
            return committed.block
