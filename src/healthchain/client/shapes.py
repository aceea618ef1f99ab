"""How a Deliver service hands out blocks: by which method, in which field of DeliverResponse (peer/events.proto)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.peer import events_pb2

_Block = TypeVar("_Block")


@dataclass(frozen=True, slots=True)
class Shape(Generic[_Block]):
    """`method` is of protos.Deliver."""

    method: str
    field: str
    take: Callable[[events_pb2.DeliverResponse], _Block]
    number: Callable[[_Block], int]


BLOCKS: Shape[common_pb2.Block] = Shape("Deliver", "block", lambda one: one.block, lambda one: one.header.number)
FILTERED_BLOCKS: Shape[events_pb2.FilteredBlock] = Shape(
    "DeliverFiltered", "filtered_block", lambda one: one.filtered_block, lambda one: one.number
)
"""Ids, types, codes and the names of events: no values."""

BLOCKS_WITH_PRIVATE_DATA: Shape[events_pb2.BlockAndPrivateData] = Shape(
    "DeliverWithPrivateData",
    "block_and_private_data",
    lambda one: one.block_and_private_data,
    lambda one: one.block.header.number,
)
"""With the private values that the peer still has, where the identity may have them."""
