"""One error class a stage, as in Fabric's own SDKs (fabric-gateway pkg/client/errors.go).

A refusal of the contract is not among them: it is raised as `Refused`, with its code, at whichever stage it came.
"""

from __future__ import annotations

import re

from healthchain.errors import HealthChainError, Refused
from healthchain.wire.codes import Code
from healthchain.wire.gateway import ErrorDetail, GatewayError

_RULES_SAY_NO = (
    re.compile(r"chaincode response \d+, ([A-Z][A-Z0-9_]*): (.*)", re.DOTALL),
    re.compile(r"\b(MEMBER_(?:SUSPENDED|REMOVED)): (.*)", re.DOTALL),  # a network may know before it asks the contract
)


class StageFailed(HealthChainError):
    """`details` name the nodes that refused; `status` is gRPC's code."""

    def __init__(self, transaction_id: str, error: GatewayError) -> None:
        nodes = "; ".join(f"{one.msp_id or one.address}: {one.message}" for one in error.details)
        super().__init__(f"{error.message} ({nodes})" if nodes else error.message)
        self.transaction_id = transaction_id
        self.status = error.status
        self.details: tuple[ErrorDetail, ...] = error.details


class EvaluateFailed(StageFailed):
    """Nothing was written; the call may be repeated."""


class EndorseFailed(StageFailed):
    """Nothing was ordered; a new proposal may be made."""


class SubmitFailed(StageFailed):
    """Whether it was ordered is not certain if `status` is UNAVAILABLE: ask for the commit's status."""


class CommitStatusFailed(StageFailed):
    """The transaction may still be committed."""


class CommitFailed(HealthChainError):
    """The transaction is in a block, and invalid; `code` is Fabric's TxValidationCode."""

    def __init__(self, transaction_id: str, code: int, block: int) -> None:
        super().__init__(f"the transaction was not committed: {Code.Name(code)}")
        self.transaction_id = transaction_id
        self.code = code
        self.block = block

    @property
    def is_conflict(self) -> bool:
        """Somebody else's transaction came first: a new proposal sees its outcome."""
        return self.code in (Code.MVCC_READ_CONFLICT, Code.PHANTOM_READ_CONFLICT)


def refusal(error: GatewayError) -> Refused | None:
    """The contract's refusal in a gateway's error, or the network's in the same words, if that is what it is."""
    for text in (*[one.message for one in error.details], error.message):
        for said in _RULES_SAY_NO:
            found = said.search(text)
            if found is not None:
                return Refused(found[1], found[2])
    return None
