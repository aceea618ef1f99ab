"""Private data collections in the JSON file that Fabric's peer command takes (`--collections-config`)."""

from __future__ import annotations

import re

import msgspec
from fabric_protos.common import policies_pb2

from healthchain.errors import BadInput
from healthchain.wire.lifecycle import Collection
from healthchain.wire.policy_text import PolicyTextInvalid, members_named, read_policy

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class CollectionsInvalid(BadInput):
    """The file does not say what collections there are, or asks for what this network does not do."""


class _EndorsementPolicy(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    signature_policy: str


class _Collection(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Of the peer counts nothing depends here: all members' peers are handed the values at endorsement."""

    name: str
    policy: str
    required_peer_count: int = 0
    max_peer_count: int = 0
    block_to_live: int = 0
    member_only_read: bool = True
    member_only_write: bool = True
    endorsement_policy: _EndorsementPolicy | None = None


def read_collections(content: bytes) -> tuple[Collection, ...]:
    """Raises CollectionsInvalid."""
    try:
        found = msgspec.json.decode(content, type=list[_Collection])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CollectionsInvalid(f"the collections file cannot be used: {error}") from None
    if len({one.name for one in found}) < len(found):
        raise CollectionsInvalid("two collections have one name")
    return tuple(_collection(one) for one in found)


def _collection(one: _Collection) -> Collection:
    if not NAME.fullmatch(one.name):
        raise CollectionsInvalid("a collection's name has letters, digits, - and _")
    if one.block_to_live or not (one.member_only_read and one.member_only_write):
        raise CollectionsInvalid(
            "this network's collections live until they are purged, and are for members only: leave blockToLive, "
            "memberOnlyRead and memberOnlyWrite out"
        )
    return Collection(one.name, _members(one.policy), _endorsement_policy(one))


def _endorsement_policy(one: _Collection) -> bytes | None:
    """pb(SignaturePolicyEnvelope); None for the chaincode's."""
    if one.endorsement_policy is None:
        return None
    return _policy(one.endorsement_policy.signature_policy).SerializeToString()


def _members(policy: str) -> tuple[str, ...]:
    """Of an OR over organisations."""
    envelope = _policy(policy)
    rule = envelope.rule
    flat = all(one.WhichOneof("Type") == "signed_by" for one in rule.n_out_of.rules)
    if rule.WhichOneof("Type") != "signed_by" and not (flat and rule.n_out_of.n == 1):
        raise CollectionsInvalid("a collection's policy is an OR of its members: OR('A.member', 'B.member')")
    return members_named(envelope)


def _policy(text: str) -> policies_pb2.SignaturePolicyEnvelope:
    try:
        return read_policy(text)
    except PolicyTextInvalid as invalid:
        raise CollectionsInvalid(f"a collection's policy cannot be used: {invalid}") from None
