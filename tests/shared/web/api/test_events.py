"""A command's events as callers see them, and the format that they ask for."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.commands import ExecEvent, ExecResult, Exit, Heartbeat, Output, Started, Stream
from shared.errors import NotAcceptable
from shared.web.api.exec_answer import Kept, Whole
from shared.web.api.exec_response import as_objects
from shared.web.http.events import ndjson, negotiate, server_sent
from shared.web.http.json_pieces import content_pieces

JSON, NDJSON, SSE = "application/json", "application/x-ndjson", "text/event-stream"


async def events(of: Iterable[ExecEvent]) -> AsyncGenerator[ExecEvent, None]:
    for event in of:
        yield event


async def objects(*of: ExecEvent) -> list[dict[str, Any]]:
    """The objects as a client reads them."""
    return [json.loads(ndjson(event)) async for event in as_objects(events(of), time.monotonic())]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/*", SSE),
        (NDJSON, NDJSON),
        (SSE, SSE),
        ("TEXT/Event-Stream ; Q=1", SSE),
        (f"{JSON};q=0.5, {NDJSON}", NDJSON),
        (f"{JSON};q=0.1, */*", NDJSON),
        (f"{JSON};q=0, */*", NDJSON),
        (f"{JSON};q=0, {NDJSON};q=0, */*;q=0.1", SSE),
        ("application/*;q=0.2, text/*;q=0.3", SSE),
        (f"*/*, {SSE}", SSE),
        (f"{SSE}, */*", SSE),
        (f"{NDJSON}, {JSON}", NDJSON),
        (f"{JSON}, {NDJSON}", JSON),
        (f"text/html, {NDJSON};q=0.9, */*;q=0.8", NDJSON),
        (f"{JSON};charset=utf-8", JSON),
        (f"{NDJSON};q=0.000, {JSON};q=0.001", JSON),
    ],
)
def test_the_format_is_the_one_that_accept_prefers(accept: str, expected: str) -> None:
    assert negotiate(accept) == expected


@pytest.mark.parametrize(
    "accept",
    [
        "image/png",
        f"{JSON};q=0",
        "*/*;q=0",
        ";",
        ",",
        f"{JSON};q=nan",
        f"{JSON};q=2",
        f"{JSON};q=-1",
        f"{JSON};q=",
        "*",
        "text/plain, image/*",
    ],
)
def test_an_accept_that_takes_none_of_ours_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept)


@given(
    st.text()
    | st.lists(st.sampled_from([JSON, NDJSON, SSE, "*/*", "text/*", ";q=", "0.5", ","])).map("".join)
)
def test_any_accept_is_a_format_of_ours_or_not_acceptable(accept: str) -> None:
    try:
        assert negotiate(accept) in (JSON, NDJSON, SSE)
    except NotAcceptable as error:
        assert error.status == 406


async def test_events_keep_their_order_and_the_exit_is_last() -> None:
    said = await objects(
        Started(17),
        Output("stdout", 0, b"out"),
        Heartbeat(),
        Output("stderr", 0, b"err"),
        Exit(result=ExecResult.EXITED, exit_code=3),
    )
    assert [event["type"] for event in said] == ["started", "stdout", "heartbeat", "stderr", "exit"]
    assert said[0]["pid"] == 17
    assert said[1]["text"] == "out"
    end = said[-1]
    assert (end["result"], end["exit_code"], end["signal"], end["reason"]) == ("exited", 3, None, None)
    assert end["duration_ms"] >= 0
    assert "virtual" not in end


async def test_a_character_cut_between_outputs_comes_whole_and_streams_do_not_mix() -> None:
    said = await objects(
        Output("stdout", 0, b"\xe2\x82"),
        Output("stderr", 0, b"\xc3"),
        Output("stdout", 2, b"\xac"),
        Exit(result=ExecResult.EXITED, exit_code=0),
    )
    assert [(event["type"], event.get("offset"), event.get("text")) for event in said[:-1]] == [
        ("stdout", 0, "€"),
        ("stderr", 0, None),
    ]
    assert base64.b64decode(said[1]["base64"]) == b"\xc3"


async def test_the_end_of_a_virtual_command_says_so() -> None:
    (end,) = await objects(Exit(result=ExecResult.UNKNOWN, virtual=True))
    assert end["virtual"] is True


def test_an_event_is_one_line_whatever_its_text_holds() -> None:
    event = {"type": "stdout", "text": "a\nb\r\n\u2028c\0"}
    line = ndjson(event)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line) == event


@given(st.text())
def test_a_server_sent_event_is_read_back_as_a_browser_reads_it(text: str) -> None:
    event = {"type": "stdout", "text": text}
    # The stream's line ends are CR LF, LF and CR; a blank line ends an event.
    lines = server_sent(event).decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert lines[0] == "event: stdout"
    assert lines[2:] == ["", ""]
    field, _, data = lines[1].partition(": ")
    assert field == "data"
    assert json.loads(data) == event


def members_of(kept: Kept, stream: Stream) -> dict[str, Any]:
    """The stream's members of an answer."""
    content = b"".join(content_pieces(kept.content(), stream, f"{stream}_base64"))
    return {**kept.counts(stream), **json.loads(b"{" + content + b"}")}


