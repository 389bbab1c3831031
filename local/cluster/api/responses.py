"""Makes responses: objects, lists and Status errors as JSON, and streams of watch events."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from ..objects import Object
from ..objects.errors import ApiError


def encode(value: Any) -> bytes:
    """Return JSON in the form that the API sends: without spaces, ending in a newline."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def quoted(text: str) -> str:
    """Return a text as a quoted string of HTTP, for the header ``Warning``."""
    plain = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def object_response(body: Object, status: int = 200) -> web.Response:
    """Return a response with an object in it."""
    return web.Response(body=encode(body), status=status, content_type="application/json")


def error_response(error: ApiError) -> web.Response:
    """Return a response with the ``Status`` of an error in it."""
    response = object_response(error.status(), error.code)
    if error.code in (413, 415):
        # The rest of the body may still be coming, so it is unknown where the next request begins.
        response.force_close()
    return response


async def stream_events(request: web.Request, events: AsyncIterator[Object]) -> web.StreamResponse:
    """Send the events of a watch, one JSON object per line, as they come."""
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
    )
    response.enable_chunked_encoding()
    # A client that leaves a watch has just seen enough.
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        async for event in events:
            await response.write(encode(event))
        await response.write_eof()
    return response
