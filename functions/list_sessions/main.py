"""GET /v1/sessions: the caller's sessions, newest first, in pages."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.app import app
from shared.web.endpoint import Call, Route, serve


async def handle(call: Call) -> Response:
    """Answers one page."""
    from shared.web.sessions import page_json, page_query

    state, limit, after = page_query(call.request.query_params)
    page = await app().sessions.list_sessions(call.caller, state=state, limit=limit, after=after)
    return JSONResponse(page_json(*page))


ROUTES = [Route("GET", "/v1/sessions", handle)]


@functions_framework.aio.http
async def list_sessions(request: Request) -> Response:
    """The Cloud Run function."""
    return await serve(request, app, ROUTES, "list_sessions")
