"""Commands; no rules of the ledger or of records."""

from __future__ import annotations

import sys


def main() -> int:
    print("healthchain: no commands yet", file=sys.stderr)
    return 2
