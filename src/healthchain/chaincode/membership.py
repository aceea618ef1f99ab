"""What the governing chaincode tells the network: which organisations take part, from the block after on.

A plain agreement on keys, so that the network needs to know nothing else of a contract. Fabric has no such thing:
there the channel's configuration says it, and a passed proposal yields the update that the administrators sign.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from healthchain.chaincode.stub import composite_key

OBJECT_TYPE = "membership"


class Standing(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"  # may be resumed
    REMOVED = "removed"  # for good


BARRED = {
    Standing.SUSPENDED: "MEMBER_SUSPENDED: the caller's organisation is suspended",
    Standing.REMOVED: "MEMBER_REMOVED: the caller's organisation was removed from the consortium",
}
"""What the network answers to those who do not take part: the same codes and words as the contract would."""


class Membership(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`msp_config` is Fabric's `MSPConfig`, `orderer` a certificate in PEM; empty: as block 0 has them."""

    standing: Standing
    msp_config: bytes = b""
    orderer: bytes = b""


def membership_key(msp_id: str) -> str:
    return composite_key(OBJECT_TYPE, (msp_id,))
