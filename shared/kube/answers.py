"""Reads what the API server answers."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

MAX_OBJECT_BYTES = 16 * 1024 * 1024
"""Longest object or event that is read; etcd keeps none longer than 1.5 MiB."""


async def body_of(response: aiohttp.ClientResponse) -> Any:
    """The beginning of an answer's body: decoded JSON, or the text that is no JSON."""
    text = (await response.content.read(64 * 1024)).decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


async def lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Lines of any length up to the bound; aiohttp's own iteration stops at 64 KiB."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_OBJECT_BYTES:
            raise ValueError("an event is too large")
        for line in whole:
            if line:
                yield line
