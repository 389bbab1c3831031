"""PATCH /v1/sessions/{session_id} and its keepalive: changes a session and keeps it from being idle."""

from __future__ import annotations

from starlette.responses import Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def change(call: Call) -> Response:
    """Changes name, labels or times."""
    from shared.web.api.sessions import session_response
    from shared.web.http.preconditions import if_match
    from shared.web.http.schemas import ChangeSessionBody, decode

    changes = decode(await call.json_body(), ChangeSessionBody).to_changes(app().settings.sessions)
    session_id, etags = call.params["session_id"], if_match(call.request.headers)
    return session_response(await app().session_update.change(call.caller, session_id, changes, etags))


async def keepalive(call: Call) -> Response:
    """Restarts the idle time."""
    from shared.web.api.sessions import session_response

    return session_response(await app().session_update.keepalive(call.caller, call.params["session_id"]))


ENTRY = Entry(
    app,
    [
        Route("PATCH", "/v1/sessions/{session_id}", change),
        Route("POST", "/v1/sessions/{session_id}/keepalive", keepalive),
    ],
    "update_session",
)
update_session = ENTRY.function()
"""The Cloud Run function."""
