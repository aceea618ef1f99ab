"""A Fabric network on this machine: what can be shown of it without Fabric."""
