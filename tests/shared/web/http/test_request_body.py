"""A body on its way: order, no more in memory than is bounded, and an end told apart from a break."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from shared.web.http.request_body import READ_AHEAD_BYTES, RequestBody
from tests.support.patience import PATIENCE

PIECE = b"x" * 65536
GONE = {"type": "http.disconnect"}


def part(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


class Connection:
    """A connection's messages, as a server hands them out; then none comes any more.

    Attributes:
        times: When each was read.
    """

    def __init__(self, *messages: dict[str, Any]) -> None:
        self._messages = list(messages)
        self.times: list[float] = []

    async def receive(self) -> Any:
        if len(self.times) == len(self._messages):
            await asyncio.Event().wait()
        self.times.append(asyncio.get_running_loop().time())
        return self._messages[len(self.times) - 1]


async def settle() -> None:
    """Lets everything run that can run without time passing."""
    for _ in range(1000):
        await asyncio.sleep(0)


@given(sent=st.lists(st.binary(max_size=20)))
async def test_what_is_sent_comes_out_in_order_and_ends(sent: list[bytes]) -> None:
    body = RequestBody()
    connection = Connection(*map(part, sent), part(b"", more=False))
    following = asyncio.create_task(body.follow(connection.receive))
    assert b"".join([piece async for piece in body.pieces()]) == b"".join(sent)
    following.cancel()


async def test_a_piece_does_not_wait_for_the_next() -> None:
    body = RequestBody()
    following = asyncio.create_task(body.follow(Connection(part(b"a")).receive))
    assert await asyncio.wait_for(anext(body.pieces()), PATIENCE) == b"a"
    following.cancel()


async def test_a_break_is_no_end() -> None:
    body, taken = RequestBody(), []
    await body.follow(Connection(part(b"a"), part(b"b"), GONE).receive)
    with pytest.raises(InvalidRequest, match="before the body was complete"):
        async for piece in body.pieces():
            taken.append(piece)
    assert taken == [b"a", b"b"]


async def test_a_caller_that_leaves_after_the_end_broke_nothing() -> None:
    body = RequestBody()
    await body.follow(Connection(part(b"a", more=False), GONE).receive)
    assert [piece async for piece in body.pieces()] == [b"a"]


async def test_no_more_is_read_than_is_taken() -> None:
    body, connection = RequestBody(), Connection(*[part(PIECE)] * 100, part(b"", more=False))
    following = asyncio.create_task(body.follow(connection.receive))
    await settle()
    assert len(connection.times) * len(PIECE) == READ_AHEAD_BYTES
    total = sum([len(piece) async for piece in body.pieces()])
    assert total == 100 * len(PIECE)
    following.cancel()


async def test_whoever_leaves_is_missed_although_nothing_is_taken_the_later_the_more_is_held() -> None:
    full = part(b"x" * READ_AHEAD_BYTES)
    body, connection = RequestBody(), Connection(full, full, GONE)
    await asyncio.wait_for(body.follow(connection.receive), PATIENCE)
    first, second, third = connection.times
    assert second - first >= 0.5
    assert third - second >= 1
