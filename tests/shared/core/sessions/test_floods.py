"""A pod that floods harms nobody: each use case, each channel and kind of frame, at each stage."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import aiohttp
import pytest

from shared.core.audit.auditor import Auditor
from shared.core.commands import Command, ExecResult, Exit, Output
from shared.core.credentials.model import Credentials
from shared.core.files.paths import WorkspacePath
from shared.core.files.service import SessionFiles
from shared.core.files.upload import Body
from shared.core.held import Held
from shared.core.jobs.model import JobCursor, NewJob
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.ports import PodRuntime
from shared.core.sessions.states import SessionStates
from shared.errors import GamguiError, TransferFailed
from shared.kube.credentials.copying import KubernetesCredentials
from shared.kube.exec.socket import ExecSocket
from shared.kube.exec.transcript import MAX_UNEXPLAINED_BYTES, Transcript
from shared.kube.jobs.runtime import JobLimits, KubernetesJobs
from shared.kube.pods.activity import KubernetesActivity
from shared.kube.pods.runtime import KubernetesRuntime
from tests.shared.kube.pods.test_runtime import OPTIONS
from tests.shared.store.samples import RETENTION, SetClock, a_job, a_session
from tests.support.clusters import pods_of
from tests.support.exec_server import api_at
from tests.support.flood_server import FloodServer
from tests.support.people import ALICE
from tests.support.scripted_runtime import KeptAudit
from tests.support.stores import SqliteStore
from tests.support.tars import tar_of

MOST_HELD = MAX_UNEXPLAINED_BYTES + 2 * 64 * 1024

PATH, FOLDER = WorkspacePath(("file",), folder=False), WorkspacePath((), folder=True)
LIMITS = JobLimits(disk_bytes=1000, unfinished=4, follow_seconds=60)
NEW = NewJob(name="", argv=["gam"], command="", env={}, workdir="", stdin=b"ABC", timeout_seconds=None)
JOB = a_job()


def frames(channel: int) -> dict[str, bytes]:
    """What a flood on one channel is made of."""
    head = bytes([channel])
    return {
        f"{channel} large": head + b"x" * 65536,
        f"{channel} tiny": head + b"x",
        f"{channel} empty": head,
        f"{channel} lines": head + b"t 0 0\n" * 5000,
        f"{channel} tiny line": head + b"\n",
        f"{channel} records": head + (b"81a4 0 0 " + b"x" * 900 + b"/\n") * 70,
    }


CRUMBS = ("tiny", "empty", "tiny line")
"""Kinds of floods that take long to reach a bound in bytes."""

SAID = frames(1) | frames(2)
NEVER_SAID: dict[str, bytes | str] = {
    **frames(7),
    "nothing": b"",
    "huge": b"\x01" + b"x" * 4 * 1024 * 1024,
    "status": b"\x03" + b"[" * 1_000_000,
    "text": "x" * 1000,
}


def few_crumbs(use: str, uses: Iterable[str]) -> dict[str, bytes]:
    """What is said, of the crumbs one kind a channel: another one for each use case."""
    kind = CRUMBS[list(uses).index(use) % len(CRUMBS)]
    return {name: frame for name, frame in SAID.items() if name[2:] not in CRUMBS or name[2:] == kind}


class World:
    """The adapters of one cluster, whose buffers are counted together."""

    def __init__(self, runtime: PodRuntime, held: Held, store: SqliteStore, session: Session) -> None:
        self.held, self.session, self.runtime = held, session, runtime
        self.jobs = KubernetesJobs(self.runtime, LIMITS, self.held)
        clock = SetClock()
        audit = Auditor(KeptAudit(), clock)
        access = SessionAccess(
            store=store,
            pods=pods_of(store, self.runtime),
            states=SessionStates(store, clock, RETENTION),
            clock=clock,
            audit=audit,
        )
        self.files = SessionFiles(
            access=access, audit=audit, timeout_seconds=600, max_bytes=100, held=self.held
        )


async def execute(world: World, **more: Any) -> None:
    """An exec ends with one event that says that something is wrong."""
    command = Command(argv=["true"], timeout_seconds=600, **more)
    async with contextlib.aclosing(world.runtime.execute(world.session, command)) as events:
        last = [event async for event in events if not isinstance(event, Output)][-1]
    assert isinstance(last, Exit)
    assert last.result in (ExecResult.UNKNOWN, ExecResult.START_FAILED)
    assert last.reason


async def follow(world: World) -> None:
    async for _ in world.jobs.follow(world.session, JOB.id, JobCursor(), wait=True):
        continue


async def body(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def endless() -> AsyncIterator[bytes]:
    yield b"half"
    await asyncio.get_running_loop().create_future()


async def leave(world: World) -> None:
    """The caller of a command with input leaves before it has begun."""
    running = asyncio.create_task(execute(world, stdin=endless()))
    while not world.held.peak:  # something has come
        await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    raise GamguiError("nobody is told")


async def unpack(world: World) -> None:
    sent = Body(source=body(tar_of({"file": b"data"})))
    await world.files.unpack(ALICE, world.session.id, FOLDER, sent)


async def archive(world: World) -> None:
    """What is in it is its caller's, who takes a little of it."""
    async with contextlib.aclosing(await world.files.archive(ALICE, world.session.id, FOLDER)) as packed:
        async for _ in packed:
            return


