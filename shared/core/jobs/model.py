"""A job: a command that outlives the request that started it.

Files in the session's pod keep a job's output and its end. The job's document in the store says that the
job exists; it says how the job ended as soon as a request has asked the pod.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from shared.core.commands import Heartbeat, Output, Started, Stream


class JobState(enum.StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    EXITED = "exited"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    LOST = "lost"

    @property
    def over(self) -> bool:
        """Whether the state is final."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A caller's request for a job, checked.

    Attributes:
        argv: Program and arguments. This service never passes them through a shell.
        command: The same in the caller's form: a line, or words. Secrets are not masked yet.
        env: The job's own variables. They are passed on to the pod and never stored.
        workdir: Absolute path in the pod; empty: the workspace.
        stdin: The command's whole input. It is passed on to the pod and never stored.
        timeout_seconds: The process group is ended after this time, in whole seconds; None: never.
    """

    name: str
    argv: Sequence[str]
    command: str | Sequence[str]
    env: Mapping[str, str] = dataclasses.field(repr=False)
    workdir: str
    stdin: bytes = dataclasses.field(repr=False)
    timeout_seconds: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What is known of a job's progress.

    Attributes:
        exit_code: The command's own exit code, or 128 + signal number; None before the end, and when it is
            not known.
        signal: Name of the signal, such as ``SIGKILL``, when ``exit_code`` stands for a signal.
        reason: Why the job did not end normally: it could not start, or was lost.
        stdout_bytes: Bytes that the job has written to standard output.
        stderr_bytes: Bytes that the job has written to standard error.
    """

    state: JobState
    exit_code: int | None = None
    signal: str | None = None
    reason: str | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job(JobReport):
    """A job as it is stored. Immutable: a change is a new value with the old version.

    Attributes:
        id: Random, see ``ids.new_job_id``.
        command: The command in the caller's form with secrets masked, as it may be stored and shown.
        command_masked: A part of the command was masked; None in jobs of an earlier release.
        command_truncated: The command was longer and is cut; None in jobs of an earlier release.
        version: As in ``Session``.
    """

    id: str
    session_id: str
    owner: str
    name: str
    command: str | Sequence[str]
    created_at: datetime
    timeout_seconds: float | None
    command_masked: bool | None = None
    command_truncated: bool | None = None
    version: str = ""

    def reported(self, report: JobReport) -> Job:
        """The job with the report's content. A job that is over stays as it is; times do not go back."""
        if self.state.over:
            return self
        values = {field.name: getattr(report, field.name) for field in dataclasses.fields(JobReport)}
        started = report.started_at or self.started_at
        started = started and max(started, self.created_at)
        ended = report.ended_at and max(report.ended_at, started or self.created_at)
        return dataclasses.replace(self, **values | {"started_at": started, "ended_at": ended})


@dataclasses.dataclass(frozen=True, slots=True)
class Gap:
    """Output that is no longer kept: too much output followed it, or the pod's disk was full.

    Attributes:
        offset: Position in the stream where the missing output begins.
        size: Bytes of missing output; None when it is not known.
    """

    stream: Stream
    offset: int
    size: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A position between two records of a job's log: ``size`` bytes into its part number ``part``."""

    part: int = 0
    size: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class JobCursor:
    """How far a caller has followed a job.

    Attributes:
        place: Where to go on in the job's log: all records before this place are delivered.
        stdout: Bytes of standard output that are delivered; some of them may be after ``place``.
        stderr: Bytes of standard error that are delivered; some of them may be after ``place``.
    """

    place: Place = Place()
    stdout: int = 0
    stderr: int = 0


JobEvent: TypeAlias = Started | Output | Gap | Heartbeat | JobReport
"""An event that a follower of a job gets; a ``JobReport`` is the job's end."""


@dataclasses.dataclass(frozen=True, slots=True)
class JobRecord:
    """An event of a job with its time, and the places in the log where its record begins and ends."""

    event: JobEvent
    at: datetime | None
    begin: Place
    end: Place


def lost(reason: str | None, job: Job, at: datetime | None = None) -> JobReport:
    """A report with what was known of the job, and the state lost.

    Args:
        reason: Why the job is lost; None or empty: the session was deleted.
        job: The job.
        at: When it ended; None when that is not known, as in most cases.
    """
    known = {field.name: getattr(job, field.name) for field in dataclasses.fields(JobReport)}
    return JobReport(
        **known | {"state": JobState.LOST, "reason": reason or "the session was deleted", "ended_at": at}
    )


def afterwards(job: Job, since: JobCursor) -> list[JobRecord]:
    """The records of a job whose pod is gone: gaps for the output that cannot be read, and the job's end."""
    events: list[JobEvent] = []
    if job.stdout_bytes > since.stdout:
        events.append(Gap("stdout", since.stdout, job.stdout_bytes - since.stdout))
    if job.stderr_bytes > since.stderr:
        events.append(Gap("stderr", since.stderr, job.stderr_bytes - since.stderr))
    place = Place()
    return [JobRecord(event, job.ended_at, place, place) for event in [*events, job]]
