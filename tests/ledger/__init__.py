"""One peer's ledger: logs, state, validation, commit, recovery, and fsck, which finds what none of them should do."""
