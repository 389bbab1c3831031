"""GET /v1/sessions: the sessions that the caller may see, newest first, in pages."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def handle(call: Call) -> Response:
    """Answers with one page."""
    from shared.web.api.sessions import listing_of, page_json

    asked = listing_of(call.request.query_params, call.caller)
    page = await app().sessions.list_sessions(
        call.caller, owner=asked.owner, state=asked.state, limit=asked.limit, after=asked.after
    )
    return JSONResponse(page_json(*page))


ENTRY = Entry(app, [Route("GET", "/v1/sessions", handle)], "list_sessions")
list_sessions = ENTRY.function()
"""The Cloud Run function."""
