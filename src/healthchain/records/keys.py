"""A patient's compartment keys as one party holds them, opened from their envelopes; and new envelopes for others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from healthchain.contract import guardians, keys
from healthchain.contract.envelopes import Address
from healthchain.errors import BadInput
from healthchain.records.actor import Actor, now_ms
from healthchain.records.members import list_members
from healthchain.records.patients import registered
from healthchain.records.sealing import (
    BodySealer,
    EnvelopeContext,
    SealBroken,
    generate_hpke_key,
    open_envelope,
    seal_envelope,
)


@dataclass(frozen=True, slots=True)
class CompartmentKey:
    """`index` is the number of the compartment's name, which only holders of the key know."""

    compartment: str
    epoch: int
    key: bytes
    index: int


class HeldKeys:
    """By compartment and epoch."""

    def __init__(self, opened: Iterable[CompartmentKey]) -> None:
        self._keys = {(one.compartment, one.epoch): one for one in opened}
        self._sealers: dict[tuple[str, int], BodySealer] = {}

    def __iter__(self) -> Iterator[CompartmentKey]:
        return iter(self._keys.values())

    def sealer(self, compartment: str, epoch: int) -> BodySealer | None:
        """None if the party does not hold that key."""
        place = (compartment, epoch)
        if place not in self._sealers:
            if place not in self._keys:
                return None
            self._sealers[place] = BodySealer(self._keys[place].key)
        return self._sealers[place]

    def newest(self) -> dict[str, CompartmentKey]:
        """The newest key of each compartment."""
        return {one.compartment: one for one in sorted(self._keys.values(), key=lambda one: one.epoch)}

    def index(self, compartment: str) -> int | None:
        return next((one.index for one in self._keys.values() if one.compartment == compartment), None)


async def within_session(actor: Actor, patient: str, session: str) -> HeldKeys:
    """Of all epochs, as far as the session goes."""
    found = await actor.ask("keys:Get", keys.Get(session=session, patient=patient), keys.Envelopes)
    return _opened(actor, patient, found)


async def for_writing(actor: Actor, patient: str) -> HeldKeys:
    """Of the current epoch, where the party may write."""
    found = await actor.ask("keys:GetForWriting", keys.GetForWriting(patient=patient), keys.Envelopes)
    return _opened(actor, patient, found)


async def for_handing(actor: Actor, patient: str) -> HeldKeys:
    """Of all epochs, for those who seal them to others."""
    found = await actor.ask("keys:GetForHanding", keys.GetForHanding(patient=patient), keys.Envelopes)
    return _opened(actor, patient, found)


async def public_keys(actor: Actor, patient: str) -> dict[str, bytes]:
    """Of every party whose key is on the ledger: members by MSP id, the patient, its guardians."""
    known = {one.msp_id: one.public_key for one in await list_members(actor)}
    speaking = await actor.ask("guardians:List", guardians.List(patient=patient), guardians.Guardians)
    known |= {one.id: one.public_key for one in speaking.guardians if one.lasts(now_ms())}
    own = (await registered(actor, patient)).public_key
    return known | ({patient: own} if own else {})


def seal_for(
    channel: str,
    patient: str,
    recipients: Mapping[str, bytes],
    keys_by_recipient: Iterable[tuple[str, CompartmentKey]],
    *,
    must_open: bool = True,
) -> dict[str, bytes]:
    """Transient data: envelope key -> ciphertext, for each (recipient, key).

    Without a usable public key it raises BadInput; or, where one recipient's fault must not stop a revocation, its
    envelope is sealed to a key that nobody keeps.
    """
    sealed = {}
    for recipient, one in keys_by_recipient:
        context = EnvelopeContext(channel, patient, one.compartment, one.epoch, recipient)
        address = Address(one.compartment, recipient, one.epoch)
        try:
            sealed[address.key] = seal_envelope(_public_key(recipients, recipient), context, one.key, one.index)
        except BadInput:
            if must_open:
                raise
            nobody = generate_hpke_key().public_bytes
            sealed[address.key] = seal_envelope(nobody, context, one.key, one.index)
    return sealed


def _public_key(recipients: Mapping[str, bytes], recipient: str) -> bytes:
    if recipient not in recipients:
        raise BadInput("a recipient has not published its encryption key yet")
    return recipients[recipient]


def _opened(actor: Actor, patient: str, found: keys.Envelopes) -> HeldKeys:
    """Those that open: whoever sealed one badly must not close the others. A compartment keeps its first name."""
    opened = []
    indexes: dict[str, int] = {}
    for one in sorted(found.envelopes, key=lambda one: one.epoch):
        context = EnvelopeContext(actor.channel, patient, one.compartment, one.epoch, actor.recipient)
        try:
            key, index = open_envelope(actor.key, context, one.ciphertext)
        except SealBroken:
            continue
        index = indexes.setdefault(one.compartment, index)
        opened.append(CompartmentKey(one.compartment, one.epoch, key, index))
    return HeldKeys(opened)
