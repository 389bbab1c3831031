"""GET /v1/sessions/{session_id}/audit: who did what to a session, newest first, in pages."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.http.entry import Call, Route, serve


async def handle(call: Call) -> Response:
    """Answers one page."""
    from shared.web.api.audit import audit_json, audit_query

    page = audit_query(call.request.query_params)
    found = await app().session_audit.records(call.caller, **call.params, limit=page.size, after=page.after)
    return JSONResponse(audit_json(*found))


ROUTES = [Route("GET", "/v1/sessions/{session_id}/audit", handle)]


@functions_framework.aio.http
async def session_audit(request: Request) -> Response:
    """The Cloud Run function."""
    return await serve(request, app, ROUTES, "session_audit")
