"""The gateway chooses by path and by kind of connection, and says once that the process is ready and over."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from typing import Any, cast

import aiohttp
import pytest
import uvicorn
from starlette.responses import PlainTextResponse, Response

from server.functions import Function
from server.gateway import Gateway
from server.serving import listen, serve
from shared.app.composition import App
from shared.reasons import Reason
from shared.web.http.call import Call
from shared.web.http.entry import Entry
from shared.web.http.routing import Route, SocketRoute
from shared.web.websocket.call import SocketCall
from tests.support.patience import PATIENCE
from tests.support.people import ALICE
from tests.support.web_app import WebApp


class Instance(WebApp):
    """A composition root that tells when it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    async def prepare(self) -> None:
        self.told.append("prepared")

    async def close(self) -> None:
        self.told.append("closed")


async def page(call: Call) -> Response:
    return PlainTextResponse(f"page of {call.caller.email}")


async def stream(call: SocketCall) -> None:
    await call.socket.accept()
    await call.socket.send_text(f"stream of {call.caller.email}")
    await call.socket.close()


def function(app: Instance, name: str, *routes: Route | SocketRoute) -> Function:
    entry = Entry(lambda: app, routes, name)
    return Function(name, entry, entry)


@contextlib.asynccontextmanager
async def served(app: Instance) -> AsyncGenerator[str, None]:
    functions = [
        function(app, "pages", Route("GET", "/v1/things/{name}", page)),
        function(app, "streams", SocketRoute("/v1/things/{name}", stream)),
    ]
    gateway = Gateway(functions, cast(App, app), prepare=app.prepare)
    listener = socket.create_server(("127.0.0.1", 0))
    config: Any = uvicorn.Config(gateway, lifespan="on", log_level="error", ws="websockets-sansio")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


async def test_one_path_leads_to_the_function_of_its_kind_and_others_to_a_problem() -> None:
    app = Instance()
    user = {"X-Dev-User": ALICE.email}
    async with served(app) as url, aiohttp.ClientSession(headers=user) as http:
        async with http.get(f"{url}/v1/things/a") as answer:
            assert await answer.text() == f"page of {ALICE.email}"
        async with http.ws_connect(f"{url}/v1/things/a") as connection:
            assert await connection.receive_str() == f"stream of {ALICE.email}"
        async with http.ws_connect(f"{url}/v1/others/a") as connection:
            closed = await connection.receive()
            assert (closed.data, closed.extra) == (4404, Reason.NOT_FOUND)
        async with http.delete(f"{url}/v1/things/a") as answer:
            assert (answer.status, (await answer.json())["reason"]) == (405, Reason.METHOD_NOT_ALLOWED)
        assert app.told == ["prepared"]
    assert app.told == ["prepared", "closed"]


async def test_what_cannot_be_made_ready_is_not_served(capfd: pytest.CaptureFixture[str]) -> None:
    async def fail() -> None:
        raise OSError("there is no namespace")

    gateway = Gateway([], cast(App, Instance()), prepare=fail)
    with contextlib.closing(listen("0")) as listener, pytest.raises(RuntimeError):
        async with asyncio.timeout(PATIENCE):
            await serve(gateway, listener)
    assert "there is no namespace" in capfd.readouterr().err
