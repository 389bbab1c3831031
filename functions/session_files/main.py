"""/v1/sessions/{session_id}/files/{path}: stores, reads, lists and deletes files of the workspace."""

from __future__ import annotations

from starlette.responses import Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def put(call: Call) -> Response:
    """Stores the body as a file, or as a piece of a resumable upload; unpacks a tar."""
    from shared.web.api.files import put_file

    return await put_file(call, app().files)


async def get(call: Call) -> Response:
    """Sends a file, or a folder as a list or as a tar."""
    from shared.web.api.files import get_file

    return await get_file(call, app().files)


async def head(call: Call) -> Response:
    """Answers with the facts about a file."""
    from shared.web.api.files import head_file

    return await head_file(call, app().files)


async def delete(call: Call) -> Response:
    """Removes a file or an empty folder."""
    from shared.web.api.files import delete_file

    return await delete_file(call, app().files)


_PATH = "/v1/sessions/{session_id}/files/{path:rest}"
_HANDLERS = {"PUT": put, "GET": get, "HEAD": head, "DELETE": delete}
ENTRY = Entry(app, [Route(method, _PATH, handler) for method, handler in _HANDLERS.items()], "session_files")
session_files = ENTRY.function()
"""The Cloud Run function."""
