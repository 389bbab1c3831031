"""Whatever a pod says or does not say: its session ends, and who may not wait for it does not ask it."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.core.cleanup.service import CleanupService
from shared.core.clusters.model import DEFAULT
from shared.core.deadline import within
from shared.core.jobs.model import JobReport, JobState
from shared.core.sessions.concurrency import ExecSlots
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.core.sessions.service import SessionService
from shared.core.telemetry import SILENT
from shared.errors import ClusterUnavailable
from shared.reasons import Reason
from shared.virtual.activity import NoActivity
from shared.virtual.jobs import VirtualJobs
from tests.shared.core.cleanup.test_service import GRACE, Cluster
from tests.shared.store.samples import NOON, SetClock, a_job, a_session
from tests.support import virtual_time
from tests.support.clusters import each
from tests.support.people import ALICE, ROOT
from tests.support.scripted_runtime import KeptAudit, ScriptedRuntime
from tests.support.stores import SqliteStore, cleaning
from tests.support.wiring import wired

S = SessionState
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
ENDED = PodStatus(PodPhase.FAILED, "Evicted: the node was low on memory", Reason.POD_EVICTED)
Answer = Callable[[Sequence[str]], Awaitable[Mapping[str, JobReport]]]


async def hangs(ids: Sequence[str]) -> Mapping[str, JobReport]:
    await asyncio.Event().wait()
    raise AssertionError


async def does_not_end_when_cancelled(ids: Sequence[str]) -> Mapping[str, JobReport]:
    """As an exec that first ends its command, by another exec that hangs as well."""
    try:
        await asyncio.sleep(10**6)
    finally:
        await asyncio.sleep(10**6)
    raise AssertionError


async def fails(ids: Sequence[str]) -> Mapping[str, JobReport]:
    raise ClusterUnavailable("no answer")


async def fails_late(ids: Sequence[str]) -> Mapping[str, JobReport]:
    await asyncio.sleep(20)
    raise ClusterUnavailable("no answer")


async def is_not_understood(ids: Sequence[str]) -> Mapping[str, JobReport]:
    raise OverflowError


async def says_that_all_run(ids: Sequence[str]) -> Mapping[str, JobReport]:
    return {job_id: JobReport(state=JobState.RUNNING) for job_id in ids}


async def says_that_all_end_later(ids: Sequence[str]) -> Mapping[str, JobReport]:
    return {job_id: JobReport(state=JobState.EXITED, exit_code=0, ended_at=END_OF_TIME) for job_id in ids}


async def speaks_of_others(ids: Sequence[str]) -> Mapping[str, JobReport]:
    return {f"j{number}": JobReport(state=JobState.RUNNING) for number in range(1000)}


ANSWERS: tuple[Answer, ...] = (
    hangs,
    does_not_end_when_cancelled,
    fails,
    fails_late,
    is_not_understood,
    says_that_all_run,
    says_that_all_end_later,
    speaks_of_others,
)


class Jobs(VirtualJobs):
    """A ``JobRuntime`` whose pods answer one of these."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0

    async def reports(self, session: Session, job_ids: Sequence[str]) -> Mapping[str, JobReport]:
        self.asked += 1
        return await self.answer(job_ids)


@dataclasses.dataclass
class World:
    store: Any
    clock: SetClock
    pods: ScriptedRuntime
    cluster: Cluster
    jobs: Jobs
    sessions: SessionService
    cleanup: CleanupService

    async def has(self, *states: SessionState, **changes: Any) -> Session:
        """A session with three jobs of which nobody has seen the end."""
        session: Session = await self.store.create(a_session(**changes))
        for state in states:
            session = await self.store.update(session.to(state, NOON))
        for _ in range(3):
            await self.store.create_job(a_job(session_id=session.id))
        self.pods.pods.add(session.id)
        if session.live:
            self.cluster.has(session)
        return session

    async def job_states(self, session: Session) -> set[JobState]:
        return {job.state for job in await self.store.list_jobs(session.id, limit=9, after=None)}


def in_world(folder: Path, answer: Answer, test: Callable[[World], Awaitable[None]]) -> None:
    """Runs a test in virtual time."""

    async def made() -> None:
        clock = SetClock()
        sqlite = SqliteStore(folder / "sessions.db", clock=clock)
        store: Any = virtual_time.Outside(sqlite)
        pods, jobs = ScriptedRuntime(), Jobs(answer)
        cluster, known = Cluster(pods), wired(store, pods, clock, KeptAudit(), jobs=jobs)
        sessions = SessionService(
            **known,
            places={DEFAULT: pods},
            credentials=None,  # type: ignore[arg-type] # nothing here asks for credentials
            namespace="gamgui",
            slots=ExecSlots(9),
            limit=9,
        )
        cleanup = CleanupService(
            **cleaning(known),
            activity=each(cluster, NoActivity()),
            inventory=cluster,
            telemetry=SILENT,
            grace=GRACE,
            credentials_retention=timedelta(days=90),
            longest_life=timedelta(days=1),
            seconds=120,
        )
        try:
            await test(World(store, clock, pods, cluster, jobs, sessions, cleanup))
        finally:
            await virtual_time.Outside(sqlite).close()

    virtual_time.run(made())


every_answer = pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: one.__name__)


