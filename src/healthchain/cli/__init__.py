"""Commands; no rules of the ledger or of records."""

from __future__ import annotations


def main() -> int:
    """The program `healthchain`; answers with its exit status."""
    from healthchain.cli.commands import run

    return run()
