"""The one entry for HTTP and WebSocket requests: request id, identity, rate, problem, span, log line."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from shared.core.person import NOBODY, Person
from shared.core.telemetry import Telemetry
from shared.identity.model import IdentityVerifier
from shared.web.http import logs
from shared.web.http.call import Call
from shared.web.http.problems import NO_STORE, instance_of, noted, problem_response
from shared.web.http.request_log import RequestLog
from shared.web.http.routing import AnyRoute, Route, SocketRoute, find
from shared.web.websocket.call import SocketCall
from shared.web.websocket.closing import close_with

if TYPE_CHECKING:
    from shared.settings.platform import PlatformSettings
    from shared.web.http.rates import RequestRates

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MAX_ID = 100


class Application(Protocol):
    """What every endpoint needs from the composition root."""

    @property
    def platform(self) -> PlatformSettings:
        """Where this process runs."""
        ...

    @property
    def verifier(self) -> IdentityVerifier:
        """Finds out who calls."""
        ...

    @property
    def rates(self) -> RequestRates:
        """Limits how many requests one owner may make."""
        ...

    @property
    def telemetry(self) -> Telemetry:
        """Takes traces and metrics, or nothing."""
        ...


class Entry:
    """An ASGI application that admits requests, has them served, and logs how they ended.

    Args:
        app: Gives the composition root; it may raise when the settings are wrong.
        routes: The routes that are served.
        name: The function's name, for the log.
    """

    def __init__(self, app: Callable[[], Application], routes: Sequence[AnyRoute], name: str) -> None:
        self._app = app
        self.routes = routes
        self._name = name

    def function(self) -> Callable[[Request], Awaitable[Response]]:
        """The entry as a plain function, because functions-framework takes nothing else."""

        async def serve(request: Request) -> Response:
            return await self.respond(request)

        return serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request or one WebSocket."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            response = await self.respond(Request(scope, receive))
            await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """Answers an HTTP request.

        Returns:
            The handler's response, or a problem document. No exception is raised. The log line is
            written when the response has been sent.
        """
        told = RequestLog(request, self._name, _request_id(request))
        try:
            route, params, caller = await self._admit(request, told)
            assert isinstance(route, Route), "find() gives a route of the connection's kind"
            response = await route.handler(Call(request, caller, told.request_id, params))
        except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a problem document
            instance = instance_of(request)
            response = problem_response(error, instance=instance, request_id=told.request_id)
        response.headers["X-Request-Id"] = told.request_id
        # What is answered is the caller's own, and may be another thing a moment later.
        response.headers.setdefault("Cache-Control", NO_STORE)
        return told.recorded(response)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a WebSocket until its end; an exception becomes its close code and reason."""
        connection = HTTPConnection(scope)
        told = RequestLog(connection, self._name, _request_id(connection))
        with told.recorded_socket(scope, receive, send) as socket:
            try:
                route, params, caller = await self._admit(connection, told)
                assert isinstance(route, SocketRoute), "find() gives a route of the connection's kind"
                await route.handler(SocketCall(socket, caller, told.request_id, params))
            except WebSocketDisconnect:
                pass  # the caller has gone: nobody is left to be told
            except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a close code
                await close_with(socket, noted(error))

    async def _admit(
        self, connection: HTTPConnection, told: RequestLog
    ) -> tuple[AnyRoute, Mapping[str, str], Person]:
        """Finds the route, verifies the caller and checks the rate; returns route, parameters and caller."""
        application = self._app()
        logs.configure(application.platform)
        told.trace(application.telemetry)
        route, params = find(self.routes, connection.scope)
        told.route = route.path_format
        logs.about(params.get("session_id", "")[:_MAX_ID])
        caller = NOBODY
        if not route.public:
            host = connection.client.host if connection.client else None
            caller = (await application.verifier.verify(connection.headers, host)).person
            told.owner = caller.email
            application.rates.take(caller.subject, self._name)
        return route, params, caller


def _request_id(connection: HTTPConnection) -> str:
    """The caller's X-Request-Id, if it is one; otherwise a new one."""
    asked = connection.headers.get("x-request-id", "")
    return asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(16)
