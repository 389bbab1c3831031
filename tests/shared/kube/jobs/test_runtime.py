"""The adapter of jobs, against a pod whose commands say what the test tells them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Sequence

import pytest

from shared.core.commands import Command, ExecEvent, ExecResult, Exit, Heartbeat, Output, Started
from shared.core.jobs.model import JobCursor, JobReport, JobState, NewJob, Place
from shared.core.sessions.model import Session
from shared.errors import ClusterUnavailable, InvalidRequest, NotFound, TooManyRequests
from shared.kube.jobs.runtime import JOBS, JobLimits, KubernetesJobs
from shared.reasons import Reason
from tests.shared.store.samples import a_job, a_session
from tests.support.scripted_runtime import ScriptedRuntime

SESSION, JOB = a_session(), a_job(id="jbbbbbbbbbbbbbbbb")
LIMITS = JobLimits(disk_bytes=1000, unfinished=4, follow_seconds=60)
NEW = NewJob(
    name="", argv=["gam", "info"], command="", env={"A": "it's"}, workdir="", stdin=b"", timeout_seconds=1.2
)
OK = Exit(result=ExecResult.EXITED, exit_code=0)
RUNNING = f"{JOB.id} running 5 6 1772366400000 100.00 100.50 \n".encode()


@dataclasses.dataclass(slots=True, kw_only=True)
class Pod(ScriptedRuntime):
    """Says ``events`` and nothing else, and keeps the last command and its input."""

    command: Command | None = None
    stdin: bytes | None = None

    async def execute(self, session: Session, command: Command) -> AsyncGenerator[ExecEvent, None]:
        self.command = command
        if command.stdin is not None:
            self.stdin = b"".join([piece async for piece in command.stdin])
        for event in self.events:
            yield event


def answering(answer: bytes, end: Exit = OK) -> tuple[Pod, KubernetesJobs]:
    middle = len(answer) // 2
    events = (
        Started(7),
        Output("stdout", 0, answer[:middle]),
        Output("stdout", middle, answer[middle:]),
        end,
    )
    pod = Pod(events=events)
    return pod, KubernetesJobs(pod, LIMITS)


def arguments(pod: Pod) -> Sequence[str]:
    assert pod.command is not None
    return pod.command.argv


async def test_a_start_hands_everything_over_as_arguments() -> None:
    pod, jobs = answering(RUNNING)
    report = await jobs.start(SESSION, JOB, NEW)
    assert (report.state, report.stdout_bytes, report.stderr_bytes) == (JobState.RUNNING, 5, 6)
    argv = arguments(pod)
    assert argv[:4] == ["/bin/sh", "-c", 'eval "$1"', JOB.id]
    assert argv[5:12] == [JOBS, "start", "1000", "4000", "4", "1772366400123", "0"]
    assert argv[12] == "2"  # whole seconds, none too few
    assert argv[14:] == ["1", "/workspace", "own", "A=it's", "gam", "info"]
    assert pod.stdin is None


async def test_input_goes_by_standard_input_and_its_size_is_told() -> None:
    pod, jobs = answering(RUNNING)
    await jobs.start(SESSION, JOB, dataclasses.replace(NEW, stdin=b"ABC", timeout_seconds=None))
    assert pod.stdin == b"ABC"
    assert arguments(pod)[11:13] == ["3", "0"]
    assert "ABC" not in arguments(pod)


async def test_too_many_jobs_are_refused_with_the_limit() -> None:
    _, jobs = answering(f"{JOB.id} many\n".encode())
    with pytest.raises(TooManyRequests) as caught:
        await jobs.start(SESSION, JOB, NEW)
    assert (caught.value.reason, caught.value.fields["limit"]) == ("TOO_MANY_JOBS", 4)
    assert caught.value.retry_after_seconds


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (f"{JOB.id} torn\n".encode(), OK),
        (b"", OK),
        (b"two\nlines\n", OK),
        (b"\xff\xfe\n", OK),
        (RUNNING[:20], OK),
        (RUNNING, Exit(result=ExecResult.UNKNOWN, reason="torn")),
        (RUNNING, Exit(result=ExecResult.EXITED, exit_code=1)),
        (RUNNING, Exit(result=ExecResult.TIMED_OUT, exit_code=143)),
        (b"", Exit(result=ExecResult.START_FAILED, reason="setsid: not found")),
    ],
)
async def test_an_answer_that_is_none_is_not_taken_for_one(answer: bytes, end: Exit) -> None:
    _, jobs = answering(answer, end)
    with pytest.raises(ClusterUnavailable):
        await jobs.start(SESSION, JOB, NEW)


async def test_a_pod_that_dies_under_a_question_is_not_running() -> None:
    _, jobs = answering(b"", Exit(result=ExecResult.POD_LOST, reason="Evicted: disk"))
    with pytest.raises(NotFound) as caught:
        await jobs.reports(SESSION, [JOB.id])
    assert caught.value.reason == Reason.POD_NOT_RUNNING


async def test_reports_leave_out_what_the_pod_does_not_know() -> None:
    _, jobs = answering(RUNNING + b"jaaaaaaaaaaaaaaaa unknown\n")
    assert list(await jobs.reports(SESSION, [JOB.id, "jaaaaaaaaaaaaaaaa"])) == [JOB.id]


async def test_an_endless_answer_is_not_kept() -> None:
    line = b"x" * 65536
    pod = Pod(events=(*(Output("stdout", 65536 * n, line) for n in range(400)), OK))
    with pytest.raises(ClusterUnavailable):
        await KubernetesJobs(pod, LIMITS).reports(SESSION, [JOB.id])


LOG = b"t 1772366400000 100.00\ng 0 0 0 100.50\no 0 3 101.00\none"


async def follow(jobs: KubernetesJobs) -> list[object]:
    return [record.event async for record in jobs.follow(SESSION, JOB.id, JobCursor(), wait=True)]


async def test_following_asks_for_the_place_and_ends_with_the_job() -> None:
    pod, jobs = answering(LOG + b"x exited 0 102.00 3 0 \no never read")
    records = jobs.follow(SESSION, JOB.id, JobCursor(Place(2, 9), 0, 0), wait=False)
    events = [record.event async for record in records]
    assert list(arguments(pod)[-4:]) == ["follow", "2", "9", "once"]
    assert events[0] == Output("stdout", 0, b"one")
    assert isinstance(events[-1], JobReport)
    assert events[-1].state is JobState.EXITED


async def test_a_pod_that_dies_while_followed_is_a_lost_job() -> None:
    _, jobs = answering(LOG, Exit(result=ExecResult.POD_LOST, reason="Evicted: disk"))
    assert (await follow(jobs))[-1] == JobReport(state=JobState.LOST, reason="Evicted: disk")


@pytest.mark.parametrize("result", [ExecResult.TIMED_OUT, ExecResult.SIGNALED])
async def test_a_stream_that_we_end_can_be_taken_up_again(result: ExecResult) -> None:
    _, jobs = answering(LOG, Exit(result=result, exit_code=143))
    assert await follow(jobs) == [Output("stdout", 0, b"one")]


async def test_a_stream_that_broke_says_so() -> None:
    _, jobs = answering(LOG, Exit(result=ExecResult.UNKNOWN))
    with pytest.raises(ClusterUnavailable):
        await follow(jobs)


async def test_silence_is_passed_on_with_the_place() -> None:
    pod = Pod(events=(Output("stdout", 0, LOG), Heartbeat(), OK))
    records = KubernetesJobs(pod, LIMITS).follow(SESSION, JOB.id, JobCursor(), wait=True)
    last = [record async for record in records][-1]
    assert (last.event, last.end) == (Heartbeat(), Place(0, len(LOG) - len(b"t 1772366400000 100.00\n")))


async def test_a_job_that_the_pod_does_not_know_cannot_be_followed() -> None:
    pod = Pod(events=(Output("stdout", 0, b"unknown\n"), OK))
    with pytest.raises(NotFound) as caught:
        await follow(KubernetesJobs(pod, LIMITS))
    assert caught.value.reason == Reason.JOB_OUTPUT_GONE


async def test_a_place_that_is_none_is_refused() -> None:
    _, jobs = answering(b"t 1772366400000 100.00\nne\nwhat is this\n")
    with pytest.raises(InvalidRequest):
        await follow(jobs)
