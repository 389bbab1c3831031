"""Cleanup on a real store and scripted pods: what it decides, in which order it acts, whom it meets."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from shared.core.cleanup.ports import Belonging, KeptCredentials
from shared.core.cleanup.report import Action, Report
from shared.core.cleanup.service import CleanupService
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.core.telemetry import SILENT
from shared.errors import ClusterUnavailable, StoreUnavailable
from shared.reasons import Reason
from shared.virtual.activity import NoActivity
from tests.shared.store.samples import NOON, RETENTION, SetClock, a_job, a_record, a_session
from tests.shared.store.test_audit_contract import a_record as an_audit_record
from tests.support.clusters import each
from tests.support.scripted_runtime import KeptAudit, ScriptedRuntime
from tests.support.stores import SqliteStore, cleaning
from tests.support.wiring import wired

S = SessionState
READY = PodStatus(PodPhase.READY)
ENDED = PodStatus(PodPhase.FAILED, "Evicted: the node was low on memory", Reason.POD_EVICTED)
GONE = PodStatus(PodPhase.GONE, "NotFound: the pod is gone", Reason.POD_GONE)
GRACE = timedelta(minutes=10)
LONGEST_LIFE = timedelta(days=1)
CREDENTIALS_RETENTION = timedelta(days=90)


@dataclasses.dataclass
class Cluster:
    """An ``Inventory`` and ``Activity`` that a test fills."""

    runtime: ScriptedRuntime
    processes_of: dict[str, int | Exception] = dataclasses.field(default_factory=dict)
    found: list[Belonging] = dataclasses.field(default_factory=list)
    deleted: list[str] = dataclasses.field(default_factory=list)
    stuck: set[str] = dataclasses.field(default_factory=set)
    error: Exception | None = None
    kept: dict[str, KeptCredentials] = dataclasses.field(default_factory=dict)

    async def pods(self) -> AsyncGenerator[Belonging, None]:
        if self.error is not None:
            raise self.error
        for one in self.found:
            if one.kind == "pod":
                yield one

    async def secrets(self) -> AsyncGenerator[Belonging, None]:
        for one in self.found:
            if one.kind == "secret":
                yield one

    async def credentials(self) -> AsyncGenerator[KeptCredentials, None]:
        for one in list(self.kept.values()):
            yield one

    async def delete_credentials(self, kept: KeptCredentials) -> bool:
        if kept.name in self.stuck:
            raise ClusterUnavailable("no answer")
        same = self.kept.get(kept.name) == kept
        if same:
            del self.kept[kept.name]
        return same

    async def delete(self, belonging: Belonging) -> None:
        self.deleted.append(belonging.name)

    async def gone(self, sessions: Sequence[Session], timeout_seconds: float) -> set[str]:
        return {session.id for session in sessions} - self.stuck

    async def processes(self, session: Session) -> int:
        answer = self.processes_of.get(session.id, 0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def has(self, session: Session, **changes: Any) -> Belonging:
        """There is a pod of this session."""
        pod = Belonging(
            kind="pod",
            name=session.pod_name,
            uid="1",
            session_id=session.id,
            created_at=session.created_at,
            status=READY,
        )
        self.found.append(dataclasses.replace(pod, **changes))
        return self.found[-1]


@dataclasses.dataclass
class World:
    store: SqliteStore
    clock: SetClock
    runtime: ScriptedRuntime
    cluster: Cluster
    audit: KeptAudit
    service: CleanupService

    async def has(self, *states: SessionState, pod: bool = True, **changes: Any) -> Session:
        """A session that has gone through these states, and its pod."""
        session = await self.store.create(a_session(**changes))
        for state in states:
            session = await self.store.update(session.to(state, NOON))
        if pod and session.live:
            self.cluster.has(session)
        return session

    async def run(self, *, dry_run: bool = False) -> Report:
        return await self.service.run(dry_run=dry_run)

    async def state(self, session: Session) -> SessionState:
        stored = await self.store.get(session.id)
        assert stored is not None
        return stored.state


@pytest.fixture
def world(sqlite: SqliteStore, clock: SetClock) -> World:
    return make_world(sqlite, clock, seconds=20)


def make_world(sqlite: SqliteStore, clock: SetClock, seconds: float, **more: Any) -> World:
    runtime, audit = ScriptedRuntime(goes=False), KeptAudit()
    cluster = Cluster(runtime)
    service = CleanupService(
        **cleaning(wired(sqlite, runtime, clock, audit)),
        activity=each(cluster, NoActivity()),
        inventory=cluster,
        telemetry=SILENT,
        grace=GRACE,
        credentials_retention=CREDENTIALS_RETENTION,
        longest_life=LONGEST_LIFE,
        seconds=seconds,
        **more,
    )
    return World(sqlite, clock, runtime, cluster, audit, service)


def named(report: Report) -> dict[str, tuple[Action, str]]:
    return {one.name: (one.action, one.because) for one in report.decisions}


async def test_what_is_not_due_is_not_touched(world: World) -> None:
    running, pending = await world.has(S.RUNNING), await world.has()
    report = await world.run()
    assert (report.decisions, report.faults, world.runtime.journal) == ([], [], [])
    assert await world.store.get(running.id) == running
    assert await world.store.get(pending.id) == pending


async def test_what_expires_during_a_create_is_ended_too(world: World) -> None:
    session = await world.has(expires_at=NOON + timedelta(seconds=30))
    world.clock.pass_seconds(30)
    assert named(await world.run())[session.id][0] is Action.DELETED


@pytest.mark.parametrize("state", [S.RUNNING, S.FAILED])
async def test_a_session_is_ended_in_the_order_of_a_delete(world: World, state: SessionState) -> None:
    session = await world.has(state)
    seen: list[SessionState] = []

    async def look(_: Session) -> None:
        seen.append(await world.state(session))

    world.runtime.during["delete"] = look
    world.clock.pass_seconds(3600)
    assert named(await world.run())[session.id] == (Action.DELETED, "Idle: no work for 3600 seconds")
    assert (seen, await world.state(session)) == ([S.DELETING], S.DELETED)
    assert world.audit.outcomes == [("session.delete", "deleting")]
    assert world.audit.records[0].actor == "cleanup"


async def test_no_job_of_a_failed_session_goes_on_for_ever(world: World) -> None:
    """Who noted that it failed may have died before it came to the jobs."""
    session = await world.has(S.RUNNING, S.FAILED)
    job = await world.store.create_job(a_job(session_id=session.id))
    world.clock.pass_seconds(3600)
    assert named(await world.run())[session.id][0] is Action.DELETED
    stored = await world.store.get_job(job.id)
    assert stored is not None
    assert stored.state.over


async def test_work_that_begins_while_cleanup_decides_saves_the_session(world: World) -> None:
    session = await world.has(S.RUNNING)
    world.clock.pass_seconds(3600)

    async def used(_: Session) -> int:
        await world.store.update(dataclasses.replace(session, last_used_at=world.clock.now()))
        return 0

    world.cluster.processes = used  # type: ignore[method-assign,assignment] # takes the method's place
    assert named(await world.run())[session.id] == (Action.LEFT, "it was changed at the same time")
    assert await world.state(session) is S.RUNNING
    assert world.runtime.journal == []


async def test_a_session_whose_pod_cannot_be_asked_is_left_and_named(world: World) -> None:
    session, other = await world.has(S.RUNNING), await world.has(S.RUNNING)
    world.cluster.processes_of[session.id] = ClusterUnavailable("no answer")
    world.clock.pass_seconds(3600)
    report = await world.run()
    assert named(report)[session.id] == (Action.LEFT, "CLUSTER_UNAVAILABLE: no answer")
    assert named(report)[other.id][0] is Action.DELETED


@pytest.mark.parametrize(
    ("status", "state", "action"),
    [
        (READY, S.RUNNING, Action.STARTED),
        (PodStatus(PodPhase.PENDING, "Unschedulable: no node"), S.PENDING, Action.WAITING),
        (ENDED, S.FAILED, Action.FAILED),
        (GONE, S.FAILED, Action.FAILED),
    ],
)
async def test_a_create_whose_instance_died_is_finished(
    world: World, status: PodStatus, state: SessionState, action: Action
) -> None:
    session = await world.has(pod=status is not GONE)
    world.runtime.now = status
    world.clock.pass_seconds(60)
    assert named(await world.run(dry_run=True))[session.id][0] is action
    assert await world.state(session) is S.PENDING
    report = await world.run()
    assert named(report)[session.id] == (action, status.reason or "its pod is ready")
    assert await world.state(session) is state
    assert ("runtime.delete" in world.runtime.journal) is (state is S.FAILED)


async def test_a_delete_whose_instance_died_is_finished(world: World) -> None:
    session = await world.has(S.RUNNING, S.DELETING)
    assert (await world.run()).decisions == []
    world.clock.pass_seconds(60)
    assert named(await world.run())[session.id] == (Action.DELETED, "its deletion had been begun")


async def test_a_pod_that_does_not_go_is_left_for_the_next_run(world: World) -> None:
    session = await world.has(S.RUNNING)
    world.cluster.stuck = {session.id}
    world.clock.pass_seconds(3600)
    assert named(await world.run())[session.id] == (Action.LEFT, "its pod is not gone yet")
    assert await world.state(session) is S.DELETING
    world.cluster.stuck = set()
    world.clock.pass_seconds(60)
    await world.run()
    assert await world.state(session) is S.DELETED


async def test_a_pod_that_has_ended_fails_its_session_with_kubernetes_reason(world: World) -> None:
    session = await world.has(S.RUNNING, pod=False)
    pod = world.cluster.has(session, status=ENDED)
    world.runtime.now = ENDED
    assert named(await world.run())[session.id] == (Action.FAILED, ENDED.reason)
    stored = await world.store.get(session.id)
    assert stored is not None
    assert (stored.state, stored.reason) == (S.FAILED, ENDED.reason)
    assert world.cluster.deleted == [pod.name]


async def test_a_session_without_a_pod_has_failed_unless_the_pod_is_there_after_all(world: World) -> None:
    lost = await world.has(S.RUNNING, pod=False)
    world.runtime.now = READY
    assert (await world.run()).decisions == []
    world.runtime.now = GONE
    assert named(await world.run()) == {lost.id: (Action.FAILED, GONE.reason)}


@pytest.mark.parametrize("kind", ["pod", "secret"])
@pytest.mark.parametrize(
    ("states", "because"),
    [
        (None, "there is no such session"),
        ((S.FAILED,), "its session is failed"),
        ((S.DELETING, S.DELETED), "its session is deleted"),
        ((S.RUNNING,), None),
        ((S.DELETING,), None),
    ],
    ids=str,
)
async def test_what_belongs_to_no_session_is_deleted_when_it_is_old_enough(
    world: World, kind: str, states: tuple[SessionState, ...] | None, because: str | None
) -> None:
    session = a_session() if states is None else await world.has(*states, pod=False, idle_seconds=28800)
    stray = world.cluster.has(session, kind=kind, name="stray", status=READY if kind == "pod" else None)
    if session.live and states and kind == "secret":
        world.cluster.has(session)
    world.cluster.stuck = {session.id}
    world.clock.pass_seconds(GRACE.total_seconds() - 1)
    await world.run()
    assert world.cluster.deleted == []
    world.clock.pass_seconds(1)
    report = await world.run()
    assert world.cluster.deleted == ([stray.name] if because else [])
    if because:
        assert named(report)["stray"] == (Action.DELETED, because)


async def test_what_is_old_is_forgotten_with_all_that_belongs_to_it(world: World) -> None:
    session = await world.has(S.DELETING)
    world.clock.pass_seconds(60)
    await world.run()
    jobs = [await world.store.create_job(a_job(session_id=session.id)) for _ in range(3)]
    await world.store.audit.put(an_audit_record(session_id=session.id))
    request = await world.store.begin_request(a_record())
    world.clock.pass_seconds(RETENTION.total_seconds())
    report = await world.run(dry_run=True)
    assert await world.store.get(session.id) is not None
    report = await world.run()
    assert report.count("session", Action.FORGOTTEN) == 1
    assert report.count("request", Action.FORGOTTEN) == 1
    assert await world.store.get(session.id) is None
    assert [await world.store.get_job(job.id) for job in jobs] == [None] * 3
    assert await world.store.audit.list_records(session.id, limit=5, after=None) == []
    assert (await world.store.begin_request(a_record(resource_id="new"))).resource_id != request.resource_id


async def test_a_cluster_that_is_not_reached_is_told_and_the_rest_goes_on(world: World) -> None:
    await world.has(S.DELETING)
    world.cluster.error = ClusterUnavailable("down")
    await world.store.begin_request(a_record())
    world.clock.pass_seconds(86400)
    report = await world.run()
    assert report.faults == ["what is in the cluster: CLUSTER_UNAVAILABLE: down"]
    assert report.count("request", Action.FORGOTTEN) == 1


async def test_a_run_keeps_to_its_time(sqlite: SqliteStore, clock: SetClock) -> None:
    world = make_world(sqlite, clock, seconds=0.5)
    sessions = [await world.has(S.RUNNING) for _ in range(3)]

    async def hangs(_: Session) -> None:
        await asyncio.sleep(3600)

    world.runtime.during["delete"] = hangs
    world.clock.pass_seconds(3600)
    world.service._seconds = 0.5
    report = await world.run()
    assert {one.action for one in report.decisions} == {Action.LEFT}
    assert {await world.state(session) for session in sessions} == {S.DELETING}
    assert report.faults == []  # the other steps had their time


async def test_a_run_that_is_broken_off_leaves_nothing_begun_of_what_was_waiting(world: World) -> None:
    for _ in range(40):
        world.cluster.has(a_session())
    world.clock.pass_seconds(GRACE.total_seconds())
    begun = asyncio.Event()

    async def hangs(belonging: Belonging) -> None:
        begun.set()
        await asyncio.sleep(3600)

    world.cluster.delete = hangs  # type: ignore[method-assign] # takes the method's place
    run = asyncio.create_task(world.run())
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    del run
    gc.collect()  # a coroutine that was made and never begun would be told of here


async def test_many_are_ended_a_few_at_a_time(world: World) -> None:
    await asyncio.gather(*(world.has(S.RUNNING) for _ in range(230)))
    at_once = most = 0

    async def counted(_: Session) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1

    world.runtime.during["delete"] = counted
    world.clock.pass_seconds(3600)
    report = await world.run()
    assert report.count("session", Action.DELETED) == 230
    assert most <= 16


async def test_a_store_that_fails_in_the_midst_leaves_nothing_wrong(world: World, clock: SetClock) -> None:
    session = await world.has(S.RUNNING)
    clock.pass_seconds(3600)

    async def down(_: Session) -> None:
        raise StoreUnavailable("gone for a moment")

    world.runtime.during["delete"] = down
    assert named(await world.run())[session.id][0] is Action.LEFT
    world.runtime.during.clear()
    clock.pass_seconds(60)
    await world.run()
    assert await world.state(session) is S.DELETED


async def test_sessions_that_cannot_be_read_are_told_and_hold_up_no_other(world: World) -> None:
    changes: dict[str, Any] = {"pod": False, "expires_at": NOON - timedelta(hours=1), "idle_seconds": 60}
    spoiled = [await world.has(S.RUNNING, **changes) for _ in range(3)]
    for one in spoiled:
        await world.store.update(dataclasses.replace(one, resources=None))  # type: ignore[arg-type] # stored by a version that knew others
    session = await world.has(S.RUNNING, **{**changes, "expires_at": NOON})
    job = await world.store.create_job(a_job(session_id=session.id))
    await world.store.update_job(dataclasses.replace(job, state="resting"))  # type: ignore[arg-type] # stored by a version that knew others
    report = await world.run()
    assert await world.state(session) is S.DELETED
    left = [one for one in report.decisions if one.action is Action.LEFT]
    assert sorted(one.name for one in left) == sorted(one.id for one in spoiled)
    assert {one.because for one in left} == {"its document cannot be read"}


async def test_a_fault_of_ours_in_one_step_leaves_out_no_other(world: World) -> None:
    session = await world.has(S.RUNNING, pod=False, expires_at=NOON - timedelta(hours=1))
    await world.store.create(a_session(state=S.DELETED, purge_at=NOON - timedelta(hours=1)))
    world.cluster.error = OverflowError("not what we expect")
    report = await world.run()
    assert report.faults == ["what is in the cluster: a fault of ours: see the log"]
    assert await world.state(session) is S.DELETED
    assert report.count("session", Action.FORGOTTEN) == 1


async def test_a_fault_of_ours_with_one_pod_that_is_gone_holds_up_no_other(world: World) -> None:
    sessions = [await world.has(S.RUNNING, pod=False, expires_at=NOON - timedelta(hours=1)) for _ in range(9)]
    update = world.store.update

    async def fails(session: Session) -> Session:
        if session.id == sessions[0].id and session.state is S.DELETED:
            raise OverflowError("not what we expect")
        return await update(session)

    world.store.update = fails  # type: ignore[method-assign] # takes the method's place
    report = await world.run()
    assert [await world.state(one) for one in sessions] == [S.DELETING, *[S.DELETED] * 8]
    assert report.faults == [] and report.count("session", Action.LEFT) == 1
