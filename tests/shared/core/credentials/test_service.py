"""The use cases of credentials, with others who change them at the same time and pods that fail."""

from __future__ import annotations

import dataclasses
import io
import logging
import tarfile
from collections.abc import Sequence

import pytest

from shared.core.audit.auditor import Auditor
from shared.core.audit.log import log_record
from shared.core.commands import ExecEvent, ExecResult, Exit, Output, Started
from shared.core.credentials.model import NAMES, Credentials
from shared.core.credentials.service import CredentialService, Refreshed
from shared.core.person import Person
from shared.core.sessions.access import SessionAccess
from shared.core.sessions.concurrency import StreamKind, Streams
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.states import SessionStates
from shared.errors import (
    ClusterUnavailable,
    Conflict,
    GamguiError,
    NotFound,
    TooManyRequests,
    UnprocessableRequest,
    VersionConflict,
)
from shared.kube.credentials.copying import KubernetesCredentials
from shared.virtual.credentials import MemoryCredentials, VirtualCredentials
from shared.web.http.problems import as_known
from tests.shared.store.samples import RETENTION, SetClock, a_session
from tests.support.clusters import each, pods_of
from tests.support.gam_files import gam_files
from tests.support.people import ALICE, BOB
from tests.support.scripted_runtime import KeptAudit, ScriptedRuntime
from tests.support.stores import SqliteStore

FILES = gam_files("hidden")