USE_CASES: dict[str, Callable[[World], Awaitable[Any]]] = {
    "start": lambda world: world.jobs.start(world.session, JOB, NEW),
    "status": lambda world: world.jobs.reports(world.session, [JOB.id]),
    "cancel": lambda world: world.jobs.cancel(world.session, JOB.id),
    "follow": follow,
    "credentials": lambda world: KubernetesCredentials(world.runtime).copy(
        world.session, Credentials({}), ["x"]
    ),
    "activity": lambda world: KubernetesActivity(world.runtime, world.held).processes(world.session),
    "list": lambda world: world.files.entries(ALICE, world.session.id, FOLDER, limit=10, after=b""),
    "put": lambda world: world.files.put(ALICE, world.session.id, PATH, Body(source=body(b"data"), length=4)),
    "open": lambda world: world.files.open(ALICE, world.session.id, PATH),
    "archive": archive,
    "unpack": unpack,
    "delete": lambda world: world.files.delete(ALICE, world.session.id, PATH),
}
COMMANDS = {"exec": execute, "exec with input": lambda world: execute(world, stdin=body(b"x"))}


async def flooded(
    use: Callable[[World], Awaitable[Any]], frame: bytes | str, store: SqliteStore, **more: Any
) -> None:
    session = await store.create(a_session(owner=ALICE.email, state=SessionState.RUNNING))
    async with FloodServer(frame, **more).running() as server:
        held = Held()
        runtime = KubernetesRuntime(api_at(server.url), OPTIONS, shutdown=asyncio.Event(), held=held)
        world = World(runtime, held, store, session)
        async with asyncio.timeout(300):
            try:
                await use(world)
            except GamguiError as error:
                assert error.reason
            await world.runtime.close()
        assert server.execs
        assert world.held.peak <= MOST_HELD
        assert world.held.now == 0


@pytest.mark.parametrize("announces", [False, True], ids=["no supervisor", "supervisor"])
@pytest.mark.parametrize("use", USE_CASES)
async def test_whatever_a_pod_floods_a_question_ends_and_little_is_held(
    use: str, announces: bool, sqlite: SqliteStore
) -> None:
    # Whatever comes before the first line, or is never said, has met its bound before a use case sees it.
    early = {"large": SAID["1 large"], "lines": SAID["2 lines"]}
    for frame in (few_crumbs(use, USE_CASES) if announces else early).values():
        await flooded(USE_CASES[use], frame, sqlite, announces=announces)


FACTS = b"100000 1700000000 644 12 2026-01-01 10:00:00.5 +0000\n"
HASH = b"0" * 64 + b"\n"


@pytest.mark.parametrize("said", [FACTS, FACTS + HASH], ids=["choose", "content"])
async def test_a_download_that_turns_into_a_flood_ends_and_little_is_held(
    said: bytes, sqlite: SqliteStore
) -> None:
    async def fails(world: World) -> None:
        opened = await world.files.open(ALICE, world.session.id, PATH)
        try:
            with pytest.raises(TransferFailed):
                await opened.choose(0, opened.facts.size)
                assert said.endswith(HASH)
                async for _ in await opened.content():
                    continue
        finally:
            await opened.aclose()

    for frame in few_crumbs("download", ["download"]).values():
        await flooded(fails, frame, sqlite, announces=True, says=said)


@pytest.mark.parametrize("use", COMMANDS)
async def test_a_flood_in_the_place_of_a_command_is_no_command(use: str, sqlite: SqliteStore) -> None:
    for frame in ((SAID if use == "exec" else few_crumbs(use, COMMANDS)) | NEVER_SAID).values():
        await flooded(COMMANDS[use], frame, sqlite)
    for frame in NEVER_SAID.values():
        await flooded(COMMANDS[use], frame, sqlite, announces=True)


async def test_a_flood_whose_caller_leaves_is_left_too(sqlite: SqliteStore) -> None:
    for frame in few_crumbs("leave", ["leave"]).values():
        await flooded(leave, frame, sqlite, announces=False)


async def test_what_goes_on_behind_its_end_changes_nothing(sqlite: SqliteStore) -> None:
    async def ends(world: World) -> None:
        command = Command(argv=["true"], timeout_seconds=600)
        async with contextlib.aclosing(world.runtime.execute(world.session, command)) as events:
            assert [event async for event in events][-1] == Exit(result=ExecResult.EXITED, exit_code=0)

    # Each waits a second for the end of its connection; all at once.
    await asyncio.gather(
        *(flooded(ends, frame, sqlite, announces=True, status_first=True) for frame in SAID.values())
    )


@pytest.mark.parametrize("tag_first", [False, True])
def test_what_is_no_supervisor_costs_no_more_the_longer_it_speaks(tag_first: bool) -> None:
    held = Held()
    transcript = Transcript("gamgui-1", held=held)
    if tag_first:
        transcript.feed(2, b"gamgui-1 ! no such\n")
    for _ in range(40 * 1024):
        assert transcript.feed(2, b"x" * 1024) == []
    assert transcript.flooded
    assert len(transcript.first_line) <= 1024
    assert held.peak <= 2048


class Ready:
    """A socket at which there is always more."""

    def __init__(self, frame: bytes) -> None:
        self._message = aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, frame, None)

    async def receive(self) -> aiohttp.WSMessage:
        return self._message


@pytest.mark.parametrize("size", [0, 1, 1000, 65536])
async def test_others_have_their_turn_while_a_flood_is_received(size: int) -> None:
    socket = ExecSocket(Ready(b"x" * size))  # type: ignore[arg-type] # a stand-in for a WebSocket
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    count = 20 * 65536 // (size + 128)
    for _ in range(count):
        assert await socket.receive(60) == b"x" * size
    waiting.cancel()
    assert turns >= 15
