"""What a chaincode's service may ask of its peer, question by question (Fabric core/chaincode/handler.go).

The payloads of questions and answers are those of peer/chaincode_shim.proto; an absent value is an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count, islice

from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import chaincode_shim_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from healthchain.ledger.simulate import SimulationFailed, Simulator
from healthchain.wire.shim import Type, decoded

RESULTS_MAX = 100  # of one answer; more are asked for
PAGE_MAX = 100_000
NS_PER_MS = 1_000_000

WriteRecord = chaincode_shim_pb2.WriteRecord


class Calls:
    """The questions of one transaction, answered from its simulator."""

    def __init__(self, simulator: Simulator, namespace: str) -> None:
        self._simulator = simulator
        self._namespace = namespace
        self._results: dict[str, Iterator[bytes]] = {}
        self._ahead: dict[str, bytes] = {}
        self._ids = count(1)

    def answer(self, kind: Type, payload: bytes) -> bytes:
        """The payload of the RESPONSE. Raises HealthChainError, whose text is the ERROR, and KeyError for another type.

        Raises SimulationFailed, PrivateDataMissing, LogCorrupted, ShimMalformed.
        """
        return ANSWERS[kind](self, payload)

    def close(self) -> None:
        """At the end of the transaction, whose iterators end with it."""
        self._results.clear()
        self._ahead.clear()

    def get_state(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.GetState, payload)
        return self._value(asked.collection, asked.key)

    def get_state_multiple(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.GetStateMultiple, payload)
        values = [self._value(asked.collection, key) for key in asked.keys]
        return chaincode_shim_pb2.GetStateMultipleResult(values=values).SerializeToString()

    def get_private_data_hash(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.GetState, payload)
        return self._simulator.private_hash(asked.collection, asked.key) or b""

    def put_state(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.PutState, payload)
        self._put(asked.collection, asked.key, asked.value)
        return b""

    def del_state(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.DelState, payload)
        self._delete(asked.collection, asked.key)
        return b""

    def purge_private_data(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.PurgePrivateState, payload)
        self._simulator.purge_private(asked.collection, asked.key)
        return b""

    def write_batch_state(self, payload: bytes) -> bytes:
        for record in decoded(chaincode_shim_pb2.WriteBatchState, payload).rec:
            match record.type:
                case WriteRecord.PUT_STATE:
                    self._put(record.collection, record.key, record.value)
                case WriteRecord.DEL_STATE:
                    self._delete(record.collection, record.key)
                case WriteRecord.PURGE_PRIVATE_DATA:
                    self._simulator.purge_private(record.collection, record.key)
                case WriteRecord.PUT_STATE_METADATA:
                    self._put_metadata(record.collection, record.key, record.metadata)
                case _:
                    raise SimulationFailed("a write in the batch is of a type that this peer does not know")
        return b""

    def get_state_by_range(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.GetStateByRange, payload)
        if asked.collection:
            private = self._simulator.range_private(asked.collection, asked.startKey, asked.endKey)
            return self._first(self._row(key, value) for key, value in private)
        if asked.metadata:
            return self._page(asked)
        return self._first(
            self._row(key, value) for key, value in self._simulator.range_states(asked.startKey, asked.endKey)
        )

    def get_state_metadata(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.GetStateMetadata, payload)
        if asked.collection:
            found = self._simulator.private_metadata(asked.collection, asked.key)
        else:
            found = self._simulator.metadata(asked.key)
        entries = [chaincode_shim_pb2.StateMetadata(metakey=name, value=found[name]) for name in sorted(found)]
        return chaincode_shim_pb2.StateMetadataResult(entries=entries).SerializeToString()

    def put_state_metadata(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.PutStateMetadata, payload)
        self._put_metadata(asked.collection, asked.key, asked.metadata)
        return b""

    def get_query_result(self, payload: bytes) -> bytes:
        raise SimulationFailed("this peer's state database has no rich queries, like Fabric's with LevelDB: use ranges")

    def get_history_for_key(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.GetHistoryForKey, payload)
        return self._first(
            kv_query_result_pb2.KeyModification(
                tx_id=one.tx_id,
                value=one.value or b"",
                timestamp=Timestamp(seconds=one.timestamp_ms // 1000, nanos=one.timestamp_ms % 1000 * NS_PER_MS),
                is_delete=one.value is None,
            ).SerializeToString()
            for one in self._simulator.history(asked.key)
        )

    def query_state_next(self, payload: bytes) -> bytes:
        asked = decoded(chaincode_shim_pb2.QueryStateNext, payload)
        if asked.id not in self._results:
            raise SimulationFailed("query iterator not found")
        return self._batch(asked.id)

    def query_state_close(self, payload: bytes) -> bytes:
        """Also of one that is at its end: Node's shim closes what it has read to the end."""
        asked = decoded(chaincode_shim_pb2.QueryStateClose, payload)
        self._forget(asked.id)
        return chaincode_shim_pb2.QueryResponse(id=asked.id).SerializeToString()

    def _value(self, collection: str, key: str) -> bytes:
        if collection:
            return self._simulator.get_private(collection, key) or b""
        return self._simulator.get_state(key) or b""

    def _put(self, collection: str, key: str, value: bytes) -> None:
        if collection:
            self._simulator.put_private(collection, key, value)
        else:
            self._simulator.put_state(key, value)

    def _delete(self, collection: str, key: str) -> None:
        if collection:
            self._simulator.delete_private(collection, key)
        else:
            self._simulator.delete_state(key)

    def _put_metadata(self, collection: str, key: str, entry: chaincode_shim_pb2.StateMetadata) -> None:
        metadata = {entry.metakey: entry.value}
        if collection:
            self._simulator.put_private_metadata(collection, key, metadata)
        else:
            self._simulator.put_metadata(key, metadata)

    def _page(self, asked: chaincode_shim_pb2.GetStateByRange) -> bytes:
        """The bookmark is the key that the page starts with; the next page's is the answer's."""
        wanted = decoded(chaincode_shim_pb2.QueryMetadata, asked.metadata)
        if not 0 < wanted.pageSize <= PAGE_MAX:
            raise SimulationFailed(f"a page has from 1 to {PAGE_MAX} keys")
        rows, following = self._simulator.page(wanted.bookmark or asked.startKey, asked.endKey, wanted.pageSize)
        metadata = chaincode_shim_pb2.QueryResponseMetadata(fetched_records_count=len(rows), bookmark=following)
        return chaincode_shim_pb2.QueryResponse(
            results=[_result(self._row(key, value)) for key, value in rows],
            id=str(next(self._ids)),
            metadata=metadata.SerializeToString(),
        ).SerializeToString()

    def _first(self, results: Iterator[bytes]) -> bytes:
        name = str(next(self._ids))
        self._results[name] = results
        return self._batch(name)

    def _batch(self, name: str) -> bytes:
        """One more is read than is answered with: only so is it known whether there are more."""
        results = self._results[name]
        ahead = self._ahead.pop(name, None)
        found = ([] if ahead is None else [ahead]) + list(islice(results, RESULTS_MAX + (ahead is None)))
        more = len(found) > RESULTS_MAX
        if more:
            self._ahead[name] = found.pop()
        else:
            self._forget(name)
        return chaincode_shim_pb2.QueryResponse(
            results=[_result(one) for one in found], has_more=more, id=name
        ).SerializeToString()

    def _forget(self, name: str) -> None:
        self._results.pop(name, None)
        self._ahead.pop(name, None)

    def _row(self, key: str, value: bytes) -> bytes:
        return kv_query_result_pb2.KV(namespace=self._namespace, key=key, value=value).SerializeToString()