class Contended(MemoryCredentials):
    """Somebody else is faster, so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.error: Exception | None = None

    async def replace(self, owner: Person, credentials: Credentials) -> None:
        if self.error is not None:
            raise self.error
        if self.times:
            self.times -= 1
            theirs = (await self.get(owner)).files
            await super().replace(owner, dataclasses.replace(await self.get(owner), files=theirs))
        await super().replace(owner, credentials)


@dataclasses.dataclass
class World:
    service: CredentialService
    store: Contended
    sqlite: SqliteStore
    runtime: ScriptedRuntime
    audit: KeptAudit
    clock: SetClock
    streams: Streams

    async def running(self, **changes: object) -> Session:
        return await self.sqlite.create(a_session(state=SessionState.RUNNING, owner=ALICE.email, **changes))


@pytest.fixture
def world(sqlite: SqliteStore, clock: SetClock) -> World:
    store, runtime, audit = Contended(0), ScriptedRuntime(), KeptAudit()
    streams = Streams({StreamKind.OTHER: 1})
    service = CredentialService(
        store=store,
        runtimes=each(KubernetesCredentials(runtime), VirtualCredentials()),
        sessions=sqlite,
        access=SessionAccess(
            audit=Auditor(audit, clock),
            store=sqlite,
            pods=pods_of(sqlite, runtime),
            states=SessionStates(sqlite, clock, RETENTION),
            clock=clock,
            streams=streams,
        ),
        audit=Auditor(audit, clock),
        clock=clock,
    )
    return World(service, store, sqlite, runtime, audit, clock, streams)


async def test_a_file_is_kept_since_it_was_last_put_and_others_stay(world: World) -> None:
    for name in ("oauth2.txt", "client_secrets.json"):
        await world.service.put(ALICE, name, FILES[name])
        world.clock.pass_seconds(60)
    before = (await world.service.get(ALICE)).files
    put = await world.service.put(ALICE, "oauth2.txt", FILES["oauth2.txt"])
    after = (await world.service.get(ALICE)).files
    assert after["client_secrets.json"] == before["client_secrets.json"]
    assert after["oauth2.txt"] == put
    assert put.updated_at == world.clock.now()
    assert (await world.service.get(BOB)).files == {}


async def test_who_was_slower_changes_what_there_is_then(world: World) -> None:
    await world.service.put(ALICE, "client_secrets.json", FILES["client_secrets.json"])
    world.store.times = 5
    await world.service.put(ALICE, "oauth2.txt", FILES["oauth2.txt"])
    assert (await world.service.get(ALICE)).names == ("client_secrets.json", "oauth2.txt")
    world.store.times = 5
    assert (await world.service.delete(ALICE, "client_secrets.json")).names == ("oauth2.txt",)
    assert world.store.times == 0


async def test_who_always_is_slower_is_told_so(world: World) -> None:
    await world.service.put(ALICE, "client_secrets.json", FILES["client_secrets.json"])
    world.store.times = 1000
    with pytest.raises(VersionConflict):
        await world.service.put(ALICE, "oauth2.txt", FILES["oauth2.txt"])
    assert world.audit.outcomes[-1] == ("credentials.put", "VERSION_CONFLICT")


async def test_every_change_is_recorded_by_the_files_name_and_nothing_else(world: World) -> None:
    session = await world.running()
    await world.service.put(ALICE, "oauth2.txt", FILES["oauth2.txt"])
    await world.service.refresh(ALICE, session.id)
    await world.service.delete(ALICE, "oauth2.txt")
    await world.service.delete(ALICE, None)
    found = [(record.session_id, record.action, record.detail) for record in world.audit.records]
    assert found == [
        ("-", "credentials.put", {"file": "oauth2.txt"}),
        (session.id, "credentials.refresh", {"files": "oauth2.txt"}),
        ("-", "credentials.delete", {"file": "oauth2.txt"}),
        ("-", "credentials.delete", {"file": "all"}),
    ]


async def test_the_log_shows_the_names_of_files(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for name, data in FILES.items():
        await world.service.put(ALICE, name, data)
    with caplog.at_level(logging.INFO, "gamgui.audit"):
        logging.getLogger("gamgui.audit").addHandler(caplog.handler)
        for record in world.audit.records:
            log_record(record)
        logging.getLogger("gamgui.audit").removeHandler(caplog.handler)
    shown = {entry.__dict__["fields"]["audit"]["detail"]["file"] for entry in caplog.records}
    assert shown == set(FILES)


@pytest.mark.parametrize(
    ("events", "kind", "reason"),
    [
        ([Exit(result=ExecResult.POD_LOST, reason="hidden")], NotFound, "POD_NOT_RUNNING"),
        ([Exit(result=ExecResult.UNKNOWN, reason="hidden")], ClusterUnavailable, "CLUSTER_UNAVAILABLE"),
        (
            [Output("stderr", 0, b"hidden"), Exit(result=ExecResult.EXITED, exit_code=1, reason="hidden")],
            UnprocessableRequest,
            "CREDENTIALS_NOT_COPIED",
        ),
        (
            [Exit(result=ExecResult.START_FAILED, reason="hidden")],
            UnprocessableRequest,
            "CREDENTIALS_NOT_COPIED",
        ),
        (
            [Exit(result=ExecResult.TIMED_OUT, reason="hidden")],
            UnprocessableRequest,
            "CREDENTIALS_NOT_COPIED",
        ),
    ],
    ids=["pod lost", "unknown", "failed", "not started", "too slow"],
)
async def test_a_copy_that_fails_says_so_without_a_word_of_the_pods(
    world: World, events: Sequence[ExecEvent], kind: type[GamguiError], reason: str
) -> None:
    session = await world.running()
    await world.service.put(ALICE, "oauth2.txt", FILES["oauth2.txt"])
    world.runtime.events = [Started(1), *events]
    with pytest.raises(kind) as caught:
        await world.service.refresh(ALICE, session.id)
    assert caught.value.reason == reason
    assert "hidden" not in f"{caught.value.detail} {caught.value.fields}"
    assert world.audit.outcomes[-1] == ("credentials.refresh", reason)
    stored = await world.sqlite.get(session.id)
    assert stored is not None
    assert stored.credentials == ("oauth2.txt",)  # it may be there: a later refresh can take it away


async def test_a_copy_for_which_there_is_no_stream_changes_nothing_and_is_recorded(world: World) -> None:
    session = await world.running(credentials=("oauth2service.json",))
    await world.service.put(ALICE, "oauth2.txt", FILES["oauth2.txt"])
    with world.streams.taken(ALICE.email), pytest.raises(TooManyRequests):
        await world.service.refresh(ALICE, session.id)
    assert world.audit.outcomes[-1] == ("credentials.refresh", "TOO_MANY_STREAMS")
    assert world.runtime.commands == []
    stored = await world.sqlite.get(session.id)
    assert stored is not None
    assert stored.credentials == ("oauth2service.json",)
    await world.service.refresh(ALICE, session.id)
    with world.streams.taken(ALICE.email):
        pass


async def test_a_session_says_what_was_copied_even_when_others_change_it(world: World) -> None:
    session = await world.running(credentials=("oauth2service.json",))
    await world.service.put(ALICE, "oauth2.txt", FILES["oauth2.txt"])

    async def used(_: Session) -> None:
        current = await world.sqlite.get(session.id)
        assert current is not None
        await world.sqlite.update(dataclasses.replace(current, name="renamed"))

    world.runtime.during["execute"] = used
    refreshed = await world.service.refresh(ALICE, session.id)
    assert refreshed == Refreshed(("oauth2.txt",), ("oauth2service.json",))
    stored = await world.sqlite.get(session.id)
    assert stored is not None
    assert (stored.credentials, stored.name) == (("oauth2.txt",), "renamed")


async def test_a_virtual_session_is_refreshed_without_a_pod(world: World) -> None:
    session = await world.running(virtual=True)
    await world.service.put(ALICE, "oauth2.txt", FILES["oauth2.txt"])
    assert await world.service.refresh(ALICE, session.id) == Refreshed(("oauth2.txt",), ())
    assert world.runtime.journal == []


async def test_only_ones_own_running_sessions_are_refreshed(world: World) -> None:
    session = await world.running()
    with pytest.raises(NotFound):
        await world.service.refresh(BOB, session.id)
    await world.sqlite.update(session.to(SessionState.DELETING, world.clock.now()))
    with pytest.raises(Conflict, match="deleting"):
        await world.service.refresh(ALICE, session.id)


async def test_an_error_nobody_expected_shows_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    kept = Credentials({"oauth2.txt": await world.service.put(ALICE, "oauth2.txt", FILES["oauth2.txt"])})
    world.store.error = RuntimeError(f"cannot keep {kept!r}")
    with pytest.raises(RuntimeError) as caught:
        await world.service.put(ALICE, "oauth2.txt", FILES["oauth2.txt"])
    logger = logging.getLogger("shared.web.http.problems")
    logger.addHandler(caplog.handler)
    try:
        assert "hidden" not in as_known(caught.value).detail
    finally:
        logger.removeHandler(caplog.handler)
    assert "cannot keep" in caplog.text
    assert "Traceback" in caplog.text
    assert "hidden" not in caplog.text


@pytest.mark.parametrize("choice", [None, (), ("oauth2.txt",), ("client_secrets.json", "oauth2.txt")])
async def test_only_chosen_files_come_into_a_session_also_those_that_are_put_later(
    world: World, choice: tuple[str, ...] | None
) -> None:
    session = await world.running(credentials_choice=choice)
    there: list[str] = []
    for name in NAMES:
        await world.service.put(ALICE, name, FILES[name])
        there.append(name)
        expected = tuple(name for name in there if choice is None or name in choice)
        refreshed = await world.service.refresh(ALICE, session.id)
        assert refreshed == Refreshed(expected, ())
        stdin = world.runtime.commands[-1].stdin
        assert stdin is not None
        content = io.BytesIO(b"".join([piece async for piece in stdin]))
        with tarfile.open(fileobj=content) as archive:
            assert tuple(archive.getnames()) == expected
        stored = await world.sqlite.get(session.id)
        assert stored is not None and stored.credentials == expected
    await world.service.delete(ALICE, None)
    assert (await world.service.refresh(ALICE, session.id)).removed == expected
