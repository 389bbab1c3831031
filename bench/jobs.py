"""How long a job takes to start, and how long a line that it prints takes to reach a client."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import aiohttp

from bench.laboratory import USER, Laboratory
from bench.report import Ratio, Samples

_STARTS = 60
_LINES = 100
_TIMES = f"i=0; while [ $i -lt {_LINES} ]; do date +%s%N; sleep 0.05; i=$((i + 1)); done"
"""Prints the time again and again, so that the time of arrival can be compared with it."""


async def job_latency(lab: Laboratory) -> list[Ratio]:
    """Starts jobs and commands in turns, then follows the lines of both.

    Raises:
        RuntimeError: A job did not start or end as it should.
    """
    starts: list[float] = []
    execs: list[float] = []
    for _ in range(_STARTS):
        began = time.perf_counter()
        await _start(lab, ["true"])
        starts.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        await lab.client.execute(lab.session, ["true"])
        execs.append((time.perf_counter() - began) * 1000)
    started, executed = Samples(starts, "ms"), Samples(execs, "ms")
    followed = Samples(await _followed(lab), "ms")
    own = Samples(await _delays(_exec(lab)), "ms")
    return [
        Ratio(
            "start of a job / exec of true, p50",
            started.median / executed.median,
            detail=f"{started} / {executed}",
        ),
        Ratio(
            "a line of a job reaches its follower later than one of exec, p50, by",
            followed.median - own.median,
            "<=",
            25,
            "ms",
            detail=f"{followed} - {own}",
        ),
    ]


async def _start(lab: Laboratory, command: list[str] | str) -> str:
    """Starts a job and returns the path of its URL."""
    path = f"/v1/sessions/{lab.session['id']}/jobs"
    status, job, headers = await lab.client.call("POST", path, {"command": command})
    if status != 201:
        raise RuntimeError(f"the job did not start: {job}")
    return headers["location"]


async def _followed(lab: Laboratory) -> list[float]:
    place = await _start(lab, _TIMES)
    url = f"{lab.client.url}{place}/output?follow=true"
    return await _delays(lab.client.http.get(url, headers={"X-Dev-User": USER}))


def _exec(lab: Laboratory) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    url = f"{lab.client.url}/v1/sessions/{lab.session['id']}/exec"
    headers = {"X-Dev-User": USER, "Accept": "application/x-ndjson"}
    return lab.client.http.post(url, json={"command": _TIMES}, headers=headers)


async def _delays(request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> list[float]:
    """Milliseconds between each printed time and its arrival."""
    async with request as response:
        delays = [delay async for delay in _arrivals(response.content)]
    if len(delays) < _LINES:
        raise RuntimeError(f"{len(delays)} of {_LINES} lines came")
    return delays


async def _arrivals(stream: aiohttp.StreamReader) -> AsyncIterator[float]:
    async for line in stream:
        arrived = time.time_ns()
        event = json.loads(line)
        if event["type"] == "stdout":
            for printed in event["text"].split():
                yield (arrived - int(printed)) / 1e6
