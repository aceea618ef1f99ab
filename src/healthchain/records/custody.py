"""Custody passes: the old custodian offers the keys, the new one takes them, renews them, and knows the patient then.

A custodian that the agency assigned has no keys until the patient, or a guardian, hands them over.
"""

from __future__ import annotations

from functools import partial

import msgspec
import orjson

from healthchain.contract import custody
from healthchain.contract.custody import offered_keys
from healthchain.contract.ids import Purpose
from healthchain.contract.policies import DAY_MS
from healthchain.errors import BadInput
from healthchain.records import keys
from healthchain.records.actor import Actor, now_ms, repeated_on_conflict
from healthchain.records.compartments import NAMES
from healthchain.records.consenting import OTHER_ENVELOPES, rotate
from healthchain.records.importing import Custodian
from healthchain.records.keyring import random_id
from healthchain.records.keys import CompartmentKey
from healthchain.records.patients import registered
from healthchain.records.reading import read_all
from healthchain.records.sealing import SealBroken

OFFER_MS = 7 * DAY_MS

_Keys = list[CompartmentKey]


async def offer(custodian: Actor, patient: str, to: str, lasts_ms: int = OFFER_MS) -> str:
    """All keys, sealed to the hospital with this MSP id; answers with the offer's id. Raises Refused or BadInput."""
    held = list(await keys.for_handing(custodian, patient))
    latest = (await registered(custodian, patient)).compartments
    if len(held) != sum(latest.values()):
        raise BadInput("the hospital cannot open one of its keys: let the patient hand it over before")
    recipients = await keys.public_keys(custodian, patient)
    offering = custody.Offer(id=random_id(), patient=patient, to=to, end_ms=now_ms() + lasts_ms)
    place = offered_keys(patient, offering.id)
    # An organisation without a key is no member: the contract says so.
    audience = {to: recipients.get(to, custodian.key.public_bytes)}
    sealed = custodian.seal(place, audience, msgspec.json.encode(held))
    await repeated_on_conflict(partial(custodian.submit, "custody:Offer", offering, sealed))
    return offering.id


async def withdraw(custodian: Actor, patient: str) -> None:
    """New keys follow at once, since the other hospital may know the old ones. Raises Refused."""
    await repeated_on_conflict(partial(custodian.submit, "custody:Withdraw", custody.Withdraw(patient=patient)))
    await rotate(custodian, patient)


async def refuse(offered: Actor, patient: str) -> None:
    """By the hospital to which it was offered; the custodian's next import renews the keys. Raises Refused."""
    await repeated_on_conflict(partial(offered.submit, "custody:Refuse", custody.Refuse(patient=patient)))


async def accept(taking: Custodian, patient: str) -> None:
    """Custody, the keys, and then `settle`. Raises Refused, or SealBroken where the offer does not open."""
    actor = taking.actor
    asked = custody.Fetch(patient=patient)
    found = await actor.ask("custody:OfferedKeys", asked, custody.OfferedKeys)
    opened = actor.open(offered_keys(patient, found.id), found.ciphertext)
    try:
        offered = msgspec.json.decode(opened, type=_Keys)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SealBroken from None
    recipients = {actor.recipient: actor.key.public_bytes}
    envelopes = keys.seal_for(actor.channel, patient, recipients, [(actor.recipient, one) for one in offered])
    accepting = custody.Accept(patient=patient)
    await repeated_on_conflict(partial(actor.submit, "custody:Accept", accepting, envelopes))
    await settle(taking, patient)


async def assign(officer: Actor, patient: str, to: str) -> None:
    """By the agency, of a suspended or removed hospital's patient. Raises Refused."""
    await repeated_on_conflict(partial(officer.submit, "custody:Assign", custody.Assign(patient=patient, to=to)))


async def hand_keys(speaker: Actor, patient: str) -> None:
    """By the patient, or a guardian who consents: every key, sealed to the custodian. Raises Refused."""

    async def attempt() -> None:
        custodian = (await registered(speaker, patient)).custodian
        held = await keys.for_handing(speaker, patient)
        recipients = await keys.public_keys(speaker, patient)
        envelopes = keys.seal_for(speaker.channel, patient, recipients, [(custodian, one) for one in held])
        await speaker.submit("custody:HandKeys", custody.HandKeys(patient=patient), envelopes)

    await repeated_on_conflict(attempt, *OTHER_ENVELOPES)


async def settle(taking: Custodian, patient: str) -> None:
    """Once a custodian has custody and keys: new keys where they are due, and imports find the patient. Repeatable."""
    actor = taking.actor
    if (await registered(actor, patient)).rekey:
        await rotate(actor, patient)
    indexes = {one.index: one.compartment for one in await keys.for_handing(actor, patient)}
    for one in await read_all(actor, patient, Purpose.HOPERAT):
        if orjson.loads(one.resource)["resourceType"] == "Patient":
            taking.keyring.adopt(patient, one.full_url, [indexes[index] for index in range(len(NAMES))])
