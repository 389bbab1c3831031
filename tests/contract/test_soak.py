"""Many commands at once, of all sizes and ends: every byte accounted for, and nothing left behind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import hashlib
import json
import os
import random
import socket
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
import uvicorn
from starlette.responses import Response

from shared.app.composition import App
from shared.app.serve import KEEP_ALIVE_SECONDS
from shared.core.sessions.model import Resources, Session
from shared.core.sessions.new_session import NewSession
from shared.settings import Settings
from shared.web.api.exec_request import read_command
from shared.web.api.exec_response import respond
from shared.web.http.call import Call
from shared.web.http.entry import Entry
from shared.web.http.request_body import RequestBody
from shared.web.http.routing import Route
from tests.contract.conftest import Target, gateway_settings
from tests.support.patience import PATIENCE
from tests.support.people import person
from tests.support.proofs import seed, times

AT_ONCE = 200
IN_ALL = times(2_000, 400)
SESSIONS = 4
OWNER = person("soak@example.com")
NDJSON, JSON = "application/x-ndjson", "application/json"
RANDOM = random.Random(seed())
DATA = RANDOM.randbytes(512 * 1024)
TEXT = base64.b64encode(DATA)[: len(DATA)]
SETTLE_SECONDS = PATIENCE
MOST_UNKNOWN = IN_ALL // 50 if os.environ.get("CONTRACT_CLUSTER") == "real" else 0
"""A real node that is asked for too much at once loses some ("ttrpc: closed"); it must be said so."""
Seen = TypeVar("Seen")


@contextlib.asynccontextmanager
async def serving(app: App) -> AsyncGenerator[str]:
    """The function over HTTP in this process, so that its tasks and sockets can be looked at.

    Yields:
        Its URL.
    """

    async def handle(call: Call) -> Response:
        body = RequestBody()
        command = await read_command(call, body, app.settings.commands)
        return await respond(
            call, app.sessions.execute(call.caller, call.params["session_id"], command), body
        )

    routes = [Route("POST", "/v1/sessions/{session_id}/exec", handle)]
    application = Entry(lambda: app, routes, "soak")
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(
        application,
        log_level="warning",
        lifespan="off",
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


class Soak:
    """Runs commands of random kinds in one session after another.

    Args:
        http: Talks to the function.
        url: The function.
        sessions: Where to run.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str, sessions: list[Session]) -> None:
        self._http = http
        self._url = url
        self._sessions = sessions
        self.ends: Counter[str] = Counter()
        self.unknown = 0

    async def put_data(self) -> None:
        """Every pod gets the bytes that commands will say."""
        for session in self._sessions:
            for name, data in (("data", DATA), ("text", TEXT)):
                await self._echo(session, data, f"cat > /workspace/{name}; cat /workspace/{name}")

    async def run_one(self) -> None:
        session = RANDOM.choice(self._sessions)
        kinds = (self._whole, self._through, self._cut_short, self._cut_idle, self._timed_out)
        (kind,) = RANDOM.choices(kinds, (70, 12, 8, 5, 5))
        try:
            await kind(session)
        except EndUnknown:
            self.unknown += 1
        self.ends[kind.__name__.lstrip("_")] += 1

    async def _whole(self, session: Session) -> None:
        """Both streams, random slices of text or bytes, streamed or in one object."""
        source, name = RANDOM.choice(((DATA, "data"), (TEXT, "text")))
        (out, script_out), (err, script_err) = (_slice(source, name), _slice(source, name))
        line = f"{{ {script_out}; }} & {{ {script_err}; }} >&2; wait"
        said = await self._run(session, line, RANDOM.choice((NDJSON, JSON)))
        assert _digest(said["stdout"]) == _digest(out)
        assert _digest(said["stderr"]) == _digest(err)

    async def _through(self, session: Session) -> None:
        """Input and output at once."""
        data, _ = _slice(DATA, "data")
        await self._echo(session, data, "cat")

    async def _echo(self, session: Session, data: bytes, line: str) -> None:
        headers = {"X-Dev-User": OWNER.email, "Content-Type": "application/octet-stream", "Accept": JSON}
        async with self._http.post(
            self._path(session), params={"command": line}, data=data, headers=headers
        ) as response:
            assert response.status == 200, await response.text()
            said = _of_object(await response.json())
        assert _digest(said["stdout"]) == _digest(data)

    async def _cut_short(self, session: Session) -> None:
        """The caller leaves in the middle of an endless output."""
        async with self._begun(session, "while :; do cat /workspace/data; done", NDJSON) as response:
            await response.content.readexactly(RANDOM.randrange(1, 400_000))

    async def _cut_idle(self, session: Session) -> None:
        """The caller leaves while nothing is said."""
        async with self._begun(session, "sleep 300", NDJSON) as response:
            # A busy cluster may take so long to start it that heartbeats come first.
            while json.loads(await response.content.readline())["type"] != "started":
                pass

    async def _timed_out(self, session: Session) -> None:
        body = {"command": "sleep 300 & sleep 300", "timeout_seconds": RANDOM.choice((0.5, 1, 2))}
        headers = {"X-Dev-User": OWNER.email}
        async with self._http.post(self._path(session), json=body, headers=headers) as response:
            assert (await response.json())["result"] == "timed_out"

    async def _run(self, session: Session, line: str, accept: str) -> dict[str, bytes]:
        async with self._begun(session, line, accept) as response:
            assert response.status == 200, await response.text()
            if accept == JSON:
                return _of_object(await response.json())
            return _of_events(await response.read())

    def _begun(
        self, session: Session, line: str, accept: str
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {"X-Dev-User": OWNER.email, "Accept": accept}
        return self._http.post(self._path(session), json={"command": line}, headers=headers)

    def _path(self, session: Session) -> str:
        return f"{self._url}/v1/sessions/{session.id}/exec"

    async def processes(self) -> list[str]:
        """All pods' processes, as they begin, but those that look."""
        # Without namespaces a pod sees the machine's, which come and go: only its own are counted then.
        line = (
            "exec 2>/dev/null; echo $PPID; for p in /proc/[0-9]*; do "
            'tr "\\0" "\\n" <$p/environ | grep -qxF "HOSTNAME=$HOSTNAME" || continue; '
            "echo $(cut -d ' ' -f 1,4 $p/stat) $(tr '\\0\\n' '  ' < $p/cmdline | cut -c1-40); done"
        )
        said = [await self._run(session, line, JSON) for session in self._sessions]
        return [name for one in said for name in _others(one["stdout"].decode().splitlines())]


def _others(lines: list[str]) -> list[str]:
    """The names in lines of id, parent and name, but of the process on the first line and all below it."""
    looking = {lines[0]}
    processes = [line.split(" ", 2) for line in lines[1:] if line.count(" ") >= 2]
    while below := [pid for pid, parent, _ in processes if parent in looking and pid not in looking]:
        looking.update(below)
    return [name for pid, _, name in processes if pid not in looking]


def _slice(source: bytes, name: str) -> tuple[bytes, str]:
    """Some bytes of a file in the pod, and a script that says them; more often few than many."""
    length = int(len(source) * RANDOM.random() ** 4)
    start = RANDOM.randrange(len(source) - length + 1)
    script = f"tail -c +{start + 1} /workspace/{name} | head -c {length}"
    return source[start : start + length], script


class EndUnknown(Exception):
    """The node gave the command up, and we say that nobody knows how it ended."""


def _of_object(answer: dict[str, object]) -> dict[str, bytes]:
    if answer["result"] == "unknown":
        raise EndUnknown
    assert (answer["result"], answer["exit_code"]) == ("exited", 0), answer
    said = {}
    for stream in ("stdout", "stderr"):
        text, binary = answer.get(stream), answer.get(f"{stream}_base64")
        said[stream] = str(text).encode() if binary is None else base64.b64decode(str(binary))
        assert len(said[stream]) == answer[f"{stream}_bytes"]
    return said


def _of_events(body: bytes) -> dict[str, bytes]:
    said = {"stdout": b"", "stderr": b""}
    *events, last = map(json.loads, body.splitlines())
    for event in events:
        if event["type"] in said:
            assert event["offset"] == len(said[event["type"]])
            text = event.get("text")
            said[event["type"]] += base64.b64decode(event["base64"]) if text is None else text.encode()
    if last.get("result") == "unknown":
        raise EndUnknown
    assert (last["type"], last["result"], last["exit_code"]) == ("exit", "exited", 0)
    return said


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def sockets() -> int:
    """How many this process has open."""
    links = Path("/proc/self/fd")
    return sum(_target(links / name).startswith("socket:") for name in os.listdir(links))  # noqa: PTH208


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # of the listing itself
        return ""


async def tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks()


async def open_web_sockets() -> int:
    return sum(
        isinstance(one, aiohttp.ClientWebSocketResponse) and not one.closed for one in gc.get_objects()
    )


async def settled(look: Callable[[], Awaitable[Seen]], end: Callable[[Seen], bool]) -> Seen:
    """What is seen when it is as it should be in the end, or when the time for that is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_SECONDS
    while not end(seen := await look()) and loop.time() < deadline:
        await asyncio.sleep(0.1)
    return seen


@pytest.mark.timeout(1800)
async def test_commands_of_all_sizes_lose_no_byte_and_leave_nothing(target: Target, tmp_path: Path) -> None:
    sockets_before, tasks_before = await sockets(), await tasks()
    app = App(Settings.from_env(gateway_settings(target, tmp_path)))
    new = NewSession(
        name="",
        image=target.image,
        resources=Resources("300m", "512Mi"),
        labels={},
        env={},
        ttl_seconds=3600,
        idle_seconds=3600,
        wait_seconds=60,
    )
    sessions = [await app.sessions.create(OWNER, new) for _ in range(SESSIONS)]
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(app))
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        soak = Soak(http, url, sessions)
        await soak.put_data()
        processes = await soak.processes()
        assert len(processes) >= SESSIONS, "each pod's main process"
        tasks_serving = await tasks()

        async def work() -> None:
            for _ in range(IN_ALL // AT_ONCE):
                await soak.run_one()

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
        assert soak.ends.total() == IN_ALL
        assert soak.unknown <= MOST_UNKNOWN
        assert len(soak.ends) == 5
        # What callers left behind is being ended; then all is as it was.
        assert len(await settled(tasks, lambda now: len(now) <= len(tasks_serving))) <= len(tasks_serving)
        assert await settled(open_web_sockets, lambda now: now == 0) == 0
        assert await settled(soak.processes, lambda now: now == processes) == processes
    for session in sessions:
        await app.sessions.delete(OWNER, session.id)
    await app.close()
    assert await settled(sockets, lambda now: now <= sockets_before) <= sockets_before
    assert await settled(tasks, lambda now: now <= tasks_before) <= tasks_before
