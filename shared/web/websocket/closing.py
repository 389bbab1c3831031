"""Tells a WebSocket's caller why it ends: by a close code and a reason for each problem.

The code is 4000 plus the HTTP status of the same problem: RFC 6455, 7.4.2, leaves 4000-4999 to applications.
The reason is the stable word of the problem document, such as ``SESSION_NOT_FOUND``.
"""

from __future__ import annotations

import contextlib

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from shared.errors import GamguiError

_FIRST = 4000
_MAX_REASON_BYTES = 123
"""A control frame holds 125 bytes (RFC 6455, 5.5), of which the code takes two."""


async def close_with(socket: WebSocket, error: GamguiError) -> None:
    """Ends a WebSocket for an error.

    A socket that is not accepted yet is accepted first: to close it before that would answer the upgrade
    with 403, and a browser would show neither code nor reason to its page.

    Args:
        socket: The WebSocket, in any state.
        error: What happened.
    """
    with contextlib.suppress(RuntimeError, OSError, WebSocketDisconnect):  # the other side has gone meanwhile
        if socket.application_state is WebSocketState.CONNECTING:
            await socket.accept()
        await socket.close(_FIRST + error.status, error.reason[:_MAX_REASON_BYTES])
