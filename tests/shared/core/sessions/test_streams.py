"""How many streams one owner and all owners together may have at once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.sessions.concurrency import StreamKind, Streams
from shared.errors import TooManyRequests

LIMITS = {StreamKind.COMMAND: 3, StreamKind.OTHER: 2}
TOTAL = 7

owners, kinds = st.sampled_from("abc"), st.sampled_from(StreamKind)
steps = st.lists(st.one_of(st.tuples(owners, kinds), st.integers(0, 20)), max_size=60)


@given(steps)
def test_nobody_ever_has_more_than_he_may(
    asked: list[tuple[str, StreamKind] | int],
) -> None:
    streams = Streams(LIMITS, TOTAL)
    running: list[tuple[str, StreamKind, contextlib.ExitStack]] = []
    for step in asked:
        if isinstance(step, int):
            if running:
                running.pop(step % len(running))[2].close()
            continue
        owner, kind = step
        own = sum(one[:2] == step for one in running)
        fits = own < LIMITS[kind] and len(running) < TOTAL
        stack = contextlib.ExitStack()
        try:
            stack.enter_context(streams.taken(owner, kind))
        except TooManyRequests as error:
            assert not fits
            assert (error.status, error.reason) == (429, "TOO_MANY_STREAMS")
            assert error.retry_after_seconds
        else:
            assert fits
            running.append((owner, kind, stack))
    for *_, stack in running:
        stack.close()
    for owner in "abc":  # nothing is left of those that ended
        with streams.taken(owner), streams.taken(owner):
            pass


async def _numbers() -> AsyncGenerator[int, None]:
    yield 1
    yield 2


async def test_a_generator_is_a_stream_from_its_first_item_until_it_is_closed() -> None:
    streams = Streams({StreamKind.OTHER: 1})
    first, second = (streams.counted("a", _numbers()) for _ in range(2))
    assert await anext(first) == 1
    with pytest.raises(TooManyRequests):
        await anext(second)
    await first.aclose()
    assert [number async for number in streams.counted("a", _numbers())] == [1, 2]
    await streams.counted("a", _numbers()).aclose()  # one that never began was never counted
    with streams.taken("a"):
        pass


def test_nothing_is_limited_unless_somebody_says_so() -> None:
    streams = Streams()
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(streams.taken("a"))
