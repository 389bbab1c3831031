"""What job.sh says, read: whole, in any pieces, from any place."""

from __future__ import annotations

import contextlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.commands import Output, Started
from shared.core.jobs.model import Gap, JobCursor, JobRecord, JobReport, JobState, Place
from shared.errors import InvalidRequest
from shared.kube.jobs.log import SUPERVISOR_GONE, JobLog, read_status

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = round(NOON.timestamp() * 1000)
HEAD = f"t {EPOCH} 100.00\n".encode()
LOG = b"g 0 0 0 100.50\ns 17 100.50\no 0 3 101.00\nonee 0 4 101.25\nx\n\n\no 3 2 101.50\n\0\xff"
END = b"x exited 3 102.00 5 4 \n"


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def read(data: bytes, since: JobCursor | None = None) -> list[JobRecord]:
    return list(JobLog(since or JobCursor()).feed(data))


def test_each_record_is_an_event_with_its_time_and_place() -> None:
    records = read(HEAD + LOG + END)
    assert [(record.event, record.at) for record in records] == [
        (Started(17), after(0.5)),
        (Output("stdout", 0, b"one"), after(1)),
        (Output("stderr", 0, b"x\n\n\n"), after(1.25)),
        (Output("stdout", 3, b"\0\xff"), after(1.5)),
        (
            JobReport(
                state=JobState.EXITED,
                exit_code=3,
                stdout_bytes=5,
                stderr_bytes=4,
                started_at=after(0.5),
                ended_at=after(2),
            ),
            after(2),
        ),
    ]
    assert records[-1].end == Place(0, len(LOG + END))
    assert all(one.end == two.begin for one, two in itertools.pairwise(records))


@given(st.lists(st.integers(min_value=1, max_value=20), max_size=200))
def test_the_pieces_in_which_it_comes_make_no_difference(sizes: list[int]) -> None:
    data, log = HEAD + LOG + END, JobLog(JobCursor())
    records: list[JobRecord] = []
    for size in [*sizes, len(data)]:
        records += log.feed(data[:size])
        data = data[size:]
    assert records == read(HEAD + LOG + END)


@given(st.integers(min_value=0, max_value=3), st.data())
def test_from_any_place_what_was_not_delivered_comes_and_nothing_else(
    first: int, data: st.DataObject
) -> None:
    records = read(HEAD + LOG)
    since, delivered = records[first].begin, {"stdout": 0, "stderr": 0}
    for record in records[:first]:
        if isinstance(record.event, Output):
            delivered[record.event.stream] += len(record.event.data)
    whole = {"stdout": b"one\0\xff", "stderr": b"x\n\n\n"}
    for stream, at in delivered.items():
        delivered[stream] = data.draw(st.integers(min_value=at, max_value=len(whole[stream])))
    cursor = JobCursor(since, delivered["stdout"], delivered["stderr"])
    rest = [record.event for record in read(HEAD + LOG[since.size :] + END, cursor)]
    for stream, known in delivered.items():
        outputs = [event for event in rest if isinstance(event, Output) and event.stream == stream]
        assert b"".join(event.data for event in outputs) == whole[stream][known:]
        assert not outputs or outputs[0].offset == known
    assert isinstance(rest[-1], JobReport)
    assert not any(isinstance(event, Gap) for event in rest)


def test_a_later_log_tells_what_went_with_the_earlier_ones() -> None:
    log = HEAD + b"g 5 1000 20 130.00\no 1000 1 131.00\n!"
    assert [record.event for record in read(log)] == [
        Gap("stdout", 0, 1000),
        Gap("stderr", 0, 20),
        Output("stdout", 1000, b"!"),
    ]
    events = [record.event for record in read(log, JobCursor(Place(2, 77), 990, 20))]
    assert events == [Gap("stdout", 990, 10), Output("stdout", 1000, b"!")]
    assert read(log)[-1].begin.part == 5


def test_bytes_that_were_lost_on_a_full_disk_are_a_gap_of_unknown_size() -> None:
    events = [record.event for record in read(HEAD + b"g 0 0 0 100.50\no 0 1 101.00\nal o 102.00\n")]
    assert events == [Output("stdout", 0, b"a"), Gap("stdout", 1, None)]


def test_a_dead_supervisor_is_a_lost_job() -> None:
    (record,) = read(HEAD + b"x dead - 105.00 7 1\n")
    assert record.event == JobReport(
        state=JobState.LOST, reason=SUPERVISOR_GONE, stdout_bytes=7, stderr_bytes=1
    )


