"""As many followers of jobs at once as one owner may have, and nothing kept of requests about nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from shared.app.instance import SystemClock
from tests.contract.conftest import Target, gateway_settings
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.patience import PATIENCE
from tests.support.stores import SqliteStore

LIMIT = 2


@contextlib.asynccontextmanager
async def following(client: Client, path: str) -> AsyncGenerator[aiohttp.ClientResponse]:
    """A follower of a job, until the context ends: then it disconnects."""
    headers = {"X-Dev-User": client.user, "Accept": "application/x-ndjson"}
    async with client.http.get(f"{client.url}{path}?follow=true", headers=headers) as answer:
        yield answer


async def test_one_follower_too_many_is_429_and_there_is_room_again_when_one_disconnects(
    http: aiohttp.ClientSession, target: Target, tmp_path: Path
) -> None:
    settings = {**gateway_settings(target, tmp_path), "MAX_STREAMS_PER_OWNER": str(LIMIT)}
    with laptop.gateway(tmp_path / "gateway.log", **settings) as (_, url):
        client = Client(http, url, "busy@example.com")
        session = await client.create()
        command = {"command": "echo begun; exec sleep 600"}
        status, job, _ = await client.call("POST", f"/v1/sessions/{session['id']}/jobs", command)
        assert status == 201, job
        path = f"/v1/sessions/{session['id']}/jobs/{job['job_id']}/output"
        async with contextlib.AsyncExitStack() as others:
            for _ in range(LIMIT - 1):
                await _followed(await others.enter_async_context(following(client, path)))
            async with following(client, path) as last:
                await _followed(last)
                await _refused(client, path)
                # Of another owner it says nothing, neither of the limit nor of the session.
                status, problem, _ = await client.as_user("other@example.com").call("GET", path)
                assert (status, problem["reason"]) == (404, "SESSION_NOT_FOUND")
            await _room_again(client, path)
        await client.delete(session)
        await _nothing_is_kept(client, tmp_path)


async def _followed(answer: aiohttp.ClientResponse) -> None:
    """The follower has begun, as it says something."""
    assert answer.status == 200, await answer.text()
    async with asyncio.timeout(PATIENCE):
        assert await answer.content.readline()


async def _refused(client: Client, path: str) -> None:
    status, problem, headers = await client.call("GET", f"{path}?follow=true")
    assert (status, problem["reason"], problem["limit"]) == (429, "TOO_MANY_STREAMS", LIMIT), problem
    assert int(headers["retry-after"]) >= 1


async def _room_again(client: Client, path: str) -> None:
    """Waits until a follower is taken: the server notices the disconnect in its own time."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with following(client, path) as answer:
                if answer.status == 200:
                    return
                assert answer.status == 429, await answer.text()
            await asyncio.sleep(0.05)


async def _nothing_is_kept(client: Client, folder: Path) -> None:
    """A request with a key about a session that does not exist leaves no idempotency record."""
    key: Json = {"Idempotency_Key": "a-key-of-mine"}
    for path in ("/v1/sessions/saaaaaaaaaaaaaaaa/jobs", "/v1/sessions/sbbbbbbbbbbbbbbbb/jobs"):
        status, problem, _ = await client.call("POST", path, {"command": "true"}, **key)
        assert (status, problem["reason"]) == (404, "SESSION_NOT_FOUND")
    store = SqliteStore(folder / "sessions.db", clock=SystemClock())
    try:
        late = datetime.now(UTC) + timedelta(days=10_000)
        assert list(await store.expired_requests(late, limit=10)) == []
        status, _, _ = await client.call("POST", "/v1/sessions", {"image": "localhost/NO:1"}, **key)
        assert status == 422
        assert len(await store.expired_requests(late, limit=10)) == 1  # so that an empty list says something
    finally:
        await store.close()
