"""Commands; no rules of the ledger or of records."""

from __future__ import annotations

import sys


def main() -> int:
    """The program `healthchain`; answers with its exit status."""
    try:
        from healthchain.cli.commands import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:  # before a command began, or a second time while one was ending
        return 130
