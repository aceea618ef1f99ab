"""`gateway.Gateway` over gRPC (Fabric gateway/gateway.proto)."""

from __future__ import annotations

import grpc
from fabric_protos.gateway import gateway_pb2

from healthchain.network.gateway import Gateway
from healthchain.network.serving.calls import Limit, streamed, unary

SERVICE = "gateway.Gateway"
CALLS_MAX = 2500
STREAMS_MAX = 500


def gateway_service(gateway: Gateway) -> grpc.GenericRpcHandler:
    """Waiting for a commit or for events must not keep others from submitting: these have a limit of their own."""
    calls, waits, streams = Limit(CALLS_MAX), Limit(CALLS_MAX), Limit(STREAMS_MAX)
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Evaluate": unary(gateway_pb2.EvaluateRequest, gateway.evaluate, calls),
            "Endorse": unary(gateway_pb2.EndorseRequest, gateway.endorse, calls),
            "Submit": unary(gateway_pb2.SubmitRequest, gateway.submit, calls),
            "CommitStatus": unary(gateway_pb2.SignedCommitStatusRequest, gateway.commit_status, waits),
            "ChaincodeEvents": streamed(gateway_pb2.SignedChaincodeEventsRequest, gateway.chaincode_events, streams),
        },
    )
