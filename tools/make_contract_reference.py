"""Print docs/reference/contract.md, from the contract's own code; `make docs` writes it.

    python -m tools.make_contract_reference

What is reached is found in the source (`contract_calls`), so it says what can happen, and not what always does.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from types import FunctionType
from typing import Any, get_type_hints

import msgspec
from msgspec import NODEFAULT
from msgspec.inspect import (
    BoolType,
    BytesType,
    CustomType,
    DictType,
    EnumType,
    Field,
    IntType,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)
from tools.contract_calls import PACKAGE, Reached, reached

from healthchain.chaincode.dispatch import Function
from healthchain.contract.codes import Code
from healthchain.contract.ehr import CONTRACT
from healthchain.contract.policies import WIDEST, Policies

HEAD = """# The contract's functions

Made by `make docs` from the code of [src/healthchain/contract](../../src/healthchain/contract); do not edit it.

A function takes one JSON object and answers with one, or with nothing. *Submit* means that it writes and goes into a
block; *evaluate* that it only reads. Every call first has to pass the gate: the caller's organisation is an active
member, and the caller's certificate has a role of its kind of organisation. Where a permission is named, the caller
needs it: the roles given are the widest that the policies can allow. A field with a value after `=` may be left out.
What a function reads, writes and refuses is what its code can reach; the names of state are object types of composite
keys ([state.py](../../src/healthchain/contract/state.py)), private collections are in italics.
"""


def document() -> str:
    functions = list(CONTRACT.functions.values())
    areas = groupby(functions, key=lambda one: one.name.partition(":")[0])
    parts = [HEAD, *(part for area, found in areas for part in _area(area, found))]
    return "\n".join([*parts, *_policies(), *_types(), *_enumerations(functions), *_codes()]) + "\n"


def _area(area: str, functions: Iterable[Function]) -> Iterator[str]:
    yield f"## {area}\n"
    for function in functions:
        run = function.run
        assert isinstance(run, FunctionType)
        yield f"### {function.name}\n"
        yield f"{'Evaluate' if function.read_only else 'Submit'}. {_words(run)}".rstrip() + "\n"
        yield from _arguments(function.arguments)
        yield "\n".join(_facts(run, reached(run))) + "\n"


def _words(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").split())


def _arguments(struct: type[msgspec.Struct]) -> Iterator[str]:
    info = type_info(struct)
    assert isinstance(info, StructType)
    if vars(struct).get("__doc__"):
        yield _words(struct) + "\n"
    if info.fields:
        yield "| argument | type |\n|---|---|\n" + "\n".join(_rows(info)) + "\n"


def _rows(struct: StructType, prefix: str = "") -> Iterator[str]:
    """A struct in an argument comes below it, with its fields' names after the argument's."""
    for one in struct.fields:
        default = "" if one.required else f" = {_default(one)}"
        yield f"| `{prefix}{one.encode_name}` | {_type(one.type, _annotated(struct, one))}{default} |"
        inner = one.type.item_type if isinstance(one.type, VarTupleType) else one.type
        alternatives = inner.types if isinstance(inner, UnionType) else (inner,)
        structs = [part for part in alternatives if isinstance(part, StructType) and part.cls is not Policies]
        for part in structs:
            which = f"({part.tag})" if part.tag is not None else ""
            yield from _rows(part, f"{prefix}{one.encode_name}{which}.")


def _annotated(struct: StructType, one: Field) -> frozenset[str]:
    """The words of the field's annotation: of types that are the same, they tell which is meant."""
    written = next(_own(cls)[one.name] for cls in struct.cls.__mro__ if one.name in _own(cls))
    return frozenset(re.findall(r"\w+", written))


def _own(cls: type) -> dict[str, str]:
    annotations: dict[str, str] = vars(cls).get("__annotations__", {})
    return annotations


def _default(one: Field) -> str:
    value = one.default if one.default is not NODEFAULT else one.default_factory()
    return "the defaults" if isinstance(value, msgspec.Struct) else f"`{msgspec.json.encode(value).decode()}`"


def _type(one: Type, words: frozenset[str]) -> str:
    match one:
        case StrType() | BytesType() | IntType():
            return next((alias for alias, info in ALIASES if info == one and alias in words), None) or _bounded(one)
        case BoolType():
            return "true or false"
        case NoneType():
            return "null"
        case EnumType():
            return one.cls.__name__
        case StructType():
            tagged = "" if one.tag is None else f", `{one.tag_field}`: `{one.tag}`"
            return f"object ({one.cls.__name__}{tagged})"
        case VarTupleType():
            return f"list of {_range(one.min_length, one.max_length)}{_type(one.item_type, words)}"
        case DictType():
            return f"object from {_type(one.key_type, words)} to {_type(one.value_type, words)}"
        case UnionType():
            return " or ".join(_type(part, words) for part in one.types)
        case CustomType():
            return one.cls.__name__
    raise NotImplementedError(one)


