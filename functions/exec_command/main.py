"""POST /v1/sessions/{session_id}/exec: runs a command, which ends when its caller leaves."""

from __future__ import annotations

from starlette.responses import Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def handle(call: Call) -> Response:
    """Runs the command and answers in the format that the caller accepts."""
    from shared.web.api.exec_request import read_command
    from shared.web.api.exec_response import respond
    from shared.web.http.request_body import RequestBody

    body = RequestBody()
    command = await read_command(call, body, app().settings.commands)
    events = app().sessions.execute(call.caller, call.params["session_id"], command)
    return await respond(call, events, body, app().answers)


ENTRY = Entry(app, [Route("POST", "/v1/sessions/{session_id}/exec", handle)], "exec_command")
exec_command = ENTRY.function()
"""The Cloud Run function."""
