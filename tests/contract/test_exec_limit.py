"""As many commands at once in one session as the operator allows, and room again after each kind of end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp

from tests.contract.conftest import Target, gateway_settings
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.patience import PATIENCE


@contextlib.asynccontextmanager
async def running(client: Client, session: Json) -> AsyncGenerator[None]:
    """A command that runs until the context ends: then its caller leaves."""
    path = f"{client.url}/v1/sessions/{session['id']}/exec"
    headers = {"X-Dev-User": client.user, "Accept": "application/x-ndjson"}
    async with client.http.post(path, json={"command": "sleep 60"}, headers=headers) as response:
        assert b"started" in await response.content.readline()
        yield


async def test_one_command_too_many_is_429_and_there_is_room_again_after_each_kind_of_end(
    http: aiohttp.ClientSession, target: Target, tmp_path: Path
) -> None:
    settings = {**gateway_settings(target, tmp_path), "MAX_EXECS_PER_SESSION": "2"}
    with laptop.gateway(tmp_path / "gateway.log", **settings) as (_, url):
        client = Client(http, url, "busy@example.com")
        session = await client.create()
        async with running(client, session):
            ends: list[list[str] | str] = ["true", "kill -9 $$", ["no-such-command"]]
            results = [(await client.execute(session, command))["result"] for command in ends]
            assert results == ["exited", "signaled", "start_failed"]
            timed_out = await client.execute(session, "sleep 60", timeout_seconds=1)
            assert timed_out["result"] == "timed_out"
            async with running(client, session):
                await refused(client, session)
            await room_again(client, session)
        await client.delete(session)


async def refused(client: Client, session: Json) -> None:
    path = f"/v1/sessions/{session['id']}/exec"
    status, problem, headers = await client.call("POST", path, {"command": "true"})
    assert (status, problem["reason"], problem["limit"]) == (429, "TOO_MANY_EXECS", 2)
    assert headers["retry-after"] == "1"


async def room_again(client: Client, session: Json) -> None:
    """Waits until a command is taken: the one whose caller left is being ended."""
    path = f"/v1/sessions/{session['id']}/exec"
    async with asyncio.timeout(PATIENCE):
        while (await client.call("POST", path, {"command": "true"}))[0] != 200:
            await asyncio.sleep(0.05)
