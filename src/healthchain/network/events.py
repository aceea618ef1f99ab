"""Chaincode events from the blocks of one peer (Fabric internal/pkg/gateway/chaincodeevents.go)."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import chaincode_event_pb2

from healthchain.ledger.ledger import Ledger
from healthchain.network.commits import Commits
from healthchain.wire.block import Block, transaction_codes
from healthchain.wire.codes import Code
from healthchain.wire.gateway import GatewayError, Status
from healthchain.wire.transaction import TransactionInvalid, decode_action, decode_header


def start_block(request: gateway_pb2.ChaincodeEventsRequest, ledger: Ledger) -> tuple[int, str]:
    """The first block to read, and the transaction up to which its events were seen already ("" if none)."""
    if request.after_transaction_id:
        found = ledger.transaction(request.after_transaction_id)
        if found is not None:
            return found.block, request.after_transaction_id
    position = request.start_position
    kind = position.WhichOneof("Type")
    if kind in (None, "next_commit"):
        return ledger.height, ""
    if kind == "specified":
        return position.specified.number, ""
    raise GatewayError(Status.INVALID_ARGUMENT, "invalid start position type: name a block, or the next commit")


async def chaincode_events(
    ledger: Ledger, commits: Commits, chaincode: str, number: int, after_transaction_id: str
) -> AsyncGenerator[gateway_pb2.ChaincodeEventsResponse, None]:
    """One response for each block with events of valid transactions of the chaincode, for ever."""
    while True:
        while number >= ledger.height:
            await commits.next_block()
        events = _block_events(ledger.block(number), chaincode)
        if after_transaction_id:
            seen = [one.tx_id for one in events]
            if after_transaction_id in seen:
                events = events[seen.index(after_transaction_id) + 1 :]
            after_transaction_id = ""
        if events:
            yield gateway_pb2.ChaincodeEventsResponse(events=events, block_number=number)
        number += 1


def _block_events(block: Block, chaincode: str) -> list[chaincode_event_pb2.ChaincodeEvent]:
    found = []
    for envelope, code in zip(block.data.data, transaction_codes(block), strict=True):
        if code != Code.VALID:
            continue
        try:
            action = decode_action(decode_header(envelope))
        except TransactionInvalid:
            continue  # block 0: the channel's configuration
        if action.event is not None and action.chaincode == chaincode:
            found.append(action.event)
    return found
