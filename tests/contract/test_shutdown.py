"""A process that is told to end takes its commands with it, and tells their callers, within ten seconds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.contract.conftest import Target, gateway_settings
from tests.contract.test_exec import marked, processes, wait_until_running
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.gateway_process import server
from tests.support.patience import PATIENCE
from tests.support.ports import free_port

SOURCE = "functions/exec_command/main.py"
FUNCTIONS_FRAMEWORK = [
    *(sys.executable, "-m", "shared.app.serve"),
    *("--source", SOURCE, "--target", "exec_command", "--host", "127.0.0.1", "--port"),
]
UVICORN = [sys.executable, "-m", "uvicorn", "functions_framework.aio:app", "--port"]
TERM = ("signaled", 143, "SIGTERM")
KILL = ("signaled", 137, "SIGKILL")


@contextlib.contextmanager
def served(
    command: list[str], settings: dict[str, str], folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes] | subprocess.Popen[str], str]]:
    """The process that runs commands, and its URL; no command: the gateway."""
    if not command:
        with laptop.gateway(folder / "other-gateway.log", **settings) as running:
            yield running
        return
    port = free_port()
    variables = {"FUNCTION_SOURCE": SOURCE, "FUNCTION_TARGET": "exec_command", **settings}
    environment = laptop.base_environment(**variables)
    with server([*command, str(port)], port, environment, folder / "function.log") as running:
        yield running


async def execute(client: Client, session: Json, line: str, accept: str) -> Json:
    """The end of a command: the last event, or the whole answer."""
    url = f"{client.url}/v1/sessions/{session['id']}/exec"
    headers = {"X-Dev-User": client.user, "Accept": accept}
    async with client.http.post(url, json={"command": line}, headers=headers) as response:
        assert response.status == 200
        *_, last = (await response.read()).splitlines()
        end: Json = json.loads(last)
        assert end.get("type", "exit") == "exit"
        return end


async def recorded(client: Client, session: Json, line: str) -> list[str]:
    """The outcomes of a command that are stored."""
    _, page, _ = await client.call("GET", f"/v1/sessions/{session['id']}/audit?page_size=200")
    command = shlex.join(["sh", "-c", line])
    return [record["outcome"] for record in page["records"] if record["detail"].get("command") == command]


@pytest.mark.parametrize(
    ("command", "accept", "line", "end"),
    [
        pytest.param(FUNCTIONS_FRAMEWORK, "application/x-ndjson", "sleep MARK", TERM, id="streamed"),
        pytest.param(FUNCTIONS_FRAMEWORK, "application/json", "sleep MARK", TERM, id="in one object"),
        pytest.param(
            FUNCTIONS_FRAMEWORK,
            "application/x-ndjson",
            "trap '' TERM; while :; do sleep 1; : MARK; done",
            KILL,
            id="ignores TERM",
        ),
        pytest.param(
            FUNCTIONS_FRAMEWORK,
            "application/json",
            "trap 'exit 3' TERM; while :; do sleep 0.1; : MARK; done",
            ("exited", 3, None),
            id="ends by itself",
        ),
        pytest.param(UVICORN, "application/x-ndjson", "sleep MARK", TERM, id="uvicorn"),
        pytest.param([], "application/x-ndjson", "sleep MARK", TERM, id="gateway"),
    ],
)
async def test_a_process_that_is_told_to_end_ends_its_commands_and_says_so(
    http: aiohttp.ClientSession,
    target: Target,
    tmp_path: Path,
    command: list[str],
    accept: str,
    line: str,
    end: tuple[str, int, str | None],
) -> None:
    line, mark = marked(line)
    settings = gateway_settings(target, tmp_path)
    with laptop.gateway(tmp_path / "gateway.log", **settings) as (_, url):
        client = Client(http, url, "ending@example.com")
        session = await client.create()
        with served(command, settings, tmp_path) as (process, function_url):
            caller = Client(http, function_url, client.user)
            running = asyncio.create_task(execute(caller, session, line, accept))
            await wait_until_running(client, session, mark)
            process.terminate()
            result = await running
            await asyncio.to_thread(process.wait, PATIENCE)
        assert (result["result"], result["exit_code"], result["signal"]) == end
        assert result["reason"] == "the service instance shut down and told the command to end"
        assert await processes(client, session, mark) == 0
        assert await recorded(client, session, line) == [end[0]]
        await client.delete(session)
