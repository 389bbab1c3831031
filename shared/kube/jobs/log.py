"""Reads what job.sh writes: the records of a job's log, and its status lines.

The session's own processes can write to these files too, so this module trusts nothing in them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from shared.core.commands import Output, Started, Stream
from shared.core.jobs.model import Gap, JobCursor, JobEvent, JobRecord, JobReport, JobState, Place
from shared.errors import InvalidRequest
from shared.kube.exec.channels import ended_with
from shared.reasons import Reason

_MAX_LINE = 4096
_MAX_REASON = 1000
_MAX_PIECE = 65536
_MAX_SILENT_BYTES = 1024 * 1024
"""Most bytes in a row of records that say nothing new. At a cursor's place there is at most one of them."""
_MAX_DIGITS = 20
_MAX_EPOCH = 10**14
"""Milliseconds: about the year 5138, far from where times overflow."""

_STREAMS: dict[str, Stream] = {"o": "stdout", "e": "stderr"}
_STATES = {
    "exited": JobState.EXITED,
    "failed": JobState.EXITED,
    "cancelled": JobState.CANCELLED,
    "timed_out": JobState.TIMED_OUT,
}
SUPERVISOR_GONE = "the job's supervisor was ended from outside"


@dataclasses.dataclass(frozen=True, slots=True)
class PodTime:
    """The pod's clock and ours at the start of the job.

    Attributes:
        epoch: Our time, in milliseconds since 1970.
        uptime: The time of the pod's clock, in seconds.
    """

    epoch: int
    uptime: float

    def at(self, uptime: str) -> datetime:
        """Our time at which the pod's clock showed ``uptime`` seconds."""
        return datetime.fromtimestamp(0, UTC) + timedelta(
            milliseconds=self.epoch, seconds=_seconds(uptime) - self.uptime
        )


def read_status(line: str) -> tuple[str, JobReport | None]:
    """Reads a line that job.sh's ``status`` says.

    Returns:
        The job's id, and its report; None if the pod does not know the job.

    Raises:
        ValueError: The line has another form.
        KeyError: Likewise.
    """
    job_id, state, *words = line.split(" ", 7)
    if state == "unknown":
        return job_id, None
    out, err, epoch, uptime, started, ending = words
    time = PodTime(_number(epoch, _MAX_EPOCH), _seconds(uptime))
    report = JobReport(
        state=JobState.RUNNING,
        stdout_bytes=_number(out),
        stderr_bytes=_number(err),
        started_at=None if started == "-" else time.at(started),
    )
    if state == "ended":
        return job_id, _ended(report, ending, time)
    if state == "dead":
        report = dataclasses.replace(report, state=JobState.LOST, reason=SUPERVISOR_GONE)
    elif state == "queued":
        report = dataclasses.replace(report, state=JobState.QUEUED)
    elif state != "running":
        raise ValueError(f"{state!r} is no state")
    return job_id, report


def _ended(report: JobReport, ending: str, time: PodTime) -> JobReport:
    result, code, uptime, out, err, reason = (ending + " ").split(" ", 5)
    counted = dataclasses.replace(report, stdout_bytes=_number(out), stderr_bytes=_number(err))
    if result == "dead":
        return dataclasses.replace(counted, state=JobState.LOST, reason=SUPERVISOR_GONE)
    return dataclasses.replace(
        counted,
        state=_STATES[result],
        exit_code=_number(code, 255),
        signal=ended_with(_number(code)).signal,
        reason=reason.strip()[:_MAX_REASON] or None,
        ended_at=time.at(uptime),
    )


