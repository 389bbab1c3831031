"""Streamed responses over the server that production has: whole, broken off, and left by their callers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

import aiohttp
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.errors import TransferFailed
from shared.web.http.streaming import StreamedResponse
from tests.support.patience import PATIENCE

PIECE = b"x" * 1000


class Body:
    """Bytes, then perhaps a fault or no end.

    Args:
        error: Raised after the bytes.
        forever: More bytes come until somebody closes it.
    """

    def __init__(self, *, error: Exception | None = None, forever: bool = False) -> None:
        self._error = error
        self._forever = forever
        self.closed = asyncio.Event()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(10):
                yield PIECE
            if self._error is not None:
                raise self._error
            while self._forever:
                yield PIECE
                await asyncio.sleep(0.001)
        finally:
            self.closed.set()


@contextlib.asynccontextmanager
async def answered(application: ASGIApp) -> AsyncGenerator[aiohttp.ClientResponse]:
    """The answer to a GET, its body not read."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="critical", lifespan="off"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}") as response:
            yield response
    finally:
        server.should_exit = True
        await running


def sending(body: Body, headers: Mapping[str, str]) -> ASGIApp:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        response = StreamedResponse(body.pieces(), status_code=200, headers=headers)
        await response(scope, receive, send)

    return application


@pytest.mark.parametrize("headers", [{"Content-Length": "10000"}, {}], ids=["length", "chunks"])
async def test_bytes_come_as_they_are_and_the_source_is_closed(headers: dict[str, str]) -> None:
    body = Body()
    async with answered(sending(body, headers)) as response:
        assert await response.read() == PIECE * 10
        assert response.headers.get("Content-Length") == headers.get("Content-Length")
    assert body.closed.is_set()


@pytest.mark.parametrize("error", [TransferFailed("changed"), RuntimeError("a fault of ours")])
@pytest.mark.parametrize("headers", [{"Content-Length": "10001"}, {}], ids=["length", "chunks"])
async def test_what_fails_in_the_midst_is_a_broken_message(headers: dict[str, str], error: Exception) -> None:
    body = Body(error=error)
    async with answered(sending(body, headers)) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert body.closed.is_set()


async def test_a_caller_that_goes_away_closes_the_source() -> None:
    body = Body(forever=True)
    async with answered(sending(body, {})) as response:
        await response.content.readexactly(100)
        response.close()
        async with asyncio.timeout(PATIENCE):
            await body.closed.wait()
    assert body.closed.is_set()
