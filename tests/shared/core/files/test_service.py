"""The use cases of files: who may, what is recorded, what a virtual session answers."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from shared.core.audit.auditor import Auditor
from shared.core.commands import ExecEvent, Output, Started
from shared.core.files.paths import WorkspacePath
from shared.core.files.service import SessionFiles
from shared.core.files.upload import Body, Piece, Progress, Stored
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.concurrency import StreamKind, Streams
from shared.core.sessions.model import SessionState
from shared.core.sessions.states import SessionStates
from shared.errors import Conflict, GamguiError, NotFound, PayloadTooLarge, TooManyRequests
from shared.reasons import Reason
from tests.shared.store.samples import RETENTION, SetClock, a_session
from tests.support.clusters import pods_of
from tests.support.patience import PATIENCE
from tests.support.people import ALICE, BOB
from tests.support.scripted_runtime import KeptAudit, ScriptedRuntime
from tests.support.stores import SqliteStore

PATH = WorkspacePath(("folder", "file"), folder=False)
DATA = b"12345"
SHA256 = hashlib.sha256(DATA).hexdigest()
NOTHING = hashlib.sha256(b"").hexdigest()


@dataclasses.dataclass(slots=True)
class World:
    files: SessionFiles
    runtime: ScriptedRuntime
    audit: KeptAudit
    session_id: str
    streams: Streams

    def says(self, *output: bytes) -> None:
        events: list[ExecEvent] = [Started(1), *(Output("stdout", 0, data) for data in output)]
        self.runtime.events = events


async def world(
    sqlite: SqliteStore, clock: SetClock, runtime: ScriptedRuntime, max_bytes: int = 100
) -> World:
    session = a_session(owner=ALICE.email, state=SessionState.RUNNING)
    await sqlite.create(session)
    audit, streams = KeptAudit(), Streams({StreamKind.OTHER: 1})
    access = SessionAccess(
        audit=Auditor(audit, clock),
        store=sqlite,
        pods=pods_of(sqlite, runtime),
        states=SessionStates(sqlite, clock, RETENTION),
        clock=clock,
        streams=streams,
    )
    files = SessionFiles(access=access, audit=Auditor(audit, clock), timeout_seconds=10, max_bytes=max_bytes)
    return World(files, runtime, audit, session.id, streams)


@pytest.fixture
async def pod(sqlite: SqliteStore, clock: SetClock) -> World:
    return await world(sqlite, clock, ScriptedRuntime())


async def body(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def upload(*pieces: bytes, length: int | None = None) -> Body:
    return Body(source=body(*pieces), length=length)


async def test_what_was_stored_is_answered_and_recorded(pod: World) -> None:
    pod.says(f"stored 0 {NOTHING} created\n".encode())  # the scripted pod takes nothing of a body
    stored = await pod.files.put(ALICE, pod.session_id, PATH, upload(length=0))
    assert stored == Stored(0, NOTHING, created=True)
    [record] = pod.audit.records
    assert (record.action, record.outcome, record.actor) == ("session.file.put", "done", ALICE.email)
    assert record.detail == {"path": "folder/file", "size": 0, "sha256": NOTHING}


async def test_a_piece_is_answered_and_recorded_without_a_hash(pod: World) -> None:
    pod.says(b"have 5\n")
    piece = Piece(upload="a", first=0, total=9)
    assert await pod.files.put(ALICE, pod.session_id, PATH, upload(DATA), piece) == Progress(5)
    assert pod.audit.records[0].detail == {"path": "folder/file", "size": 5}


async def test_a_failure_is_recorded_by_its_reason(pod: World) -> None:
    pod.says(b"!full\n")
    with pytest.raises(GamguiError):
        await pod.files.put(ALICE, pod.session_id, PATH, upload(DATA))
    pod.says(b"!missing\n")
    with pytest.raises(NotFound):
        await pod.files.open(ALICE, pod.session_id, PATH)
    with pytest.raises(NotFound):
        await pod.files.delete(ALICE, pod.session_id, PATH)
    with pytest.raises(NotFound):
        await pod.files.entries(ALICE, pod.session_id, PATH, limit=5, after=b"")
    with pytest.raises(NotFound):
        await pod.files.archive(ALICE, pod.session_id, PATH)
    assert pod.audit.outcomes == [
        ("session.file.put", "DISK_FULL"),
        ("session.file.get", "FILE_NOT_FOUND"),
        ("session.file.delete", "FILE_NOT_FOUND"),
        ("session.file.list", "FILE_NOT_FOUND"),
        ("session.file.archive", "FILE_NOT_FOUND"),
    ]


NONSENSE = [
    *(f"stored 5 {SHA256} created\n".encode(), b"stored 0 x created\n", b"stored 5\n", b"stored x y z\n"),
    f"stored 0 {NOTHING} created\n".encode(),  # as it is before a byte of it is sent
    *(b"have 5\n", b"have\n", b"have -1\n", b"\n", b"hello\n"),
]


@pytest.mark.parametrize("said", NONSENSE)
async def test_an_answer_that_makes_no_sense_is_no_success(pod: World, said: bytes) -> None:
    pod.says(said)
    with pytest.raises(GamguiError) as raised:
        await pod.files.put(ALICE, pod.session_id, PATH, upload(DATA))
    assert raised.value.reason == Reason.TRANSFER_FAILED
    assert pod.audit.outcomes == [("session.file.put", "TRANSFER_FAILED")]


@pytest.mark.parametrize(
    "said",
    [
        (b"5 1767225600 644 77 2026-01-01 00:00:00.1\n",),
        (b"5 99999999999999999 644 77 2026-01-01 00:00:00.1 +0000\n",),
        (b"5 x 644 77 2026-01-01 00:00:00.1 +0000\n",),
        (b"entries of something\n",),
    ],
)
async def test_facts_that_make_no_sense_are_a_failed_transfer(pod: World, said: tuple[bytes, ...]) -> None:
    pod.says(*said)
    with pytest.raises(GamguiError) as raised:
        await pod.files.open(ALICE, pod.session_id, PATH)
    assert raised.value.reason == Reason.TRANSFER_FAILED
    assert pod.runtime.closed_commands == 1


async def test_a_hash_that_is_none_is_a_failed_transfer(pod: World) -> None:
    pod.says(LOOK, b"not a hash\n", DATA)
    file = await pod.files.open(ALICE, pod.session_id, PATH)
    with pytest.raises(GamguiError) as raised:
        await file.choose(0, 5)
    assert raised.value.reason == Reason.TRANSFER_FAILED
    assert pod.audit.outcomes == [("session.file.get", "TRANSFER_FAILED")]
    await file.aclose()
    assert pod.runtime.closed_commands == 1


async def test_a_fault_of_ours_before_a_download_is_recorded_too(pod: World) -> None:
    pod.says(LOOK)
    pod.runtime.execute_error = ValueError("ours")
    file = await pod.files.open(ALICE, pod.session_id, PATH)
    with pytest.raises(ValueError, match="ours"):
        await file.choose(0, 5)
    await file.aclose()
    assert pod.audit.outcomes == [("session.file.get", "INTERNAL")]


@pytest.mark.parametrize("said", [b"x" * 100_000, b"81a4 1 99999999999999999 name/\n", b"name/\n"])
async def test_a_list_that_makes_no_sense_is_a_failed_transfer(pod: World, said: bytes) -> None:
    pod.says(b"entries\n", said)
    with pytest.raises(GamguiError) as raised:
        await pod.files.entries(ALICE, pod.session_id, PATH, limit=10, after=b"")
    assert raised.value.reason == Reason.TRANSFER_FAILED


LOOK = b"5 1767225600 644 77 2026-01-01 00:00:00.123456789 +0000\n"


async def test_a_download_is_recorded_with_its_size_and_its_end(pod: World) -> None:
    pod.says(LOOK, SHA256.encode() + b"\n", b"123", b"45")
    file = await pod.files.open(ALICE, pod.session_id, PATH)
    assert (file.facts.size, file.facts.mode) == (5, 0o644)
    assert await file.choose(0, 5) == SHA256
    assert [data async for data in await file.content()] == [b"123", b"45"]
    [record] = pod.audit.records
    assert (record.outcome, record.detail) == ("sent", {"path": "folder/file", "size": 5})
    assert pod.runtime.closed_commands == 1


@pytest.mark.parametrize("sent", [(b"123", b"46"), (b"123",), (b"123", b"456"), ()])
async def test_bytes_that_are_not_those_announced_never_make_up_the_announced_number(
    pod: World, sent: tuple[bytes, ...]
) -> None:
    pod.says(LOOK, SHA256.encode() + b"\n", *sent)
    file = await pod.files.open(ALICE, pod.session_id, PATH)
    await file.choose(0, 5)
    got = b""
    with pytest.raises(GamguiError):
        async for data in await file.content():
            got += data
    assert len(got) < 5
    assert pod.audit.outcomes == [("session.file.get", "TRANSFER_FAILED")]


async def test_a_download_that_its_reader_leaves_is_recorded_as_cancelled(pod: World) -> None:
    pod.says(LOOK, SHA256.encode() + b"\n", b"1", b"2", b"345")
    file = await pod.files.open(ALICE, pod.session_id, PATH)
    await file.choose(0, 5)
    content = await file.content()
    await anext(content)
    await content.aclose()
    assert pod.audit.outcomes == [("session.file.get", "cancelled")]
    assert pod.runtime.closed_commands == 1


async def test_what_nobody_begins_to_read_is_ended_and_recorded_as_cancelled(pod: World) -> None:
    pod.says(LOOK, SHA256.encode() + b"\n", DATA)
    file = await pod.files.open(ALICE, pod.session_id, PATH)
    await file.choose(0, 5)
    await (await file.content()).aclose()
    pod.says(b"archive\n", DATA)
    await (await pod.files.archive(ALICE, pod.session_id, PATH)).aclose()
    assert pod.audit.outcomes == [("session.file.get", "cancelled"), ("session.file.archive", "cancelled")]
    assert pod.runtime.closed_commands == 2


def requests(pod: World) -> dict[str, Coroutine[Any, Any, object]]:
    """Every request for files that there is."""
    files, session_id = pod.files, pod.session_id
    return {
        "put": files.put(ALICE, session_id, PATH, upload(DATA)),
        "unpack": files.unpack(ALICE, session_id, PATH, upload(DATA)),
        "get": files.open(ALICE, session_id, PATH),
        "list": files.entries(ALICE, session_id, PATH, limit=5, after=b""),
        "archive": files.archive(ALICE, session_id, PATH),
        "delete": files.delete(ALICE, session_id, PATH),
    }


async def test_each_request_is_a_stream_and_is_refused_and_recorded_if_there_is_none(pod: World) -> None:
    asked = requests(pod)
    with pod.streams.taken(ALICE.email):
        for request in asked.values():
            with pytest.raises(TooManyRequests) as refused:
                await request
            assert refused.value.reason == Reason.TOO_MANY_STREAMS
    assert pod.runtime.journal == []
    assert pod.audit.outcomes == [(f"session.file.{name}", "TOO_MANY_STREAMS") for name in asked]


async def test_a_download_and_an_archive_are_streams_until_they_are_closed(pod: World) -> None:
    pod.says(LOOK, SHA256.encode() + b"\n", DATA)
    file = await pod.files.open(ALICE, pod.session_id, PATH)
    with pytest.raises(TooManyRequests):
        await pod.files.open(ALICE, pod.session_id, PATH)
    await file.aclose()
    pod.says(b"archive\n", DATA)
    packed = await pod.files.archive(ALICE, pod.session_id, PATH)
    with pytest.raises(TooManyRequests):
        await pod.files.open(ALICE, pod.session_id, PATH)
    await packed.aclose()
    with pod.streams.taken(ALICE.email):
        pass


@pytest.mark.parametrize("name", ["put", "unpack", "get", "list", "archive", "delete"])
async def test_a_request_whose_caller_leaves_while_the_pod_is_silent_is_no_stream_any_more(
    pod: World, name: str
) -> None:
    silent = asyncio.Event()

    async def say_nothing(_: object) -> None:
        silent.set()
        await asyncio.Event().wait()

    pod.runtime.during["execute"] = say_nothing
    others = requests(pod)
    asking = asyncio.create_task(others.pop(name))
    for other in others.values():
        other.close()
    async with asyncio.timeout(PATIENCE):
        await silent.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    with pod.streams.taken(ALICE.email):
        pass
    assert pod.audit.outcomes == [(f"session.file.{name}", "cancelled")]


async def test_an_archive_is_recorded_with_its_size(pod: World) -> None:
    pod.says(b"archive\n", b"123", b"45")
    packed = await pod.files.archive(ALICE, pod.session_id, PATH)
    assert [data async for data in packed] == [b"123", b"45"]
    [record] = pod.audit.records
    assert (record.action, record.detail["size"]) == ("session.file.archive", 5)


async def test_what_is_announced_too_large_does_not_reach_the_pod(pod: World) -> None:
    with pytest.raises(PayloadTooLarge):
        await pod.files.put(ALICE, pod.session_id, PATH, upload(length=101))
    with pytest.raises(PayloadTooLarge):
        piece = Piece(upload="a", first=0, total=101)
        await pod.files.put(ALICE, pod.session_id, PATH, upload(length=1), piece)
    assert pod.runtime.journal == []


async def test_others_sessions_do_not_exist_and_virtual_ones_have_no_files(
    pod: World, sqlite: SqliteStore, clock: SetClock
) -> None:
    with pytest.raises(NotFound) as hidden:
        await pod.files.open(BOB, pod.session_id, PATH)
    assert hidden.value.reason == Reason.SESSION_NOT_FOUND
    virtual = a_session(id="sbbbbbbbbbbbbbbbb", owner=ALICE.email, state=SessionState.RUNNING, virtual=True)
    await sqlite.create(virtual)
    with pytest.raises(Conflict) as refused:
        await pod.files.open(ALICE, virtual.id, PATH)
    assert refused.value.reason == Reason.SESSION_VIRTUAL
    assert pod.runtime.journal == []
