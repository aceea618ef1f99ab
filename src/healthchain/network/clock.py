"""The time as the network's nodes see it; tests give another one."""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], int]
"""Milliseconds since 1970 UTC."""
