"""Jobs as JSON, and the reading of requests about them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import QueryParams

from shared.core import ids
from shared.core.jobs.model import Job, JobCursor, JobReport, JobState, NewJob, Place
from shared.core.jobs.service import JobService
from shared.core.paging import Cursor
from shared.core.person import Person
from shared.core.sessions.idempotency import Created, Creation
from shared.errors import InvalidRequest
from shared.reasons import Reason
from shared.web.http.encoding import rfc3339
from shared.web.http.paging import Page, page_of, page_token, single_values

START_SECONDS = 30.0
END = "end"
"""The cursor behind the last event."""

_CURSOR = re.compile(r"([0-9]{1,9})-([0-9]{1,15})-([0-9]{1,15})-([0-9]{1,15})")
_FLAGS = {"true": True, "false": False}


def job_json(job: Job) -> dict[str, Any]:
    """A job as callers see it. Members whose value is not known are null."""
    return {
        "job_id": job.id,
        "session_id": job.session_id,
        "name": job.name,
        "command": job.command,
        "command_masked": job.command_masked,
        "command_truncated": job.command_truncated,
        "state": job.state,
        "exit_code": job.exit_code,
        "signal": job.signal,
        "reason": job.reason,
        "stdout_bytes": job.stdout_bytes,
        "stderr_bytes": job.stderr_bytes,
        "created_at": rfc3339(job.created_at),
        "started_at": rfc3339(job.started_at),
        "ended_at": rfc3339(job.ended_at),
        "timeout_seconds": job.timeout_seconds,
    }


def jobs_json(jobs: Sequence[Job], after: Cursor | None) -> dict[str, Any]:
    """A page of jobs; ``next_page_token`` is absent on the last one."""
    page: dict[str, Any] = {"jobs": [job_json(job) for job in jobs]}
    if after is not None:
        page["next_page_token"] = page_token(after)
    return page


def end_json(report: JobReport) -> dict[str, Any]:
    """How a job ended, as the members of its last event."""
    return {
        "result": _result(report),
        "state": report.state,
        "exit_code": report.exit_code,
        "signal": report.signal,
        "reason": report.reason,
        "stdout_bytes": report.stdout_bytes,
        "stderr_bytes": report.stderr_bytes,
        "started_at": rfc3339(report.started_at),
        "ended_at": rfc3339(report.ended_at),
    }


def _result(report: JobReport) -> str:
    """How the job ended, in the words for a command's end: see ``ExecResult``."""
    if report.state is JobState.LOST:
        return "pod_lost"
    if report.state is not JobState.EXITED:
        return report.state
    if report.reason is not None:
        return "start_failed"
    return "signaled" if report.signal else "exited"


def job_creation(service: JobService, owner: Person, new: NewJob, session_id: str) -> Creation:
    """What ``POST /v1/sessions/{session_id}/jobs`` does."""

    async def create(job_id: str) -> Created:
        return 201, json.loads(json.dumps(job_json(await service.start(owner, session_id, new, job_id))))

    return Creation(
        owner=owner,
        operation=f"job.start {session_id}",
        seconds=START_SECONDS,
        new_id=ids.new_job_id,
        create=create,
        repeatable=True,
        require=lambda: service.require_session(owner, session_id),
    )


def jobs_query(query: QueryParams) -> Page:
    """Reads ``page_size`` and ``page_token``.

    Raises:
        InvalidRequest: One of them is malformed or given twice, or there is another one.
    """
    return page_of(single_values(query, ("page_size", "page_token")), ids.is_job_id)


def output_query(query: QueryParams, last_event_id: str | None) -> tuple[JobCursor | None, bool]:
    """Reads ``cursor`` and ``follow``.

    Args:
        query: The request's query.
        last_event_id: The header of a browser that goes on with an event stream
            (https://html.spec.whatwg.org/multipage/server-sent-events.html). It wins over the
            query, because the query is still that of the browser's first request.

    Returns:
        Where to begin (None: behind the end), and whether to follow the job.

    Raises:
        InvalidRequest: One of them is malformed or given twice, or there is another one.
    """
    values = single_values(query, ("cursor", "follow"))
    follow = values.get("follow", "false")
    if follow not in _FLAGS:
        raise InvalidRequest("follow is neither true nor false", reason=Reason.INVALID_FIELD, field="follow")
    return read_cursor(last_event_id or values.get("cursor", "")), _FLAGS[follow]


def read_cursor(text: str) -> JobCursor | None:
    """Reads a cursor that ``cursor_text`` made; an empty text is the beginning, ``end`` gives None.

    Raises:
        InvalidRequest: The text is not such a cursor.
    """
    if text == END:
        return None
    found = _CURSOR.fullmatch(text or "0-0-0-0")
    if found is None:
        raise InvalidRequest("the cursor is none of this job's", reason=Reason.INVALID_FIELD, field="cursor")
    part, size, stdout, stderr = map(int, found.groups())
    return JobCursor(Place(part, size), stdout, stderr)


def cursor_text(cursor: JobCursor) -> str:
    """A cursor as callers keep it."""
    return f"{cursor.place.part}-{cursor.place.size}-{cursor.stdout}-{cursor.stderr}"
