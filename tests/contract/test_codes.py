"""Every code of the contract is refused somewhere in the tables, and every function has rows there."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from healthchain.contract.codes import Code, refusal
from healthchain.contract.ehr import CONTRACT

from .table import Row

NOT_IN_A_TABLE = {"BATCH_TOO_LARGE"}  # needs megabytes: see the tests of its own
OPEN = {"members:List"}  # to any caller whom the channel knows


def rows() -> Iterator[Row]:
    """Of every test module beside this one: what is called ROWS or ends so."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = import_module(f"{__package__}.{path.stem}")
        for name, value in sorted(vars(module).items()):
            if name == "ROWS" or name.endswith("_ROWS"):
                yield from value


def test_every_code_is_refused_somewhere() -> None:
    assert {row.code for row in rows()} | NOT_IN_A_TABLE == {code.value for code in Code}


def test_there_are_at_least_300_rows() -> None:
    assert len(list(rows())) >= 300


def test_every_function_refuses_strangers_and_what_does_not_fit() -> None:
    functions = {name.decode() for name in CONTRACT.functions}
    assert {row.function for row in rows()} == functions - OPEN
    strangers = {row.function for row in rows() if row.code == "MEMBER_UNKNOWN"}
    assert strangers == functions - OPEN - {"members:Found"}


def test_a_refusal_says_code_and_constant_words() -> None:
    assert str(refusal(Code.CONSENT_MISSING)) == "CONSENT_MISSING: no consent in force permits this"
    assert all(code.status >= 400 and code.name == code.value and code.meaning for code in Code)
