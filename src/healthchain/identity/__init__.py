"""Keys, certificates, membership service providers and endorsement policies."""
