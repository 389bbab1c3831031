"""The answer to a POST that creates: once per Idempotency-Key."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.responses import JSONResponse, Response

from shared.core.sessions.idempotency import IdempotentRequests
from shared.core.sessions.ports import RequestRecord
from shared.errors import GamguiError, InvalidRequest
from shared.reasons import Reason
from shared.web.http.call import Call
from shared.web.http.problems import ProblemResponse, instance_of, problem

_KEY = re.compile(r"[\x21-\x7e]{1,255}")

Created: TypeAlias = tuple[int, dict[str, Any]]
"""HTTP status and JSON of what was created."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """What a POST creates.

    Attributes:
        operation: Names it, and where it is created: what an Idempotency-Key is unique for.
        seconds: How long it may take.
        new_id: Makes an id.
        create: Creates it under an id.
        repeatable: After a failure of ours, ``create`` may be repeated with the same id and
            does nothing twice. Otherwise a repetition gets another id.
    """

    operation: str
    seconds: float
    new_id: Callable[[], str]
    create: Callable[[str], Awaitable[Created]]
    repeatable: bool


async def answer_once(call: Call, body: bytes, requests: IdempotentRequests, creation: Creation) -> Response:
    """Creates and answers, or gives the first answer again.

    Args:
        call: The request.
        body: Its body: what a repetition must equal.
        requests: Idempotency keys.
        creation: What to do.

    Raises:
        GamguiError: What ``create`` raises, and what ``IdempotentRequests.begin`` does.
    """
    keys = call.request.headers.getlist("idempotency-key")
    new_id = creation.new_id()
    if not keys:
        return _answer(call, new_id, await creation.create(new_id))
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidRequest(
            "Idempotency-Key is sent once and is 1 to 255 visible ASCII characters",
            reason=Reason.INVALID_FIELD,
            field="Idempotency-Key",
        )
    record = await requests.begin(
        call.caller, creation.operation, keys[0], body, resource_id=new_id, wait_seconds=creation.seconds
    )
    if record.response is not None:
        return _again(call, record, record.response)
    try:
        created = await creation.create(record.resource_id)
    except GamguiError as error:
        if error.status >= 500 or error.status == 429:
            again = record.resource_id if creation.repeatable else creation.new_id()
            await requests.release(record, again)
        else:
            stored = problem(error, instance=instance_of(call.request), request_id=call.request_id)
            await requests.finish(record, error.status, json.dumps(stored))
        raise
    await requests.finish(record, created[0], json.dumps(created[1]))
    return _answer(call, record.resource_id, created)


def _answer(call: Call, resource_id: str, created: Created) -> JSONResponse:
    status, body = created
    headers = {"Location": f"{instance_of(call.request)}/{resource_id}"}
    return JSONResponse(body, status_code=status, headers=headers)


def _again(call: Call, record: RequestRecord, response: str) -> Response:
    """The first answer, with this request's id."""
    answer, status = json.loads(response), record.status or 200
    if status >= 400:
        return ProblemResponse({**answer, "request_id": call.request_id}, status_code=status)
    return _answer(call, record.resource_id, (status, answer))
