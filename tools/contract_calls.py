"""What a function of the contract can reach, by its source: the codes it refuses with, the state it reads and writes.

Names are looked up where the interpreter would, in the module's globals; so nothing is guessed but methods of values,
which are taken by their name. What a function hands on or keeps in a table of the module counts as reached.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any

import msgspec

from healthchain.contract.codes import Code
from healthchain.contract.policies import WIDEST, Permission
from healthchain.contract.state import Table, emit

PACKAGE = "healthchain.contract"
READING = frozenset(("get", "require", "get_many", "scan", "scan_from", "decode"))
WRITING = frozenset(("put", "delete"))
PRIVATE_READING = frozenset(("get_private", "private_hash"))
PRIVATE_WRITING = frozenset(("put_private", "delete_private", "purge_private"))


@dataclass
class Reached:
    """Tables go by the object type of their keys, private collections by their names."""

    codes: set[Code] = field(default_factory=set)
    permissions: set[Permission] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    private_reads: set[str] = field(default_factory=set)
    private_writes: set[str] = field(default_factory=set)
    events: set[str] = field(default_factory=set)


def reached(function: FunctionType) -> Reached:
    found = Reached()
    seen: set[FunctionType] = set()
    waiting = [function]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += _look_at(one, found)
    return found


def _look_at(function: FunctionType, found: Reached) -> Iterator[FunctionType]:
    """One function's own part; the functions that it leads to."""
    for node in ast.walk(_definition(function)):
        if isinstance(node, ast.Call):
            _look_at_call(node, function, found)
        if isinstance(node, ast.Name | ast.Attribute):
            yield from _look_at_value(_value(node, function), found)
        if isinstance(node, ast.Attribute):
            owner = _value(node.value, function)
            if owner is None:
                yield from _methods().get(node.attr, ())
            elif isinstance(owner, Table) and node.attr in READING | WRITING:
                (found.reads if node.attr in READING else found.writes).add(owner.object_type)


def _look_at_call(call: ast.Call, function: FunctionType, found: Reached) -> None:
    if isinstance(call.func, ast.Attribute) and call.func.attr in PRIVATE_READING | PRIVATE_WRITING:
        collection = _value(call.args[0], function)
        assert isinstance(collection, str), ast.unparse(call)
        (found.private_reads if call.func.attr in PRIVATE_READING else found.private_writes).add(collection)
    if isinstance(call.func, ast.Attribute) and call.func.attr == "history":
        found.reads |= {one.object_type for one in _tables_in(call, function)}
    if _value(call.func, function) is emit and isinstance(call.args[1], ast.Constant):
        found.events.add(str(call.args[1].value))


def _look_at_value(value: object, found: Reached) -> Iterator[FunctionType]:
    match value:
        case Code():
            found.codes.add(value)
        case Permission():
            found.permissions.add(value)
        case FunctionType() if value.__module__.startswith(PACKAGE):
            yield value
        case dict() if value is not WIDEST:
            for pair in value.items():
                yield from _look_at_value(pair, found)
        case tuple() | list() | frozenset():
            for one in value:
                yield from _look_at_value(one, found)
        case msgspec.Struct():
            for one in msgspec.structs.astuple(value):
                yield from _look_at_value(one, found)


def _tables_in(node: ast.AST, function: FunctionType) -> Iterator[Table[Any]]:
    for one in ast.walk(node):
        value = _value(one, function)
        if isinstance(value, Table):
            yield value


def _value(node: ast.AST, function: FunctionType) -> Any:
    """Of a dotted name; None for what is only known when it runs."""
    if isinstance(node, ast.Name):
        return None if node.id in _local(function) else function.__globals__.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, function)
        if isinstance(owner, ModuleType) or (isinstance(owner, type) and issubclass(owner, Enum)):
            return getattr(owner, node.attr, None)
    return None


_locals: dict[FunctionType, set[str]] = {}


def _local(function: FunctionType) -> set[str]:
    """Arguments and whatever is assigned to, which hide globals of their names."""
    if function not in _locals:
        nodes = list(ast.walk(_definition(function)))
        stored = {one.id for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
        _locals[function] = stored | {one.arg for one in nodes if isinstance(one, ast.arg)}
    return _locals[function]


_trees: dict[str, dict[str, ast.AST]] = {}


def _definition(function: FunctionType) -> ast.AST:
    module = function.__module__
    if module not in _trees:
        _trees[module] = dict(_definitions(ast.parse(inspect.getsource(sys.modules[module]))))
    return _trees[module][function.__qualname__]


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    yield f"{node.name}.{method.name}", method


_methods_by_name: dict[str, list[FunctionType]] = {}


def _methods() -> dict[str, list[FunctionType]]:
    """Of all values that the contract keeps or is given."""
    if not _methods_by_name:
        modules = [one for name, one in sorted(sys.modules.items()) if name.startswith(f"{PACKAGE}.")]
        structs = [one for module in modules for one in vars(module).values() if _is_own_struct(one, module)]
        for struct in structs:
            for name, method in vars(struct).items():
                plain = method.fget if isinstance(method, property) else method
                if isinstance(plain, FunctionType) and plain.__module__ == struct.__module__:
                    _methods_by_name.setdefault(name, []).append(plain)
    return _methods_by_name


def _is_own_struct(value: object, module: ModuleType) -> bool:
    return isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__