def _result(encoded: bytes) -> chaincode_shim_pb2.QueryResultBytes:
    return chaincode_shim_pb2.QueryResultBytes(resultBytes=encoded)


ANSWERS: Mapping[Type, Callable[[Calls, bytes], bytes]] = {
    Type.GET_STATE: Calls.get_state,
    Type.GET_STATE_MULTIPLE: Calls.get_state_multiple,
    Type.GET_PRIVATE_DATA_HASH: Calls.get_private_data_hash,
    Type.PUT_STATE: Calls.put_state,
    Type.DEL_STATE: Calls.del_state,
    Type.PURGE_PRIVATE_DATA: Calls.purge_private_data,
    Type.WRITE_BATCH_STATE: Calls.write_batch_state,
    Type.GET_STATE_METADATA: Calls.get_state_metadata,
    Type.PUT_STATE_METADATA: Calls.put_state_metadata,
    Type.GET_STATE_BY_RANGE: Calls.get_state_by_range,
    Type.GET_QUERY_RESULT: Calls.get_query_result,
    Type.GET_HISTORY_FOR_KEY: Calls.get_history_for_key,
    Type.QUERY_STATE_NEXT: Calls.query_state_next,
    Type.QUERY_STATE_CLOSE: Calls.query_state_close,
}
"""INVOKE_CHAINCODE is not among them: it takes time, and is the stream's."""
