"""DELETE /v1/sessions/{session_id}: ends a session and its pod."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def handle(call: Call) -> Response:
    """Deletes the session; repeating it answers the same."""
    from shared.web.api.sessions import session_json

    return JSONResponse(session_json(await app().sessions.delete(call.caller, call.params["session_id"])))


ENTRY = Entry(app, [Route("DELETE", "/v1/sessions/{session_id}", handle)], "delete_session")
delete_session = ENTRY.function()
"""The Cloud Run function."""
