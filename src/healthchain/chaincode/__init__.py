"""What a contract sees of the ledger (`stub`) and how a call reaches its function (`dispatch`)."""
