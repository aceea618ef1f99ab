"""A contract that does what no contract may: each function depends on something that differs between peers."""

from __future__ import annotations

import os
import time

import msgspec

from healthchain.chaincode.dispatch import Contract
from healthchain.chaincode.stub import Stub

WORDS = {f"word {number}" for number in range(20)}
RESTLESS = Contract(version="1")


class Nothing(msgspec.Struct):
    pass


class Answer(msgspec.Struct):
    text: str


@RESTLESS.submits("restless:Order")
def order(stub: Stub, arguments: Nothing) -> Answer:
    return Answer(" ".join(WORDS))


@RESTLESS.submits("restless:Write")
def write(stub: Stub, arguments: Nothing) -> None:
    stub.put_state("first", next(iter(WORDS)).encode())


@RESTLESS.submits("restless:Private")
def private(stub: Stub, arguments: Nothing) -> None:
    stub.put_private("records", "first", next(iter(WORDS)).encode())


@RESTLESS.submits("restless:Read")
def read(stub: Stub, arguments: Nothing) -> None:
    stub.get_state(next(iter(WORDS)))


@RESTLESS.submits("restless:Event")
def event(stub: Stub, arguments: Nothing) -> None:
    stub.set_event(next(iter(WORDS)), b"")


@RESTLESS.submits("restless:Hash")
def hash_(stub: Stub, arguments: Nothing) -> Answer:
    return Answer(str(hash("text")))


@RESTLESS.submits("restless:Zone")
def zone(stub: Stub, arguments: Nothing) -> Answer:
    return Answer(time.strftime("%H:%M", time.localtime(stub.timestamp_ms / 1000)))


@RESTLESS.submits("restless:Locale")
def locale_(stub: Stub, arguments: Nothing) -> Answer:
    return Answer(os.environ.get("LC_ALL", ""))


@RESTLESS.submits("restless:Transient")
def transient(stub: Stub, arguments: Nothing) -> Answer:
    return Answer(" ".join(stub.transient))


@RESTLESS.submits("restless:Still")
def still(stub: Stub, arguments: Nothing) -> Answer:
    stub.put_state("first", min(WORDS).encode())
    return Answer(" ".join(sorted(WORDS)))
