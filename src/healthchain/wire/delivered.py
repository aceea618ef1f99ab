"""A block as the Deliver services hand it out: filtered, with private data, or as the orderers made it.

Sources: Fabric core/peer/deliverevents.go, peer/events.proto.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import chaincode_event_pb2, events_pb2, transaction_pb2

from healthchain.wire.block import transaction_codes
from healthchain.wire.proposal import ENDORSER_TRANSACTION
from healthchain.wire.transaction import TransactionInvalid, decode_action, decode_header

PrivateWrites = Mapping[tuple[str, str], Sequence[tuple[str, bytes]]]
"""(namespace, collection) -> the (key, value) pairs that one transaction wrote there."""


def filtered_block(channel_id: str, block: common_pb2.Block) -> events_pb2.FilteredBlock:
    """Ids, types, codes and events' names: no value of any kind."""
    found = [_filtered(*one) for one in zip(block.data.data, transaction_codes(block), strict=True)]
    return events_pb2.FilteredBlock(channel_id=channel_id, number=block.header.number, filtered_transactions=found)


def _filtered(envelope: bytes, code: int) -> events_pb2.FilteredTransaction:
    filtered = events_pb2.FilteredTransaction(tx_validation_code=cast(transaction_pb2.TxValidationCode, code))
    try:
        header = decode_header(envelope)
        filtered.txid, filtered.type = header.tx_id, cast(common_pb2.HeaderType, header.type)
        if header.type != ENDORSER_TRANSACTION:
            return filtered
        event = decode_action(header).event
    except TransactionInvalid:
        return filtered
    actions = events_pb2.FilteredTransactionActions()
    if event is not None:
        told = chaincode_event_pb2.ChaincodeEvent(
            chaincode_id=event.chaincode_id, tx_id=event.tx_id, event_name=event.event_name
        )
        actions.chaincode_actions.append(events_pb2.FilteredChaincodeAction(chaincode_event=told))
    filtered.transaction_actions.CopyFrom(actions)
    return filtered


def block_with_private(block: common_pb2.Block, private: Mapping[int, PrivateWrites]) -> events_pb2.BlockAndPrivateData:
    """`private` by the transaction's index in the block."""
    return events_pb2.BlockAndPrivateData(
        block=block, private_data_map={index: _private_set(writes) for index, writes in private.items()}
    )


def _private_set(writes: PrivateWrites) -> rwset_pb2.TxPvtReadWriteSet:
    found = rwset_pb2.TxPvtReadWriteSet(data_model=rwset_pb2.TxReadWriteSet.KV)
    for namespace in sorted({one for one, _ in writes}):
        collections = [
            rwset_pb2.CollectionPvtReadWriteSet(
                collection_name=collection, rwset=_key_values(writes[owner, collection])
            )
            for owner, collection in sorted(writes)
            if owner == namespace
        ]
        found.ns_pvt_rwset.append(rwset_pb2.NsPvtReadWriteSet(namespace=namespace, collection_pvt_rwset=collections))
    return found


def _key_values(pairs: Sequence[tuple[str, bytes]]) -> bytes:
    written = [kv_rwset_pb2.KVWrite(key=key, value=value) for key, value in sorted(pairs)]
    return kv_rwset_pb2.KVRWSet(writes=written).SerializeToString()
