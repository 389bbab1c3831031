"""The caller's credential files for GAM: put, list, delete, and copy them into a running session."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from shared.app.composition import app
from shared.web.function import Call, Entry, Route


async def put(call: Call) -> Response:
    """Stores a file."""
    from shared.web.api.credentials import file_body, file_json

    return JSONResponse(
        file_json(await app().credentials.put(call.caller, call.params["file"], await file_body(call)))
    )


async def get(call: Call) -> Response:
    """Answers with the list of files."""
    from shared.web.api.credentials import credentials_json

    return JSONResponse(credentials_json(await app().credentials.get(call.caller)))


async def delete(call: Call) -> Response:
    """Removes one file or all files, and answers with the list of those that are left."""
    from shared.web.api.credentials import credentials_json

    return JSONResponse(
        credentials_json(await app().credentials.delete(call.caller, call.params.get("file")))
    )


async def refresh(call: Call) -> Response:
    """Copies the files into a running session."""
    from shared.web.api.credentials import refreshed_json

    return JSONResponse(refreshed_json(await app().credentials.refresh(call.caller, **call.params)))


ENTRY = Entry(
    app,
    [
        Route("PUT", "/v1/credentials/{file}", put),
        Route("GET", "/v1/credentials", get),
        Route("DELETE", "/v1/credentials", delete),
        Route("DELETE", "/v1/credentials/{file}", delete),
        Route("POST", "/v1/sessions/{session_id}/credentials:refresh", refresh),
    ],
    "credentials",
)
credentials = ENTRY.function()
"""The Cloud Run function."""
