"""The system chaincode `_lifecycle`, as far as the embedded network needs it: committing an agreed definition.

An organisation's peer endorses only definitions which that organisation approved; a majority must. What it approved,
it approved as the next one, whatever its sequence number will be: that one definition follows another is checked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fabric_protos.peer.lifecycle import lifecycle_pb2

from healthchain.chaincode.dispatch import Response
from healthchain.chaincode.stub import Stub
from healthchain.wire.lifecycle import (
    ChaincodeDefinition,
    asked_sequence,
    commit_arguments,
    committed_sequence,
    definition_writes,
    sequence_key,
)

COMMIT = b"CommitChaincodeDefinition"


class Lifecycle:
    """Implements `peer.Chaincode` for the peer of one organisation."""

    def __init__(self, approved: Sequence[ChaincodeDefinition]) -> None:
        self._approved = tuple(approved)

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return False

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        if len(args) != 2 or args[0] != COMMIT:
            return Response(400, "this network's _lifecycle has the function CommitChaincodeDefinition only", b"")
        if stub.caller.node_ou != "admin":
            return Response(403, "only an administrator may commit a chaincode definition", b"")
        definition = self._asked(args[1])
        if definition is None:
            return Response(403, "this organisation has not approved the chaincode definition", b"")
        if definition.sequence != committed_sequence(stub.get_state(sequence_key(definition.name))) + 1:
            return Response(409, "the chaincode is defined already, or the definition is not the next one", b"")
        for key, value in definition_writes(definition).items():
            stub.put_state(key, value)
        return Response(200, "", lifecycle_pb2.CommitChaincodeDefinitionResult().SerializeToString())

    def _asked(self, arguments: bytes) -> ChaincodeDefinition | None:
        """The approved definition that these arguments are, byte for byte but for the sequence."""
        asked = [replace(one, sequence=asked_sequence(arguments)) for one in self._approved]
        return next((one for one in asked if commit_arguments(one) == arguments), None)
