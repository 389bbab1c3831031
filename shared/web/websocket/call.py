"""One WebSocket to a handler."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from starlette.websockets import WebSocket

from shared.core.person import Person


@dataclasses.dataclass(frozen=True, slots=True)
class SocketCall:
    """A WebSocket whose caller is known.

    Attributes:
        socket: Not accepted yet: the handler accepts it, with the subprotocol that it chooses.
        caller: The verified caller.
        request_id: Taken from X-Request-Id or made.
        params: Values of the path's parameters.
    """

    socket: WebSocket
    caller: Person
    request_id: str
    params: Mapping[str, str]
