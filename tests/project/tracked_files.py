"""What no tracked file may contain, and which files and functions have grown long. `make check` runs it as a script."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Written so that no pattern matches its own text.
FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"(?<![\w.~-])/(?:home|root|Users|work)/[\w.]|/tmp/(?:lab|brief)\b"),
    "a package registry's address": re.compile(
        r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.org|proxy\.golang\.org)|-index-url[ =]+http|^registry *=",
        re.M,
    ),
    "a password in an address": re.compile(r"://[^\s/:@\"'{}]+:[^\s/@\"'{}]+@"),
    "a private key": re.compile(r"BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:\\n|\s)+[A-Za-z0-9+/]{20}"),
    "an access token": re.compile(
        r"\b(?:ghp|gho|github_pat|glpat|npm|pypi)[_-][A-Za-z0-9_-]{20,}|\bAKIA[A-Z0-9]{16}\b"
    ),
}
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def tracked() -> list[Path]:
    """Every file that git tracks or would add, except those deleted in the work tree."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return sorted(path for name in set(names.split("\0")) if name and (path := ROOT / name).is_file())


def findings(text: str) -> Iterator[str]:
    """What is forbidden and in which line, without repeating it: it may be a secret."""
    for what, pattern in FORBIDDEN.items():
        for match in pattern.finditer(text):
            yield f"line {text.count(chr(10), 0, match.start()) + 1}: {what}"


def forbidden_in_tracked() -> list[str]:
    """Binary files are read as Latin-1, so that text inside them is seen."""
    return [
        f"{path.relative_to(ROOT)}: {finding}"
        for path in tracked()
        for finding in findings(path.read_bytes().decode("latin-1"))
    ]


def long_parts() -> Iterator[str]:
    """Files and functions long enough to ask why; a report, not a rule."""
    for path in tracked():
        if path.suffix != ".py":
            continue
        text = path.read_text()
        if (lines := text.count("\n")) > FILE_LINES_MAX:
            yield f"{path.relative_to(ROOT)}: {lines} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {lines} lines"


if __name__ == "__main__":
    for long in long_parts():
        print(f"long: {long}")
    found = forbidden_in_tracked()
    for line in found:
        print(f"forbidden: {line}", file=sys.stderr)
    sys.exit(bool(found))
