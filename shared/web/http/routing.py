"""Which handler serves a method and a path: Starlette's routes, which here also say who may call."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response
from starlette.routing import Match, WebSocketRoute
from starlette.routing import Route as HttpRoute
from starlette.types import Scope

from shared.errors import MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from shared.web.http.call import Call
    from shared.web.websocket.call import SocketCall

Handler: TypeAlias = "Callable[[Call], Awaitable[Response]]"
SocketHandler: TypeAlias = "Callable[[SocketCall], Awaitable[None]]"


class _RestConvertor(Convertor[str]):
    """The whole rest of a path, maybe empty; unlike Starlette's ``path`` it may hold line breaks too."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        """The text as it is."""
        return value

    def to_string(self, value: str) -> str:
        """The text as it is."""
        return value


register_url_convertor("rest", _RestConvertor())


class Route(HttpRoute):
    """A method and a path template such as ``/v1/sessions/{session_id}``; ``{path:rest}`` takes all the rest.

    Args:
        method: The one HTTP method.
        path: The template.
        handler: Answers a call.
        public: Served without an identity.
    """

    def __init__(self, method: str, path: str, handler: Handler, *, public: bool = False) -> None:
        super().__init__(path, handler, name=path)
        # Starlette adds HEAD to GET, and its pattern lets a line break at the end pass.
        self.method, self.methods = method, {method}
        self.path_regex = _whole(self.path_regex)
        self.handler, self.public = handler, public

    @property
    def rest(self) -> bool:
        """Whether the last parameter takes all the rest of the path."""
        return any(isinstance(convertor, _RestConvertor) for convertor in self.param_convertors.values())


class SocketRoute(WebSocketRoute):
    """A path template that is served over WebSocket.

    Args:
        path: The template.
        handler: Accepts a connection and serves it until its end.
    """

    def __init__(self, path: str, handler: SocketHandler) -> None:
        super().__init__(path, handler, name=path)
        self.path_regex = _whole(self.path_regex)
        self.handler, self.public = handler, False


AnyRoute: TypeAlias = Route | SocketRoute


def _whole(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(pattern.pattern.removesuffix("$") + r"\Z")


def find(routes: Iterable[AnyRoute], scope: Scope) -> tuple[AnyRoute, dict[str, str]]:
    """The route that serves a connection, and the parameters of its path.

    Args:
        routes: In order; the first that matches serves.
        scope: ASGI scope of an HTTP request or a WebSocket.

    Raises:
        NotFound: No route has this path.
        MethodNotAllowed: The routes that have this path take other methods.
    """
    allowed: set[str] = set()
    asked = {**scope, "path_params": {}}  # a framework around this may have put its own there
    for route in routes:
        match, child = route.matches(asked)
        if match is Match.FULL:
            return route, child["path_params"]
        if match is Match.PARTIAL and isinstance(route, Route):
            allowed.add(route.method)
    if allowed:
        allow = ", ".join(sorted(allowed))
        raise MethodNotAllowed(f"this path takes {allow}", allow=allow)
    raise NotFound("there is nothing at this path")
