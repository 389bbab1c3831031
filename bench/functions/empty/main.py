"""The smallest function that functions-framework can serve, to compare the starts of our functions with."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request


@functions_framework.aio.http
async def empty(request: Request) -> str:
    """Answers without doing anything."""
    return "ok"
