"""Two hundred sessions at once, as on a morning when all administrators begin to work."""

from __future__ import annotations

import asyncio
import collections
import time

import aiohttp

from bench.laboratory import Laboratory
from bench.report import Ratio, Samples
from tests.support.client import Client, Json

_SESSIONS = 200
_WAIT_SECONDS = 60


async def concurrent_creates(lab: Laboratory) -> list[Ratio]:
    """Creates the sessions, each with its own owner, runs a command in each, and deletes them.

    Raises:
        RuntimeError: A session did not run, was not unique, or was not deleted.
    """
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        owners = [Client(http, lab.client.url, f"owner-{n}@example.com") for n in range(_SESSIONS)]
        began = time.perf_counter()
        created = await asyncio.gather(*(_create(owner) for owner in owners))
        elapsed = time.perf_counter() - began
        sessions = [session for session, _ in created]
        try:
            await _use(owners, sessions)
        finally:
            states = await asyncio.gather(*(_delete(*one) for one in zip(owners, sessions, strict=True)))
    if len({session["pod_name"] for session in sessions}) != _SESSIONS:
        raise RuntimeError("two sessions share a pod")
    if set(states) != {"deleted"}:
        raise RuntimeError(f"not all sessions went: {collections.Counter(states)}")
    seconds = sorted(seconds for _, seconds in created)
    return [
        Ratio(
            f"{_SESSIONS} creates at once: p99",
            seconds[round(0.99 * _SESSIONS) - 1],
            unit="s",
            detail=f"{Samples(seconds, 's')}; all ran, ran a command, and were deleted",
        ),
        Ratio(f"{_SESSIONS} creates at once: sessions a second", _SESSIONS / elapsed),
    ]


async def _create(owner: Client) -> tuple[Json, float]:
    began = time.perf_counter()
    session = await owner.create(wait_seconds=_WAIT_SECONDS)
    return session, time.perf_counter() - began


async def _use(owners: list[Client], sessions: list[Json]) -> None:
    """Checks that each owner gets his own session and no other."""

    async def name(owner: Client, session: Json) -> None:
        result = await owner.execute(session, "hostname")
        if result["exit_code"] != 0:
            raise RuntimeError(f"a new session does not work: {result}")

    await asyncio.gather(*(name(*one) for one in zip(owners, sessions, strict=True)))


async def _delete(owner: Client, session: Json) -> str:
    """Deletes the session and returns its state; a repetition finishes a deletion that took too long."""
    async with asyncio.timeout(120):
        while (deleted := await owner.delete(session))["state"] == "deleting":
            continue
    return str(deleted["state"])
