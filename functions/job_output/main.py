"""GET /v1/sessions/{session_id}/jobs/{job_id}/output: what a job has printed and still prints."""

from __future__ import annotations

from starlette.responses import Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def handle(call: Call) -> Response:
    """Streams the output from a cursor on, in the format that the caller accepts."""
    from shared.web.api.job_output import respond

    return await respond(call, app().jobs)


ENTRY = Entry(app, [Route("GET", "/v1/sessions/{session_id}/jobs/{job_id}/output", handle)], "job_output")
job_output = ENTRY.function()
"""The Cloud Run function."""
