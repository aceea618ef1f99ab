"""What scenarios tell a person, kept as files beside this one.

HEALTHCHAIN_REWRITE=1 writes them anew; look at the difference before you commit it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

MASKS = (
    (re.compile(r"\d+\.\d+ s\b"), "N s"),
    (re.compile(r"at byte \d+"), "at byte N"),
    (re.compile(r"\d+ bytes"), "N bytes"),
    (re.compile(r"[0-9a-f]{64}"), "DIGEST"),
)


def masked(told: str) -> str:
    """Without what differs from run to run and from machine to machine."""
    for pattern, mask in MASKS:
        told = pattern.sub(mask, told)
    return told


def transcript(name: str) -> Path:
    return Path(__file__).with_name(f"demo-{name}.txt")


def assert_told(name: str, told: str) -> None:
    told = masked(told)
    if os.environ.get("HEALTHCHAIN_REWRITE"):
        transcript(name).write_text(told)
    assert told == transcript(name).read_text()
