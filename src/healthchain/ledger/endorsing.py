"""Which policies must hold for a transaction: the chaincode's, those of collections, and those of single keys.

Source: Fabric core/common/validation/statebased/{validator_keylevel,v20}.go, core/committer/txvalidator/v20/
plugindispatcher/dispatcher.go. A key is written under its own policy, or else its collection's, or else its
chaincode's. Of the chaincode that was called the policy is checked in any case, if no other of its namespace was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from healthchain.ledger.state import hashed_key, state_key
from healthchain.wire.lifecycle import ChaincodeDefinition
from healthchain.wire.rwset import decode_metadata

VALIDATION_PARAMETER = "VALIDATION_PARAMETER"
"""The name of the metadata that is a key's policy, pb(SignaturePolicyEnvelope); an empty one is none."""

Policy = bytes | None
"""pb(SignaturePolicyEnvelope), or None for the channel's: a majority of the members' peers."""


class Written(NamedTuple):
    """What a transaction writes of one namespace, values or metadata: keys, and hashes of keys by collection."""

    namespace: str
    keys: Sequence[str]
    collections: Mapping[str, Sequence[bytes]]


class KeyMetadata(Protocol):
    """One peer's committed state, as far as policies of keys are asked for."""

    @property
    def keyed_namespaces(self) -> Collection[str]:
        """All that may have any metadata at all."""
        ...

    def metadata_of(self, key: bytes) -> bytes | None: ...
    def hashed_metadata_of(self, key: bytes) -> bytes | None: ...


def required_policies(
    chaincode: str,
    written: Iterable[Written],
    definitions: Mapping[str, ChaincodeDefinition],
    state: KeyMetadata,
) -> set[Policy]:
    """All of them must be satisfied by the transaction's endorsements."""
    required: set[Policy] = set()
    checked = False
    for one in written:
        found = _policies(one, definitions.get(one.namespace), state)
        checked = checked or (one.namespace == chaincode and bool(found))
        required |= found
    if not checked:
        required.add(_own(definitions.get(chaincode)))
    return required


def _policies(written: Written, definition: ChaincodeDefinition | None, state: KeyMetadata) -> set[Policy]:
    own = _own(definition)
    keyed = written.namespace in state.keyed_namespaces
    found: set[Policy] = set()
    if keyed:
        public = [state.metadata_of(state_key(written.namespace, key)) for key in written.keys]
        found = {_key_policy(encoded) or own for encoded in public}
    elif written.keys:
        found.add(own)
    for name, hashes in written.collections.items():
        of_collection = _of_collection(name, definition) or own
        if keyed:
            private = [state.hashed_metadata_of(hashed_key(written.namespace, name, one)) for one in hashes]
            found |= {_key_policy(encoded) or of_collection for encoded in private}
        elif hashes:
            found.add(of_collection)
    return found


def _of_collection(name: str, definition: ChaincodeDefinition | None) -> Policy:
    for one in definition.collections if definition else ():
        if one.name == name:
            return one.endorsement_policy
    return None


def _key_policy(metadata: bytes | None) -> Policy:
    return None if metadata is None else decode_metadata(metadata).get(VALIDATION_PARAMETER) or None


def _own(definition: ChaincodeDefinition | None) -> Policy:
    return definition.signature_policy if definition else None
