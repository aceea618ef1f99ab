"""How far somebody has handled events, in a file that a kill at any moment leaves whole.

    checkpoint = FileCheckpoint(path)
    async for event in events.chaincode_events(checkpoint.position or Position(0)):
        ...                                # handled, durably
        checkpoint.store(event.position)   # only then

Who is killed between the two gets the event again; nobody misses one. The file is the one of Fabric's SDK for Node
(fabric-gateway node/src/filecheckpointer.ts), which may go on where we stopped and the other way round.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from healthchain.errors import BadInput
from healthchain.identity.folders import write_private

BLOCK_MAX = 2**64 - 1


class CheckpointDamaged(BadInput):
    """The file is none of ours, or not whole."""

    def __init__(self) -> None:
        super().__init__("the checkpoint file is damaged: restore it, or delete it and choose a block to begin with")


@dataclass(frozen=True, slots=True)
class Position:
    """Where events go on: in `block`, after `transaction_id`, or with its first transaction if that is ""."""

    block: int
    transaction_id: str = ""


def after_block(number: int) -> Position:
    """Of who has handled the whole block."""
    return Position(number + 1)


class FileCheckpoint:
    """For one follower at a time. `position` is None until something was stored."""

    def __init__(self, path: Path) -> None:
        """Raises CheckpointDamaged, or BadInput if the file cannot be read."""
        self._path = path
        self._position = _read(path)

    @property
    def position(self) -> Position | None:
        return self._position

    def store(self, position: Position) -> None:
        """Returns when it is on disk, which takes some milliseconds. Raises BadInput if it cannot be written."""
        content = msgspec.json.encode(_File(str(position.block), position.transaction_id or None))
        try:
            write_private(self._path, content)
            _sync(self._path.parent)
        except OSError as error:
            raise BadInput(f"the checkpoint file cannot be written: {error.strerror}") from None
        self._position = position


class _File(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    blockNumber: str | None = None
    transactionId: str | None = None


def _read(path: Path) -> Position | None:
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"the checkpoint file cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CheckpointDamaged from None
    if stored.blockNumber is None:
        if stored.transactionId is not None:
            raise CheckpointDamaged
        return None
    return Position(_number(stored.blockNumber), stored.transactionId or "")


def _number(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(BLOCK_MAX)) and int(digits) <= BLOCK_MAX):
        raise CheckpointDamaged
    return int(digits)


def _sync(folder: Path) -> None:
    """The rename too is to outlast a power failure."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
