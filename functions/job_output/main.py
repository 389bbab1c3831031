"""GET /v1/sessions/{session_id}/jobs/{job_id}/output: what a job said, and what it says."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.app.composition import app
from shared.web.http.entry import Call, Route, serve


async def handle(call: Call) -> Response:
    """Streams it from a cursor on, in the format that the caller accepts."""
    from shared.web.api.job_output import respond

    return await respond(call, app().jobs)


ROUTES = [Route("GET", "/v1/sessions/{session_id}/jobs/{job_id}/output", handle)]


@functions_framework.aio.http
async def job_output(request: Request) -> Response:
    """The Cloud Run function."""
    return await serve(request, app, ROUTES, "job_output")
