"""The contract's refusal tables through the Gateway client, on a network."""
