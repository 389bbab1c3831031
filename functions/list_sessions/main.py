"""GET /v1/sessions: the caller's sessions, or those he may see, newest first, in pages."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.http.entry import Call, Route, serve


async def handle(call: Call) -> Response:
    """Answers one page."""
    from shared.web.api.sessions import listing_of, page_json

    asked = listing_of(call.request.query_params, call.caller)
    page = await app().sessions.list_sessions(
        call.caller, owner=asked.owner, state=asked.state, limit=asked.limit, after=asked.after
    )
    return JSONResponse(page_json(*page))


ROUTES = [Route("GET", "/v1/sessions", handle)]


@functions_framework.aio.http
async def list_sessions(request: Request) -> Response:
    """The Cloud Run function."""
    return await serve(request, app, ROUTES, "list_sessions")
