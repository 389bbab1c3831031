"""What the answers of an instance keep together is bounded, however many there are and whoever reads them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.types import Message

from shared.core.commands import ExecEvent, ExecResult, Exit, Output, Started, Stream
from shared.core.held import Held
from shared.errors import GamguiError
from shared.web.api.exec_answer import FREE_BYTES, AnswerRoom, Kept, Whole
from shared.web.api.exec_response import respond
from shared.web.http.call import Call
from shared.web.http.json_pieces import content_pieces
from shared.web.http.request_body import RequestBody
from shared.web.http.routing import Route
from shared.web.http.streaming import MAX_WAITING_BYTES
from tests.support import virtual_time
from tests.support.patience import PATIENCE
from tests.support.web_app import ask, serving

FRAME = 32 * 1024
MIB = 1024 * 1024
STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


async def flood(size: int, data: bytes) -> AsyncGenerator[ExecEvent, None]:
    """So many bytes on each stream, in frames."""
    yield Started(1)
    for at in range(0, size, len(data)):
        for stream in STREAMS:
            yield Output(stream, at, data)
        await asyncio.sleep(0)
    yield Exit(result=ExecResult.EXITED, exit_code=0)


def application(room: AnswerRoom, size: int, data: bytes) -> Any:
    async def handler(call: Call) -> Response:
        return await respond(call, flood(size, data), RequestBody(), room)

    return serving([Route("POST", "/exec", handler)])


async def test_many_answers_at_once_keep_no_more_than_there_is_room_for() -> None:
    count, size = 12, MIB
    room = AnswerRoom(4 * MIB, Held())
    served = application(room, size, b"x" * FRAME)
    answers = await asyncio.gather(*(ask(served, "/exec", method="POST") for _ in range(count)))
    assert room.held.peak <= 4 * MIB + count * 2 * (FREE_BYTES + FRAME)
    assert room.held.now == 0
    assert room.take(4 * MIB)
    cut = 0
    for answer in answers:
        told = answer.json()
        for stream in STREAMS:
            assert told[f"{stream}_bytes"] == size
            left_out = told.get(f"{stream}_omitted", {"bytes": 0})["bytes"]
            assert len(told[stream]) == size - left_out >= FREE_BYTES
            cut += left_out > 0
    assert cut > 0


async def test_room_that_one_answer_gives_back_is_the_next_ones() -> None:
    room = AnswerRoom(2 * MIB)
    for _ in range(5):
        told = (await ask(application(room, MIB, b"x" * FRAME), "/exec", method="POST")).json()
        assert told["truncated"] is False


@pytest.mark.parametrize("data", [b"\0" * FRAME, b"\xff" * FRAME, "€".encode() * 9000, b"\x80\xc3" * 5000])
async def test_a_long_answer_is_the_same_as_a_short_one_in_pieces_of_bounded_length(data: bytes) -> None:
    whole = Whole()
    await whole.collect(flood(MIB, data), 0)
    pieces = list(whole.pieces())
    assert max(map(len, pieces)) <= 6 * 48 * 1024 + 64
    answer = await ask(application(AnswerRoom(), MIB, data), "/exec", method="POST")
    told, again = json.loads(b"".join(pieces)), answer.json()
    assert {**told, "duration_ms": 0} == {**again, "duration_ms": 0}
    assert "content-length" not in answer.headers


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=90_000).map(lambda data: data * 3), max_size=4))
def test_content_in_pieces_is_what_it_is_made_of(parts: list[bytes]) -> None:
    for made in (parts, [part.decode("latin-1").encode() for part in parts]):
        said = json.loads(b"{" + b"".join(content_pieces([memoryview(p) for p in made], "t", "b")) + b"}")
        as_one = json.loads(b"{" + b"".join(content_pieces([memoryview(b"".join(made))], "t", "b")) + b"}")
        assert said == as_one


@given(st.lists(st.integers(0, 3 * FREE_BYTES), max_size=12), st.integers(0, 6) | st.none())
@settings(max_examples=60)
def test_where_there_is_no_room_head_and_tail_are_shorter_and_right(
    sizes: list[int], room: int | None
) -> None:
    held = Held()
    shared_room = AnswerRoom((room if room is not None else 100) * FREE_BYTES, held)
    kept = Kept(limit=5 * FREE_BYTES, room=shared_room)
    stream = b""
    for number, size in enumerate(sizes):
        data = bytes([number + 48]) * size
        stream += data
        kept.add(data)
        assert held.now == kept.kept_bytes <= 5 * FREE_BYTES
    shown = b"".join(kept.content())
    if not kept.truncated:
        assert shown == stream
    else:
        gap = kept.counts("stdout")["stdout_omitted"]
        assert stream[: gap["offset"]] + stream[gap["offset"] + gap["bytes"] :] == shown
        assert len(shown) >= FREE_BYTES
    kept.close()
    assert held.now == 0
    assert shared_room.take((room if room is not None else 100) * FREE_BYTES)


def scope_of(accept: str) -> dict[str, Any]:
    """A request's, as a server has it."""
    headers = [(b"x-dev-user", b"alice@example.com"), (b"accept", accept.encode()), (b"host", b"localhost")]
    return {
        "type": "http",
        "method": "POST",
        "path": "/exec",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 50_000),
        "server": ("localhost", 80),
        "scheme": "http",
    }


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream", "application/json"])
async def test_a_caller_that_does_not_read_and_then_leaves_costs_little_and_nothing_afterwards(
    accept: str,
) -> None:
    room, sent, stopped = AnswerRoom(4 * MIB), asyncio.Event(), 0

    async def send(message: Message) -> None:
        nonlocal stopped
        if message["type"] == "http.response.body":
            stopped += 1
            sent.set()
            await asyncio.Event().wait()

    async def receive() -> Message:
        await sent.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    served = application(room, MIB, b"x" * FRAME)
    with contextlib.suppress(OSError):
        await served(scope_of(accept), receive, send)
    assert stopped == 1
    assert room.held.now == 0
    if accept != "application/json":
        assert MAX_WAITING_BYTES <= room.held.peak <= MAX_WAITING_BYTES + 2 * FRAME


