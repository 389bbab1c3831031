"""Reads what the API server answers."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

from shared.errors import ClusterUnavailable
from shared.reasons import Reason

MAX_OBJECT_BYTES = 16 * 1024 * 1024
"""Longest object or event that is read; etcd keeps none longer than 1.5 MiB."""

TOO_LARGE = Reason.CLUSTER_ANSWER_TOO_LARGE

_MAX_REFUSAL_BYTES = 64 * 1024
"""Most that is read of a refusal: a Status object has a few KiB, but a proxy's page may be long."""


async def refusal_of(response: aiohttp.ClientResponse) -> Any:
    """A refusal's body: decoded JSON, or the beginning of a text that is not JSON.

    Raises:
        aiohttp.ClientError: The connection broke.
    """
    body = bytearray()
    # read() would give only what has come already, and a long refusal comes in several pieces.
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= _MAX_REFUSAL_BYTES:
            break
    text = body[:_MAX_REFUSAL_BYTES].decode(errors="replace")
    try:
        return decoded(text)
    except ValueError:
        return text


async def object_of(response: aiohttp.ClientResponse) -> Any:
    """An answer's body as decoded JSON.

    Raises:
        ClusterUnavailable: The body is longer than an object may be; no more of it is read.
        ValueError: The body is not JSON.
        aiohttp.ClientError: The connection broke.
    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_OBJECT_BYTES:
            raise _too_large()
    return decoded(body)


async def lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Lines of up to ``MAX_OBJECT_BYTES``; aiohttp's own iteration stops at 64 KiB.

    The time is proportional to the bytes that come, whatever the size of their pieces.

    Raises:
        ClusterUnavailable: A line is longer than an object may be; no more of it is read.
    """
    line = bytearray()
    async for chunk in content.iter_any():
        for number, part in enumerate(chunk.split(b"\n")):
            if number and line:
                yield bytes(line)
                line.clear()
            line += part
            if len(line) > MAX_OBJECT_BYTES:
                raise _too_large()


def decoded(text: str | bytes | bytearray) -> Any:
    """JSON as an object.

    Raises:
        ValueError: The text is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _too_large() -> ClusterUnavailable:
    """The error for an answer that cannot be the Kubernetes API's. A repeated request would get the same."""
    return ClusterUnavailable(
        f"the Kubernetes API, or what stands in its place, answered more than {MAX_OBJECT_BYTES >> 20} MiB",
        reason=TOO_LARGE,
    )
