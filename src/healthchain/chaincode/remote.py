"""The stub of a chaincode that runs outside its peer: each question is a message, the writes are sent together.

Source: fabric-chaincode-go shim/{stub,handler}.go. Nothing is asked for that the contract did not ask for. Since no
transaction reads its own writes, all of them can wait for its end, and then fit few messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import chaincode_shim_pb2

from healthchain.chaincode.stub import MAX_CODE_POINT, Caller, Modification, composite_key
from healthchain.errors import HealthChainError
from healthchain.wire.proposal import ParsedProposal
from healthchain.wire.shim import Offered, Type, decoded

SIMPLE_START = "\x01"  # an empty start is replaced, so that a simple range never gives composite keys
NS_PER_MS = 1_000_000

Ask = Callable[[Type, bytes], bytes]
"""Sends a question, waits, returns the answer's payload; raises CallFailed."""
WriteRecord = chaincode_shim_pb2.WriteRecord


class CallFailed(HealthChainError):
    """The peer refused what the chaincode asked for, or the stream ended before it answered."""


class RemoteStub:
    """Implements `healthchain.chaincode.stub.Stub`; one instance a transaction, for that transaction's thread."""

    def __init__(self, ask: Ask, offered: Offered, proposal: ParsedProposal, caller: Caller) -> None:
        self._ask = ask
        self._offered = offered
        self._writes: dict[tuple[str, str], WriteRecord] = {}
        self._ended = False
        self.channel_id = proposal.channel_id
        self.tx_id = proposal.tx_id
        self.timestamp_ms = proposal.timestamp_ns // NS_PER_MS
        self.caller = caller
        self.transient = proposal.transient
        self.event: tuple[str, bytes] | None = None

    def get_state(self, key: str) -> bytes | None:
        asked = chaincode_shim_pb2.GetState(key=key)
        return self._ask(Type.GET_STATE, asked.SerializeToString()) or None

    def get_states(self, keys: Sequence[str]) -> list[bytes | None]:
        """One message for as many keys as the peer takes at once."""
        most = self._offered.reads_max
        if not most:
            return [self.get_state(key) for key in keys]
        found: list[bytes | None] = []
        for begin in range(0, len(keys), most):
            asked = chaincode_shim_pb2.GetStateMultiple(keys=keys[begin : begin + most])
            answer = self._ask(Type.GET_STATE_MULTIPLE, asked.SerializeToString())
            values = decoded(chaincode_shim_pb2.GetStateMultipleResult, answer).values
            if len(values) != len(asked.keys):
                raise CallFailed("the peer answered with another number of values than it was asked for")
            found += [value or None for value in values]
        return found

    def put_state(self, key: str, value: bytes) -> None:
        self._write(WriteRecord(key=key, value=value, type=WriteRecord.PUT_STATE))

    def delete_state(self, key: str) -> None:
        self._write(WriteRecord(key=key, type=WriteRecord.DEL_STATE))

    def range_states(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        return self._range(start or SIMPLE_START, end)

    def range_composite(self, object_type: str, attributes: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        prefix = composite_key(object_type, attributes)
        return self._range(prefix, prefix + MAX_CODE_POINT)

    def _range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        asked = chaincode_shim_pb2.GetStateByRange(startKey=start, endKey=end)
        for encoded in self._results(Type.GET_STATE_BY_RANGE, asked.SerializeToString()):
            row = decoded(kv_query_result_pb2.KV, encoded)
            yield row.key, row.value

    def history(self, key: str) -> Iterator[Modification]:
        asked = chaincode_shim_pb2.GetHistoryForKey(key=key)
        for encoded in self._results(Type.GET_HISTORY_FOR_KEY, asked.SerializeToString()):
            found = decoded(kv_query_result_pb2.KeyModification, encoded)
            timestamp_ms = found.timestamp.seconds * 1000 + found.timestamp.nanos // NS_PER_MS
            yield Modification(found.tx_id, timestamp_ms, None if found.is_delete else found.value)

    def get_private(self, collection: str, key: str) -> bytes | None:
        asked = chaincode_shim_pb2.GetState(key=key, collection=collection)
        return self._ask(Type.GET_STATE, asked.SerializeToString()) or None

    def private_hash(self, collection: str, key: str) -> bytes | None:
        asked = chaincode_shim_pb2.GetState(key=key, collection=collection)
        return self._ask(Type.GET_PRIVATE_DATA_HASH, asked.SerializeToString()) or None

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        self._write(WriteRecord(key=key, value=value, collection=collection, type=WriteRecord.PUT_STATE))

    def delete_private(self, collection: str, key: str) -> None:
        self._write(WriteRecord(key=key, collection=collection, type=WriteRecord.DEL_STATE))

    def purge_private(self, collection: str, key: str) -> None:
        self._write(WriteRecord(key=key, collection=collection, type=WriteRecord.PURGE_PRIVATE_DATA))

    def set_event(self, name: str, payload: bytes) -> None:
        if not name:
            raise CallFailed("an event needs a name")
        self.event = (name, payload)

    def send_writes(self) -> None:
        """At the end of a transaction that the contract did not refuse; the last write of each key."""
        records, most = list(self._writes.values()), self._offered.writes_max
        if not most:
            for one in records:
                self._ask(*_single(one))
            return
        for begin in range(0, len(records), most):
            batch = chaincode_shim_pb2.WriteBatchState(rec=records[begin : begin + most])
            self._ask(Type.WRITE_BATCH_STATE, batch.SerializeToString())

    def end(self) -> None:
        """From now on iterators that nobody read to their end are the peer's to close."""
        self._ended = True

    def _write(self, record: WriteRecord) -> None:
        self._writes[record.collection, record.key] = record

    def _results(self, kind: Type, asked: bytes) -> Iterator[bytes]:
        """Batch by batch, as far as the contract reads."""
        response = decoded(chaincode_shim_pb2.QueryResponse, self._ask(kind, asked))
        try:
            while True:
                for one in response.results:
                    yield one.resultBytes
                if not response.has_more:
                    return
                following = chaincode_shim_pb2.QueryStateNext(id=response.id).SerializeToString()
                answer = self._ask(Type.QUERY_STATE_NEXT, following)
                response = decoded(chaincode_shim_pb2.QueryResponse, answer)
        except GeneratorExit:
            if response.has_more and not self._ended:
                unread = chaincode_shim_pb2.QueryStateClose(id=response.id).SerializeToString()
                self._ask(Type.QUERY_STATE_CLOSE, unread)
            raise


def _single(record: WriteRecord) -> tuple[Type, bytes]:
    """The message of one write, for a peer that takes no batches."""
    key, collection = record.key, record.collection
    if record.type == WriteRecord.PUT_STATE:
        put = chaincode_shim_pb2.PutState(key=key, value=record.value, collection=collection)
        return Type.PUT_STATE, put.SerializeToString()
    if record.type == WriteRecord.DEL_STATE:
        return Type.DEL_STATE, chaincode_shim_pb2.DelState(key=key, collection=collection).SerializeToString()
    purge = chaincode_shim_pb2.PurgePrivateState(key=key, collection=collection)
    return Type.PURGE_PRIVATE_DATA, purge.SerializeToString()
