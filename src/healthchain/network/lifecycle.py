"""The system chaincode `_lifecycle`, as far as the embedded network needs it: committing an agreed definition, queries.

An organisation's peer endorses only definitions which that organisation approved; a majority must. What it approved,
it approved as the next one, whatever its sequence number will be: that one definition follows another is checked here.
"""

from __future__ import annotations

from collections.abc import Sequence

from fabric_protos.peer.lifecycle import lifecycle_pb2

from healthchain.chaincode.dispatch import Response
from healthchain.chaincode.stub import Stub
from healthchain.network.definitions import QUERIES, Organisations, answer
from healthchain.wire.lifecycle import (
    ChaincodeDefinition,
    asked_definition,
    committed_sequence,
    definition_writes,
    sequence_key,
)

COMMIT = b"CommitChaincodeDefinition"
FUNCTIONS = ", ".join(sorted(one.decode() for one in (COMMIT, *QUERIES)))


class Lifecycle:
    """Implements `execution.Chaincode` for the peer of one organisation."""

    def __init__(self, approved: Sequence[ChaincodeDefinition], organisations: Organisations = lambda: ()) -> None:
        self._approved = tuple(approved)
        self._organisations = organisations

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return bool(args) and args[0] in QUERIES

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        if len(args) == 2 and args[0] in QUERIES:
            return answer(stub, args, self._approved, self._organisations)
        if len(args) != 2 or args[0] != COMMIT:
            return Response(400, f"this network's _lifecycle has the functions {FUNCTIONS} only", b"")
        if stub.caller.node_ou != "admin":
            return Response(403, "only an administrator may commit a chaincode definition", b"")
        definition = asked_definition(self._approved, args[1])
        if definition is None:
            return Response(403, "this organisation has not approved the chaincode definition", b"")
        if definition.sequence != committed_sequence(stub.get_state(sequence_key(definition.name))) + 1:
            return Response(409, "the chaincode is defined already, or the definition is not the next one", b"")
        for key, value in definition_writes(definition).items():
            stub.put_state(key, value)
        return Response(200, "", lifecycle_pb2.CommitChaincodeDefinitionResult().SerializeToString())
