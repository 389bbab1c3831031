"""A client of a session's files, as the tests need it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import json
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import aiohttp
import yarl

from tests.support.client import Client, Json


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        answer: Json = json.loads(self.body)
        return answer

    @property
    def next_byte(self) -> int:
        """Where an upload in pieces goes on, by the Range of a 308."""
        held = self.headers.get("range")
        return int(held.removeprefix("bytes=0-")) + 1 if held else 0


class Files:
    """Calls the files of one session."""

    def __init__(self, client: Client, session: Json) -> None:
        self.client = client
        self.session = session

    def url(self, path: str, *, encoded: bool = False, query: str = "") -> yarl.URL:
        quoted = path if encoded else urllib.parse.quote(path)
        text = f"{self.client.url}/v1/sessions/{self.session['id']}/files/{quoted}{query}"
        return yarl.URL(text, encoded=True)

    async def call(
        self,
        method: str,
        path: str,
        data: Any = None,
        *,
        encoded: bool = False,
        query: str = "",
        **headers: str,
    ) -> Answer:
        return await self._send(method, self.url(path, encoded=encoded, query=query), data, headers)

    async def _send(self, method: str, url: yarl.URL, data: Any, headers: Mapping[str, str]) -> Answer:
        sent = {"X-Dev-User": self.client.user, **{k.replace("_", "-"): v for k, v in headers.items()}}
        async with self.client.http.request(
            method, url, data=data, headers=sent, allow_redirects=False
        ) as response:
            body = await response.read()
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, body)

    async def put(self, path: str, data: Any, **headers: str) -> Answer:
        return await self._send("PUT", self.url(path), data, headers)

    async def unpack(self, path: str, data: Any, **headers: str) -> Answer:
        """Sends a tar."""
        body = in_pieces(data) if isinstance(data, bytes) else data
        return await self._send("PUT", self.url(path), body, {"Content_Type": "application/x-tar", **headers})

    async def get(self, path: str, **headers: str) -> Answer:
        return await self._send("GET", self.url(path), None, headers)

    @contextlib.asynccontextmanager
    async def open(self, path: str) -> AsyncGenerator[aiohttp.ClientResponse]:
        """A download that the test reads itself."""
        async with self.client.http.get(self.url(path), headers={"X-Dev-User": self.client.user}) as response:
            yield response

    async def sh(self, line: str) -> str:
        """What a shell line in the workspace prints."""
        result = await self.client.execute(self.session, line)
        assert result["exit_code"] == 0, result
        return str(result["stdout"])


def digest_of(data: bytes) -> str:
    """The value of a Content-Digest."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


async def in_pieces(data: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    """A body that is sent in chunks."""
    for at in range(0, len(data), size):
        yield data[at : at + size]
        await asyncio.sleep(0)
