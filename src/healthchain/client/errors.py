"""One error class a stage, as in Fabric's own SDKs (fabric-gateway pkg/client/errors.go).

A refusal of the contract is not among them: it is raised as `Refused`, with its code, at whichever stage it came.
"""

from __future__ import annotations

import re

from healthchain.client.checkpoint import Position
from healthchain.errors import BadInput, HealthChainError, Refused
from healthchain.wire.codes import Code
from healthchain.wire.gateway import ErrorDetail, GatewayError

_DISAGREE = "ProposalResponsePayloads do not match"  # Fabric's gateway, internal/pkg/gateway/endorse.go
_RULES_SAY_NO = (
    re.compile(r"chaincode response \d+, ([A-Z][A-Z0-9_]*): (.*)", re.DOTALL),
    re.compile(r"\b(MEMBER_(?:SUSPENDED|REMOVED)): (.*)", re.DOTALL),  # a network may know before it asks the contract
)


class GatewayFailed(HealthChainError):
    """`details` name the nodes that refused: address, MSP id, message. `status` is gRPC's code."""

    def __init__(self, error: GatewayError) -> None:
        nodes = "; ".join(_said(one, error.message) for one in error.details)
        super().__init__(f"{error.message} ({nodes})" if nodes else error.message)
        self.status = error.status
        self.message = error.message
        self.details: tuple[ErrorDetail, ...] = error.details


class StageFailed(GatewayFailed):
    """Of one transaction."""

    def __init__(self, transaction_id: str, error: GatewayError) -> None:
        super().__init__(error)
        self.transaction_id = transaction_id


class EvaluateFailed(StageFailed):
    """Nothing was written; the call may be repeated."""


class EndorseFailed(StageFailed):
    """Nothing was ordered; a new proposal may be made."""

    @property
    def is_disagreement(self) -> bool:
        """Endorsers came to different outcomes, as while one of them has not yet the blocks that another has."""
        return any(_DISAGREE in one.message for one in self.details)


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


class EventsFailed(GatewayFailed):
    """The events ended; from `position` on they may be asked for again; None: nothing came, nor was a block named."""

    def __init__(self, position: Position | None, error: GatewayError) -> None:
        super().__init__(error)
        self.position = position


class BytesInvalid(BadInput):
    """Not the bytes of the stage that they were handed in as, or of another transaction, channel or identity."""


class SignatureInvalid(BadInput):
    """The bytes were altered, or another key signed them."""

    def __init__(self) -> None:
        super().__init__(
            "the signature is not the creator's over these bytes: sign their SHA-256 digest with the creator's key"
        )


class KeyMissing(BadInput):
    """This connection's private key is elsewhere."""

    def __init__(self) -> None:
        super().__init__("this connection has no private key: sign the digest elsewhere and hand in the signature")


def refusal(error: GatewayError) -> Refused | None:
    """The contract's refusal in a gateway's error, or the network's in the same words, if that is what it is."""
    for text in (*[one.message for one in error.details], error.message):
        for said in _RULES_SAY_NO:
            found = said.search(text)
            if found is not None:
                return Refused(found[1], found[2])
    return None


def _said(detail: ErrorDetail, already: str) -> str:
    node = " ".join(one for one in (detail.msp_id, detail.address) if one)
    return node if detail.message == already else f"{node}: {detail.message}"
