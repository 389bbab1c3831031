"""From a request to a handler and back: routing, request id, identity, errors, one log line."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from shared.core.person import NOBODY, Person
from shared.core.telemetry import Telemetry
from shared.errors import InvalidRequest, MethodNotAllowed, NotFound, PayloadTooLarge, UnsupportedMediaType
from shared.identity.model import IdentityVerifier
from shared.web.http import logs
from shared.web.http.problems import instance_of, problem_response
from shared.web.http.request_log import Exchange

if TYPE_CHECKING:
    from shared.settings import Settings
    from shared.web.http.rates import RequestRates

MAX_JSON_BYTES = 1024 * 1024
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PARAMETER = re.compile(r"\{(\w+)\}")
_MAX_ID = 100


class Application(Protocol):
    """What every endpoint needs of the composition root."""

    @property
    def settings(self) -> Settings:
        """The settings; reading them validates them."""
        ...

    @property
    def verifier(self) -> IdentityVerifier:
        """Who finds out who calls."""
        ...

    @property
    def rates(self) -> RequestRates:
        """How many requests one owner may make."""
        ...

    @property
    def telemetry(self) -> Telemetry:
        """Takes traces and metrics, or nothing."""
        ...


@dataclasses.dataclass(slots=True)
class Call:
    """One request to a handler.

    Attributes:
        request: As Starlette has it.
        caller: The verified caller; ``NOBODY`` where no identity is asked for.
        request_id: Taken from X-Request-Id or made.
        params: Values of the path's parameters.
    """

    request: Request
    caller: Person
    request_id: str
    params: Mapping[str, str]

    def media_type(self, *accepted: str) -> str:
        """What the body is declared as: one of those accepted.

        Raises:
            UnsupportedMediaType: It is none of them, or is compressed.
        """
        media_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in accepted:
            raise UnsupportedMediaType(
                f"the body must be {' or '.join(accepted)}", content_type=media_type[:100]
            )
        encoding = self.request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise UnsupportedMediaType("the body must not be encoded", content_encoding=encoding[:100])
        return media_type

    async def json_body(self) -> bytes:
        """The body of a JSON request, of at most 1 MiB; raises what ``body`` does."""
        return await self.body(MAX_JSON_BYTES, "application/json")

    async def body(self, max_bytes: int, *accepted: str) -> bytes:
        """The whole body, bounded.

        Raises:
            UnsupportedMediaType: It is declared as none of those accepted, or is compressed.
            PayloadTooLarge: It is longer than ``max_bytes``.
        """
        self.media_type(*accepted)
        body = bytearray()
        try:
            async for chunk in self.request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise PayloadTooLarge(f"the body is larger than {max_bytes} bytes", max_bytes=max_bytes)
        except ClientDisconnect as error:
            raise InvalidRequest("the connection broke before the body was complete") from error
        return bytes(body)


Handler: TypeAlias = Callable[[Call], Awaitable[Response]]


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """A method and a path template such as ``/v1/sessions/{session_id}``.

    Attributes:
        public: Served without an identity.
        rest: The last parameter takes all the rest of the path, slashes too; it may be empty.
    """

    method: str
    path: str
    handler: Handler
    public: bool = False
    rest: bool = False

    def match(self, path: str) -> dict[str, str] | None:
        """The path's parameters, or None when it is another path."""
        pattern = _PARAMETER.sub(r"(?P<\1>[^/]+)", self.path)
        if self.rest:
            pattern = pattern.removesuffix("[^/]+)") + ".*)"
        found = re.fullmatch(pattern, path, re.DOTALL)
        return found.groupdict() if found else None


async def serve(
    request: Request, app: Callable[[], Application], routes: Sequence[Route], function: str
) -> Response:
    """Answers a request with the route that matches it.

    Args:
        request: The request.
        app: Gives the composition root; may fail when the settings are wrong.
        routes: What this function serves.
        function: Its name, for the log.

    Returns:
        The handler's response, or a problem document. Nothing is raised.
    """
    asked = request.headers.get("x-request-id", "")
    request_id = asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(16)
    exchange = Exchange(request, function, request_id)
    try:
        application = app()
        logs.configure(application.settings)
        exchange.trace(application.telemetry)
        call, route = await _dispatch(request, application, routes, exchange)
        if not route.public:
            application.rates.take(call.caller.subject, function)
        response = await route.handler(call)
    except Exception as error:  # noqa: BLE001 - whatever happens, the caller gets a problem document
        response = problem_response(error, instance=instance_of(request), request_id=request_id)
    response.headers["X-Request-Id"] = request_id
    return exchange.recorded(response)


async def _dispatch(
    request: Request, app: Application, routes: Sequence[Route], exchange: Exchange
) -> tuple[Call, Route]:
    path = request.scope["path"]
    matches = [(route, params) for route in routes if (params := route.match(path)) is not None]
    if not matches:
        raise NotFound("there is nothing at this path")
    chosen = next((match for match in matches if match[0].method == request.method), None)
    if chosen is None:
        allow = ", ".join(sorted({route.method for route, _ in matches}))
        raise MethodNotAllowed(f"this path takes {allow}", allow=allow)
    route, params = chosen
    exchange.route = route.path
    logs.about(params.get("session_id", "")[:_MAX_ID])
    caller = NOBODY
    if not route.public:
        host = request.client.host if request.client else None
        caller = (await app.verifier.verify(request.headers, host)).person
        exchange.owner = caller.email
    return Call(request, caller, exchange.request_id, params), route
