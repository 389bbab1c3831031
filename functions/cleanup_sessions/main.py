"""POST /v1/cleanup: ends what is over, finishes what was begun, removes what is nobody's."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.http.entry import Call, Route, serve


async def handle(call: Call) -> Response:
    """Runs cleanup once and answers what it did."""
    from shared.web.api.cleanup import dry_run, report_json, require_caller

    require_caller(call.caller, app().settings)
    return JSONResponse(report_json(await app().cleanup.run(dry_run=dry_run(call.request.query_params))))


ROUTES = [Route("POST", "/v1/cleanup", handle)]


@functions_framework.aio.http
async def cleanup_sessions(request: Request) -> Response:
    """The Cloud Run function."""
    return await serve(request, app, ROUTES, "cleanup_sessions")
