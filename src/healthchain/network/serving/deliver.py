"""`protos.Deliver` of a peer and `orderer.AtomicBroadcast/Deliver` over gRPC (Fabric core/peer/deliverevents.go).

Whole blocks and filtered ones are for the channel's readers. Private values are for the administrators of the peer's
own organisation, who hold its disk anyway: anybody else reads a record within a session of the contract's, or not at
all.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from hashlib import sha256
from typing import TypeVar

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import events_pb2

from healthchain.identity.msp import Identity, Role
from healthchain.network.delivery import SUCCESS, Delivery, DeliveryEnds
from healthchain.network.network import Network
from healthchain.network.serving.calls import Context, Limit, Method, StreamEnds, conversation
from healthchain.wire.block import orderer_part
from healthchain.wire.delivered import block_with_private, filtered_block

SERVICE = "protos.Deliver"
STREAMS_MAX = 500
IDLE_S_MAX = 60.0

_Response = TypeVar("_Response", events_pb2.DeliverResponse, ab_pb2.DeliverResponse)


def deliver_service(network: Network, organisation: str, *, client_certificates: bool) -> grpc.GenericRpcHandler:
    peer = network.peers[organisation]
    ledger = peer.ledger

    def operates(identity: Identity) -> bool:
        return identity.msp_id == peer.msp_id and identity.role is Role.ADMIN

    def whole(block: common_pb2.Block) -> events_pb2.DeliverResponse:
        return events_pb2.DeliverResponse(block=block)

    def filtered(block: common_pb2.Block) -> events_pb2.DeliverResponse:
        return events_pb2.DeliverResponse(filtered_block=filtered_block(ledger.channel.id, block))

    def with_private(block: common_pb2.Block) -> events_pb2.DeliverResponse:
        held = block_with_private(block, ledger.private_writes(block.header.number))
        return events_pb2.DeliverResponse(block_and_private_data=held)

    blocks = Delivery(peer, network.commits, network.verifier)
    private = Delivery(peer, network.commits, network.verifier, operates)
    limit = Limit(STREAMS_MAX)

    def method(delivery: Delivery, shape: Callable[[common_pb2.Block], events_pb2.DeliverResponse]) -> Method:
        return delivering(delivery, shape, events_pb2.DeliverResponse, limit, client_certificates=client_certificates)

    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Deliver": method(blocks, whole),
            "DeliverFiltered": method(blocks, filtered),
            "DeliverWithPrivateData": method(private, with_private),
        },
    )


def ordered_blocks(network: Network, organisation: str, *, client_certificates: bool) -> Method:
    """The orderers' Deliver: blocks without what each peer adds to them."""

    def plain(block: common_pb2.Block) -> ab_pb2.DeliverResponse:
        return ab_pb2.DeliverResponse(block=orderer_part(block))

    delivery = Delivery(network.peers[organisation], network.commits, network.verifier)
    return delivering(
        delivery, plain, ab_pb2.DeliverResponse, Limit(STREAMS_MAX), client_certificates=client_certificates
    )


def delivering(
    delivery: Delivery,
    shape: Callable[[common_pb2.Block], _Response],
    response: type[_Response],
    limit: Limit,
    *,
    client_certificates: bool,
) -> Method:
    """Each request is answered with blocks and a status; after another status than SUCCESS the stream ends."""

    async def answer(envelope: bytes, context: Context) -> AsyncGenerator[_Response, None]:
        certificate_hash = _certificate_hash(context) if client_certificates else None
        try:
            async with aclosing(delivery.blocks(envelope, certificate_hash)) as blocks:
                async for block in blocks:
                    yield shape(block)
        except DeliveryEnds as ends:
            yield response(status=ends.status)
            raise StreamEnds from None
        yield response(status=SUCCESS)

    return conversation(answer, limit, IDLE_S_MAX)


def _certificate_hash(context: Context) -> bytes:
    """Of the client's TLS certificate, which under mutual TLS there is."""
    [pem] = context.auth_context()["x509_pem_cert"]
    return sha256(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)).digest()
