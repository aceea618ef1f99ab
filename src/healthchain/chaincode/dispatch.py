"""From the arguments of a call to the contract's function, and from its outcome to a chaincode response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

import msgspec

from healthchain.chaincode.stub import Stub
from healthchain.errors import Refused

_Run = TypeVar("_Run", bound=Callable[[Stub, Any], msgspec.Struct | None])

OK = 200
BAD_REQUEST = 400
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409


class Refusal(Refused):
    """A business rule says no. Status >= 400, so that no peer endorses it; the message starts with the code."""

    def __init__(self, code: str, message: str, status: int = FORBIDDEN) -> None:
        super().__init__(code, message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Response:
    """Fabric's `Response`: 200 with a payload, or >= 400 with "CODE: words" as the message."""

    status: int
    message: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Function:
    """One function of a contract: its public name, the type of its one JSON argument, and whether it only reads."""

    name: str
    arguments: type[msgspec.Struct]
    run: Callable[[Stub, Any], msgspec.Struct | None]
    read_only: bool


class Contract:
    """A set of functions under `area:Name`, each taking one JSON object decoded into its own struct."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.functions: dict[bytes, Function] = {}
        self._decoders: dict[bytes, msgspec.json.Decoder[Any]] = {}
        self._encoder = msgspec.json.Encoder()

    def submits(self, name: str) -> Callable[[_Run], _Run]:
        """Register a function that may write."""
        return self._register(name, read_only=False)

    def evaluates(self, name: str) -> Callable[[_Run], _Run]:
        """Register a function that only reads; a write in it is a defect, not a refusal."""
        return self._register(name, read_only=True)

    def _register(self, name: str, *, read_only: bool) -> Callable[[_Run], _Run]:
        def register(run: _Run) -> _Run:
            arguments = get_type_hints(run)["arguments"]
            key = name.encode()
            assert key not in self.functions, name
            self.functions[key] = Function(name, arguments, run, read_only)
            self._decoders[key] = msgspec.json.Decoder(arguments, strict=True)
            return run

        return register

    def only_reads(self, args: Sequence[bytes]) -> bool:
        """Whether the call is of a function that never writes."""
        function = self.functions.get(args[0]) if args else None
        return function is not None and function.read_only

    def invoke(self, stub: Stub, args: Sequence[bytes]) -> Response:
        """Run `args[0]` with the JSON object in `args[1]`; a refusal becomes a response, a defect propagates."""
        try:
            return Response(OK, "", self._run(stub, args))
        except Refusal as refusal:
            return Response(refusal.status, str(refusal), b"")

    def _run(self, stub: Stub, args: Sequence[bytes]) -> bytes:
        function = self.functions.get(args[0]) if args else None
        if function is None:
            raise Refusal("FUNCTION_UNKNOWN", "the contract has no function of that name", NOT_FOUND)
        if len(args) != 2:
            raise Refusal("ARGUMENTS_INVALID", f"{function.name} takes one JSON object", BAD_REQUEST)
        try:
            arguments = self._decoders[args[0]].decode(args[1])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refusal("ARGUMENTS_INVALID", f"{function.name}: {error}", BAD_REQUEST) from None
        result = function.run(stub, arguments)
        return b"" if result is None else self._encoder.encode(result)
