"""A job: a command that outlives the request that started it.

What a job says and how it ends is kept in files in its session's pod. Its document in the
store says that it exists, and how it ended once somebody has seen that.
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
        """Whether it changes no more."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a caller asks for, checked.

    Attributes:
        argv: Program and arguments, never interpreted by a shell of ours.
        command: The same in the caller's form: a line, or words. Not masked yet.
        stdin: All of the command's input. Passed on, never stored, like ``env``.
        timeout_seconds: After this, in whole seconds, the process group is ended; None: never.
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
        exit_code: The command's own, or 128 + signal; None before, and when nobody knows one.
        signal: ``SIGKILL`` and the like when ``exit_code`` tells of one.
        reason: Why there is no ordinary end: it could not start, or was lost.
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
        command: As it may be stored and shown: in the caller's form, secrets masked.
        command_masked: Something in it was replaced; None in jobs of an earlier release.
        command_truncated: It went on; likewise.
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
        """The job with what is known now. An end is final; times do not go back."""
        if self.state.over:
            return self
        values = {field.name: getattr(report, field.name) for field in dataclasses.fields(JobReport)}
        started = report.started_at or self.started_at
        started = started and max(started, self.created_at)
        ended = report.ended_at and max(report.ended_at, started or self.created_at)
        return dataclasses.replace(self, **values | {"started_at": started, "ended_at": ended})


@dataclasses.dataclass(frozen=True, slots=True)
class Gap:
    """Output that is kept no longer: too much has come since, or the pod's disk was full.

    Attributes:
        offset: Where it begins in its stream.
        size: Bytes; None when nobody knows.
    """

    stream: Stream
    offset: int
    size: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A place between two records of a job's log: ``size`` bytes into its part number ``part``."""

    part: int = 0
    size: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class JobCursor:
    """How far somebody has followed a job.

    Attributes:
        place: All before it is delivered, but for what the next two say.
        stdout: Bytes of standard output that are delivered; the same for standard error.
    """

    place: Place = Place()
    stdout: int = 0
    stderr: int = 0


JobEvent: TypeAlias = Started | Output | Gap | Heartbeat | JobReport
"""What a follower is told; a ``JobReport`` is the end."""


@dataclasses.dataclass(frozen=True, slots=True)
class JobRecord:
    """An event of a job with its time, and where its record begins and ends in the log."""

    event: JobEvent
    at: datetime | None
    begin: Place
    end: Place


def lost(reason: str | None, job: Job, at: datetime | None = None) -> JobReport:
    """What was known of a job, and that it is lost; mostly nobody knows when."""
    known = {field.name: getattr(job, field.name) for field in dataclasses.fields(JobReport)}
    return JobReport(
        **known | {"state": JobState.LOST, "reason": reason or "the session was deleted", "ended_at": at}
    )


def afterwards(job: Job, since: JobCursor) -> list[JobRecord]:
    """What is left to tell of a job when its pod is gone: how much there was to read, and its end."""
    events: list[JobEvent] = []
    if job.stdout_bytes > since.stdout:
        events.append(Gap("stdout", since.stdout, job.stdout_bytes - since.stdout))
    if job.stderr_bytes > since.stderr:
        events.append(Gap("stderr", since.stderr, job.stderr_bytes - since.stderr))
    place = Place()
    return [JobRecord(event, job.ended_at, place, place) for event in [*events, job]]
