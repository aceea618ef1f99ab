"""One peer's ledger: simulate, validate, commit, keep and check blocks and state. No clock, chance or sockets."""
