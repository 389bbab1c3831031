"""GET /v1/sessions/{session_id}: a session, with the current state of its pod."""

from __future__ import annotations

from starlette.responses import Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def handle(call: Call) -> Response:
    """Answers with the session."""
    from shared.web.api.sessions import session_response

    return session_response(await app().sessions.get(call.caller, call.params["session_id"]))


ENTRY = Entry(app, [Route("GET", "/v1/sessions/{session_id}", handle)], "get_session")
get_session = ENTRY.function()
"""The Cloud Run function."""
