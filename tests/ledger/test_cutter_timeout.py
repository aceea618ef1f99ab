"""The timeout of a batch: it closes that batch and no other."""

from __future__ import annotations

from healthchain.ledger.cutter import BlockCutter
from healthchain.wire.channel import BatchSize


def cutter() -> BlockCutter:
    return BlockCutter(BatchSize(max_message_count=3, preferred_max_bytes=1000))


def test_only_the_first_envelope_of_a_batch_starts_a_timeout() -> None:
    one = cutter()
    assert [one.order(bytes([index])) for index in range(7)] == [0, None, None, 1, None, None, 2]


def test_what_comes_after_the_timeout_is_another_batch() -> None:
    one = cutter()
    begun = one.order(b"a")
    assert begun is not None
    one.expire(begun)
    one.order(b"b")
    assert [one.take(), one.take(), one.take()] == [[b"a"], [b"b"], []]


def test_a_late_timeout_closes_nothing() -> None:
    one = cutter()
    begun = one.order(b"a")
    assert begun is not None
    assert one.take() == [b"a"]
    one.order(b"b")
    one.expire(begun)
    assert not one.has_full
    one.order(b"c")
    assert one.take() == [b"b", b"c"]
