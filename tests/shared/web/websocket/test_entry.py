"""A WebSocket passes the same entry as a request: identity, rate, problems, one log line at its true end."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import socket
import struct
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import aiohttp
import pytest
import uvicorn

from shared.errors import (
    ClusterUnavailable,
    Conflict,
    GamguiError,
    InternalError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    TooManyRequests,
)
from shared.reasons import Reason
from shared.web.http import logs
from shared.web.http.entry import Entry
from shared.web.http.rates import RequestRates
from shared.web.http.routing import Route, SocketRoute
from shared.web.websocket.call import SocketCall
from tests.support.web_app import WebApp

ALICE = {"X-Dev-User": "alice@example.com"}
SESSION = "saaaaaaaaaaaaaaaa"
PROBLEMS = [
    InvalidRequest("x"),
    PermissionDenied("x"),
    NotFound("x", reason=Reason.SESSION_NOT_FOUND),
    Conflict("x", reason=Reason.SESSION_NOT_RUNNING),
    TooManyRequests("x", reason=Reason.TOO_MANY_SESSIONS, retry_after_seconds=1),
    ClusterUnavailable("x"),
]


async def echo(call: SocketCall) -> None:
    """Says who calls, then everything back."""
    await call.socket.accept()
    await call.socket.send_text(json.dumps({"caller": call.caller.email, **call.params}))
    while True:
        await call.socket.send_text(await call.socket.receive_text())


@contextlib.asynccontextmanager
async def served(*routes: Route | SocketRoute, app: WebApp | None = None) -> AsyncGenerator[str, None]:
    """The routes behind a real server, with the WebSocket library that production has."""
    web = app or WebApp()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        Entry(lambda: web, routes, "tested"), lifespan="off", log_level="error", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


async def closing(url: str, **headers: str) -> aiohttp.ClientWebSocketResponse:
    """A WebSocket that the server has closed."""
    async with aiohttp.ClientSession(headers=headers) as http:
        connection = await http.ws_connect(url)
        async for _ in connection:
            pass
        return connection


class Lines(logging.StreamHandler[io.StringIO]):
    """What the request log writes, and a way to wait for it."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.setFormatter(logs.CloudFormatter("p"))
        self.written = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        self.written.set()

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger, handler = logging.getLogger("gamgui.request"), Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_a_handler_knows_who_calls_and_the_line_comes_when_the_socket_has_ended(lines: Lines) -> None:
    async with (
        served(SocketRoute("/v1/sessions/{session_id}/echo", echo)) as url,
        aiohttp.ClientSession() as http,
    ):
        path = f"/v1/sessions/{SESSION}/echo?secret=1"
        async with http.ws_connect(url + path, headers=ALICE) as connection:
            first = await connection.receive_json()
            assert first == {"caller": "alice@example.com", "session_id": SESSION}
            await connection.send_str("hello")
            assert await connection.receive_str() == "hello"
            assert lines.all() == []
        await lines.written.wait()
    (line,) = lines.all()
    assert line["httpRequest"]["requestMethod"] == "WEBSOCKET"
    assert line["httpRequest"]["status"] == 101
    assert line["httpRequest"]["requestUrl"] == f"/v1/sessions/{SESSION}/echo"
    assert int(line["httpRequest"]["responseSize"]) == len(json.dumps(first)) + len("hello")
    assert (line["session"], line["ended"], line["function"]) == (SESSION, "completed", "tested")


@pytest.mark.parametrize("error", PROBLEMS, ids=lambda error: error.reason)
@pytest.mark.parametrize("accepted", [False, True])
async def test_each_problem_is_a_close_code_with_its_reason(
    error: GamguiError, accepted: bool, lines: Lines
) -> None:
    async def fails(call: SocketCall) -> None:
        if accepted:
            await call.socket.accept()
        raise error

    async with served(SocketRoute("/x", fails)) as url:
        async with aiohttp.ClientSession(headers=ALICE) as http, http.ws_connect(f"{url}/x") as connection:
            message = await connection.receive()
        await lines.written.wait()
    assert (message.type, message.data, message.extra) == (
        aiohttp.WSMsgType.CLOSE,
        4000 + error.status,
        error.reason,
    )
    (line,) = lines.all()
    assert (line["httpRequest"]["status"], line["reason"]) == (error.status, error.reason)


async def test_the_log_says_what_a_close_code_does_not(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(call: SocketCall) -> None:
        raise ClusterUnavailable("nobody answers at the address") from OSError("refused")

    async with served(SocketRoute("/x", fails)) as url:
        await closing(f"{url}/x", **ALICE)
    (entry,) = [record for record in caplog.records if record.name == "shared.web.http.problems"]
    assert entry.getMessage() == "CLUSTER_UNAVAILABLE: nobody answers at the address"
    assert entry.exc_info is not None
    assert str(entry.exc_info[1]) == "refused"


async def test_what_nobody_meant_to_raise_tells_nothing(lines: Lines) -> None:
    async def fails(call: SocketCall) -> None:
        raise RuntimeError("a secret")

    async with (
        served(SocketRoute("/x", fails)) as url,
        aiohttp.ClientSession(headers=ALICE) as http,
        http.ws_connect(f"{url}/x") as connection,
    ):
        message = await connection.receive()
    assert (message.data, message.extra) == (4500, InternalError.default_reason)


async def test_without_identity_and_beyond_the_rate_no_handler_is_reached(lines: Lines) -> None:
    async def reached(call: SocketCall) -> None:
        raise AssertionError("reached")

    app = WebApp(rates=RequestRates(per_minute=1, burst=1))
    app.rates.take("dev:alice@example.com", "tested")
    async with served(SocketRoute("/x", reached), app=app) as url:
        assert (await closing(f"{url}/x")).close_code == 4401
        assert (await closing(f"{url}/x", **ALICE)).close_code == 4429
        assert (await closing(f"{url}/other", **ALICE)).close_code == 4404


async def test_a_path_may_be_served_both_ways(lines: Lines) -> None:
    async def plain(call: Any) -> Any:
        raise Conflict("x", reason=Reason.SESSION_EXISTS)

    routes = (Route("GET", "/x", plain), SocketRoute("/x", echo))
    async with served(*routes) as url, aiohttp.ClientSession(headers=ALICE) as http:
        async with http.get(f"{url}/x") as answer:
            assert (answer.status, (await answer.json())["reason"]) == (409, Reason.SESSION_EXISTS)
        async with http.ws_connect(f"{url}/x") as connection:
            assert (await connection.receive_json())["caller"] == "alice@example.com"


async def test_a_connection_that_breaks_is_told_apart_from_one_that_is_closed(lines: Lines) -> None:
    async with served(SocketRoute("/x", echo)) as url, aiohttp.ClientSession(headers=ALICE) as http:
        connection = await http.ws_connect(f"{url}/x")
        await connection.receive_json()
        transport = connection.get_extra_info("socket")
        assert transport is not None
        linger = struct.pack("ii", 1, 0)  # the close becomes a reset, without WebSocket's closing handshake
        transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        assert connection._response.connection is not None
        connection._response.connection.close()
        await lines.written.wait()
        await connection.close()
    assert lines.all()[0]["ended"] == "client_gone"
