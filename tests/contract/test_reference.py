"""docs/reference/contract.md is what the code says, and what the refusal tables show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from healthchain.contract.ehr import CONTRACT

from .test_codes import rows

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/contract.md"


def sections() -> dict[str, str]:
    """By function, what the page says of it."""
    parts = re.split(r"^##+ (.*)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text for name, text in zip(parts[1::2], parts[2::2], strict=True) if ":" in name}


def test_the_page_is_made_from_the_code() -> None:
    """After a change of the contract: `make docs`, or run this with HEALTHCHAIN_REWRITE=1; then read the difference."""
    made = subprocess.run(
        [sys.executable, "-m", "tools.make_contract_reference"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    if os.environ.get("HEALTHCHAIN_REWRITE"):
        PAGE.write_bytes(made)
    assert PAGE.read_bytes() == made


def test_every_function_is_there_and_says_what_it_is_for() -> None:
    assert list(sections()) == [name.decode() for name in CONTRACT.functions]
    for name, text in sections().items():
        kind = "Evaluate" if CONTRACT.functions[name.encode()].read_only else "Submit"
        assert text.strip().startswith(f"{kind}."), name


def test_what_only_reads_writes_nothing() -> None:
    for name, text in sections().items():
        assert ("- Writes: " in text) == (not CONTRACT.functions[name.encode()].read_only), name


def test_no_function_refuses_with_a_code_that_the_page_leaves_out() -> None:
    listed = {name: set(re.findall(r"`([A-Z_]+)`", text)) for name, text in sections().items()}
    assert [row for row in rows() if row.code not in listed[row.function]] == []
