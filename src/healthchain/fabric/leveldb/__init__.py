"""LevelDB's files, which Fabric's peers keep private values in: read to the last byte, also what was deleted since.

goleveldb itself never says what its files still hold, nor when it will be gone. Source: LevelDB's doc/log_format.md,
doc/table_format.md, doc/impl.md; goleveldb leveldb/{batch,session_record}.go.
"""
