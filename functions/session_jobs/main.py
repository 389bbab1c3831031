"""Jobs of a session, which are commands that outlive their caller: start, list, get, cancel."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def start(call: Call) -> Response:
    """Starts a job; a request with a repeated Idempotency-Key gets the first answer again."""
    from shared.web.api.commands import JobBody
    from shared.web.api.jobs import job_creation
    from shared.web.http.idempotency import answer_once
    from shared.web.http.schemas import decode

    new = decode(body := await call.json_body(), JobBody).to_new_job(app().settings.sessions)
    creation = job_creation(app().jobs, call.caller, new, **call.params)
    return await answer_once(call, body, app().requests, creation)


async def list_jobs(call: Call) -> Response:
    """Answers with one page."""
    from shared.web.api.jobs import jobs_json, jobs_query

    page = jobs_query(call.request.query_params)
    found = await app().jobs.list_jobs(call.caller, **call.params, limit=page.size, after=page.after)
    return JSONResponse(jobs_json(*found))


async def get(call: Call) -> Response:
    """Answers with the current state of the job."""
    from shared.web.api.jobs import job_json

    return JSONResponse(job_json(await app().jobs.get(call.caller, **call.params)))


async def cancel(call: Call) -> Response:
    """Ends the job and answers with how it ended."""
    from shared.web.api.jobs import job_json

    return JSONResponse(job_json(await app().jobs.cancel(call.caller, **call.params)))


ENTRY = Entry(
    app,
    [
        Route("POST", "/v1/sessions/{session_id}/jobs", start),
        Route("GET", "/v1/sessions/{session_id}/jobs", list_jobs),
        Route("GET", "/v1/sessions/{session_id}/jobs/{job_id}", get),
        Route("POST", "/v1/sessions/{session_id}/jobs/{job_id}/cancel", cancel),
    ],
    "session_jobs",
)
session_jobs = ENTRY.function()
"""The Cloud Run function."""
