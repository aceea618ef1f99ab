"""The contract must give the same answer on every peer: no clock, chance, I/O or floats."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import healthchain.contract

FOLDER = Path(healthchain.contract.__file__).parent
IMPORTABLE = {
    "__future__",
    "collections.abc",
    "enum",
    "functools",
    "hashlib",
    "typing",
    "msgspec",
    "msgspec.structs",
    "healthchain.chaincode.dispatch",
    "healthchain.chaincode.membership",
    "healthchain.chaincode.stub",
}
FORBIDDEN_NAMES = {
    "open",
    "print",
    "input",
    "eval",
    "exec",
    "compile",
    "__import__",
    "hash",
    "id",
    "float",
    "globals",
}


def impurities(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name not in IMPORTABLE)
            case ast.ImportFrom(module=module, level=level) if level or not _importable(module or ""):
                yield f"from {module}"
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_NAMES:
                yield f"{name}()"
            case ast.Constant(value=float()):
                yield "a float"
            case ast.BinOp(op=ast.Div()):
                yield "a division into floats"
            case ast.Global() | ast.Nonlocal() | ast.Await():
                yield type(node).__name__
            case ast.For(iter=iterated) | ast.comprehension(iter=iterated) if isinstance(
                iterated, ast.Set | ast.SetComp
            ):
                yield "an unordered iteration"
            case _:
                pass


def _importable(module: str) -> bool:
    return module in IMPORTABLE or module == "healthchain.contract" or module.startswith("healthchain.contract.")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("**/*.py")), ids=lambda path: path.stem)
def test_pure(path: Path) -> None:
    assert list(impurities(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import random",
        "import os, msgspec",
        "from socket import socket",
        "import uuid",
        "import secrets",
        "from datetime import datetime\ndatetime.now()",
        "from healthchain.ledger.view import View",
        "from . import members",
        "open('x')",
        "hash('x')",
        "rate = 0.5",
        "1 / 2",
        "[x for x in {1, 2}]",
        "def f():\n    global x",
    ],
)
def test_the_walk_finds(source: str) -> None:
    assert list(impurities(source))
