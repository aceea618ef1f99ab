"""The system chaincode `qscc`: a peer's blocks and transactions, for clients that only know chaincodes.

Source: Fabric core/scc/qscc/query.go. Evaluated, never submitted; each peer answers from its own ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.peer import transaction_pb2
from google.protobuf.message import Message

from healthchain.chaincode.dispatch import OK, Response
from healthchain.chaincode.stub import Stub
from healthchain.ledger.ledger import Ledger
from healthchain.network.readers import may_read_channel
from healthchain.wire.block import header_hash, transaction_codes

QSCC = "qscc"
FAILED = 500
NUMBER_DIGITS_MAX = 20
NEWEST = 2**64 - 1


class Qscc:
    """Implements `peer.Chaincode` over one peer's ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._functions: Mapping[bytes, Callable[[bytes], Message | None]] = {
            b"GetBlockByNumber": self._block_by_number,
            b"GetBlockByHash": self._block_by_hash,
            b"GetBlockByTxID": self._block_by_transaction,
            b"GetTransactionByID": self._transaction,
        }

    def only_reads(self, args: Sequence[bytes]) -> bool:
        return True

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        """args: function, channel, what is asked for. Fabric answers 500 to whatever is not there."""
        if not may_read_channel(stub.caller.attributes):
            return Response(FAILED, "blocks tell of every patient: ask for the own audit instead", b"")
        if len(args) < 2 or args[1] != self._ledger.channel.id.encode():
            return Response(FAILED, "name the function and then this peer's channel", b"")
        if args[0] == b"GetChainInfo":
            return _found(self._chain_info())
        function = self._functions.get(args[0])
        if function is None or len(args) != 3:
            return Response(FAILED, "qscc has no such function, or it takes one argument after the channel", b"")
        return _found(function(args[2]))

    def _chain_info(self) -> ledger_pb2.BlockchainInfo:
        newest = self._ledger.block(self._ledger.height - 1)
        return ledger_pb2.BlockchainInfo(
            height=self._ledger.height,
            currentBlockHash=header_hash(newest),
            previousBlockHash=newest.header.previous_hash,
        )

    def _block_by_number(self, asked: bytes) -> common_pb2.Block | None:
        """In decimal."""
        if not asked.isdigit() or len(asked) > NUMBER_DIGITS_MAX:
            return None
        number = int(asked)
        number = self._ledger.height - 1 if number == NEWEST else number
        return self._ledger.block(number) if number < self._ledger.height else None

    def _block_by_hash(self, asked: bytes) -> common_pb2.Block | None:
        """By the header's hash, as the next block names it."""
        number = self._ledger.block_number(asked)
        return None if number is None else self._ledger.block(number)

    def _block_by_transaction(self, asked: bytes) -> common_pb2.Block | None:
        found = self._ledger.transaction(asked.decode(errors="replace"))
        return None if found is None else self._ledger.block(found.block)

    def _transaction(self, asked: bytes) -> transaction_pb2.ProcessedTransaction | None:
        found = self._ledger.transaction(asked.decode(errors="replace"))
        if found is None:
            return None
        block = self._ledger.block(found.block)
        return transaction_pb2.ProcessedTransaction(
            transactionEnvelope=common_pb2.Envelope.FromString(block.data.data[found.index]),
            validationCode=transaction_codes(block)[found.index],
        )


def _found(message: Message | None) -> Response:
    if message is None:
        return Response(FAILED, "there is no such block or transaction on this peer's ledger", b"")
    return Response(OK, "", message.SerializeToString())
