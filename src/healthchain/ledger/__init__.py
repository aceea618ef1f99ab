"""One peer's ledger: simulate, validate, commit, keep and check blocks and state. It knows no clock, chance or sockets."""
