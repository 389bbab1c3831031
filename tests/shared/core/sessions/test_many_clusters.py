"""Sessions on several clusters, over one store: whatever an instance sees or does not see, nothing is
falsely ended, and nothing stays for ever."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core.cleanup.elsewhere import MARGIN
from shared.core.cleanup.report import Action, Report
from shared.core.clusters.model import ClusterIdentity
from shared.core.commands import Command
from shared.core.jobs.model import JobState
from shared.core.sessions.model import ENDED, Session, SessionState
from shared.errors import GamguiError, TooManyRequests
from shared.reasons import Reason
from tests.shared.core.sessions.test_service import NEW
from tests.shared.store.samples import NOON, SetClock, a_job, a_session
from tests.support.many_clusters import LONGEST_LIFE, FakeCluster, Instance, Link
from tests.support.people import ALICE, ROOT
from tests.support.stores import SqliteStore

S = SessionState
ELSEWHERE, NOT_KNOWN = "ON_ANOTHER_CLUSTER", "CLUSTER_NOT_KNOWN"
TRUE = Command(argv=["true"], timeout_seconds=10)


def a_cluster(name: str) -> FakeCluster:
    return FakeCluster(ClusterIdentity(kube_system=f"kube-{name}", namespace=f"ns-{name}"))


@dataclasses.dataclass
class World:
    """Clusters A and B, and one store."""

    store: SqliteStore
    clock: SetClock
    a: FakeCluster = dataclasses.field(default_factory=lambda: a_cluster("a"))
    b: FakeCluster = dataclasses.field(default_factory=lambda: a_cluster("b"))

    def on(self, cluster: FakeCluster | None, reads: tuple[bool, bool] = (True, True)) -> Instance:
        return Instance(Link(cluster, self.clock, reads=reads), self.store, self.clock)

    def view(self, name: str) -> Instance:
        """An instance by what it sees."""
        neither = (False, False)
        return {
            "a": lambda: self.on(self.a),
            "b": lambda: self.on(self.b),
            "down": lambda: self.on(None),
            "unreadable a": lambda: self.on(self.a, neither),
            "unreadable b": lambda: self.on(self.b, neither),
            "namespace of a": lambda: self.on(self.a, (False, True)),
            "namespace of b": lambda: self.on(self.b, (False, True)),
        }[name]()

    async def has(self, state: SessionState, *, pod: bool = True, known: bool = True, **more: Any) -> Session:
        """A session on cluster A."""
        identity = self.a.identity.text if known else ""
        session = await self.store.create(a_session(cluster_identity=identity, **more))
        for step in {S.PENDING: [], S.RUNNING: [S.RUNNING], S.FAILED: [S.FAILED], S.DELETING: [S.DELETING]}[
            state
        ]:
            session = await self.store.update(session.to(step, NOON))
        if pod:
            self.a.pods[session.pod_name] = (session, NOON)
        return session

    async def stored(self, session: Session) -> Session:
        found = await self.store.get(session.id)
        assert found is not None
        return found


@pytest.fixture
def world(sqlite: SqliteStore, clock: SetClock) -> World:
    return World(sqlite, clock)


async def reason_of(doing: Awaitable[Any]) -> str:
    """Why it is refused for now, or nothing."""
    try:
        await doing
    except GamguiError as error:
        assert error.status == 503
        return error.reason
    return ""


async def execute(instance: Instance, session: Session) -> None:
    async with contextlib.aclosing(instance.sessions.execute(ALICE, session.id, TRUE)) as events:
        async for _ in events:
            pass


def left(report: Report, session: Session) -> list[str]:
    return [one.because for one in report.decisions if one.name == session.id and one.action is Action.LEFT]


VIEWS = {
    "b": ELSEWHERE,
    "down": "CLUSTER_UNAVAILABLE",
    "unreadable b": NOT_KNOWN,
    # Of a session that says kube-system, a namespace that was never met with one says nothing.
    "namespace of b": NOT_KNOWN,
}
"""What an instance sees, and why it can say nothing about a session on A."""


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("state", [S.PENDING, S.RUNNING, S.DELETING, S.FAILED])
async def test_what_is_not_seen_is_left_as_it_is_by_cleanup_however_late(
    world: World, view: str, state: SessionState
) -> None:
    session = await world.has(state)
    job = await world.store.create_job(a_job(session_id=session.id, state=JobState.RUNNING))
    for seconds in (0, 60, 3600, 8 * 3600):
        world.clock.pass_seconds(seconds)
        report = await world.view(view).cleanup.run(dry_run=False)
        stored = await world.stored(session)
        assert (stored.state, stored.reason) == (state, session.reason)
        assert stored.look_after is None or view != "b"  # when it is looked at is for who sees it
        if stored.check_at is not None and stored.check_at <= world.clock.now():
            assert all(because.startswith(VIEWS[view]) for because in left(report, session))
            assert len(left(report, session)) == 1 or report.faults
    assert session.pod_name in world.a.pods
    assert await world.store.get_job(job.id) == job


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("state", [S.PENDING, S.RUNNING, S.DELETING])
async def test_who_gets_it_sees_it_as_it_is_stored_and_why(
    world: World, view: str, state: SessionState
) -> None:
    session = await world.has(state)
    instance = world.view(view)
    if view == "down":
        assert await reason_of(instance.sessions.get(ALICE, session.id)) == VIEWS[view]
    else:
        shown = await instance.sessions.get(ALICE, session.id)
        assert (shown.state, shown.reason) == (state, VIEWS[view])
    assert await world.stored(session) == session


@pytest.mark.parametrize("view", VIEWS)
async def test_nothing_runs_there_and_a_delete_waits_for_who_sees_it(world: World, view: str) -> None:
    session = await world.has(S.RUNNING)
    instance = world.view(view)
    assert await reason_of(execute(instance, session)) == VIEWS[view]
    for _ in range(2):
        assert await reason_of(instance.sessions.delete(ALICE, session.id)) == VIEWS[view]
        assert (await world.stored(session)).state is S.DELETING
    assert session.pod_name in world.a.pods
    world.clock.pass_seconds(60)
    await world.view("a").cleanup.run(dry_run=False)
    assert (await world.stored(session)).state is S.DELETED
    assert session.pod_name not in world.a.pods


@pytest.mark.parametrize("view", ["a", "unreadable a", "namespace of a"])
@pytest.mark.parametrize("known", [True, False])
async def test_who_sees_the_pod_does_all_that_there_is_to_do(world: World, view: str, known: bool) -> None:
    session = await world.has(S.RUNNING, known=known)
    instance = world.view(view)
    assert (await instance.sessions.get(ALICE, session.id)).reason is None
    await execute(instance, session)
    other = await world.has(S.RUNNING, known=known)
    assert (await instance.sessions.delete(ALICE, session.id)).state is S.DELETED
    world.clock.pass_seconds(8 * 3600)
    await instance.cleanup.run(dry_run=False)
    assert (await world.stored(other)).state is S.DELETED
    assert world.a.pods == {}


@pytest.mark.parametrize("doing", ["get", "exec", "cleanup", "delete"])
async def test_what_was_stored_before_is_taken_over_where_its_pod_is(world: World, doing: str) -> None:
    session = await world.has(S.RUNNING, known=False, idle_seconds=60)
    b, a = world.view("b"), world.view("a")

    async def do(instance: Instance) -> None:
        world.clock.pass_seconds(61)
        with contextlib.suppress(GamguiError):
            if doing == "get":
                await instance.sessions.get(ALICE, session.id)
            elif doing == "exec":
                await execute(instance, session)
            elif doing == "delete":
                await instance.sessions.delete(ALICE, session.id)
            else:
                await instance.cleanup.run(dry_run=False)

    await do(b)
    assert (await world.stored(session)).cluster_identity == ""
    await do(a)
    taken = await world.stored(session)
    assert (taken.connection, taken.cluster_identity) == ("default", "kube-system:kube-a")


async def test_a_dry_run_changes_nothing(world: World) -> None:
    sessions = [await world.has(S.RUNNING, known=known) for known in (True, False)]
    world.clock.pass_seconds(30 * 86400)
    for view in ("a", "b", "unreadable a", "namespace of a", "down"):
        await world.view(view).cleanup.run(dry_run=True)
        assert [await world.stored(one) for one in sessions] == sessions


async def test_one_without_a_cluster_whose_pod_nobody_has_is_lost_after_its_latest_end(world: World) -> None:
    session = await world.has(S.RUNNING, known=False, pod=False)
    job = await world.store.create_job(a_job(session_id=session.id, state=JobState.RUNNING))
    world.clock.time = NOON + LONGEST_LIFE - timedelta(seconds=1)
    report = await world.view("b").cleanup.run(dry_run=False)
    assert (await world.stored(session)).state is S.RUNNING
    assert len(left(report, session)) == 1
    world.clock.pass_seconds(1)
    await world.view("unreadable b").cleanup.run(dry_run=False)
    assert (await world.stored(session)).state is S.RUNNING  # of what may not be read nothing is judged
    instance = world.view("b")
    report = await instance.cleanup.run(dry_run=False)
    lost = await world.stored(session)
    assert (lost.state, lost.may_be_left) == (S.LOST, (f"pod/{session.pod_name}",))
    assert report.count("session", Action.LOST) == 1
    assert ("session.lose", "lost") in instance.audit.outcomes
    ended = await world.store.get_job(job.id)
    assert ended is not None
    assert ended.state is JobState.LOST


async def test_one_on_a_cluster_that_nobody_sees_is_lost_after_its_latest_end_and_a_margin(
    world: World,
) -> None:
    session = await world.has(S.RUNNING, credentials=("oauth2.txt",))
    world.clock.time = NOON + LONGEST_LIFE + MARGIN - timedelta(seconds=1)
    await world.view("b").cleanup.run(dry_run=False)
    assert (await world.stored(session)).state is S.DELETING  # its time is over: it counts no more
    world.clock.pass_seconds(60)
    await world.view("down").cleanup.run(dry_run=False)
    assert (await world.stored(session)).state is S.DELETING
    world.clock.pass_seconds(60)
    await world.view("b").cleanup.run(dry_run=False)
    lost = await world.stored(session)
    assert lost.state is S.LOST
    assert lost.may_be_left == (
        f"pod/{session.pod_name}",
        "secret/gam-credentials-ff8d9819fc0e12bf0d24892e45987e24",
    )
    assert (await world.view("b").sessions.delete(ALICE, session.id)).state is S.LOST
    await world.view("b").cleanup.run(dry_run=False)
    assert (await world.stored(session)).may_be_left == lost.may_be_left
    world.clock.pass_seconds(3600)
    await world.view("a").cleanup.run(dry_run=False)
    assert ((await world.stored(session)).may_be_left, world.a.pods) == ((), {})


async def test_who_sees_it_and_ends_it_at_that_moment_is_right(world: World) -> None:
    session = await world.has(S.RUNNING)
    update, a = world.store.update, world.view("a")

    async def ended_before(changed: Session) -> Session:
        if changed.state is S.LOST and world.a.pods:
            await a.sessions.delete(ALICE, session.id)
        return await update(changed)

    world.store.update = ended_before  # type: ignore[method-assign, assignment]
    world.clock.time = NOON + LONGEST_LIFE + MARGIN
    report = await world.view("b").cleanup.run(dry_run=False)
    assert ((await world.stored(session)).state, world.a.pods) == (S.DELETED, {})
    assert left(report, session) == ["it was changed at the same time"]


async def test_it_counts_for_its_owners_limit_until_its_latest_end(world: World) -> None:
    await world.has(S.RUNNING)

    async def room() -> bool:
        try:
            await world.store.create(a_session(cluster_identity=world.b.identity.text), limit=1)
        except TooManyRequests:
            return False
        return True

    for at in (NOON, NOON + timedelta(hours=8), NOON + LONGEST_LIFE - timedelta(seconds=1)):
        world.clock.time = at
        await world.view("b").cleanup.run(dry_run=False)
        assert not await room()
    world.clock.pass_seconds(1)
    await world.view("b").cleanup.run(dry_run=False)
    assert await room()


@pytest.mark.parametrize("view", VIEWS)
async def test_an_administrator_abandons_it(world: World, view: str) -> None:
    session = await world.has(S.RUNNING)
    instance = world.view(view)
    with pytest.raises(GamguiError) as caught:
        await instance.sessions.delete(ALICE, session.id, abandon=True)
    assert caught.value.reason == Reason.NOT_AN_ADMINISTRATOR
    assert await world.stored(session) == session
    gone = await instance.sessions.delete(ROOT, session.id, abandon=True)
    assert (gone.state, gone.may_be_left) == (S.DELETED, (f"pod/{session.pod_name}",))
    assert gone.reason == f"Abandoned: {VIEWS[view]}; may be left on its cluster: pod/{session.pod_name}"
    record = next(one for one in instance.audit.records if one.action == "session.delete")
    assert (record.actor, record.outcome) == (ROOT.email, "deleted")
    assert (record.detail["may_be_left"], record.detail["because"]) == (
        f"pod/{session.pod_name}",
        VIEWS[view],
    )
    await world.view("a").cleanup.run(dry_run=False)
    assert ((await world.stored(session)).may_be_left, world.a.pods) == ((), {})


async def test_what_is_seen_is_deleted_and_not_abandoned(world: World) -> None:
    session = await world.has(S.RUNNING)
    gone = await world.view("a").sessions.delete(ROOT, session.id, abandon=True)
    assert (gone.state, gone.may_be_left, world.a.pods) == (S.DELETED, (), {})


@pytest.mark.parametrize("ended", [True, False])
async def test_a_pod_of_its_name_on_another_cluster_says_nothing_about_it(world: World, ended: bool) -> None:
    """Restored from a copy, say."""
    session = await world.has(S.RUNNING, idle_seconds=8 * 3600)
    world.b.pods[session.pod_name] = (session, NOON)
    if ended:
        world.b.ended.add(session.pod_name)
    world.clock.pass_seconds(3600)
    await world.view("b").cleanup.run(dry_run=False)
    assert await world.stored(session) == session
    assert (await world.view("b").sessions.get(ALICE, session.id)).reason == ELSEWHERE
    assert session.pod_name in world.a.pods
    await world.view("a").sessions.delete(ALICE, session.id)
    await world.view("b").cleanup.run(dry_run=False)
    assert (world.a.pods, world.b.pods) == ({}, {})  # now it belongs to no session


@pytest.mark.parametrize(("first", "then", "doing"), [("a", "b", "get"), ("b", "a", "cleanup")])
async def test_a_copy_that_ended_elsewhere_ends_nothing_though_the_connection_is_made_anew_meanwhile(
    world: World, first: str, then: str, doing: str
) -> None:
    session = await world.has(S.RUNNING, idle_seconds=8 * 3600)
    world.b.pods[session.pod_name] = (session, NOON)
    world.b.ended.add(session.pod_name)
    clusters = {"a": world.a, "b": world.b}
    instance = world.on(clusters[first])
    # A get asks for the pod once; cleanup lists pods first and then asks for more.
    instance.link.turns = [(1 if doing == "get" else 2, clusters[then])]
    await DOING[doing](instance, session)
    assert (instance.link.cluster, instance.link.turns) == (clusters[then], [])
    assert await world.stored(session) == session
    assert session.pod_name in world.a.pods


async def test_a_create_that_goes_on_elsewhere_fails_nothing(world: World) -> None:
    session = await world.has(S.PENDING)
    assert await reason_of(world.view("b").sessions.create(ALICE, NEW, session.id)) == ELSEWHERE
    assert await world.stored(session) == session
    assert world.b.pods == {}


Doing = Callable[[Instance, Session], Awaitable[Any]]

DOING: dict[str, Doing] = {
    "get": lambda instance, session: instance.sessions.get(ALICE, session.id),
    "exec": execute,
    "delete": lambda instance, session: instance.sessions.delete(ALICE, session.id),
    "cleanup": lambda instance, _: instance.cleanup.run(dry_run=False),
    "create": lambda instance, _: instance.sessions.create(ALICE, NEW),
}

steps = st.tuples(
    st.sampled_from([0, 1]),  # which instance
    st.sampled_from(sorted(DOING)),
    st.integers(0, 3),  # which session
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["a", "b", ""])), max_size=2),  # where it leads
    st.sampled_from([0, 61, 300]),  # seconds before
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=10), st.booleans())
def test_wherever_connections_lead_in_the_midst_nothing_is_falsely_ended_and_nothing_stays(
    tmp_path_factory: pytest.TempPathFactory, script: list[Any], at_once: bool
) -> None:
    asyncio.run(played(tmp_path_factory.mktemp("played"), script, at_once=at_once))


async def played(folder: Path, script: list[Any], *, at_once: bool) -> None:
    clock = SetClock()
    store = SqliteStore(folder / "sessions.db", clock=clock)
    world = World(store, clock)
    clusters = {"a": world.a, "b": world.b, "": None}
    instances = [world.on(world.a), world.on(world.b)]
    sessions = [await world.has(S.RUNNING) for _ in range(2)]
    sessions += [await world.has(S.RUNNING, known=False), await world.has(S.PENDING)]
    deleted: set[str] = set()

    async def do(step: Any) -> None:
        number, doing, which, turns, _ = step
        instance, session = instances[number], sessions[which]
        link = instance.link
        link.turns = [(link.calls + after, clusters[name]) for after, name in turns]
        if doing == "delete":
            deleted.add(session.id)
        with contextlib.suppress(GamguiError):
            await DOING[doing](instance, session)

    try:
        for step in script:
            clock.pass_seconds(step[4])
            if not at_once:
                await do(step)
        if at_once:
            await asyncio.gather(*map(do, script))
        for session in sessions:
            if session.id not in deleted:
                assert session.pod_name in world.a.pods, "a pod is gone that nobody deleted"
            if session.pod_name in world.a.pods:
                assert (await world.stored(session)).state not in (*ENDED, S.FAILED), "it is falsely ended"
        for passed in (timedelta(), *[LONGEST_LIFE] * 3):
            clock.time += passed
            for cluster in (world.a, world.b):
                await world.on(cluster).cleanup.run(dry_run=False)
        assert (world.a.pods, world.b.pods) == ({}, {})
        assert {(await world.stored(one)).state for one in sessions} <= ENDED
    finally:
        await store.close()
