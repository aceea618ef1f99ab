"""The consortium on a real Fabric network: on this machine, or each organisation's part on its own."""
