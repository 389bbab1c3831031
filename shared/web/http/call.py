"""One HTTP request to a handler."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request

from shared.core.person import Person
from shared.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

MAX_JSON_BYTES = 1024 * 1024


@dataclasses.dataclass(slots=True)
class Call:
    """One request to a handler.

    Attributes:
        request: Starlette's request.
        caller: The verified caller; ``NOBODY`` where no identity is asked for.
        request_id: Taken from X-Request-Id or made.
        params: Values of the path's parameters.
    """

    request: Request
    caller: Person
    request_id: str
    params: Mapping[str, str]

    def media_type(self, *accepted: str) -> str:
        """The declared media type of the body, which is one of those accepted.

        Raises:
            UnsupportedMediaType: It is not one of them, or the body is compressed.
        """
        media_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in accepted:
            raise UnsupportedMediaType(
                f"the body must be {' or '.join(accepted)}", content_type=media_type[:100]
            )
        encoding = self.request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise UnsupportedMediaType("the body must not be encoded", content_encoding=encoding[:100])
        return media_type

    async def json_body(self) -> bytes:
        """The body of a JSON request, of at most 1 MiB; raises what ``body`` does."""
        return await self.body(MAX_JSON_BYTES, "application/json")

    async def body(self, max_bytes: int, *accepted: str) -> bytes:
        """The whole body, of at most ``max_bytes``.

        Raises:
            UnsupportedMediaType: Its declared type is not one of those accepted, or it is compressed.
            PayloadTooLarge: The body is longer than ``max_bytes``.
        """
        self.media_type(*accepted)
        body = bytearray()
        try:
            async for chunk in self.request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise PayloadTooLarge(f"the body is larger than {max_bytes} bytes", max_bytes=max_bytes)
        except ClientDisconnect as error:
            raise InvalidRequest("the connection broke before the body was complete") from error
        return bytes(body)
