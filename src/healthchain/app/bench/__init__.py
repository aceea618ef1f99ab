"""`healthchain bench`: one load on the embedded network, or on it and on Fabric one after the other."""
