"""POST /v1/sessions: creates a session and waits until it runs."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.app.composition import app
from shared.web.http.entry import Call, Route, serve


async def handle(call: Call) -> Response:
    """Creates the session; a repeated Idempotency-Key gets the first answer again."""
    from shared.web.api.sessions import session_creation
    from shared.web.http.idempotency import answer_once
    from shared.web.http.schemas import CreateSessionBody, decode

    body = await call.json_body()
    new = decode(body, CreateSessionBody).to_new_session(app().settings)
    creation = session_creation(app().sessions, call.caller, new)
    return await answer_once(call, body, app().requests, creation)


ROUTES = [Route("POST", "/v1/sessions", handle)]


@functions_framework.aio.http
async def create_session(request: Request) -> Response:
    """The Cloud Run function."""
    return await serve(request, app, ROUTES, "create_session")
