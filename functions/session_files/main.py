"""/v1/sessions/{session_id}/files/{path}: the session's workspace; store, read, list, delete."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from shared.app.composition import app
from shared.web.http.entry import Call, Route, serve


async def put(call: Call) -> Response:
    """Stores the body, or a piece of a resumable upload; unpacks a tar."""
    from shared.web.api.files import put_file

    return await put_file(call, app().files)


async def get(call: Call) -> Response:
    """Sends a file, lists a folder or packs it."""
    from shared.web.api.files import get_file

    return await get_file(call, app().files)


async def head(call: Call) -> Response:
    """Says what a file is."""
    from shared.web.api.files import head_file

    return await head_file(call, app().files)


async def delete(call: Call) -> Response:
    """Removes a file or an empty folder."""
    from shared.web.api.files import delete_file

    return await delete_file(call, app().files)


_PATH = "/v1/sessions/{session_id}/files/{path}"
_HANDLERS = {"PUT": put, "GET": get, "HEAD": head, "DELETE": delete}
ROUTES = [Route(method, _PATH, handler, rest=True) for method, handler in _HANDLERS.items()]


@functions_framework.aio.http
async def session_files(request: Request) -> Response:
    """The Cloud Run function."""
    return await serve(request, app, ROUTES, "session_files")