class JobLog:
    """Reads what job.sh's ``follow`` says, as it comes.

    Args:
        since: The place that ``follow`` was asked to begin at; output before it is left out.
    """

    def __init__(self, since: JobCursor) -> None:
        self._time = PodTime(0, 0)
        self._place = since.place
        self._delivered: dict[Stream, int] = {"stdout": since.stdout, "stderr": since.stderr}
        self._started_at: datetime | None = None
        self._rest = bytearray()
        self._looked = 0
        self._wanted = 0
        self._silent = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the record whose end has not come yet."""
        return len(self._rest)

    @property
    def place(self) -> Place:
        """The place behind the last whole record."""
        return self._place

    def feed(self, data: bytes) -> Iterator[JobRecord]:
        """Takes the next bytes.

        Yields:
            The records that these bytes complete.

        Raises:
            InvalidRequest: No record begins at the cursor's place.
        """
        self._rest += data
        rest, position = self._rest, 0
        # A record may come in tiny pieces: no byte is searched for the newline twice.
        while len(rest) - position >= self._wanted:
            newline = rest.find(b"\n", position + self._looked, position + _MAX_LINE)
            if newline < 0:
                self._looked, self._wanted = min(len(rest) - position, _MAX_LINE), 0
                break
            self._looked = newline - position
            words = rest[position:newline].decode("utf-8", "replace").split(" ")
            try:
                size = _number(words[2], _MAX_PIECE) if words[0] in _STREAMS else 0
                end = newline + 1 + size
                if len(rest) < end:
                    self._wanted = end - position
                    break
                yield from self._heard(words, bytes(rest[newline + 1 : end]), end - position)
            except (ValueError, IndexError, KeyError) as error:
                raise _no_place() from error
            position, self._looked, self._wanted = end, 0, 0
        del rest[:position]
        if self._looked >= _MAX_LINE:
            raise _no_place()

    def _heard(self, words: Sequence[str], data: bytes, length: int) -> Iterator[JobRecord]:
        """The events of a record. A log that goes on for long without events is refused."""
        self._silent += length
        if self._silent > _MAX_SILENT_BYTES:
            raise ValueError("nothing new")
        for record in self._record(words, data, length):
            self._silent = 0
            yield record

    def _record(self, words: Sequence[str], data: bytes, length: int) -> Iterator[JobRecord]:
        if words[0] == "t":
            self._time = PodTime(_number(words[1], _MAX_EPOCH), _seconds(words[2]))
            return
        begin = Place(_number(words[1]), 0) if words[0] == "g" else self._place
        self._place = Place(begin.part, begin.size + length)
        # Only the last of several events moves the place behind the record: a reader who has seen only
        # the first event comes back to the record's beginning.
        events = list(self._events(words, data))
        for number, (event, at) in enumerate(events, 1):
            yield JobRecord(event, at, begin, self._place if number == len(events) else begin)

    def _events(self, words: Sequence[str], data: bytes) -> Iterator[tuple[JobEvent, datetime]]:
        match words:
            case ("o" | "e") as letter, at, _, up:
                yield from self._output(_STREAMS[letter], _number(at), data, self._time.at(up))
            case "g", _, out, err, up:
                yield from self._gap("stdout", _number(out), self._time.at(up))
                yield from self._gap("stderr", _number(err), self._time.at(up))
            case "s", pid, up:
                self._started_at = self._time.at(up)
                yield Started(_number(pid)), self._started_at
            case "l", letter, up:
                stream = _STREAMS[letter]
                yield Gap(stream, self._delivered[stream], None), self._time.at(up)
            case "x", *ending:
                report = JobReport(state=JobState.RUNNING, started_at=self._started_at)
                report = _ended(report, " ".join(ending), self._time)
                yield report, report.ended_at or self._time.at(ending[2])
            case _:
                raise ValueError("no record")

    def _output(
        self, stream: Stream, offset: int, data: bytes, at: datetime
    ) -> Iterator[tuple[JobEvent, datetime]]:
        yield from self._gap(stream, offset, at)
        known = self._delivered[stream] - offset
        if known < len(data):
            yield Output(stream, offset + known, data[known:]), at
            self._delivered[stream] = offset + len(data)

    def _gap(self, stream: Stream, offset: int, at: datetime) -> Iterator[tuple[JobEvent, datetime]]:
        """The gap of the bytes that are missing before this offset, if any are."""
        missing = offset - self._delivered[stream]
        if missing > 0:
            yield Gap(stream, self._delivered[stream], missing), at
            self._delivered[stream] = offset


def _number(text: str, most: int = 10**15) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > _MAX_DIGITS or int(text) > most:
        raise ValueError(f"{text[:40]!r} is not a number to {most}")
    return int(text)


def _seconds(text: str) -> float:
    whole, _, fraction = text.partition(".")
    return _number(whole, 10**10) + _number(fraction or "0", 99) / 100


def _no_place() -> InvalidRequest:
    return InvalidRequest("the cursor is none of this job's", reason=Reason.INVALID_FIELD, field="cursor")
