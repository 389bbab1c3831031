"""DELETE /v1/sessions/{session_id}: ends a session and its pod."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.http.entry import Call, Route, serve


async def handle(call: Call) -> Response:
    """Deletes the session; repeating it answers the same."""
    from shared.web.api.sessions import session_json

    return JSONResponse(session_json(await app().sessions.delete(call.caller, call.params["session_id"])))


ROUTES = [Route("DELETE", "/v1/sessions/{session_id}", handle)]


@functions_framework.aio.http
async def delete_session(request: Request) -> Response:
    """The Cloud Run function."""
    return await serve(request, app, ROUTES, "delete_session")
