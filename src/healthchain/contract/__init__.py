"""The business rules that all members agreed to: pure functions over the chaincode stub."""
