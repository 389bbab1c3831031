"""The use cases on a real store and a scripted runtime: order of writes, failures, races, ownership."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from shared.core.audit.evidence import Evidence
from shared.core.clusters.model import DEFAULT, VIRTUAL
from shared.core.commands import Command, ExecEvent, ExecResult, Exit, Output, Started
from shared.core.credentials.model import CredentialFile, Credentials
from shared.core.credentials.new_session import NewSessionCredentials
from shared.core.ids import is_session_id, new_session_id
from shared.core.person import Person
from shared.core.sessions.concurrency import ExecSlots, StreamKind, Streams
from shared.core.sessions.model import Resources, Session, SessionState
from shared.core.sessions.new_session import NewSession
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.core.sessions.service import SessionService
from shared.core.sessions.variables import MAX_COMMAND_BYTES
from shared.errors import (
    ClusterUnavailable,
    Conflict,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    SessionStartFailed,
    StoreUnavailable,
    TooManyRequests,
)
from shared.kube.pods.manifest import pod_manifest
from shared.reasons import Reason
from shared.virtual.credentials import MemoryCredentials
from shared.virtual.runtime import NOT_EXECUTED, VirtualRuntime
from shared.web.api.sessions import session_json
from tests.shared.kube.pods.test_manifest import OPTIONS
from tests.shared.store.samples import NOON, SetClock
from tests.support.people import ALICE, BOB, person
from tests.support.scripted_runtime import JournalingStore, KeptAudit, ScriptedRuntime
from tests.support.stores import SqliteStore
from tests.support.wiring import wired

GONE = PodStatus(PodPhase.GONE, "NotFound: the pod is gone", Reason.POD_GONE)
PULLING = PodStatus(PodPhase.PENDING, "ErrImagePull: the registry does not answer")
NO_IMAGE = PodStatus(PodPhase.FAILED, "ErrImagePull: not found", Reason.IMAGE_UNAVAILABLE)
NEW = NewSession(
    name="",
    image="gam:7",
    resources=Resources("500m", "512Mi"),
    labels={"team": "it"},
    env={"SECRET": "canary"},
    ttl_seconds=3600,
    idle_seconds=600,
    wait_seconds=30,
)
TRUE = Command(argv=["true"], timeout_seconds=10)


@dataclasses.dataclass(slots=True)
class World:
    """The service and everything around it."""

    service: SessionService
    store: JournalingStore
    sqlite: SqliteStore
    runtime: ScriptedRuntime
    clock: SetClock
    audit: KeptAudit
    journal: list[str]
    credentials: MemoryCredentials

    async def put_credentials(self, owner: Person) -> None:
        """One file of his."""
        file = CredentialFile("oauth2.txt", b"{}", NOON)
        await self.credentials.replace(owner, Credentials({file.name: file}))

    async def stored(self, session: Session | str) -> Session:
        found = await self.sqlite.get(session if isinstance(session, str) else session.id)
        assert found is not None
        return found

    async def only(self) -> Session:
        """The one session there is."""
        (session,) = await self.sqlite.list_sessions(ALICE.email, state=None, limit=10, after=None)
        return session

    async def run(self, session: Session, owner: Person = ALICE) -> list[ExecEvent]:
        return [event async for event in self.service.execute(owner, session.id, TRUE)]

    async def change(self, session: Session | str, state: SessionState) -> None:
        """Somebody else changes the stored session."""
        stored = await self.stored(session)
        await self.sqlite.update(stored.to(state, self.clock.now()))


def make_world(
    sqlite: SqliteStore,
    clock: SetClock,
    *,
    fallback: bool = False,
    credentials: MemoryCredentials | None = None,
    slots: int = 2,
    streams: Streams | None = None,
) -> World:
    journal: list[str] = []
    store, runtime, audit = JournalingStore(sqlite, journal), ScriptedRuntime(journal=journal), KeptAudit()
    credentials = credentials or MemoryCredentials()
    service = SessionService(
        **wired(store, runtime, clock, audit, job_store=sqlite, streams=streams),
        places={DEFAULT: runtime, VIRTUAL: VirtualRuntime()} if fallback else {DEFAULT: runtime},
        credentials=NewSessionCredentials(credentials),
        namespace="gamgui",
        slots=ExecSlots(slots),
        limit=100,
    )
    return World(service, store, sqlite, runtime, clock, audit, journal, credentials)


@pytest.fixture
def world(sqlite: SqliteStore, clock: SetClock) -> World:
    return make_world(sqlite, clock)


@pytest.fixture
def falling_back(sqlite: SqliteStore, clock: SetClock) -> World:
    return make_world(sqlite, clock, fallback=True)


# Create.


class HiddenCredentials(MemoryCredentials):
    """Those of a function that may not read Secrets."""

    async def get(self, owner: Person) -> Credentials:
        raise ClusterUnavailable("Kubernetes answered 403 to a request for credentials")


async def test_credentials_that_cannot_be_looked_at_are_no_reason_not_to_create(
    sqlite: SqliteStore, clock: SetClock
) -> None:
    world = make_world(sqlite, clock, credentials=HiddenCredentials())
    session = await world.service.create(ALICE, NEW)
    assert (session.state, session.credentials) == (SessionState.RUNNING, ())
    assert "credentials" not in json.dumps(pod_manifest(session, OPTIONS)["spec"]["volumes"])


async def test_a_session_says_which_credentials_it_was_made_with(world: World) -> None:
    assert (await world.service.create(ALICE, NEW)).credentials == ()
    await world.put_credentials(ALICE)
    assert (await world.service.create(ALICE, NEW)).credentials == ("oauth2.txt",)
    assert (await world.service.create(BOB, NEW)).credentials == ()


async def test_a_virtual_session_in_a_clusters_place_has_no_credentials(falling_back: World) -> None:
    await falling_back.put_credentials(ALICE)
    falling_back.runtime.connect_error = ClusterUnavailable("away")
    session = await falling_back.service.create(ALICE, NEW)
    assert (session.virtual, session.credentials) == (True, ())


async def test_create_writes_the_document_then_the_pod_then_running(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    assert world.journal == [
        "store.create pending",
        "runtime.create",
        "runtime.wait_ready(30s since 41)",
        "store.update running",
    ]
    assert session == await world.stored(session)
    assert session.state is SessionState.RUNNING
    assert session.ready_at == NOON


async def test_a_session_is_what_was_asked_for_and_its_pod_has_its_name(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    assert is_session_id(session.id)
    assert session.name == session.id
    assert session.pod_name == f"gam-{session.id}"
    assert (session.owner, session.image, session.labels) == (ALICE.email, "gam:7", {"team": "it"})
    assert (session.cluster, session.namespace) == ("scripted-cluster", "gamgui")
    assert session.expires_at == NOON + timedelta(seconds=3600)
    assert (session.idle_seconds, session.virtual) == (600, False)


async def test_variables_reach_commands_and_nothing_shows_them(world: World) -> None:
    new = dataclasses.replace(NEW, env={"SECRET": "canary", "HOME": "/evil", "BOTH": "session"})
    session = await world.service.create(ALICE, new)
    own = Command(argv=["true"], timeout_seconds=1, env={"BOTH": "command"})
    async for _ in world.service.execute(ALICE, session.id, own):
        pass
    assert [command.env for command in world.runtime.commands] == [{"SECRET": "canary", "BOTH": "command"}]
    assert (await world.stored(session)).env == new.env
    for shown in (new, session, await world.stored(session), world.audit.records, world.runtime.commands):
        assert "canary" not in repr(shown)
    assert "canary" not in json.dumps(session_json(session))
    deleted = await world.service.delete(ALICE, session.id)
    assert (deleted.env, (await world.stored(session)).env) == ({}, {})


async def test_a_command_has_the_same_room_whatever_its_session_has(world: World) -> None:
    session = await world.service.create(ALICE, dataclasses.replace(NEW, env={"A": "x" * 65_000}))
    for length, fits in ((MAX_COMMAND_BYTES - 2, True), (MAX_COMMAND_BYTES - 1, False)):
        command = Command(argv=["x" * length], timeout_seconds=1)
        with contextlib.nullcontext() if fits else pytest.raises(InvalidRequest, match="longer than"):
            async for _ in world.service.execute(ALICE, session.id, command):
                pass
    assert len(world.runtime.commands) == 1


async def test_without_a_cluster_nothing_is_left_behind(world: World) -> None:
    world.runtime.connect_error = ConnectionFailed("no source serves")
    with pytest.raises(ConnectionFailed):
        await world.service.create(ALICE, NEW)
    assert world.journal == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ClusterUnavailable("not reached"), "CLUSTER_UNAVAILABLE: not reached"),
        (
            TooManyRequests("the quota is used up", reason=Reason.NAMESPACE_QUOTA_EXCEEDED),
            "NAMESPACE_QUOTA_EXCEEDED: the quota is used up",
        ),
        (
            SessionStartFailed("violates PodSecurity", reason=Reason.POD_SECURITY_VIOLATION),
            "POD_SECURITY_VIOLATION: violates PodSecurity",
        ),
    ],
)
async def test_a_pod_that_cannot_be_created_is_a_failed_session_and_the_error_is_told(
    world: World, error: Any, reason: str
) -> None:
    world.runtime.create_error = error
    with pytest.raises(type(error)) as caught:
        await world.service.create(ALICE, NEW)
    assert caught.value is error
    stored = await world.only()
    assert (stored.state, stored.reason) == (SessionState.FAILED, reason)
    assert world.journal[-1] == "runtime.delete"
    assert world.audit.outcomes == [("session.create", error.reason)]


async def test_a_pod_that_cannot_start_is_a_failed_session_with_kubernetes_words_and_no_pod(
    world: World,
) -> None:
    world.runtime.ready = NO_IMAGE
    with pytest.raises(SessionStartFailed) as caught:
        await world.service.create(ALICE, NEW)
    stored = await world.only()
    assert (stored.state, stored.reason) == (SessionState.FAILED, "ErrImagePull: not found")
    assert (caught.value.status, caught.value.reason) == (422, "IMAGE_UNAVAILABLE")
    assert caught.value.detail == "ErrImagePull: not found"
    assert caught.value.fields == {"session": stored.id, "state": SessionState.FAILED}
    assert world.runtime.pods == set()
    assert world.audit.outcomes == [("session.create", "failed")]


async def test_a_pod_that_cannot_start_and_not_be_deleted_either_is_still_told(world: World) -> None:
    world.runtime.ready = NO_IMAGE
    world.runtime.delete_error = ClusterUnavailable("not reached")
    with pytest.raises(SessionStartFailed):
        await world.service.create(ALICE, NEW)
    assert (await world.only()).state is SessionState.FAILED


async def test_a_pod_that_vanishes_while_it_starts_is_a_failed_session(world: World) -> None:
    world.runtime.ready = GONE
    with pytest.raises(SessionStartFailed) as caught:
        await world.service.create(ALICE, NEW)
    assert caught.value.reason == Reason.POD_GONE


async def test_a_session_that_is_not_ready_in_time_is_pending_with_the_reason(world: World) -> None:
    world.runtime.ready = PULLING
    session = await world.service.create(ALICE, dataclasses.replace(NEW, wait_seconds=0))
    assert (session.state, session.reason) == (SessionState.PENDING, PULLING.reason)
    assert session.id in world.runtime.pods
    assert world.journal[-1] == "runtime.wait_ready(0s since 41)"


async def test_a_cluster_lost_while_waiting_fails_the_session(world: World) -> None:
    world.runtime.ready = ClusterUnavailable("not reached")
    with pytest.raises(ClusterUnavailable):
        await world.service.create(ALICE, NEW)
    assert (await world.only()).state is SessionState.FAILED
    assert world.runtime.pods == set()


async def test_a_store_lost_after_the_pod_was_made_costs_the_pod_not_a_leak(world: World) -> None:
    world.store.fail_updates = StoreUnavailable("not reached")
    with pytest.raises(StoreUnavailable):
        await world.service.create(ALICE, NEW)
    assert world.runtime.pods == set()
    assert (await world.only()).state is SessionState.PENDING


async def test_a_crash_after_the_pod_was_made_leaves_a_document_that_leads_to_it(world: World) -> None:
    class Crash(BaseException):
        """The process ends here."""

    async def crash(_: Session) -> None:
        raise Crash

    world.runtime.during["wait_ready"] = crash
    with pytest.raises(Crash):
        await world.service.create(ALICE, NEW)
    stored = await world.only()
    assert (stored.state, stored.pod_name) == (SessionState.PENDING, f"gam-{stored.id}")
    # Whoever looks next finishes it.
    assert (await world.service.get(ALICE, stored.id)).state is SessionState.RUNNING


async def test_a_create_that_is_repeated_with_its_id_goes_on_with_the_same_session(world: World) -> None:
    session_id = new_session_id()
    world.runtime.ready = PULLING
    first = await world.service.create(ALICE, NEW, session_id)
    world.runtime.ready = PodStatus(PodPhase.READY)
    second = await world.service.create(ALICE, NEW, session_id)
    third = await world.service.create(ALICE, NEW, session_id)
    assert {first.id, second.id, third.id} == {session_id}
    assert second.state is third.state is SessionState.RUNNING
    assert world.journal.count("runtime.create") == 2


async def test_a_create_repeated_after_it_failed_fails_again_with_the_reason(world: World) -> None:
    session_id = new_session_id()
    world.runtime.ready = NO_IMAGE
    with pytest.raises(SessionStartFailed):
        await world.service.create(ALICE, NEW, session_id)
    world.runtime.ready = PodStatus(PodPhase.READY)
    with pytest.raises(SessionStartFailed, match="ErrImagePull: not found"):
        await world.service.create(ALICE, NEW, session_id)
    assert world.journal.count("runtime.create") == 1


async def test_an_id_of_another_owner_is_not_taken_over(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    with pytest.raises(Conflict) as caught:
        await world.service.create(BOB, NEW, session.id)
    assert caught.value.reason == Reason.SESSION_EXISTS
    assert (await world.stored(session)).owner == ALICE.email


async def test_a_session_deleted_while_its_create_waits_is_not_brought_back(world: World) -> None:
    async def delete(session: Session) -> None:
        await world.service.delete(ALICE, session.id)

    world.runtime.during["wait_ready"] = delete
    with pytest.raises(Conflict) as caught:
        await world.service.create(ALICE, NEW)
    assert caught.value.reason == Reason.SESSION_DELETED
    assert (await world.only()).state is SessionState.DELETED
    assert world.runtime.pods == set()


# Virtual sessions.


async def test_with_the_fallback_a_create_without_cluster_is_virtual_and_runs_at_once(
    falling_back: World,
) -> None:
    falling_back.runtime.connect_error = ConnectionFailed("no source serves")
    session = await falling_back.service.create(ALICE, NEW)
    assert (session.state, session.virtual, session.cluster) == (SessionState.RUNNING, True, "virtual")
    events = await falling_back.run(session)
    assert [type(event) for event in events] == [Started, Output, Exit]
    assert isinstance(events[1], Output)
    assert events[1].data == NOT_EXECUTED
    assert isinstance(events[2], Exit)
    assert (events[2].virtual, events[2].result) == (True, ExecResult.UNKNOWN)
    assert (await falling_back.service.delete(ALICE, session.id)).state is SessionState.DELETED
    assert [entry for entry in falling_back.journal if entry.startswith("runtime")] == []


async def test_with_the_fallback_a_cluster_that_is_there_is_used(falling_back: World) -> None:
    assert not (await falling_back.service.create(ALICE, NEW)).virtual


async def test_the_fallback_is_for_the_connection_only(falling_back: World) -> None:
    falling_back.runtime.create_error = ClusterUnavailable("not reached")
    with pytest.raises(ClusterUnavailable):
        await falling_back.service.create(ALICE, NEW)


# Get.


async def test_a_session_whose_pod_has_vanished_is_shown_and_kept_as_failed(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.runtime.now = GONE
    shown = await world.service.get(ALICE, session.id)
    assert (shown.state, shown.reason) == (SessionState.FAILED, "NotFound: the pod is gone")
    assert await world.stored(session) == shown


async def test_a_delete_before_the_pod_is_made_leaves_no_pod(world: World) -> None:
    async def delete(session: Session) -> None:
        await world.service.delete(ALICE, session.id)

    world.runtime.during["create"] = delete
    with pytest.raises(Conflict) as caught:
        await world.service.create(ALICE, NEW)
    assert caught.value.reason == Reason.SESSION_DELETED
    assert world.runtime.pods == set()
    assert (await world.only()).state is SessionState.DELETED


async def test_a_command_runs_though_its_note_cannot_be_written(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.clock.pass_seconds(600)
    world.store.fail_updates = StoreUnavailable("away")
    assert isinstance((await world.run(session))[-1], Exit)


async def test_a_delete_that_fails_is_recorded(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.runtime.delete_error = ClusterUnavailable("not reached")
    with pytest.raises(ClusterUnavailable):
        await world.service.delete(ALICE, session.id)
    assert world.audit.records[-1].outcome == "CLUSTER_UNAVAILABLE"


async def test_a_look_between_the_document_and_the_pod_does_not_fail_the_session(world: World) -> None:
    async def look(session: Session) -> None:
        world.runtime.now = GONE
        assert (await world.service.get(ALICE, session.id)).state is SessionState.PENDING
        world.runtime.now = PodStatus(PodPhase.READY)

    world.runtime.during["create"] = look
    assert (await world.service.create(ALICE, NEW)).state is SessionState.RUNNING


async def test_a_session_whose_pod_was_never_made_is_failed_after_a_minute(world: World) -> None:
    world.runtime.ready = PULLING
    session = await world.service.create(ALICE, NEW)
    world.runtime.now = GONE
    world.clock.pass_seconds(59)
    assert (await world.service.get(ALICE, session.id)).state is SessionState.PENDING
    world.clock.pass_seconds(1)
    assert (await world.service.get(ALICE, session.id)).state is SessionState.FAILED


async def test_a_pending_session_becomes_running_when_looked_at_and_says_why_it_waits_until_then(
    world: World,
) -> None:
    world.runtime.ready = world.runtime.now = PULLING
    session = await world.service.create(ALICE, NEW)
    assert (await world.service.get(ALICE, session.id)).reason == PULLING.reason
    world.runtime.now = PodStatus(PodPhase.READY)
    world.clock.pass_seconds(5)
    shown = await world.service.get(ALICE, session.id)
    assert (shown.state, shown.reason) == (SessionState.RUNNING, None)
    assert shown.ready_at == world.clock.now()


@pytest.mark.parametrize("phase", [PodPhase.PENDING, PodPhase.READY])
async def test_a_running_session_stays_running_while_its_pod_may_come_back(
    world: World, phase: PodPhase
) -> None:
    session = await world.service.create(ALICE, NEW)
    world.runtime.now = PodStatus(phase, "ContainersNotReady")
    assert await world.service.get(ALICE, session.id) == session


async def test_a_session_being_deleted_becomes_deleted_when_its_pod_is_gone(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.runtime.goes = False
    assert (await world.service.delete(ALICE, session.id)).state is SessionState.DELETING
    world.runtime.now = PodStatus(PodPhase.FAILED, "Deleted: the pod is being deleted", Reason.POD_DELETED)
    assert (await world.service.get(ALICE, session.id)).state is SessionState.DELETING
    world.runtime.now = GONE
    assert (await world.service.get(ALICE, session.id)).state is SessionState.DELETED


async def test_what_has_ended_is_shown_without_asking_the_cluster(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    await world.service.delete(ALICE, session.id)
    world.runtime.now = ClusterUnavailable("not reached")
    assert (await world.service.get(ALICE, session.id)).state is SessionState.DELETED


async def test_without_the_cluster_a_running_session_cannot_be_shown(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.runtime.now = ClusterUnavailable("not reached")
    with pytest.raises(ClusterUnavailable):
        await world.service.get(ALICE, session.id)
    assert (await world.stored(session)).state is SessionState.RUNNING


async def test_a_get_that_meets_a_delete_shows_the_delete(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.runtime.now = GONE

    async def deleted(_: Session) -> None:
        await world.change(session, SessionState.DELETING)

    world.runtime.during["status"] = deleted
    assert (await world.service.get(ALICE, session.id)).state is SessionState.DELETING
    assert (await world.stored(session)).state is SessionState.DELETING


async def test_gets_at_the_same_time_agree(world: World) -> None:
    world.runtime.ready = PULLING
    session = await world.service.create(ALICE, NEW)
    world.runtime.now = PodStatus(PodPhase.READY)
    shown = await asyncio.gather(*(world.service.get(ALICE, session.id) for _ in range(8)))
    assert {one.state for one in shown} == {SessionState.RUNNING}
    assert len({one.ready_at for one in shown}) == 1


async def test_a_session_that_changes_all_the_time_is_a_conflict_at_last(world: World) -> None:
    world.runtime.ready = PULLING
    session = await world.service.create(ALICE, NEW)
    world.runtime.now = PodStatus(PodPhase.READY)

    async def touch(_: Session) -> None:
        stored = await world.stored(session)
        await world.sqlite.update(dataclasses.replace(stored, last_used_at=world.clock.now()))

    world.store.before_update = touch
    with pytest.raises(Conflict) as caught:
        await world.service.get(ALICE, session.id)
    assert caught.value.reason == Reason.VERSION_CONFLICT


# Ownership.


@pytest.mark.parametrize("session_id", ["", "x", "../x", "s" * 17, "S" + "a" * 16, "s" + "a" * 16, "é"])
async def test_a_session_that_does_not_exist_is_not_found_anywhere(world: World, session_id: str) -> None:
    await _not_found(world, ALICE, session_id)


async def test_a_session_of_another_owner_does_not_exist_anywhere(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    before = list(world.journal)
    await _not_found(world, BOB, session.id)
    await _not_found(world, person(ALICE.email.upper()), session.id)
    assert await world.service.list_sessions(BOB, owner=BOB.email, state=None, limit=10, after=None) == (
        [],
        None,
    )
    assert world.journal == before
    assert (await world.stored(session)).state is SessionState.RUNNING


async def _not_found(world: World, owner: Person, session_id: str) -> None:
    for act in (
        world.service.get(owner, session_id),
        world.service.delete(owner, session_id),
        anext(world.service.execute(owner, session_id, TRUE)),
    ):
        with pytest.raises(NotFound) as caught:
            await act
        assert (caught.value.status, caught.value.reason) == (404, "SESSION_NOT_FOUND")


# List.


async def test_pages_hold_every_session_once_newest_first(world: World) -> None:
    made = []
    for _ in range(5):
        world.clock.pass_seconds(1)
        made.append((await world.service.create(ALICE, NEW)).id)
    await world.service.create(BOB, NEW)
    pages, after = [], None
    while True:
        page, after = await world.service.list_sessions(
            ALICE, owner=ALICE.email, state=None, limit=2, after=after
        )
        pages.append([session.id for session in page])
        if after is None:
            break
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [session_id for page in pages for session_id in page] == made[::-1]


async def test_a_full_last_page_leads_nowhere(world: World) -> None:
    await world.service.create(ALICE, NEW)
    page, after = await world.service.list_sessions(ALICE, owner=ALICE.email, state=None, limit=1, after=None)
    assert (len(page), after) == (1, None)


# Delete.


async def test_delete_notes_the_intent_then_deletes_the_pod_then_notes_its_end(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.journal.clear()
    world.clock.pass_seconds(7)
    ended = await world.service.delete(ALICE, session.id)
    assert world.journal == ["store.update deleting", "runtime.delete", "store.update deleted"]
    assert (ended.state, ended.deleted_at) == (SessionState.DELETED, world.clock.now())
    assert world.runtime.pods == set()
    assert world.audit.outcomes[-1] == ("session.delete", "deleted")


async def test_deleting_again_is_a_success_that_does_nothing(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    first = await world.service.delete(ALICE, session.id)
    world.journal.clear()
    assert await world.service.delete(ALICE, session.id) == first
    assert world.journal == []


async def test_a_pod_that_is_slow_to_go_leaves_deleting_and_a_repetition_finishes_it(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.runtime.goes = False
    slow = await world.service.delete(ALICE, session.id)
    assert (slow.state, slow.deleted_at) == (SessionState.DELETING, None)
    world.runtime.goes = True
    assert (await world.service.delete(ALICE, session.id)).state is SessionState.DELETED


@pytest.mark.parametrize("ready", [PULLING, NO_IMAGE], ids=["pending", "failed"])
async def test_a_session_that_never_ran_can_be_deleted(world: World, ready: PodStatus) -> None:
    world.runtime.ready = ready
    session_id = new_session_id()
    try:
        await world.service.create(ALICE, NEW, session_id)
    except SessionStartFailed:
        assert ready is NO_IMAGE
    assert (await world.service.delete(ALICE, session_id)).state is SessionState.DELETED


async def test_a_delete_that_cannot_reach_the_cluster_is_told_and_can_be_repeated(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.runtime.delete_error = ClusterUnavailable("not reached")
    with pytest.raises(ClusterUnavailable):
        await world.service.delete(ALICE, session.id)
    assert (await world.stored(session)).state is SessionState.DELETING
    world.runtime.delete_error = None
    assert (await world.service.delete(ALICE, session.id)).state is SessionState.DELETED


async def test_deletes_at_the_same_time_all_succeed(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    all_in = asyncio.Barrier(6)

    async def together(_: Session) -> None:
        await all_in.wait()

    world.runtime.during["delete"] = together
    ended = await asyncio.gather(*(world.service.delete(ALICE, session.id) for _ in range(6)))
    assert {one.state for one in ended} == {SessionState.DELETED}
    assert len({one.version for one in ended}) == 1


async def test_a_delete_that_meets_the_end_of_the_start_deletes(world: World) -> None:
    world.runtime.ready = PULLING
    session = await world.service.create(ALICE, NEW)

    async def becomes_running(changed: Session) -> None:
        if (await world.stored(session)).state is SessionState.PENDING:
            await world.change(session, SessionState.RUNNING)

    world.store.before_update = becomes_running
    assert (await world.service.delete(ALICE, session.id)).state is SessionState.DELETED


# Execute.


async def test_a_command_runs_and_is_recorded_with_its_outcome(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    events = await world.run(session)
    assert events == [Started(1), Exit(result=ExecResult.EXITED, exit_code=0)]
    record = world.audit.records[-1]
    assert (record.actor, record.action, record.session_id) == (ALICE.email, "session.exec", session.id)
    executed = Evidence(b"key").of_command(["true"], {})
    known = {**executed, "exit_code": 0, "stdin_bytes": 0, "stdin_end": "complete"}
    assert (record.outcome, record.detail) == ("exited", known)


async def test_a_command_in_a_pending_session_runs_if_the_pod_is_ready_by_now(world: World) -> None:
    world.runtime.ready = PULLING
    session = await world.service.create(ALICE, NEW)
    assert isinstance((await world.run(session))[-1], Exit)
    assert (await world.stored(session)).state is SessionState.RUNNING


async def test_a_command_in_a_session_that_does_not_run_is_a_conflict_that_says_why(world: World) -> None:
    world.runtime.ready = world.runtime.now = PULLING
    session = await world.service.create(ALICE, NEW)
    with pytest.raises(Conflict) as caught:
        await world.run(session)
    assert caught.value.reason == Reason.SESSION_NOT_RUNNING
    assert caught.value.fields == {"session": session.id, "state": "pending"}
    assert str(PULLING.reason) in caught.value.detail
    await world.service.delete(ALICE, session.id)
    with pytest.raises(Conflict, match="the session is deleted"):
        await world.run(session)
    assert "runtime.execute" not in world.journal


async def test_a_session_past_its_end_runs_nothing_though_cleanup_has_not_come(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.clock.pass_seconds(3599)
    assert await world.run(session)
    world.clock.pass_seconds(1)
    with pytest.raises(Conflict, match="the session is expired"):
        await world.run(session)


async def test_a_caller_that_stops_listening_ends_the_command_and_that_is_recorded(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    events = world.service.execute(ALICE, session.id, TRUE)
    assert await anext(events) == Started(1)
    assert world.runtime.closed_commands == 0
    await events.aclose()
    assert world.runtime.closed_commands == 1
    assert world.audit.outcomes[-1] == ("session.exec", "cancelled")


async def test_a_command_that_our_side_failed_is_recorded_with_the_reason(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.runtime.execute_error = NotFound("the pod does not run", reason=Reason.POD_NOT_RUNNING)
    with pytest.raises(NotFound):
        await world.run(session)
    assert world.audit.outcomes[-1] == ("session.exec", "POD_NOT_RUNNING")


async def test_commands_note_that_the_session_is_used_but_not_each_of_them(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    for seconds, noted in ((29, 0), (1, 30), (29, 30), (1, 60)):
        world.clock.pass_seconds(seconds)
        await world.run(session)
        assert (await world.stored(session)).last_used_at == NOON + timedelta(seconds=noted)


async def test_use_is_noted_within_even_a_short_idle_limit(world: World) -> None:
    session = await world.service.create(ALICE, dataclasses.replace(NEW, idle_seconds=10))
    for _ in range(8):
        world.clock.pass_seconds(4)
        await world.run(session)
        assert (await world.stored(session)).idle_at > world.clock.now()


async def test_a_command_does_not_begin_in_a_session_that_is_ended_meanwhile(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    world.clock.pass_seconds(60)

    async def deleted(_: Session) -> None:
        await world.change(session, SessionState.DELETING)

    world.store.before_update = deleted
    with pytest.raises(Conflict) as caught:
        await world.run(session)
    assert caught.value.reason == Reason.SESSION_NOT_RUNNING
    assert "runtime.execute" not in world.journal


async def test_a_long_command_counts_as_work_until_its_end(world: World) -> None:
    session = await world.service.create(ALICE, NEW)

    async def slowly(_: Session) -> None:
        world.clock.pass_seconds(3000)

    world.runtime.during["execute"] = slowly
    await world.run(session)
    assert (await world.stored(session)).last_used_at == NOON + timedelta(seconds=3000)


async def test_commands_at_the_same_time_do_not_hinder_each_other(
    sqlite: SqliteStore, clock: SetClock
) -> None:
    world = make_world(sqlite, clock, slots=8)
    session = await world.service.create(ALICE, NEW)
    world.clock.pass_seconds(60)
    ends = await asyncio.gather(*(world.run(session) for _ in range(8)))
    assert all(isinstance(events[-1], Exit) for events in ends)


async def running(world: World, session: Session) -> AsyncGenerator[ExecEvent, None]:
    """A command that has begun."""
    events = world.service.execute(ALICE, session.id, TRUE)
    assert await anext(events) == Started(1)
    return events


async def test_an_owners_commands_count_in_all_his_sessions_and_beside_his_other_streams(
    sqlite: SqliteStore, clock: SetClock
) -> None:
    streams = Streams({StreamKind.COMMAND: 1, StreamKind.OTHER: 1})
    world = make_world(sqlite, clock, streams=streams)
    session, other = await world.service.create(ALICE, NEW), await world.service.create(ALICE, NEW)
    bobs = await world.service.create(BOB, NEW)
    first = await running(world, session)
    with pytest.raises(TooManyRequests) as refused:
        await world.run(other)
    assert (refused.value.reason, refused.value.fields) == (Reason.TOO_MANY_STREAMS, {"limit": 1})
    assert world.audit.outcomes[-1] == ("session.exec", "TOO_MANY_STREAMS")
    with streams.taken(ALICE.email):
        assert isinstance((await world.run(bobs, BOB))[-1], Exit)
    await first.aclose()
    assert isinstance((await world.run(other))[-1], Exit)


async def test_no_more_commands_run_at_once_in_a_session_than_are_allowed(world: World) -> None:
    session, other = await world.service.create(ALICE, NEW), await world.service.create(ALICE, NEW)
    first, second = await running(world, session), await running(world, session)
    with pytest.raises(TooManyRequests) as refused:
        await world.run(session)
    assert refused.value.reason == Reason.TOO_MANY_EXECS
    assert refused.value.retry_after_seconds == 1
    assert refused.value.fields == {"session": session.id, "limit": 2}
    assert world.audit.outcomes[-1] == ("session.exec", "TOO_MANY_EXECS")
    assert isinstance((await world.run(other))[-1], Exit)
    await first.aclose()
    assert isinstance((await world.run(session))[-1], Exit)
    await second.aclose()


async def test_a_command_makes_room_however_it_ends(world: World) -> None:
    session = await world.service.create(ALICE, NEW)
    blocker = await running(world, session)
    for _ in range(3):
        world.service.execute(ALICE, session.id, TRUE)  # never iterated
        await world.run(session)
        await (await running(world, session)).aclose()
        world.runtime.execute_error = NotFound("the pod does not run", reason=Reason.POD_NOT_RUNNING)
        with pytest.raises(NotFound):
            await world.run(session)
        world.runtime.execute_error = None

        async def hang(_: Session) -> None:
            await asyncio.Event().wait()

        world.runtime.during["execute"] = hang
        starting = asyncio.create_task(world.run(session))
        while world.journal[-1] != "runtime.execute":
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        del world.runtime.during["execute"]
        world.journal.clear()
    assert isinstance((await world.run(session))[-1], Exit)
    await blocker.aclose()
