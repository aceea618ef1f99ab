"""Who takes part in the next block: what the governing chaincode keeps of each member, over what block 0 says.

Derived from the state as it is after a block, like the chaincode definitions, and so the same on every peer, at every
replay and in every check of that height.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from healthchain.chaincode.membership import BARRED, OBJECT_TYPE, Membership, Standing
from healthchain.chaincode.stub import MAX_CODE_POINT, composite_key, split_composite_key
from healthchain.config import CHAINCODE
from healthchain.identity.msp import MSP, Identity, IdentityRefused, MSPMalformed, MSPs, Role
from healthchain.ledger.state import state_key
from healthchain.ledger.view import Value
from healthchain.wire.channel import ChannelConfig

GOVERNING = CHAINCODE
"""The chaincode whose rows count: what decides on members is itself endorsed by a majority of them."""
_START = composite_key(OBJECT_TYPE, ())
PREFIX = state_key(GOVERNING, _START)
SHARED = "an authority of the creator's organisation is another member's: it takes no part"

Memberships = Mapping[str, Membership]
"""By MSP id. An organisation of block 0 without a row takes part as block 0 has it."""


class RangeState(Protocol):
    """As much of a `View` as the memberships need."""

    def range(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, Value]]: ...


def read_memberships(state: RangeState) -> dict[str, Membership]:
    """A row that does not decode keeps its member out, on every peer alike."""
    found = {}
    for key, row in state.range(GOVERNING, _START, _START + MAX_CODE_POINT):
        attributes = split_composite_key(key)[1]
        if len(attributes) == 1:
            found[attributes[0]] = _decoded(row.value)
    return found


def changed(keys: Iterable[bytes]) -> bool:
    """Whether writing these keys of the state database may change who takes part."""
    return any(key.startswith(PREFIX) for key in keys)


def member_msps(config: ChannelConfig, memberships: Memberships) -> tuple[MSPs, MSPs]:
    """Those of the active members, which answer why they know nobody of the others; and those of all there ever were.

    A member whose configuration is unusable, or names another member, takes no part; nor does one that has an authority
    in common with another that comes first (`_sharing`).
    """
    configs = {one.msp_id: one.msp_config for one in config.organizations}
    configs |= {msp_id: row.msp_config for msp_id, row in memberships.items() if row.msp_config}
    known: dict[str, MSP] = {}
    barred = {msp_id: BARRED[row.standing] for msp_id, row in memberships.items() if row.standing in BARRED}
    for msp_id, encoded in sorted(configs.items()):
        try:
            msp = MSP.from_config(encoded)
        except MSPMalformed:
            continue
        if msp.msp_id == msp_id:
            known[msp_id] = msp
    barred = dict.fromkeys(_sharing(known, memberships), SHARED) | barred
    active = {msp_id: msp for msp_id, msp in known.items() if msp_id not in barred}
    return MSPs(active, barred), MSPs(known)


def _sharing(known: Mapping[str, MSP], memberships: Memberships) -> set[str]:
    """Members with an authority that another member has already: whoever holds its key would count as both.

    First come those whose certificates are block 0's, so that no row puts one of them out; then the others by MSP id.
    A suspended member keeps its authorities, a removed one has none.
    """
    later = {msp_id for msp_id, row in memberships.items() if row.msp_config}
    removed = {msp_id for msp_id, row in memberships.items() if row.standing is Standing.REMOVED}
    taken: set[bytes] = set()
    sharing = set()
    for msp_id in sorted(set(known) - removed, key=lambda one: (one in later, one)):
        if known[msp_id].authorities & taken:
            sharing.add(msp_id)
        else:
            taken |= known[msp_id].authorities
    return sharing


def orderers(config: ChannelConfig, memberships: Memberships, msps: MSPs) -> dict[int, Identity]:
    """Of the active members, by the ids under which they sign blocks.

    A founder's first orderer keeps its id when its certificate changes. Those of later members are numbered after all
    of block 0, in the order of MSP ids. A certificate that is not an orderer's of its member counts for nothing.
    """
    certificates = {one.id: (one.msp_id, one.identity) for one in config.consenters}
    for msp_id, row in sorted(memberships.items()):
        if row.orderer:
            own = [number for number, (owner, _) in certificates.items() if owner == msp_id]
            certificates[min(own, default=max(certificates) + 1)] = (msp_id, row.orderer)
    found = {}
    for number, (msp_id, certificate) in sorted(certificates.items()):
        identity = _orderer(msps, msp_id, certificate)
        if identity is not None:
            found[number] = identity
    return found


def _orderer(msps: MSPs, msp_id: str, certificate: bytes) -> Identity | None:
    if msp_id not in msps:
        return None
    try:
        identity = msps[msp_id].validate(certificate)
    except IdentityRefused:
        return None
    return identity if identity.role is Role.ORDERER else None


def _decoded(row: bytes) -> Membership:
    try:
        return msgspec.json.decode(row, type=Membership)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Membership(Standing.SUSPENDED)
