"""A client of the HTTP API, as the tests need it."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

Json = dict[str, Any]


class Client:
    """Calls the API as one user."""

    def __init__(self, http: aiohttp.ClientSession, url: str, user: str) -> None:
        self.http = http
        self.url = url
        self.user = user

    def as_user(self, user: str) -> Client:
        """The same for somebody else."""
        return Client(self.http, self.url, user)

    async def call(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Json, dict[str, str]]:
        """One request.

        Returns:
            Status, body and headers (lower-case names) of the answer.
        """
        sent = {"X-Dev-User": self.user, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.http.request(method, self.url + path, json=body, headers=sent) as response:
            answer = await response.json(content_type=None)
            return response.status, answer, {name.lower(): value for name, value in response.headers.items()}

    async def create(self, **body: Any) -> Json:
        """A running session."""
        status, session, _ = await self.call("POST", "/v1/sessions", {"wait_seconds": 60, **body})
        assert status == 201, session
        return session

    async def execute(self, session: Json, command: list[str] | str, **options: Any) -> Json:
        """Runs a command and answers the whole result."""
        path = f"/v1/sessions/{session['id']}/exec"
        status, result, _ = await self.call("POST", path, {"command": command, **options})
        assert status == 200, result
        return result

    async def stream(self, session: Json, command: list[str] | str, **options: Any) -> list[Json]:
        """Runs a command and answers its events."""
        path = f"{self.url}/v1/sessions/{session['id']}/exec"
        headers = {"X-Dev-User": self.user, "Accept": "application/x-ndjson"}
        async with self.http.post(path, json={"command": command, **options}, headers=headers) as response:
            assert response.status == 200, await response.text()
            return [json.loads(line) for line in (await response.read()).splitlines()]

    async def delete(self, session: Json) -> Json:
        """Deletes a session."""
        status, answer, _ = await self.call("DELETE", f"/v1/sessions/{session['id']}")
        assert status == 200, answer
        return answer
