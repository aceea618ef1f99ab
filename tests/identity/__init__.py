"""Keys, certificates, membership and signature policies: what Fabric accepts, and everything that it must not."""
