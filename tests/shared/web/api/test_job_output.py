"""A job's output as events: whatever event a caller saw last, its cursor leads to the rest."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from shared.core.commands import Heartbeat
from shared.core.jobs.model import Gap, JobCursor, JobRecord, JobReport, JobState, Place
from shared.errors import InvalidRequest
from shared.kube.jobs.log import JobLog
from shared.web.api.job_output import OutputEvents
from shared.web.api.jobs import END, cursor_text, output_query, read_cursor
from shared.web.http.events import server_sent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEAD = b"t 1772366400000 0.00\n"
Chunks = list[tuple[str, bytes]]
chunks = st.lists(
    st.tuples(
        st.sampled_from("oe"),
        st.binary(min_size=1, max_size=12) | st.text("aä€😀\n", min_size=1, max_size=5).map(str.encode),
    ),
    max_size=12,
)


def log_of(said: Chunks) -> bytes:
    """What job.sh writes when a command says this."""
    log, at = b"g 0 0 0 1.00\ns 7 1.00\n", {"o": 0, "e": 0}
    for letter, data in said:
        log += f"{letter} {at[letter]} {len(data)} 2.00\n".encode() + data
        at[letter] += len(data)
    return log + f"x exited 0 3.00 {at['o']} {at['e']} \n".encode()


def events(log: bytes, cursor: str = "") -> list[dict[str, Any]]:
    since = read_cursor(cursor)
    assert since is not None
    found: list[dict[str, Any]] = []
    output = OutputEvents(since)
    for record in JobLog(since).feed(HEAD + log[since.place.size :]):
        found += output.take(record)
    return found


def content(found: list[dict[str, Any]], stream: str) -> bytes:
    data = b""
    for event in found:
        if event["type"] == stream:
            assert event["offset"] == len(data)
            data += event["text"].encode() if "text" in event else base64.b64decode(event["base64"])
    return data


@given(chunks)
def test_everything_is_told_once_and_in_order(said: Chunks) -> None:
    found = events(log_of(said))
    for letter, stream in (("o", "stdout"), ("e", "stderr")):
        assert content(found, stream) == b"".join(data for one, data in said if one == letter)
    assert found[0]["type"] == "started"
    assert (found[-1]["type"], found[-1]["cursor"], found[-1]["exit_code"]) == ("exit", END, 0)


@given(chunks, st.data())
def test_after_a_disconnect_anywhere_not_a_byte_is_lost_or_repeated(
    said: Chunks, data: st.DataObject
) -> None:
    log = log_of(said)
    found: list[dict[str, Any]] = []
    cursor = ""
    while cursor != END:
        rest = events(log, cursor)
        seen = rest[: data.draw(st.integers(min_value=1, max_value=len(rest)))]
        found += seen
        cursor = seen[-1]["cursor"]
    for letter, stream in (("o", "stdout"), ("e", "stderr")):
        assert content(found, stream) == b"".join(one for name, one in said if name == letter)
    assert [event["type"] for event in found].count("started") == 1


@given(st.lists(st.sampled_from(["ä", "€", "😀", "a"]), min_size=1, max_size=8), st.data())
def test_no_character_stands_in_two_events_also_over_a_disconnect(
    text: list[str], data: st.DataObject
) -> None:
    whole = "".join(text).encode()
    cut = data.draw(st.integers(min_value=1, max_value=len(whole)))
    said = [("o", whole[:cut]), ("e", b"!"), *([("o", whole[cut:])] if whole[cut:] else [])]
    log = log_of(said)
    for number in range(1, len(events(log))):
        first = events(log)[:number]
        found = first + events(log, first[-1]["cursor"])
        assert all("text" in event for event in found if event["type"] == "stdout")
        assert content(found, "stdout") == whole


LATER = b"g 4 7 3 5.00\no 9 3 6.00\nxyze 4 1 6.00\n!l o 7.00\no 12 1 8.00\nzx exited 0 9.00 13 5 \n"
"""A log whose beginning is gone, with bytes that are missing inside it."""


@given(st.data())
def test_gaps_are_told_once_and_nothing_behind_them_is_lost_over_disconnects(data: st.DataObject) -> None:
    def read(cursor: str) -> list[dict[str, Any]]:
        since = read_cursor(cursor)
        assert since is not None
        output = OutputEvents(since)
        rest = LATER if since.place.part < 4 else LATER[since.place.size :]
        return [event for one in JobLog(since).feed(HEAD + rest) for event in output.take(one)]

    found: list[dict[str, Any]] = []
    cursor = "0-0-0-0"
    while cursor != END:
        rest = read(cursor)
        found += rest[: data.draw(st.integers(min_value=1, max_value=len(rest)))]
        cursor = found[-1]["cursor"]
    told = [(event["type"], event.get("stream"), event.get("offset"), event.get("bytes")) for event in found]
    assert told == [
        ("gap", "stdout", 0, 7),
        ("gap", "stderr", 0, 3),
        ("gap", "stdout", 7, 2),
        ("stdout", None, 9, None),
        ("gap", "stderr", 3, 1),
        ("stderr", None, 4, None),
        ("gap", "stdout", 12, None),
        ("stdout", None, 12, None),
        ("exit", None, None, None),
    ]


def record(event: Any) -> JobRecord:
    return JobRecord(event, NOON, Place(0, 10), Place(0, 20))


def test_a_gap_ends_a_begun_character_and_moves_the_offset() -> None:
    log = b"o 0 2 1.00\na\xc3"
    output = OutputEvents(JobCursor())
    found = [event for one in JobLog(JobCursor()).feed(HEAD + log) for event in output.take(one)]
    found += output.take(record(Gap("stdout", 2, 100)))
    assert [(event["type"], event["offset"]) for event in found] == [("stdout", 0), ("stdout", 1), ("gap", 2)]
    assert found[1]["base64"] == base64.b64encode(b"\xc3").decode()
    assert (found[2]["stream"], found[2]["bytes"]) == ("stdout", 100)
    assert read_cursor(found[2]["cursor"]) == JobCursor(Place(0, 20), 102, 0)


def test_a_heartbeat_carries_the_cursor_and_a_time() -> None:
    (event,) = OutputEvents(JobCursor(Place(1, 2), 3, 4)).take(
        JobRecord(Heartbeat(), None, Place(1, 2), Place(1, 2))
    )
    assert (event["type"], event["cursor"]) == ("heartbeat", "1-2-3-4")
    assert event["time"].endswith("Z")
    assert b"\nid: 1-2-3-4\n" in server_sent(event)


@pytest.mark.parametrize(
    ("report", "result"),
    [
        (JobReport(state=JobState.EXITED, exit_code=0), "exited"),
        (JobReport(state=JobState.EXITED, exit_code=137, signal="SIGKILL"), "signaled"),
        (JobReport(state=JobState.EXITED, exit_code=127, reason="gam: not found"), "start_failed"),
        (JobReport(state=JobState.CANCELLED, exit_code=143, signal="SIGTERM"), "cancelled"),
        (JobReport(state=JobState.TIMED_OUT, exit_code=143, signal="SIGTERM"), "timed_out"),
        (JobReport(state=JobState.LOST, reason="the session was deleted"), "pod_lost"),
    ],
)
def test_the_end_is_told_in_the_words_of_exec(report: JobReport, result: str) -> None:
    (event,) = OutputEvents(JobCursor()).take(record(report))
    assert (event["type"], event["result"], event["state"]) == ("exit", result, report.state)
    assert (event["exit_code"], event["reason"]) == (report.exit_code, report.reason)


def test_cursors_come_back_as_they_went() -> None:
    cursor = JobCursor(Place(3, 17), 5, 8)
    assert read_cursor(cursor_text(cursor)) == cursor
    assert read_cursor("") == JobCursor()
    assert read_cursor(END) is None


@pytest.mark.parametrize(
    "text",
    ["x", "1-2-3", "1-2-3-4-5", "-1-2-3-4", "1-2-3-4 ", "1-2-3-4\n", "\uff11-2-3-4", "9" * 30 + "-1-1-1"],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_cursor(text)
    assert caught.value.fields["field"] == "cursor"


def test_what_a_request_asks_for() -> None:
    assert output_query(QueryParams(""), None) == (JobCursor(), False)
    query = QueryParams("follow=true&cursor=0-1-2-3")
    assert output_query(query, None) == (JobCursor(Place(0, 1), 2, 3), True)
    assert output_query(query, END) == (None, True)


@pytest.mark.parametrize("query", ["follow=yes", "follow=true&follow=true", "from=3", "cursor=1&cursor=2"])
def test_other_queries_are_refused(query: str) -> None:
    with pytest.raises(InvalidRequest):
        output_query(QueryParams(query), None)
