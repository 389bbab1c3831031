"""POST /v1/cleanup: ends what is over, finishes what was begun, and removes what belongs to no session."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def handle(call: Call) -> Response:
    """Runs cleanup once and answers with its report."""
    from shared.web.api.cleanup import dry_run, report_json, require_caller

    require_caller(call.caller, app().settings.access.cleanup_callers)
    return JSONResponse(report_json(await app().cleanup.run(dry_run=dry_run(call.request.query_params))))


ENTRY = Entry(app, [Route("POST", "/v1/cleanup", handle)], "cleanup_sessions")
cleanup_sessions = ENTRY.function()
"""The Cloud Run function."""
