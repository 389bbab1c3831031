"""DELETE /v1/sessions/{session_id}: ends a session and its pod."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def handle(call: Call) -> Response:
    """Deletes the session; a repeated request gets the same answer."""
    from shared.web.api.sessions import abandon, session_json

    asked = abandon(call.request.query_params)
    deleted = await app().sessions.delete(call.caller, call.params["session_id"], abandon=asked)
    return JSONResponse(session_json(deleted))


ENTRY = Entry(app, [Route("DELETE", "/v1/sessions/{session_id}", handle)], "delete_session")
delete_session = ENTRY.function()
"""The Cloud Run function."""
