"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A property does not fail because the machine has other work as well.
settings.register_profile("healthchain", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("healthchain")
