"""The outbox: order, no waiting for more, and a writer no faster than its reader."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from shared.web.http.streaming import MAX_WAITING_BYTES, Outbox
from tests.support.patience import PATIENCE

PIECE = b"x" * 32768


async def drain(outbox: Outbox) -> list[bytes]:
    taken = []
    while body := await outbox.take():
        taken.append(body)
    return taken


@given(pieces=st.lists(st.binary(min_size=1, max_size=20)))
async def test_what_is_put_comes_out_in_order_and_once(pieces: list[bytes]) -> None:
    outbox = Outbox()
    for piece in pieces:
        await outbox.put(piece)
    outbox.end()
    assert b"".join(await drain(outbox)) == b"".join(pieces)


async def test_a_piece_does_not_wait_for_the_next() -> None:
    outbox = Outbox()
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    await outbox.put(b"a")
    assert await asyncio.wait_for(taking, PATIENCE) == b"a"


async def test_a_slow_reader_slows_down_the_writer() -> None:
    outbox, put = Outbox(), 0

    async def write() -> None:
        nonlocal put
        for _ in range(100):
            await outbox.put(PIECE)
            put += 1
        outbox.end()

    writing = asyncio.create_task(write())
    for _ in range(1000):
        await asyncio.sleep(0)
    assert put * len(PIECE) < MAX_WAITING_BYTES
    taken = await drain(outbox)
    await writing
    assert sum(map(len, taken)) == 100 * len(PIECE)
    assert max(map(len, taken)) <= MAX_WAITING_BYTES


async def test_the_end_wakes_whoever_waits() -> None:
    outbox = Outbox()
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.end()
    assert await asyncio.wait_for(taking, PATIENCE) == b""