@pytest.mark.parametrize("size", [1000, 2 * MIB], ids=["short", "long"])
@pytest.mark.parametrize("reads", [0, 1, 30], ids=["nothing", "little", "slowly"])
def test_who_stays_and_does_not_read_keeps_the_room_of_the_others_for_minutes_only(
    size: int, reads: int
) -> None:
    """``reads``: pieces that are taken, one a minute."""
    room, left, last = AnswerRoom(4 * MIB), reads, False

    async def send(message: Message) -> None:
        nonlocal left, last
        if message["type"] == "http.response.body":
            left -= 1
            await asyncio.sleep(60 if left >= 0 else 100_000)
            last = not message.get("more_body", False)

    async def receive() -> Message:
        await asyncio.sleep(100_000)
        return {"type": "http.disconnect"}

    async def asked() -> float:
        served = application(room, size, b"x" * FRAME)
        await served(scope_of("application/json"), receive, send)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(asked()) <= 1200
    assert last is (size == 1000 and reads > 0)
    assert room.held.now == 0
    assert room.take(4 * MIB)


@pytest.mark.parametrize("how", ["fault", "refusal", "no end", "caller leaves", "cancelled"])
async def test_room_is_given_back_however_a_command_breaks_off(how: str) -> None:
    room, waiting = AnswerRoom(4 * MIB), asyncio.Event()

    async def broken() -> AsyncGenerator[ExecEvent, None]:
        yield Started(1)
        for at in range(0, MIB, FRAME):
            yield Output("stdout", at, b"x" * FRAME)
        assert not room.take(4 * MIB)
        if how == "fault":
            raise ValueError
        if how == "refusal":
            raise GamguiError("no more")
        if how != "no end":
            waiting.set()
            await asyncio.Event().wait()

    async def handler(call: Call) -> Response:
        return await respond(call, broken(), RequestBody(), room)

    async def send(message: Message) -> None:
        await asyncio.sleep(0)

    async def receive() -> Message:
        await (waiting if how == "caller leaves" else asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    served = serving([Route("POST", "/exec", handler)])
    answering = asyncio.create_task(served(scope_of("application/json"), receive, send))
    if how == "cancelled":
        await waiting.wait()
        answering.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE):
            await answering
    assert room.held.now == 0
    assert room.take(4 * MIB)
