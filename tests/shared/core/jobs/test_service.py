"""The use cases of jobs, against a pod that does what the test tells it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta

import pytest

from shared.core.commands import Output
from shared.core.ids import new_job_id
from shared.core.jobs.model import Gap, Job, JobCursor, JobRecord, JobReport, JobState, NewJob, Place
from shared.core.jobs.service import JobService
from shared.core.sessions.concurrency import StreamKind, Streams
from shared.core.sessions.model import Session, SessionState
from shared.core.sessions.pod import PodPhase, PodStatus
from shared.errors import (
    ClusterUnavailable,
    Conflict,
    GamguiError,
    NotFound,
    TooManyRequests,
    UnprocessableRequest,
)
from shared.reasons import Reason
from shared.web.api.jobs import job_json
from tests.shared.store.samples import NOON, SetClock, a_session
from tests.support.people import ALICE, person
from tests.support.scripted_runtime import KeptAudit, ScriptedRuntime
from tests.support.stores import SqliteStore
from tests.support.wiring import wired

NEW = NewJob(name="", argv=["true"], command=["true"], env={}, workdir="", stdin=b"", timeout_seconds=None)
RUNNING = JobReport(state=JobState.RUNNING, started_at=NOON + timedelta(seconds=1))
DONE = JobReport(
    state=JobState.EXITED, exit_code=0, stdout_bytes=5, stderr_bytes=2, ended_at=NOON + timedelta(seconds=2)
)
PLACE = Place()


class ScriptedJobs:
    """A ``JobRuntime`` that knows what it is told.

    Attributes:
        known: What the pod says of each job.
        error: Raised by everything.
        started: Ids, in order.
        says: What ``follow`` yields.
    """

    def __init__(self) -> None:
        self.known: dict[str, JobReport] = {}
        self.error: GamguiError | None = None
        self.started: list[str] = []
        self.says: list[JobRecord] = []

    async def start(self, session: Session, job: Job, new: NewJob) -> JobReport:
        self._fail()
        self.started.append(job.id)
        return self.known.setdefault(job.id, RUNNING)

    async def reports(self, session: Session, job_ids: Sequence[str]) -> Mapping[str, JobReport]:
        self._fail()
        return {job_id: self.known[job_id] for job_id in job_ids if job_id in self.known}

    async def cancel(self, session: Session, job_id: str) -> JobReport | None:
        self._fail()
        return self.known.get(job_id)

    async def follow(
        self, session: Session, job_id: str, since: JobCursor, *, wait: bool
    ) -> AsyncGenerator[JobRecord, None]:
        self._fail()
        for record in self.says:
            yield record

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@dataclasses.dataclass
class World:
    service: JobService
    store: SqliteStore
    pods: ScriptedRuntime
    jobs: ScriptedJobs
    clock: SetClock
    audit: KeptAudit
    session: Session
    streams: Streams

    async def start(self, job_id: str = "") -> Job:
        return await self.service.start(ALICE, self.session.id, NEW, job_id or new_job_id())

    async def get(self, job: Job) -> Job:
        return await self.service.get(ALICE, self.session.id, job.id)

    async def follow(self, job: Job, since: JobCursor | None = None) -> list[JobRecord]:
        records = self.service.output(ALICE, self.session.id, job.id, since or JobCursor(), wait=True)
        return [record async for record in records]

    async def move(self, *states: SessionState, reason: str | None = None) -> None:
        for state in states:
            session = await self.store.get(self.session.id)
            assert session is not None
            await self.store.update(session.to(state, self.clock.now(), reason))


@pytest.fixture
async def world(sqlite: SqliteStore, clock: SetClock) -> World:
    pods, jobs, audit = ScriptedRuntime(journal=[]), ScriptedJobs(), KeptAudit()
    streams = Streams({StreamKind.OTHER: 1})
    service = wired(sqlite, pods, clock, audit, jobs=jobs, streams=streams)["jobs"]
    session = await sqlite.create(a_session(state=SessionState.RUNNING))
    return World(service, sqlite, pods, jobs, clock, audit, session, streams)


async def test_a_job_is_stored_before_it_is_started_and_its_start_is_audited(world: World) -> None:
    job = await world.start()
    assert (job.state, job.started_at) == (JobState.RUNNING, RUNNING.started_at)
    assert await world.store.get_job(job.id) == job
    assert [(record.action, record.outcome) for record in world.audit.records] == [("job.start", "started")]


@pytest.mark.parametrize(
    ("command", "lacks"), [("true", (False, False)), ("gam password " + "x" * 9000, (True, True))]
)
async def test_a_job_says_whether_its_command_is_shown_in_full(
    world: World, command: str, lacks: tuple[bool, bool]
) -> None:
    new = dataclasses.replace(NEW, command=command)
    job = await world.service.start(ALICE, world.session.id, new, new_job_id())
    assert (job.command_masked, job.command_truncated) == lacks
    assert await world.store.get_job(job.id) == job
    assert (job_json(job)["command_masked"], job_json(job)["command_truncated"]) == lacks


async def test_a_start_whose_answer_was_lost_is_repeated_for_the_same_job(
    world: World,
) -> None:
    world.jobs.error = ClusterUnavailable("torn")
    job_id = new_job_id()
    with pytest.raises(ClusterUnavailable):
        await world.start(job_id)
    stored = await world.store.get_job(job_id)
    assert stored is not None
    assert stored.state is JobState.QUEUED
    world.jobs.error = None
    assert (await world.start(job_id)).state is JobState.RUNNING
    assert (await world.start(job_id)).state is JobState.RUNNING
    assert world.jobs.started == [job_id]


async def test_what_refuses_a_start_leaves_no_new_job_and_removes_none_that_may_run(world: World) -> None:
    begun = new_job_id()
    world.jobs.error = ClusterUnavailable("torn")
    with pytest.raises(ClusterUnavailable):
        await world.start(begun)
    for refusal in (None, TooManyRequests("the API server is busy"), UnprocessableRequest("denied")):
        world.jobs.error = refusal
        for job_id in (begun, new_job_id()):
            busy = world.streams.taken(ALICE.email) if refusal is None else contextlib.nullcontext()
            with busy, pytest.raises(GamguiError):
                await world.start(job_id)
            assert (await world.store.get_job(job_id) is not None) is (job_id == begun)
    world.jobs.error = None
    assert (await world.start(begun)).state is JobState.RUNNING


async def test_what_asks_no_pod_is_answered_without_a_free_stream(world: World) -> None:
    first, second = await world.start(), await world.start()
    world.jobs.known[first.id] = DONE
    await world.get(first)
    with world.streams.taken(ALICE.email):
        assert (await world.get(first)).state is JobState.EXITED
        for refused in (
            world.get(second),
            world.service.list_jobs(ALICE, world.session.id, limit=5, after=None),
        ):
            with pytest.raises(TooManyRequests):
                await refused
        await world.move(SessionState.FAILED, reason="OUT_OF_MEMORY")
        assert (await world.get(second)).state is JobState.LOST
        jobs, _ = await world.service.list_jobs(ALICE, world.session.id, limit=5, after=None)
    assert {job.state for job in jobs} == {JobState.EXITED, JobState.LOST}


async def test_a_job_that_was_refused_has_never_been(world: World) -> None:
    world.jobs.error = TooManyRequests("full", reason=Reason.TOO_MANY_JOBS)
    job_id = new_job_id()
    with pytest.raises(TooManyRequests):
        await world.start(job_id)
    assert await world.store.get_job(job_id) is None
    assert world.audit.records[-1].outcome == "TOO_MANY_JOBS"


async def test_a_start_is_announced_and_a_cancel_that_fails_is_recorded(world: World) -> None:
    job = await world.start()
    assert [record.id for record in world.audit.announced] == [world.audit.records[0].id]
    world.jobs.error = ClusterUnavailable("torn")
    with pytest.raises(ClusterUnavailable):
        await world.service.cancel(ALICE, world.session.id, job.id)
    record = world.audit.records[-1]
    assert (record.action, record.outcome) == ("job.cancel", "CLUSTER_UNAVAILABLE")


async def test_an_end_is_stored_once_and_final(world: World) -> None:
    job = await world.start()
    world.jobs.known[job.id] = DONE
    done = await world.get(job)
    assert (done.state, done.exit_code, done.stdout_bytes) == (JobState.EXITED, 0, 5)
    assert done.started_at == RUNNING.started_at
    world.jobs.known[job.id] = dataclasses.replace(DONE, exit_code=9)
    assert await world.get(job) == done
    assert [record.action for record in world.audit.records].count("job.end") == 1


async def test_of_several_that_see_the_end_one_stores_it(world: World) -> None:
    job = await world.start()
    world.jobs.known[job.id] = DONE
    stored = await world.store.get_job(job.id)
    assert stored is not None
    await world.store.update_job(dataclasses.replace(stored, name="changed meanwhile"))
    assert (await world.get(job)).exit_code == 0
    settled = await world.store.get_job(job.id)
    assert settled is not None
    assert (settled.state, settled.name) == (JobState.EXITED, "changed meanwhile")


async def test_others_jobs_and_those_of_other_sessions_do_not_exist(world: World) -> None:
    job = await world.start()
    with pytest.raises(NotFound) as caught:
        await world.service.get(person("mallory@example.com"), world.session.id, job.id)
    assert caught.value.reason == Reason.SESSION_NOT_FOUND
    other = await world.store.create(a_session(state=SessionState.RUNNING))
    for job_id in (job.id, new_job_id(), "..", "j"):
        with pytest.raises(NotFound) as caught:
            await world.service.get(ALICE, other.id, job_id)
        assert caught.value.reason == Reason.JOB_NOT_FOUND
    with pytest.raises(NotFound):
        await world.service.start(ALICE, other.id, NEW, job.id)
    assert world.jobs.started == [job.id]


async def test_a_session_that_does_not_run_starts_nothing(world: World) -> None:
    await world.move(SessionState.DELETING)
    with pytest.raises(Conflict) as caught:
        await world.start()
    assert caught.value.reason == Reason.SESSION_NOT_RUNNING
    assert world.jobs.started == []


async def test_a_job_that_the_pod_never_heard_of_may_be_starting_for_a_minute(world: World) -> None:
    job = await world.start()
    world.jobs.known.clear()
    stored = await world.store.get_job(job.id)
    assert stored is not None
    queued = await world.store.update_job(dataclasses.replace(stored, state=JobState.QUEUED))
    assert (await world.get(queued)).state is JobState.QUEUED
    world.clock.pass_seconds(61)
    lost = await world.get(queued)
    assert (lost.state, lost.reason) == (JobState.LOST, "the pod knows nothing of it")


async def test_while_the_pod_cannot_be_asked_nothing_is_made_up(world: World) -> None:
    job = await world.start()
    world.jobs.error = ClusterUnavailable("torn")
    with pytest.raises(ClusterUnavailable):
        await world.get(job)
    stored = await world.store.get_job(job.id)
    assert stored is not None
    assert stored.state is JobState.RUNNING


async def test_a_pod_that_is_gone_loses_its_jobs_with_kubernetes_reason(world: World) -> None:
    job = await world.start()
    world.jobs.error = NotFound("no pod", reason=Reason.POD_NOT_RUNNING)
    world.pods.now = PodStatus(PodPhase.FAILED, "Evicted: low on memory")
    lost = await world.get(job)
    assert (lost.state, lost.reason, lost.exit_code) == (JobState.LOST, "Evicted: low on memory", None)


async def test_a_running_job_is_work_of_its_session(world: World) -> None:
    job = await world.start()
    world.clock.pass_seconds(600)
    await world.get(job)
    session = await world.store.get(world.session.id)
    assert session is not None
    assert session.last_used_at == world.clock.now()
    world.jobs.known[job.id] = DONE
    world.clock.pass_seconds(600)
    await world.get(job)
    session = await world.store.get(world.session.id)
    assert session is not None
    assert session.last_used_at != world.clock.now()


async def test_before_a_pod_is_deleted_ends_are_noted_and_what_runs_is_lost(world: World) -> None:
    running, done = await world.start(), await world.start()
    world.jobs.known[done.id] = DONE
    world.clock.pass_seconds(5)
    await world.service.note_ends(world.session)
    await world.service.conclude(world.session)
    stored = {job.id: job for job in await world.store.list_jobs(world.session.id, limit=9, after=None)}
    assert (stored[done.id].state, stored[done.id].exit_code) == (JobState.EXITED, 0)
    lost = stored[running.id]
    assert (lost.state, lost.reason, lost.ended_at) == (
        JobState.LOST,
        "the session was deleted",
        world.clock.now(),
    )


async def test_jobs_of_a_failed_session_keep_its_reason_when_it_is_deleted(world: World) -> None:
    job = await world.start()
    await world.move(SessionState.FAILED, reason="DeadlineExceeded: active too long")
    failed = await world.store.get(world.session.id)
    assert failed is not None
    world.jobs.error = NotFound("no pod", reason=Reason.POD_NOT_RUNNING)
    await world.service.conclude(failed)
    assert (await world.get(job)).reason == "DeadlineExceeded: active too long"


async def test_a_pod_that_does_not_answer_does_not_hold_up_its_deletion(world: World) -> None:
    jobs = [await world.start() for _ in range(3)]
    world.jobs.error = ClusterUnavailable("torn")
    await world.service.note_ends(world.session)
    await world.service.conclude(world.session)
    world.jobs.error = None
    assert {(await world.get(job)).state for job in jobs} == {JobState.LOST}


async def test_jobs_of_a_deleted_session_are_lost_also_when_nobody_concluded_them(world: World) -> None:
    job = await world.start()
    await world.move(SessionState.DELETING, SessionState.DELETED)
    lost = await world.get(job)
    assert (lost.state, lost.reason) == (JobState.LOST, "the session was deleted")


async def test_cancelling_gives_the_end_and_again_the_same(world: World) -> None:
    job = await world.start()
    world.jobs.known[job.id] = JobReport(state=JobState.CANCELLED, exit_code=143, signal="SIGTERM")
    first = await world.service.cancel(ALICE, world.session.id, job.id)
    assert first.state is JobState.CANCELLED
    assert await world.service.cancel(ALICE, world.session.id, job.id) == first


async def test_the_last_record_holds_the_job_and_stores_its_end(world: World) -> None:
    job = await world.start()
    output = JobRecord(Output("stdout", 0, b"hello"), NOON, PLACE, PLACE)
    world.jobs.says = [output, JobRecord(DONE, NOON, PLACE, PLACE)]
    records = await world.follow(job)
    assert records[0] == output
    assert records[-1].event == await world.store.get_job(job.id)
    assert isinstance(records[-1].event, Job)
    assert records[-1].event.state is JobState.EXITED


async def test_of_a_job_whose_pod_is_gone_the_gap_and_the_end_are_told(world: World) -> None:
    job = await world.start()
    world.jobs.known[job.id] = DONE
    await world.get(job)
    await world.move(SessionState.DELETING, SessionState.DELETED)
    events = [record.event for record in await world.follow(job, JobCursor(PLACE, 3, 2))]
    assert events[0] == Gap("stdout", 3, 2)
    assert isinstance(events[1], Job)
    assert len(events) == 2


async def test_output_of_a_job_whose_session_is_going_waits_for_its_end(world: World) -> None:
    job = await world.start()
    await world.move(SessionState.DELETING)
    with pytest.raises(Conflict) as caught:
        await world.follow(job)
    assert caught.value.reason == Reason.SESSION_NOT_RUNNING


async def test_jobs_of_a_virtual_session_are_lost_at_once_and_say_so(world: World) -> None:
    session = await world.store.create(a_session(state=SessionState.RUNNING, virtual=True))
    job = await world.service.start(ALICE, session.id, NEW, new_job_id())
    assert (job.state, job.reason) == (JobState.LOST, "virtual session: not executed")
    records = [
        record async for record in world.service.output(ALICE, session.id, job.id, JobCursor(), wait=True)
    ]
    assert [type(record.event) for record in records] == [Output, Job]
