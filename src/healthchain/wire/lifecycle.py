"""Chaincode definitions and collections as Fabric's `_lifecycle` namespace stores them.

Sources: Fabric core/chaincode/lifecycle/{lifecycle,serializer}.go; peer/lifecycle/db.proto; peer/collection.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fabric_protos.common import policies_pb2
from fabric_protos.peer import collection_pb2, policy_pb2
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2, lifecycle_pb2
from google.protobuf.message import DecodeError

from healthchain.errors import BadInput
from healthchain.wire.channel import Role, role_policy

LIFECYCLE = "_lifecycle"
ENDORSEMENT_REFERENCE = "/Channel/Application/Endorsement"
METADATA_START, METADATA_END = "namespaces/metadata/", "namespaces/metadata0"
"""Between them are the names of what is defined; one key each."""
PUSHED_TO_PEERS = 0
"""How many other peers an endorser sends private values to: none, since a majority endorses and so has them before they
are ordered. The others ask for a block's at once. Pushing each doubles what private data costs Fabric's peers."""
FIELDS = ("Sequence", "EndorsementInfo", "ValidationInfo", "Collections")


class DefinitionMalformed(BadInput):
    """What `_lifecycle` holds under a chaincode's name is no definition."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A private data collection, its value held by the peers of `member_msp_ids`.

    With an `endorsement_policy`, pb(SignaturePolicyEnvelope), its keys are written under that, not the chaincode's.
    """

    name: str
    member_msp_ids: tuple[str, ...]
    endorsement_policy: bytes | None = None


@dataclass(frozen=True, slots=True)
class ChaincodeDefinition:
    """What the members agreed to run. `signature_policy` None means the channel's Endorsement policy (MAJORITY).

    With `init_required`, the first call of each version must be one that initialises it.
    """

    name: str
    version: str
    sequence: int
    collections: tuple[Collection, ...]
    signature_policy: bytes | None = None
    init_required: bool = False


def sequence_key(chaincode: str) -> str:
    """Read by every endorsement, so that a new definition in between invalidates the transaction."""
    return field_key(chaincode, "Sequence")


def field_key(chaincode: str, field: str) -> str:
    return f"namespaces/fields/{chaincode}/{field}"


def definition_writes(definition: ChaincodeDefinition) -> dict[str, bytes]:
    """The keys of `_lifecycle` that committing a definition writes."""
    fields = {
        "Sequence": db_pb2.StateData(Int64=definition.sequence),
        "EndorsementInfo": db_pb2.StateData(
            Bytes=chaincode_definition_pb2.ChaincodeEndorsementInfo(
                version=definition.version, init_required=definition.init_required, endorsement_plugin="escc"
            ).SerializeToString()
        ),
        "ValidationInfo": db_pb2.StateData(
            Bytes=chaincode_definition_pb2.ChaincodeValidationInfo(
                validation_plugin="vscc", validation_parameter=_application_policy(definition)
            ).SerializeToString()
        ),
        "Collections": db_pb2.StateData(Bytes=collection_package(definition.collections)),
    }
    metadata = db_pb2.StateMetadata(datatype="ChaincodeDefinition", fields=list(fields))
    writes = {field_key(definition.name, name): data.SerializeToString() for name, data in fields.items()}
    return writes | {f"{METADATA_START}{definition.name}": metadata.SerializeToString()}


def read_definition(
    name: str, sequence: bytes, endorsement: bytes, validation: bytes, collections: bytes
) -> ChaincodeDefinition:
    """The inverse of `definition_writes`, from the four field values; raises DefinitionMalformed."""
    try:
        return _read_definition(name, sequence, endorsement, validation, collections)
    except (DecodeError, UnicodeDecodeError) as error:
        raise DefinitionMalformed("a chaincode definition does not decode") from error


def _read_definition(
    name: str, sequence: bytes, endorsement: bytes, validation: bytes, collections: bytes
) -> ChaincodeDefinition:
    info = chaincode_definition_pb2.ChaincodeEndorsementInfo.FromString(db_pb2.StateData.FromString(endorsement).Bytes)
    rule = chaincode_definition_pb2.ChaincodeValidationInfo.FromString(db_pb2.StateData.FromString(validation).Bytes)
    policy = policy_pb2.ApplicationPolicy.FromString(rule.validation_parameter)
    by_signatures = policy.WhichOneof("Type") == "signature_policy"
    return ChaincodeDefinition(
        name=name,
        version=info.version,
        sequence=db_pb2.StateData.FromString(sequence).Int64,
        collections=_read_collections(db_pb2.StateData.FromString(collections).Bytes),
        signature_policy=policy.signature_policy.SerializeToString() if by_signatures else None,
        init_required=info.init_required,
    )


def commit_arguments(definition: ChaincodeDefinition) -> bytes:
    """pb(CommitChaincodeDefinitionArgs), which approvals and the commit must agree on byte for byte."""
    return lifecycle_pb2.CommitChaincodeDefinitionArgs(
        sequence=definition.sequence,
        name=definition.name,
        version=definition.version,
        endorsement_plugin="escc",
        validation_plugin="vscc",
        validation_parameter=_application_policy(definition),
        collections=collection_pb2.CollectionConfigPackage.FromString(collection_package(definition.collections)),
        init_required=definition.init_required,
    ).SerializeToString()


def queried_definition(name: str, answer: bytes) -> ChaincodeDefinition:
    """From pb(QueryChaincodeDefinitionResult), what `_lifecycle` answers. Raises DefinitionMalformed."""
    try:
        found = lifecycle_pb2.QueryChaincodeDefinitionResult.FromString(answer)
        policy = policy_pb2.ApplicationPolicy.FromString(found.validation_parameter)
        collections = _read_collections(found.collections.SerializeToString())
    except (DecodeError, UnicodeDecodeError) as error:
        raise DefinitionMalformed("the chaincode definition that was answered does not decode") from error
    by_signatures = policy.WhichOneof("Type") == "signature_policy"
    signatures = policy.signature_policy.SerializeToString() if by_signatures else None
    return ChaincodeDefinition(name, found.version, found.sequence, collections, signatures, found.init_required)


def query_arguments(name: str) -> bytes:
    """pb(QueryChaincodeDefinitionArgs)."""
    return lifecycle_pb2.QueryChaincodeDefinitionArgs(name=name).SerializeToString()


def asked_sequence(arguments: bytes) -> int:
    """The sequence that `commit_arguments` name; 0, which is none, if they do not decode."""
    try:
        return lifecycle_pb2.CommitChaincodeDefinitionArgs.FromString(arguments).sequence
    except (DecodeError, UnicodeDecodeError):
        return 0


def asked_definition(approved: Sequence[ChaincodeDefinition], arguments: bytes) -> ChaincodeDefinition | None:
    """The approved definition that these arguments are, byte for byte but for the sequence."""
    asked = [replace(one, sequence=asked_sequence(arguments)) for one in approved]
    return next((one for one in asked if commit_arguments(one) == arguments), None)


def committed_sequence(value: bytes | None) -> int:
    """Of the value under `sequence_key`; 0 for a chaincode that is not defined."""
    return 0 if value is None else db_pb2.StateData.FromString(value).Int64


def collection_package(collections: Sequence[Collection]) -> bytes:
    """pb(CollectionConfigPackage); every member's peer holds the value."""
    return collection_pb2.CollectionConfigPackage(
        config=[
            collection_pb2.CollectionConfig(
                static_collection_config=collection_pb2.StaticCollectionConfig(
                    name=one.name,
                    member_orgs_policy=collection_pb2.CollectionPolicyConfig(
                        signature_policy=role_policy(one.member_msp_ids, Role.MEMBER)
                    ),
                    required_peer_count=0,
                    maximum_peer_count=PUSHED_TO_PEERS,
                    member_only_read=True,
                    member_only_write=True,
                    endorsement_policy=None
                    if one.endorsement_policy is None
                    else _signature_policy(one.endorsement_policy),
                )
            )
            for one in collections
        ]
    ).SerializeToString()


def _application_policy(definition: ChaincodeDefinition) -> bytes:
    if definition.signature_policy is None:
        return policy_pb2.ApplicationPolicy(channel_config_policy_reference=ENDORSEMENT_REFERENCE).SerializeToString()
    return _signature_policy(definition.signature_policy).SerializeToString()


def _signature_policy(encoded: bytes) -> policy_pb2.ApplicationPolicy:
    return policy_pb2.ApplicationPolicy(signature_policy=policies_pb2.SignaturePolicyEnvelope.FromString(encoded))


def _read_collections(package: bytes) -> tuple[Collection, ...]:
    found = []
    for config in collection_pb2.CollectionConfigPackage.FromString(package).config:
        static = config.static_collection_config
        principals = static.member_orgs_policy.signature_policy.identities
        members = tuple(Role.FromString(p.principal).msp_identifier for p in principals)
        by_signatures = static.endorsement_policy.WhichOneof("Type") == "signature_policy"
        own = static.endorsement_policy.signature_policy.SerializeToString() if by_signatures else None
        found.append(Collection(static.name, members, own))
    return tuple(found)
