"""The contract as a plain chaincode service, to compare with: what shims for Fabric before 3.1 do, and nothing else.

One message for each key that is read or written, each answered before the next; a thread a transaction; gRPC's ordinary
server. The contract and its rules are the same.

    python bench/service/plain.py ADDRESS PACKAGE_ID CERTIFICATE KEY CLIENT_ROOTS     (the files are PEM)
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import grpc
from fabric_protos.peer import chaincode_pb2, chaincode_shim_pb2, chaincode_shim_pb2_grpc, proposal_response_pb2

from healthchain.chaincode.remote import CallFailed, RemoteStub
from healthchain.chaincode.serving import OPTIONS
from healthchain.chaincode.stub import Caller
from healthchain.contract.ehr import CONTRACT
from healthchain.identity.msp import claimed_identity
from healthchain.wire.proposal import ParsedProposal, parse_proposal
from healthchain.wire.shim import ChaincodeMessage, Offered, Type

THREADS = 64
ANSWER_S_MAX = 60.0


class PlainStub(RemoteStub):
    """Writes as soon as the contract does. `Offered()` says that the peer takes one key a message."""

    def __init__(self, transaction: Transaction, proposal: ParsedProposal, caller: Caller) -> None:
        super().__init__(transaction.ask, Offered(), proposal, caller)

    def _write(self, record: chaincode_shim_pb2.WriteRecord) -> None:
        super()._write(record)
        self.send_writes()
        self._writes.clear()


class Transaction:
    """One at work: a question, then its answer."""

    def __init__(self, first: ChaincodeMessage, outgoing: SimpleQueue[ChaincodeMessage | None]) -> None:
        self._first = first
        self._outgoing = outgoing
        self.answers: SimpleQueue[ChaincodeMessage] = SimpleQueue()

    def run(self) -> None:
        try:
            self._send(Type.COMPLETED, self._response().SerializeToString())
        except CallFailed as failed:
            self._send(Type.ERROR, str(failed).encode())

    def ask(self, kind: Type, payload: bytes) -> bytes:
        self._send(kind, payload)
        answer = self.answers.get(timeout=ANSWER_S_MAX)
        if answer.type == Type.ERROR:
            raise CallFailed(answer.payload.decode())
        return answer.payload

    def _response(self) -> proposal_response_pb2.Response:
        proposal = parse_proposal(self._first.proposal.proposal_bytes)
        found = claimed_identity(proposal.creator)
        caller = Caller(found.msp_id, found.common_name, found.attributes, found.role.value)
        stub = PlainStub(self, proposal, caller)
        response = CONTRACT.invoke(stub, list(chaincode_pb2.ChaincodeInput.FromString(self._first.payload).args))
        stub.end()
        self._event = stub.event
        return proposal_response_pb2.Response(
            status=response.status, message=response.message, payload=response.payload
        )

    _event: tuple[str, bytes] | None = None

    def _send(self, kind: Type, payload: bytes) -> None:
        sent = ChaincodeMessage(type=kind, payload=payload, txid=self._first.txid, channel_id=self._first.channel_id)
        if kind == Type.COMPLETED and self._event:
            sent.chaincode_event.event_name, sent.chaincode_event.payload = self._event
        self._outgoing.put(sent)


class Chaincode(chaincode_shim_pb2_grpc.ChaincodeServicer):
    def __init__(self, package_id: str, threads: ThreadPoolExecutor) -> None:
        self._package_id = package_id
        self._threads = threads

    def Connect(
        self, request_iterator: Iterator[ChaincodeMessage], context: grpc.ServicerContext
    ) -> Iterator[ChaincodeMessage]:
        outgoing: SimpleQueue[ChaincodeMessage | None] = SimpleQueue()
        name = chaincode_pb2.ChaincodeID(name=self._package_id).SerializeToString()
        outgoing.put(ChaincodeMessage(type=Type.REGISTER, payload=name))
        threading.Thread(target=self._receive, args=(request_iterator, outgoing), daemon=True).start()
        while (sent := outgoing.get()) is not None:
            yield sent

    def _receive(self, received: Iterator[ChaincodeMessage], outgoing: SimpleQueue[ChaincodeMessage | None]) -> None:
        running: dict[tuple[str, str], Transaction] = {}
        try:
            for one in received:
                key = (one.channel_id, one.txid)
                if one.type in (Type.TRANSACTION, Type.INIT):
                    running[key] = Transaction(one, outgoing)
                    self._threads.submit(running[key].run)
                elif one.type in (Type.RESPONSE, Type.ERROR):
                    running[key].answers.put(one)
        except grpc.RpcError:  # the peer hung up
            pass
        outgoing.put(None)


def main(address: str, package_id: str, certificate: str, key: str, client_roots: str) -> None:
    """Serve until SIGTERM."""
    with ThreadPoolExecutor(THREADS) as threads:
        server = grpc.server(ThreadPoolExecutor(THREADS), options=OPTIONS)
        chaincode_shim_pb2_grpc.add_ChaincodeServicer_to_server(Chaincode(package_id, threads), server)  # type: ignore[no-untyped-call]
        pair = (Path(key).read_bytes(), Path(certificate).read_bytes())
        credentials = grpc.ssl_server_credentials([pair], Path(client_roots).read_bytes(), require_client_auth=True)
        server.add_secure_port(address, credentials)
        server.start()
        asked_to_end = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())
        asked_to_end.wait()
        server.stop(grace=1).wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
