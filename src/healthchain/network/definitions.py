"""The read side of `_lifecycle`: which chaincodes are defined, and whether a definition could be committed.

Source: Fabric core/chaincode/lifecycle/scc.go. Approvals are not on this network's ledger: an answer tells those that
the peer asked knows of, which in one process are everybody's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from fabric_protos.peer.lifecycle import lifecycle_pb2
from google.protobuf.message import DecodeError

from healthchain.chaincode.dispatch import OK, Response
from healthchain.chaincode.stub import Stub
from healthchain.wire.lifecycle import (
    FIELDS,
    METADATA_END,
    METADATA_START,
    ChaincodeDefinition,
    asked_definition,
    commit_arguments,
    committed_sequence,
    field_key,
    read_definition,
    sequence_key,
)

FAILED = 500
QUERY_ONE, QUERY_ALL, READINESS = (
    b"QueryChaincodeDefinition",
    b"QueryChaincodeDefinitions",
    b"CheckCommitReadiness",
)
QUERIES = frozenset((QUERY_ONE, QUERY_ALL, READINESS))

Organisations = Callable[[], Sequence[str]]
"""MSP ids of those that approved what this peer's organisation approved."""

_Told = TypeVar(
    "_Told",
    lifecycle_pb2.QueryChaincodeDefinitionResult,
    lifecycle_pb2.QueryChaincodeDefinitionsResult.ChaincodeDefinition,
)


def answer(
    stub: Stub, args: Sequence[bytes], approved: Sequence[ChaincodeDefinition], organisations: Organisations
) -> Response:
    """`args[0]` is one of QUERIES; `approved` are the definitions that this peer's organisation approved."""
    try:
        if args[0] == QUERY_ALL:
            return Response(OK, "", _all(stub).SerializeToString())
        if args[0] == QUERY_ONE:
            name = lifecycle_pb2.QueryChaincodeDefinitionArgs.FromString(args[1]).name
            return _one(stub, name, organisations())
        asked = lifecycle_pb2.CheckCommitReadinessArgs.FromString(args[1])
    except (DecodeError, UnicodeDecodeError):
        return Response(FAILED, "the argument does not decode", b"")
    following = committed_sequence(stub.get_state(sequence_key(asked.name))) + 1
    if asked.sequence != following:
        text = f"requested sequence is {asked.sequence}, but new definition must be sequence {following}"
        return Response(FAILED, text, b"")
    approves = asked_definition(approved, args[1]) is not None  # the two messages have the same fields
    told = lifecycle_pb2.CheckCommitReadinessResult(approvals=dict.fromkeys(organisations(), approves))
    return Response(OK, "", told.SerializeToString(deterministic=True))


def _one(stub: Stub, name: str, organisations: Sequence[str]) -> Response:
    definition = _definition(stub, name)
    if definition is None:
        return Response(404, "no chaincode of this name is defined on the channel", b"")
    told = _told(lifecycle_pb2.QueryChaincodeDefinitionResult, definition)
    told.approvals.update(dict.fromkeys(organisations, True))
    return Response(OK, "", told.SerializeToString(deterministic=True))


def _all(stub: Stub) -> lifecycle_pb2.QueryChaincodeDefinitionsResult:
    names = [key.removeprefix(METADATA_START) for key, _ in stub.range_states(METADATA_START, METADATA_END)]
    listed = lifecycle_pb2.QueryChaincodeDefinitionsResult()
    for definition in (_definition(stub, name) for name in names):
        if definition is not None:
            told = _told(lifecycle_pb2.QueryChaincodeDefinitionsResult.ChaincodeDefinition, definition)
            told.name = definition.name
            listed.chaincode_definitions.append(told)
    return listed


def _definition(stub: Stub, name: str) -> ChaincodeDefinition | None:
    values = [stub.get_state(field_key(name, field)) for field in FIELDS]
    found = [one for one in values if one is not None]
    return read_definition(name, *found) if len(found) == len(FIELDS) else None


def _told(result: type[_Told], definition: ChaincodeDefinition) -> _Told:
    """With the fields that every result has, which are those that were committed."""
    committed = lifecycle_pb2.CommitChaincodeDefinitionArgs.FromString(commit_arguments(definition))
    return result(
        sequence=committed.sequence,
        version=committed.version,
        endorsement_plugin=committed.endorsement_plugin,
        validation_plugin=committed.validation_plugin,
        validation_parameter=committed.validation_parameter,
        collections=committed.collections,
        init_required=committed.init_required,
    )
