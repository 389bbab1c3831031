"""A caller that reads slowly slows the command down, and costs no memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from bench import memory
from tests.contract.conftest import Target, gateway_settings
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.patience import PATIENCE

MIB = 1024 * 1024
LINE = """
head -c 1048576 /dev/zero | tr '\\0' x > /workspace/mib
while cat /workspace/mib; do echo >> /workspace/written; done
"""


async def written(client: Client, session: Json) -> int:
    """How many MiB the command has got rid of; none before it has begun."""
    count = "cat /workspace/written 2>/dev/null | wc -l"
    return int((await client.execute(session, count))["stdout"])


async def when_it_stands_still(client: Client, session: Json) -> int:
    """The same, when it has begun and has not grown for a second."""
    async with asyncio.timeout(PATIENCE):
        before = 0
        while (now := await written(client, session)) != before or now == 0:
            before = now
            await asyncio.sleep(1)
        return now


async def test_a_caller_that_does_not_read_stops_the_command_and_costs_no_memory(
    http: aiohttp.ClientSession, target: Target, tmp_path: Path
) -> None:
    with laptop.gateway(tmp_path / "gateway.log", **gateway_settings(target, tmp_path)) as (process, url):
        client = Client(http, url, "slow@example.com")
        session = await client.create()
        before = memory.resident_mib(process.pid)
        memory.reset_peak(process.pid)
        path = f"{url}/v1/sessions/{session['id']}/exec"
        headers = {"X-Dev-User": client.user, "Accept": "application/x-ndjson"}
        async with http.post(path, json={"command": LINE}, headers=headers) as response:
            assert b"started" in await response.content.readline()
            stopped = await when_it_stands_still(client, session)
            for _ in range(100):
                await response.content.readexactly(MIB)
            gone_on = await when_it_stands_still(client, session)
        grown = memory.peak_mib(process.pid) - before
        await client.delete(session)
    assert stopped < 64  # each hop on the way from a pod has its kernel's buffers
    assert 60 < gone_on - stopped < 140
    assert grown < 30