def _bounded(one: StrType | BytesType | IntType) -> str:
    if isinstance(one, IntType):
        low = one.ge if one.ge is not None else one.gt
        high = one.le if one.le is not None else (one.lt - 1 if one.lt is not None else None)
        return f"integer {_range(low, high)}".rstrip()
    what = "base64 of bytes" if isinstance(one, BytesType) else "text"
    pattern = f", `{one.pattern}`".replace("|", "\\|") if isinstance(one, StrType) and one.pattern else ""
    length = _range(one.min_length, one.max_length).strip()
    return f"{what}{f', length {length}' if length else ''}{pattern}"


def _range(low: int | None, high: int | None) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f"at least {low} "
    return f"{low} " if low == high else f"{low or 0} to {high} "


def _facts(run: FunctionType, found: Reached) -> Iterator[str]:
    if found.permissions:
        allowed = (f"`{one}` ({_roles(one)})" for one in sorted(found.permissions))
        yield f"- Permission: {'; '.join(allowed)}"
    answer = get_type_hints(run)["return"]
    if answer is not type(None):
        fields = (f"`{one.name}`" for one in msgspec.structs.fields(answer))
        yield f"- Answers with: {', '.join(fields)}"
    for name, public, private in (
        ("Reads", found.reads, found.private_reads),
        ("Writes", found.writes, found.private_writes),
    ):
        if public or private:
            yield f"- {name}: {', '.join([*sorted(public), *(f'*{one}*' for one in sorted(private))])}"
    if found.events:
        yield f"- Event: {', '.join(f'`{one}`' for one in sorted(found.events))}"
    codes = sorted({*found.codes, Code.ARGUMENTS_INVALID})
    yield f"- Refuses with: {', '.join(f'`{one.value}`' for one in codes)}"


def _roles(permission: Any) -> str:
    return ", ".join(f"{kind}: {' or '.join(sorted(roles))}" for kind, roles in sorted(WIDEST[permission].items()))


def _policies() -> Iterator[str]:
    info = type_info(Policies)
    assert isinstance(info, StructType)
    yield "## Policies\n"
    yield _words(Policies) + "\n"
    yield "| policy | type |\n|---|---|\n" + "\n".join(_rows(info)) + "\n"


def _types() -> Iterator[str]:
    yield "## Types\n"
    rows = (f"| {name} | {_bounded(info)} |" for name, info in dict(ALIASES).items())
    yield "| type | what fits |\n|---|---|\n" + "\n".join(rows) + "\n"


def _enumerations(functions: Iterable[Function]) -> Iterator[str]:
    found: dict[str, str] = {}
    for function in functions:
        for one in _enums(type_info(function.arguments)):
            found[one.cls.__name__] = ", ".join(f"`{value.value}`" for value in one.cls)
    rows = (f"| {name} | {values} |" for name, values in sorted(found.items()))
    yield "| enumeration | values |\n|---|---|\n" + "\n".join(rows) + "\n"


def _enums(one: Type) -> Iterator[EnumType]:
    match one:
        case EnumType():
            yield one
        case StructType():
            for field in one.fields:
                yield from _enums(field.type)
        case VarTupleType():
            yield from _enums(one.item_type)
        case DictType():
            yield from _enums(one.key_type)
            yield from _enums(one.value_type)
        case UnionType():
            for part in one.types:
                yield from _enums(part)


def _codes() -> Iterator[str]:
    yield "## Codes\n"
    yield "A refusal says its code and these words; nothing of what the caller sent.\n"
    rows = (f"| `{one.value}` | {one.status} | {one.meaning} |" for one in Code)
    yield "| code | status | meaning |\n|---|---|---|\n" + "\n".join(rows)


def _aliases() -> Iterator[tuple[str, StrType | BytesType | IntType]]:
    """The named types of the contract's modules, each under its first module's name."""
    for name, module in sorted(sys.modules.items()):
        if name.startswith(f"{PACKAGE}."):
            for alias, value in vars(module).items():
                if hasattr(value, "__metadata__") and alias[0].isupper():
                    info = type_info(value)
                    if isinstance(info, StrType | BytesType | IntType):
                        yield alias, info


ALIASES = sorted(_aliases(), key=lambda one: one[0])

if __name__ == "__main__":
    sys.stdout.write(document())
