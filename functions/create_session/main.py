"""POST /v1/sessions: creates a session and waits until it runs."""

from __future__ import annotations

from starlette.responses import Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def handle(call: Call) -> Response:
    """Creates the session; a request with a repeated Idempotency-Key gets the first answer again."""
    from shared.web.api.sessions import session_creation
    from shared.web.http.idempotency import answer_once
    from shared.web.http.schemas import CreateSessionBody, decode

    body = await call.json_body()
    settings = app().settings
    new = decode(body, CreateSessionBody).to_new_session(settings.sessions, settings.images)
    creation = session_creation(app().sessions, call.caller, new)
    return await answer_once(call, body, app().requests, creation)


ENTRY = Entry(app, [Route("POST", "/v1/sessions", handle)], "create_session")
create_session = ENTRY.function()
"""The Cloud Run function."""
