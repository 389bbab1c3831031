"""One exec's connection: its end comes in time, whenever it is asked for."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from shared.kube.exec.socket import ExecSocket


class Silent:
    """A connection whose other end says nothing; closing it ends whoever waits."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    async def receive(self) -> aiohttp.WSMessage:
        await self._closed.wait()
        return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)

    async def close(self) -> None:
        self._closed.set()


@pytest.mark.parametrize("turns", range(6))
async def test_a_close_that_meets_the_end_of_a_wait_closes_all_the_same(turns: int) -> None:
    socket = ExecSocket(Silent())  # type: ignore[arg-type] # a stand-in for a WebSocket
    waiting = asyncio.create_task(socket.receive(0))
    for _ in range(turns):
        await asyncio.sleep(0)
    await socket.close()
    try:
        assert await waiting is None
    except TimeoutError:
        assert turns > 1  # it was over before
    assert await socket.receive(60) is None
