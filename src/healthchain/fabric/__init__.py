"""A real Hyperledger Fabric network on this machine, from Fabric's released programs, over a consortium's folder."""
