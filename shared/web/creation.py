"""The answer to a create: once per Idempotency-Key."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable

from starlette.responses import JSONResponse, Response

from shared.errors import GamguiError, InvalidRequest
from shared.sessions.idempotency import IdempotentRequests
from shared.sessions.model import Session, SessionState
from shared.sessions.ports import RequestRecord
from shared.web.endpoint import Call
from shared.web.problems import ProblemResponse, instance_of, problem
from shared.web.sessions import session_json

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def answer_once(
    call: Call,
    body: bytes,
    wait_seconds: float,
    requests: IdempotentRequests,
    create: Callable[[str | None], Awaitable[Session]],
) -> Response:
    """Creates a session and answers it: 201 running, 202 still pending.

    Args:
        call: The request.
        body: Its body: what a repetition must equal.
        wait_seconds: How long creation may take.
        requests: Idempotency keys.
        create: Creates the session, with the id given.

    Raises:
        GamguiError: What ``create`` raises, and what ``IdempotentRequests.begin`` does.
    """
    keys = call.request.headers.getlist("idempotency-key")
    if not keys:
        return _answer(await create(None))
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidRequest(
            "Idempotency-Key is sent once and is 1 to 255 visible ASCII characters",
            reason="INVALID_FIELD",
            field="Idempotency-Key",
        )
    record = await requests.begin(call.caller, keys[0], body, wait_seconds)
    if record.response is not None:
        return _again(record, call)
    try:
        session = await create(record.session_id)
    except GamguiError as error:
        if error.status >= 500 or error.status == 429:
            await requests.release(record)
        else:
            stored = problem(error, instance=instance_of(call.request), request_id=call.request_id)
            await requests.finish(record, error.status, json.dumps(stored))
        raise
    response = _answer(session)
    await requests.finish(record, response.status_code, bytes(response.body).decode())
    return response


def _answer(session: Session) -> JSONResponse:
    status = 202 if session.state is SessionState.PENDING else 201
    headers = {"Location": f"/v1/sessions/{session.id}"}
    return JSONResponse(session_json(session), status_code=status, headers=headers)


def _again(record: RequestRecord, call: Call) -> Response:
    """The first answer, with this request's id."""
    answer, status = json.loads(record.response or "{}"), record.status or 200
    if status >= 400:
        return ProblemResponse({**answer, "request_id": call.request_id}, status_code=status)
    headers = {"Location": f"/v1/sessions/{answer['id']}"}
    return JSONResponse(answer, status_code=status, headers=headers)
