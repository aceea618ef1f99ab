"""Every row of SECURITY.md's table as attacks on the real network: harmless, and not so once the defence is gone."""
