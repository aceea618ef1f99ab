"""Use cases of health records: write, read, consent, audit; sealing and validation."""