_outputs = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=12)), max_size=20)


@given(_outputs, st.sampled_from([8, 10, 20]))
def test_kept_output_is_head_and_tail_with_exact_counts(outputs: list[tuple[str, bytes]], limit: int) -> None:
    kept = Kept(limit)
    for _, data in outputs:
        kept.add(data)
    stream = b"".join(data for _, data in outputs)
    members = members_of(kept, "stdout")
    assert members["stdout_bytes"] == kept.total == len(stream)
    shown = _content(members, "stdout")
    assert len(shown) <= limit
    assert kept.truncated is (len(stream) > limit)
    if not kept.truncated:
        assert shown == stream
        assert "stdout_omitted" not in members
        return
    gap = members["stdout_omitted"]
    assert gap["bytes"] > 0
    assert len(shown) + gap["bytes"] == len(stream)
    assert stream[: gap["offset"]] + stream[gap["offset"] + gap["bytes"] :] == shown
    # Only what a cut through a character costs is missing beside the middle.
    assert len(shown) >= limit - 6


@given(st.text(min_size=1), st.integers(4, 10))
def test_text_that_is_cut_in_the_middle_stays_text(text: str, half: int) -> None:
    kept = Kept(2 * half)
    kept.add(text.encode())
    members = members_of(kept, "stdout")
    assert "stdout" in members
    if kept.truncated:
        gap = members["stdout_omitted"]
        head = text.encode()[: gap["offset"]].decode()
        tail = text.encode()[gap["offset"] + gap["bytes"] :].decode()
        assert members["stdout"] == head + tail


def test_bytes_that_are_cut_in_the_middle_stay_bytes() -> None:
    kept = Kept(4)
    kept.add(b"\xff\xfe\x00\x00\xfd\xfc")
    assert base64.b64decode(members_of(kept, "stderr")["stderr_base64"]) == b"\xff\xfe\xfd\xfc"


async def test_the_memory_that_is_kept_does_not_grow_with_the_output() -> None:
    kept = Kept(1000)
    for _ in range(1000):
        kept.add(b"x" * 997)
    assert kept.total == 997_000
    assert len(kept._head) + len(kept._tail) <= 2 * 1000 + 997


@given(_outputs)
async def test_an_answer_in_one_object_has_both_streams_whole(outputs: list[tuple[Any, bytes]]) -> None:
    told: list[ExecEvent] = [Started(1), *(Output(stream, 0, data) for stream, data in outputs)]
    end = Exit(result=ExecResult.SIGNALED, exit_code=137, signal="SIGKILL", reason="killed")
    whole = Whole()
    await whole.collect(events([*told, end]), time.monotonic())
    answer = json.loads(b"".join(whole.pieces()))
    for stream in ("stdout", "stderr"):
        written = b"".join(data for name, data in outputs if name == stream)
        assert _content(answer, stream) == written
        assert answer[f"{stream}_bytes"] == len(written)
    assert (answer["result"], answer["exit_code"], answer["signal"]) == ("signaled", 137, "SIGKILL")
    assert answer["reason"] == "killed"
    assert answer["truncated"] is False


def _content(members: dict[str, Any], stream: str) -> bytes:
    if stream in members:
        assert f"{stream}_base64" not in members
        return str(members[stream]).encode()
    return base64.b64decode(members[f"{stream}_base64"])
