"""Serves all functions under one host. functions-framework runs each; method and path choose it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from server.functions import Function
from shared.web.http.entry import Entry

if TYPE_CHECKING:
    from shared.app.composition import App


class Gateway:
    """An ASGI application that hands each request to the function that serves it.

    Args:
        functions: The loaded functions.
        app: The composition root that the functions share, closed at the end.
        prepare: Awaited before the first request is served.
    """

    def __init__(
        self,
        functions: Sequence[Function],
        app: App,
        *,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._functions = functions
        self._app = app
        self._prepare = prepare
        # It answers requests that no function serves. It knows all methods of a path, which no single
        # function does.
        routes = [route for function in functions for route in function.routes]
        self._entry = Entry(lambda: app, routes, "gateway")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection, or the lifespan of the server."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._choose(scope)(scope, receive, send)

    def _choose(self, scope: Scope) -> ASGIApp:
        """The application that serves the request: a function, or our entry, which answers 404 or 405.

        functions-framework serves no WebSockets, and its router accepts no line break in a path. Such a
        request goes directly to the function's entry.
        """
        for function in self._functions:
            if any(route.matches(scope)[0] is Match.FULL for route in function.routes):
                framework = scope["type"] == "http" and "\n" not in scope["path"]
                return function.application if framework else function.entry
        return self._entry

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        if self._prepare is not None:
            await self._prepare()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._app.close()
        await send({"type": "lifespan.shutdown.complete"})
