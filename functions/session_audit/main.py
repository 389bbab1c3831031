"""GET /v1/sessions/{session_id}/audit: who did what to a session, newest first, in pages."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def handle(call: Call) -> Response:
    """Answers with one page."""
    from shared.web.api.audit import audit_json, audit_query

    page = audit_query(call.request.query_params)
    found = await app().session_audit.records(call.caller, **call.params, limit=page.size, after=page.after)
    return JSONResponse(audit_json(*found))


ENTRY = Entry(app, [Route("GET", "/v1/sessions/{session_id}/audit", handle)], "session_audit")
session_audit = ENTRY.function()
"""The Cloud Run function."""
