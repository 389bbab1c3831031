"""Credentials as JSON: which files there are, and the parts of them that are no secret."""

from __future__ import annotations

from typing import Any

from shared.core.credentials.model import MAX_BYTES, CredentialFile, Credentials
from shared.core.credentials.service import Refreshed
from shared.web.http.call import Call
from shared.web.http.encoding import rfc3339

_MEDIA_TYPES = ("application/json", "application/octet-stream", "text/plain")


async def file_body(call: Call) -> bytes:
    """The content of the file that is sent.

    Raises:
        UnsupportedMediaType: The body has another media type, or is compressed.
        PayloadTooLarge: The body is longer than 64 KiB.
    """
    return await call.body(MAX_BYTES, *_MEDIA_TYPES)


def file_json(file: CredentialFile) -> dict[str, Any]:
    """A file as its owner sees it, never with its secrets. Members that are not known are left out."""
    updated = {"updated_at": rfc3339(file.updated_at)} if file.updated_at else {}
    return {"file": file.name, **updated, **file.identifiers()}


def credentials_json(credentials: Credentials) -> dict[str, Any]:
    """All files, by name."""
    return {"credentials": [file_json(credentials.files[name]) for name in credentials.names]}


def refreshed_json(refreshed: Refreshed) -> dict[str, Any]:
    """Which files were copied into a session and which were removed there."""
    return {"copied": list(refreshed.copied), "removed": list(refreshed.removed)}
