"""Writes all rows of a peer's tables to standard output, for `fsck_tables`; run as a program of its own.

LMDB trusts its file and maps it into memory: a damaged one can kill the process that reads it, or lead it in circles.
So this process does nothing else, imports nothing of HealthChain's, and may die.
"""

from __future__ import annotations

import resource
import struct
import sys

import lmdb

FRAME = struct.Struct(">cII")  # kind, length of key, length of value
TABLE, ROW, LOST, END = b"T", b"R", b"L", b"E"  # LOST: a row that is not found when looked for by its key
CPU_SECONDS_MAX = 600


def main(folder: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
    environment = lmdb.open(folder, readonly=True, lock=False, create=False, max_dbs=64)
    with environment.begin() as transaction, transaction.cursor() as names:
        for name in names.iternext(values=False):
            _table(transaction, name, environment.open_db(name, txn=transaction, create=False))
    _put(END, b"", b"")
    sys.stdout.buffer.flush()


def _table(transaction: lmdb.Transaction, name: bytes, table: lmdb._Database) -> None:
    _put(TABLE, name, b"")
    with transaction.cursor(table) as rows:
        for key, value in rows:
            _put(ROW, bytes(key), bytes(value))
            if transaction.get(key, db=table) != value:
                _put(LOST, b"", b"")


def _put(kind: bytes, key: bytes, value: bytes) -> None:
    sys.stdout.buffer.write(FRAME.pack(kind, len(key), len(value)) + key + value)


if __name__ == "__main__":
    main(sys.argv[1])
