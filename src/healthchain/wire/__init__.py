"""The bytes shared with Hyperledger Fabric: proposals, transactions, read-write sets, blocks, channel configuration."""
