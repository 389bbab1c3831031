"""Jobs in session pods: the adapter behind ``JobRuntime``. In a pod it runs job.sh and nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

from shared.core.commands import SHELL, Command, ExecEvent, ExecResult, Exit, Heartbeat, Output
from shared.core.held import Held, HeldBuffer, bounded, short_answer
from shared.core.jobs.model import Job, JobCursor, JobRecord, JobReport, JobState, NewJob
from shared.core.sessions.model import Session
from shared.core.sessions.ports import PodRuntime
from shared.errors import ClusterUnavailable, NotFound, TooManyRequests
from shared.kube.exec.supervisor import WORKSPACE, script, variables
from shared.kube.jobs.log import JobLog, read_status
from shared.reasons import Reason

JOBS = "/var/lib/gamgui/jobs"
"""Folder of all jobs in a pod, on a volume of its own: see manifest.py."""

_ANSWER_SECONDS = 30.0
"""Cancelling takes five seconds when a command does not end on request."""

_MAX_LINE_BYTES = 8 * 1024
"""Longest line about one job: it holds numbers, and a reason that job.sh cuts short."""

_MAX_ERRORS_BYTES = 64 * 1024
"""Most that the programs of job.sh may say on standard error; nobody reads it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """What the operator allows.

    Attributes:
        disk_bytes: Most bytes of one job's output; when there is more, the oldest output is removed.
        unfinished: Most unfinished jobs that one session may have at once.
        follow_seconds: Longest time of one stream of output; the next one can go on where it ended.
    """

    disk_bytes: int
    unfinished: int
    follow_seconds: float

    @property
    def room(self) -> int:
        """Bytes that the output of all jobs of a session may take."""
        return self.disk_bytes * self.unfinished


class KubernetesJobs:
    """Runs jobs through commands in pods.

    Args:
        pods: Runs the commands.
        limits: What the operator allows.
        held: Counts the bytes of pods' answers that are held; None: nobody asks.
    """

    def __init__(self, pods: PodRuntime, limits: JobLimits, held: Held | None = None) -> None:
        self._pods = pods
        self._limits = limits
        self._held = held or Held()

    async def start(self, session: Session, job: Job, new: NewJob) -> JobReport:
        """See ``JobRuntime``."""
        arguments: tuple[str | int, ...] = (
            self._limits.disk_bytes,
            self._limits.room,
            self._limits.unfinished,
            round(job.created_at.timestamp() * 1000),
            len(new.stdin),
            math.ceil(new.timeout_seconds or 0),  # not every sleep knows fractions
            script("launch.sh"),
            len(new.env),
            new.workdir or WORKSPACE,
            "own",
            *variables(new.env),
            *new.argv,
        )
        stdin = _whole(new.stdin) if new.stdin else None
        lines = await self._ask(session, _argv(job.id, "start", *arguments), stdin)
        if lines == [f"{job.id} many"]:
            raise TooManyRequests(
                f"the session has {self._limits.unfinished} unfinished jobs, which is the limit",
                reason=Reason.TOO_MANY_JOBS,
                retry_after_seconds=5,
                limit=self._limits.unfinished,
            )
        report = _reports(lines).get(job.id)
        if report is None:
            raise _no_answer()
        return report

    async def reports(self, session: Session, job_ids: Sequence[str]) -> Mapping[str, JobReport]:
        """See ``JobRuntime``."""
        return _reports(await self._ask(session, _argv("gamgui", "status", *job_ids), answers=len(job_ids)))

    async def cancel(self, session: Session, job_id: str) -> JobReport | None:
        """See ``JobRuntime``."""
        return _reports(await self._ask(session, _argv(job_id, "cancel"))).get(job_id)

    async def follow(
        self, session: Session, job_id: str, since: JobCursor, *, wait: bool
    ) -> AsyncGenerator[JobRecord, None]:
        """See ``JobRuntime``."""
        place = since.place
        argv = _argv(job_id, "follow", place.part, place.size, "on" if wait else "once")
        command = Command(argv=argv, timeout_seconds=self._limits.follow_seconds, internal=True)
        said = bounded(self._pods.execute(session, command), stdout=None, stderr=_MAX_ERRORS_BYTES)
        with self._held.buffer() as buffer:
            log = JobLog(since)
            async with contextlib.aclosing(said) as events:
                async for record in _records(log, events, buffer, job_id):
                    yield record

    async def _ask(
        self,
        session: Session,
        argv: Sequence[str],
        stdin: AsyncIterator[bytes] | None = None,
        *,
        answers: int = 1,
    ) -> list[str]:
        """Runs job.sh and returns the lines of its answer, which must be as many as ``answers`` says."""
        command = Command(argv=argv, timeout_seconds=_ANSWER_SECONDS, stdin=stdin, internal=True)
        said = self._pods.execute(session, command)
        answer, end = await short_answer(
            said, self._held, stdout=_MAX_LINE_BYTES * answers, stderr=_MAX_ERRORS_BYTES
        )
        _require_success(end)
        lines = answer.decode(errors="replace").split("\n", answers)
        if lines.pop():
            raise _no_answer("it is not as long as it should be")
        return lines


async def _records(
    log: JobLog, events: AsyncGenerator[ExecEvent, None], buffer: HeldBuffer, job_id: str
) -> AsyncGenerator[JobRecord, None]:
    """The records that job.sh's ``follow`` says, up to the job's end."""
    async for event in events:
        if isinstance(event, Output) and event.stream == "stdout":
            if event.offset == 0 and event.data.startswith(b"unknown"):
                raise NotFound("the job's output is gone", reason=Reason.JOB_OUTPUT_GONE, job=job_id)
            for record in log.feed(event.data):
                yield record
                if isinstance(record.event, JobReport):
                    return
            buffer.resize(log.held_bytes)
        elif isinstance(event, Heartbeat):
            yield JobRecord(event, None, log.place, log.place)
        elif isinstance(event, Exit):
            if event.result is ExecResult.POD_LOST:
                lost = JobReport(state=JobState.LOST, reason=event.reason)
                yield JobRecord(lost, None, log.place, log.place)
            elif event.result in (ExecResult.UNKNOWN, ExecResult.START_FAILED):
                raise ClusterUnavailable("the connection to the job's output ended")


def _require_success(end: Exit) -> None:
    if end.result is ExecResult.POD_LOST:
        raise NotFound(f"the session's pod does not run: {end.reason}", reason=Reason.POD_NOT_RUNNING)
    if end.result is not ExecResult.EXITED or end.exit_code != 0:
        raise _no_answer(end.reason)


def _argv(name: str, action: str, *arguments: str | int) -> list[str]:
    """The command that runs a part of job.sh; ``name`` becomes its $0."""
    text = script("job.sh", "shared.kube.jobs")
    return [SHELL, "-c", 'eval "$1"', name, text, JOBS, action, *(str(argument) for argument in arguments)]


def _reports(lines: Sequence[str]) -> dict[str, JobReport]:
    try:
        found = dict(read_status(line) for line in lines)
    except (ValueError, KeyError) as error:
        raise _no_answer() from error
    return {job_id: report for job_id, report in found.items() if report is not None}


def _no_answer(reason: str | None = None) -> ClusterUnavailable:
    words = f": {reason}" if reason else ""
    return ClusterUnavailable(f"the session's pod gave no answer about its jobs{words}")


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
