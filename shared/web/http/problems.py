"""Errors as RFC 9457 problem documents. Only this module maps errors to responses."""

from __future__ import annotations

import logging
import math
import urllib.parse
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from shared.errors import GamguiError, InternalError, Unauthenticated, members_of
from shared.web.http import logs

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
NO_STORE = "no-store"
"""``Cache-Control`` of every answer that is not a file's content: no cache may keep it."""

_TYPE_PREFIX = "urn:gamgui:problem:"


class ProblemResponse(JSONResponse):
    """A response whose body is a problem document."""

    media_type = MEDIA_TYPE


def as_known(error: Exception) -> GamguiError:
    """The error itself if it was raised on purpose; else an error that tells nothing, and a log entry."""
    if isinstance(error, GamguiError):
        return error
    log.error("unexpected error", exc_info=error)
    return InternalError("an unexpected error; the log has it under the request id")


def noted(error: Exception) -> GamguiError:
    """As ``as_known``; the request's line gets the reason, and the log what the caller is not told."""
    known = as_known(error)
    logs.failed(known.reason)
    if known.status >= 500:
        log.warning("%s: %s", known.reason, known.detail, exc_info=known.__cause__)
    return known


def instance_of(request: HTTPConnection) -> str:
    """The path of a request as a URI reference, for problem documents and the log.

    It comes from the scope, because ``request.url`` drops line breaks from a path and fails
    on a query that is not ASCII.
    """
    return urllib.parse.quote(request.scope["path"], errors="replace")


def problem(error: GamguiError, *, instance: str, request_id: str) -> dict[str, Any]:
    """The problem document of an error.

    Args:
        error: What happened.
        instance: Path of the request.
        request_id: The id under which the log has the error.
    """
    return {
        **members_of(error),
        "type": _TYPE_PREFIX + error.reason.lower().replace("_", "-"),
        "instance": instance,
        "request_id": request_id,
    }


def problem_response(error: Exception, *, instance: str, request_id: str) -> ProblemResponse:
    """The response to a request that failed."""
    known = noted(error)
    headers = {"Cache-Control": NO_STORE}
    if known.retry_after_seconds is not None:
        headers["Retry-After"] = str(math.ceil(known.retry_after_seconds))
    if isinstance(known, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if "content_range" in known.fields:
        headers["Content-Range"] = str(known.fields["content_range"])
    if "allow" in known.fields:
        headers["Allow"] = str(known.fields["allow"])
    body = problem(known, instance=instance, request_id=request_id)
    return ProblemResponse(body, status_code=known.status, headers=headers)
