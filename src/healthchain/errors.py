"""The base of every error that HealthChain raises on purpose.

A refusal of the contract is a `Refused` with a stable code; everything else that a user can mend is another
`HealthChainError` whose text says what was wrong and what to do. A broken invariant is neither: it is an assertion.
"""

from __future__ import annotations


class HealthChainError(Exception):
    """What went wrong and what to do about it, in words a user can act on; never a payload, name or key."""


class Refused(HealthChainError):
    """The consortium's rules forbid it. `code` is stable and travels unchanged from the contract to every surface."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class BadInput(HealthChainError):
    """What the caller handed in cannot be used: nothing was written."""
