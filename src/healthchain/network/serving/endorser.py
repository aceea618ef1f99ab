"""`protos.Endorser` over gRPC (Fabric peer/peer.proto)."""

from __future__ import annotations

import grpc
from fabric_protos.peer import proposal_pb2, proposal_response_pb2

from healthchain.network.endorser import Endorser
from healthchain.network.peer import ProposalRefused
from healthchain.network.serving.calls import Limit, unary
from healthchain.wire.gateway import GatewayError, Status

SERVICE = "protos.Endorser"
CALLS_MAX = 2500


def endorser_service(endorser: Endorser) -> grpc.GenericRpcHandler:
    async def process(signed: proposal_pb2.SignedProposal) -> proposal_response_pb2.ProposalResponse:
        try:
            return await endorser.process_proposal(signed)
        except ProposalRefused as refused:
            raise GatewayError(Status.UNKNOWN, str(refused)) from None  # Fabric's endorser has no other status

    return grpc.method_handlers_generic_handler(
        SERVICE, {"ProcessProposal": unary(proposal_pb2.SignedProposal, process, Limit(CALLS_MAX))}
    )
