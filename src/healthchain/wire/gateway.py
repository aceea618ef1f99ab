"""How a gateway says no: gRPC's status code, words, and one detail for each node that refused (gateway.proto)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from healthchain.errors import HealthChainError


class Status(IntEnum):
    """google.rpc.Code, those that the gateway uses."""

    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    INTERNAL = 13
    UNAVAILABLE = 14


class ErrorDetail(NamedTuple):
    """gateway.ErrorDetail: which node, of which organisation, said what."""

    address: str
    msp_id: str
    message: str


class GatewayError(HealthChainError):
    """A request to the gateway failed."""

    def __init__(self, status: Status, message: str, details: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = tuple(details)
