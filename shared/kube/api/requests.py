"""A request to the Kubernetes API, and what follows from it for the meaning of a refusal."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from shared.kube.api.decoding import refusal_of
from shared.kube.api.errors import ApiError

_READING = ("GET", "HEAD")
_NAMED = ("PUT", "PATCH", "DELETE")


@dataclasses.dataclass(frozen=True, slots=True)
class KubeRequest:
    """One request.

    Attributes:
        method: HTTP method.
        path: Path below the server's URL.
        params: Query parameters.
        body: Object to send, or the operations of a JSON patch; None: no body.
        content_type: Media type of the body.
        accept: Media type of the answer that is preferred to plain JSON; empty: none.
        upgrade: Asks for a WebSocket.
        once: Must not be sent again when its answer is lost.
    """

    method: str
    path: str
    params: Sequence[tuple[str, str]] = ()
    body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    content_type: str = ""
    accept: str = ""
    upgrade: bool = False
    once: bool = False

    @property
    def middlewares(self) -> Sequence[aiohttp.ClientMiddlewareType]:
        """What aiohttp's sending is wrapped in."""
        return (_sent_once,) if self.once else ()

    def refused(self, refusal: Refused) -> ApiError:
        """The error for the server's refusal of this request."""
        return ApiError.from_answer(
            refusal.code,
            refusal.body,
            refusal.headers,
            writes=self.upgrade or self.method not in _READING,
            versioned=self._versioned(),
            content_type=self.content_type,
        )

    def _versioned(self) -> str:
        """Resource of the object whose version the body states as the condition; empty: there is none."""
        if self.method not in _NAMED or not self.body:
            return ""
        if isinstance(self.body, Mapping):
            metadata = self.body.get("metadata") or {}
            stated = bool(self.body.get("preconditions") or metadata.get("resourceVersion"))
        else:
            stated = any(operation.get("path") == "/metadata/resourceVersion" for operation in self.body)
        return self.path.split("/")[-2] if stated else ""


async def _sent_once(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Sends a request, once: aiohttp repeats a PUT or DELETE when its connection breaks with these errors."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from error


class Refused(Exception):
    """An answer with a status of 300 or above, as it came."""

    def __init__(self, code: int, body: Any, headers: Mapping[str, str]) -> None:
        super().__init__(code)
        self.code = code
        self.body = body
        self.headers = headers


async def raise_refused(response: aiohttp.ClientResponse) -> None:
    """Raises ``Refused`` for a refusal. As a session's ``raise_for_status`` it also sees refused upgrades.

    Raises:
        Refused: The status is 300 or above.
        aiohttp.ClientError: The connection broke.
    """
    if response.status >= 300:
        async with response:
            raise Refused(response.status, await refusal_of(response), response.headers)
