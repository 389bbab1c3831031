"""GET /v1/sessions/{session_id}: a session, with what its pod says now."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.app.composition import app
from shared.web.http.entry import Call, Route, serve


async def handle(call: Call) -> Response:
    """Answers the session."""
    from shared.web.api.sessions import session_response

    return session_response(await app().sessions.get(call.caller, call.params["session_id"]))


ROUTES = [Route("GET", "/v1/sessions/{session_id}", handle)]


@functions_framework.aio.http
async def get_session(request: Request) -> Response:
    """The Cloud Run function."""
    return await serve(request, app, ROUTES, "get_session")