@every_answer
def test_an_owners_delete_asks_for_three_seconds_at_most(tmp_path: Path, answer: Answer) -> None:
    async def test(world: World) -> None:
        session = await world.has(S.RUNNING)
        begun = asyncio.get_running_loop().time()
        assert (await world.sessions.delete(ALICE, session.id)).state is S.DELETED
        assert asyncio.get_running_loop().time() - begun <= 3
        assert (world.jobs.asked, world.pods.pods) == (1, set())
        told = says_that_all_end_later
        expected = JobState.EXITED if answer is told else JobState.LOST
        assert await world.job_states(session) == {expected}

    in_world(tmp_path, answer, test)


CERTAIN = ("administrator", "expired", "deleting", "deleting again", "failed", "delete of a failed one")


@every_answer
@pytest.mark.parametrize("way", CERTAIN)
def test_what_is_certain_asks_nothing(tmp_path: Path, answer: Answer, way: str) -> None:
    async def test(world: World) -> None:
        states = {
            "deleting": (S.RUNNING, S.DELETING),
            "deleting again": (S.RUNNING, S.DELETING),
            "failed": (S.RUNNING, S.FAILED),
            "delete of a failed one": (S.RUNNING, S.FAILED),
        }
        session = await world.has(*states.get(way, (S.RUNNING,)))
        begun = asyncio.get_running_loop().time()
        world.clock.pass_seconds(8 * 3600)
        if way in ("administrator", "deleting again", "delete of a failed one"):
            await world.sessions.delete(ROOT if way == "administrator" else ALICE, session.id)
        else:
            await world.cleanup.run(dry_run=False)
        assert (world.jobs.asked, asyncio.get_running_loop().time()) == (0, begun)
        assert (world.pods.pods, (await world.store.get(session.id)).state) == (set(), S.DELETED)
        assert await world.job_states(session) == {JobState.LOST}

    in_world(tmp_path, answer, test)


@every_answer
def test_a_pod_that_has_ended_is_not_asked(tmp_path: Path, answer: Answer) -> None:
    async def test(world: World) -> None:
        session = await world.has(S.RUNNING)
        world.cluster.found.clear()
        pod = world.cluster.has(session, status=ENDED)
        world.pods.now = ENDED
        await world.cleanup.run(dry_run=False)
        assert (world.jobs.asked, world.cluster.deleted) == (0, [pod.name])
        assert await world.job_states(session) == {JobState.LOST}

    in_world(tmp_path, answer, test)


@every_answer
def test_an_idle_session_lives_no_longer_than_its_time_whatever_its_pod_says(
    tmp_path: Path, answer: Answer
) -> None:
    async def test(world: World) -> None:
        session = await world.has(S.RUNNING)
        while world.clock.now() < session.expires_at:
            world.clock.pass_seconds(300)
            begun = asyncio.get_running_loop().time()
            await world.cleanup.run(dry_run=False)
            assert asyncio.get_running_loop().time() - begun <= 10
        assert (world.pods.pods, (await world.store.get(session.id)).state) == (set(), S.DELETED)
        assert world.jobs.asked < 20  # of 84 runs in which it was idle
        states = await world.job_states(session)
        assert all(state.over for state in states)

    in_world(tmp_path, answer, test)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.EXITED])
def test_no_job_of_an_idle_session_is_left_as_if_it_went_on(tmp_path: Path, state: JobState) -> None:
    """Whatever its pod says of them, and however many there are."""

    async def answer(ids: Sequence[str]) -> Mapping[str, JobReport]:
        return {job_id: JobReport(state=state, ended_at=NOON) for job_id in ids}

    async def test(world: World) -> None:
        session = await world.has(S.RUNNING)
        for _ in range(120):
            await world.store.create_job(a_job(session_id=session.id))
        world.clock.pass_seconds(session.idle_seconds)
        await world.cleanup.run(dry_run=False)
        assert (await world.store.get(session.id)).state is S.DELETED
        jobs = await world.store.list_jobs(session.id, limit=200, after=None)
        assert len(jobs) == 123 and all(job.state.over for job in jobs)

    in_world(tmp_path, answer, test)


def test_any_number_of_jobs_that_a_pod_has_let_start_does_not_hold_up_its_end(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        session = await world.has(S.RUNNING)
        await asyncio.gather(*(world.store.create_job(a_job(session_id=session.id)) for _ in range(1500)))
        assert (await world.sessions.delete(ALICE, session.id)).state is S.DELETED
        assert world.pods.pods == set()

    in_world(tmp_path, says_that_all_run, test)


def test_what_an_earlier_look_has_put_off_ends_with_its_time(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        session = await world.has(S.RUNNING, expires_at=NOON + timedelta(hours=1, minutes=1))
        world.clock.pass_seconds(3600)
        await world.cleanup.run(dry_run=False)
        assert (await world.store.get(session.id)).failed_looks == 1
        world.clock.pass_seconds(60)
        await world.cleanup.run(dry_run=False)
        assert (await world.store.get(session.id)).state is S.DELETED

    in_world(tmp_path, hangs, test)


def test_work_that_fails_just_when_its_caller_leaves_is_no_fault_that_nobody_has_seen() -> None:
    told: list[Any] = []

    async def test() -> None:
        async def fails() -> None:
            await asyncio.sleep(1)
            raise ClusterUnavailable("no answer")

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["message"]))
        waits = asyncio.create_task(within(5, fails()))
        for _ in range(3):
            await asyncio.sleep(0)  # it has begun
        loop.call_later(1, waits.cancel)
        with pytest.raises(asyncio.CancelledError):
            await waits
        del waits
        gc.collect()

    virtual_time.run(test())
    assert told == []
