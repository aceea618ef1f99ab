"""The embedded network for clients outside this process: Fabric's services over gRPC, one server an organisation."""