@pytest.mark.parametrize(
    "data",
    [
        b"no record\n",
        b"\n",
        b"q" * 5000,
        b"g 0\n",
        b"o x 1 1\n1",
        b"o 0 1 nan\n1x\n",
        # What a process in the pod may write to make us fail, or read for ever.
        b"o 0 -5 1\n",
        b"o 0 -9 1\n",
        b"o 0 1 " + b"9" * 40 + b"\nx",
        b"o 0 99999999 1\n",
        b"s " + b"9" * 400 + b" 1\n",
        b"x exited 99999 1 0 0\n",
        b"o " + b"0" * 30 + b"9" * 30 + b" 1 1\nx",
        b"x exited 0 1 0 " + b"9" * 40 + b"\n",
        "o ² 1 1\nx".encode(),
        b"t 999999999999999 9999999999\ns 1 1\n",
    ],
)
def test_what_is_no_record_is_not_taken_for_one(data: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(HEAD + data)
    assert caught.value.fields["field"] == "cursor"


def test_status_lines() -> None:
    assert read_status("j1 unknown") == ("j1", None)
    assert read_status(f"j1 running 5 6 {EPOCH} 100.00 100.50 ") == (
        "j1",
        JobReport(state=JobState.RUNNING, stdout_bytes=5, stderr_bytes=6, started_at=after(0.5)),
    )
    assert read_status("j1 queued 0 0 0 0 - ") == ("j1", JobReport(state=JobState.QUEUED))
    assert read_status(f"j1 dead 5 6 {EPOCH} 100.00 100.50 ")[1] == JobReport(
        state=JobState.LOST,
        reason=SUPERVISOR_GONE,
        stdout_bytes=5,
        stderr_bytes=6,
        started_at=after(0.5),
    )


@pytest.mark.parametrize(
    ("ending", "state", "code", "signal", "reason"),
    [
        ("exited 0 102.00 5 6", JobState.EXITED, 0, None, None),
        ("exited 137 102.00 5 6", JobState.EXITED, 137, "SIGKILL", None),
        ("cancelled 143 102.00 5 6", JobState.CANCELLED, 143, "SIGTERM", None),
        ("timed_out 143 102.00 5 6", JobState.TIMED_OUT, 143, "SIGTERM", None),
        ("failed 127 102.00 5 6 gam: not found", JobState.EXITED, 127, None, "gam: not found"),
    ],
)
def test_ends(ending: str, state: JobState, code: int, signal: str | None, reason: str | None) -> None:
    _, report = read_status(f"j1 ended 5 6 {EPOCH} 100.00 100.50 {ending}")
    assert report == JobReport(
        state=state,
        exit_code=code,
        signal=signal,
        reason=reason,
        stdout_bytes=5,
        stderr_bytes=6,
        started_at=after(0.5),
        ended_at=after(2),
    )


@pytest.mark.parametrize(
    "line", ["", "j1", "j1 running", "j1 odd 0 0 0 0 - ", "j1 ended 0 0 0 0 - what 1 2 3"]
)
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        read_status(line)


@pytest.mark.parametrize("piece", [1, 100, 65536])
@pytest.mark.parametrize("record", [b"t 0 0\n", b"o 0 30000 1.00\n" + b"x" * 30000, b"x" * 4000, b"\n"])
def test_a_log_in_crumbs_costs_no_more_the_longer_it_is(record: bytes, piece: int) -> None:
    """Counted in steps: bytes that are searched, and times that something is looked at again."""
    for size in (31_000, 124_000):
        data = record * (size // len(record))
        assert _steps(data, piece) <= 4 * len(data) + 1000


class _Counted(bytearray):
    """A buffer that counts the bytes that are searched and moved."""

    steps = 0

    def find(self, wanted: Any, start: Any = 0, end: Any = None) -> int:
        found = super().find(wanted, start, end)
        last = min(len(self), end if end is not None else len(self)) if found < 0 else found
        type(self).steps += max(0, last - start) + 1
        return found

    def __getitem__(self, at: Any) -> Any:
        taken = super().__getitem__(at)
        type(self).steps += len(taken) if isinstance(taken, bytearray) else 1
        return taken


def _steps(data: bytes, piece: int) -> int:
    _Counted.steps = 0
    log = JobLog(JobCursor())
    log._rest = _Counted()
    with contextlib.suppress(InvalidRequest):
        for at in range(0, len(data), piece):
            for _ in log.feed(data[at : at + piece]):
                continue
    return _Counted.steps
