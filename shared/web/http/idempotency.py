"""The header Idempotency-Key, and the answer to a POST that creates."""

from __future__ import annotations

import re

from starlette.responses import JSONResponse, Response

from shared.core.sessions.idempotency import Creation, IdempotentRequests
from shared.errors import InvalidRequest
from shared.reasons import Reason
from shared.web.http.call import Call
from shared.web.http.problems import instance_of

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def answer_once(call: Call, body: bytes, requests: IdempotentRequests, creation: Creation) -> Response:
    """Creates and answers, or gives the first answer again.

    Args:
        call: The request.
        body: The request's body, which the body of a repetition must equal.
        requests: Keeps the idempotency keys.
        creation: What to create, and how.

    Raises:
        InvalidRequest: The header is malformed, or is sent more than once.
        GamguiError: What ``IdempotentRequests.run`` raises.
    """
    resource_id, (status, members) = await requests.run(_key(call), body, creation)
    headers = {"Location": f"{instance_of(call.request)}/{resource_id}"}
    return JSONResponse(members, status_code=status, headers=headers)


def _key(call: Call) -> str | None:
    keys = call.request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidRequest(
            "Idempotency-Key is sent once and is 1 to 255 visible ASCII characters",
            reason=Reason.INVALID_FIELD,
            field="Idempotency-Key",
        )
    return keys[0]
