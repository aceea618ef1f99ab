"""The embedded network: peers, orderers and gateway services in one process; all its I/O and timing."""
