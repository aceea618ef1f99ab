"""One organisation's part of a network on several machines: its folder, its certificates, what it agrees to."""
