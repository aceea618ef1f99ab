"""The system chaincode `_lifecycle`, as far as the embedded network needs it: committing an agreed definition.

An organisation's peer endorses only definitions which that organisation approved; a majority must.
"""

from __future__ import annotations

from collections.abc import Sequence

from fabric_protos.peer.lifecycle import lifecycle_pb2

from healthchain.chaincode.dispatch import Response
from healthchain.chaincode.stub import Stub
from healthchain.wire.lifecycle import ChaincodeDefinition, commit_arguments, definition_writes, sequence_key

COMMIT = b"CommitChaincodeDefinition"


class Lifecycle:
    """Implements `peer.Chaincode` for the peer of one organisation."""

    def __init__(self, approved: Sequence[ChaincodeDefinition]) -> None:
        self._approved = {commit_arguments(one): one for one in approved}

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return False

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        if len(args) != 2 or args[0] != COMMIT:
            return Response(400, "this network's _lifecycle has the function CommitChaincodeDefinition only", b"")
        if stub.caller.node_ou != "admin":
            return Response(403, "only an administrator may commit a chaincode definition", b"")
        definition = self._approved.get(args[1])
        if definition is None:
            return Response(403, "this organisation has not approved the chaincode definition", b"")
        if stub.get_state(sequence_key(definition.name)) is not None:
            return Response(409, "the chaincode is defined already", b"")
        for key, value in definition_writes(definition).items():
            stub.put_state(key, value)
        return Response(200, "", lifecycle_pb2.CommitChaincodeDefinitionResult().SerializeToString())
