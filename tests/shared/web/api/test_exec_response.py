"""Responses that run a command: formats, faults before and in mid-stream, callers that go away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Message

from shared.core.commands import ExecEvent, ExecResult, Exit, Output, Started
from shared.errors import ClusterUnavailable, Conflict
from shared.reasons import Reason
from shared.web.api.exec_response import respond
from shared.web.http.call import Call
from shared.web.http.request_body import RequestBody
from shared.web.http.routing import Route
from tests.support.patience import PATIENCE
from tests.support.web_app import ask, serving

JSON, NDJSON, SSE = "application/json", "application/x-ndjson", "text/event-stream"
STREAMS = [NDJSON, SSE]
DONE = Exit(result=ExecResult.EXITED, exit_code=0)


class ScriptedCommand:
    """A command that says what it is told to, then fails or waits, and notes its end.

    Args:
        said: Its events.
        error: Raised after them.
        forever: It waits after them until it is closed or cancelled.
    """

    def __init__(
        self, said: Sequence[ExecEvent], *, error: Exception | None = None, forever: bool = False
    ) -> None:
        self._said = said
        self._error = error
        self._forever = forever
        self.ended = asyncio.Event()

    async def events(self) -> AsyncGenerator[ExecEvent, None]:
        try:
            for event in self._said:
                yield event
            if self._error is not None:
                raise self._error
            if self._forever:
                await asyncio.Event().wait()
        finally:
            self.ended.set()


def application(command: ScriptedCommand) -> Any:
    async def handler(call: Call) -> Response:
        return await respond(call, command.events(), RequestBody())

    return serving([Route("POST", "/exec", handler)])


async def run(command: ScriptedCommand, accept: str) -> httpx.Response:
    answer = await ask(application(command), "/exec", method="POST", headers={"Accept": accept})
    assert command.ended.is_set()
    return answer


def read(answer: httpx.Response) -> list[dict[str, Any]]:
    """The objects of a streamed answer."""
    if answer.headers["content-type"].startswith(SSE):
        events = answer.text.removesuffix("\n\n").split("\n\n")
        found = []
        for event in events:
            name, data = event.split("\n")
            found.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {found[-1]['type']}"
        return found
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_in_one_object_a_command_that_ran_is_a_200_whatever_its_exit_code() -> None:
    command = ScriptedCommand(
        [Started(1), Output("stderr", 0, b"no\n"), Exit(result=ExecResult.EXITED, exit_code=3)]
    )
    answer = await run(command, JSON)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == JSON
    assert int(answer.headers["content-length"]) == len(answer.content)
    body = answer.json()
    assert (body["result"], body["exit_code"], body["stderr"], body["stdout"]) == ("exited", 3, "no\n", "")


@pytest.mark.parametrize("accept", STREAMS)
async def test_a_stream_has_every_event_and_ends_with_exit(accept: str) -> None:
    answer = await run(ScriptedCommand([Started(1), Output("stdout", 0, "€\n".encode()), DONE]), accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == accept
    assert "content-length" not in answer.headers
    assert answer.headers["cache-control"] == "no-cache, no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    events = read(answer)
    assert [event["type"] for event in events] == ["started", "stdout", "exit"]
    assert events[1]["text"] == "€\n"


@pytest.mark.parametrize("accept", [JSON, *STREAMS])
async def test_what_fails_before_the_first_event_is_an_ordinary_problem(accept: str) -> None:
    error = Conflict("the session is pending, not running", reason=Reason.SESSION_NOT_RUNNING)
    answer = await run(ScriptedCommand([], error=error), accept)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["reason"] == Reason.SESSION_NOT_RUNNING


@pytest.mark.parametrize("accept", STREAMS)
async def test_what_fails_in_mid_stream_is_an_error_event_and_the_last_one(accept: str) -> None:
    error = ClusterUnavailable("the connection broke", attempts=3)
    answer = await run(ScriptedCommand([Started(1), Output("stdout", 0, b"a")], error=error), accept)
    assert answer.status_code == 200
    *before, last = read(answer)
    assert [event["type"] for event in before] == ["started", "stdout"]
    assert last == {
        "type": "error",
        "problem_type": "urn:gamgui:problem:cluster-unavailable",
        "title": "Temporarily unavailable",
        "status": 503,
        "detail": "the connection broke",
        "instance": "/exec",
        "reason": "CLUSTER_UNAVAILABLE",
        "request_id": answer.headers["x-request-id"],
        "attempts": 3,
    }


@pytest.mark.parametrize("accept", [JSON, *STREAMS])
async def test_nothing_of_an_unexpected_exception_leaves(accept: str) -> None:
    answer = await run(ScriptedCommand([Started(1)], error=ValueError("canary")), accept)
    assert "canary" not in answer.text
    last = answer.json() if accept == JSON else read(answer)[-1]
    assert (last["status"], last["reason"]) == (500, "INTERNAL")


async def test_in_one_object_what_fails_later_is_an_ordinary_problem_too() -> None:
    error = ClusterUnavailable("the connection broke", retry_after_seconds=3)
    answer = await run(ScriptedCommand([Started(1), Output("stdout", 0, b"a")], error=error), JSON)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "3"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("accept", [JSON, *STREAMS])
async def test_a_command_without_an_end_is_never_a_success(accept: str) -> None:
    answer = await run(ScriptedCommand([Started(1), Output("stdout", 0, b"a")]), accept)
    last = answer.json() if accept == JSON else read(answer)[-1]
    assert (last["status"], last["reason"]) == (500, "INTERNAL")


class Caller:
    """The two ends of a connection, as a server hands them to an application.

    Args:
        reads: How many messages of the answer it takes before it stops reading.
    """

    def __init__(self, reads: int = 1000) -> None:
        self._reads = reads
        self._asked = False
        self._gone = asyncio.Event()
        self.listened_to = asyncio.Event()
        self.got: list[Any] = []
        self.news = asyncio.Event()

    def disconnect(self) -> None:
        self._gone.set()

    async def receive(self) -> Any:
        self.listened_to.set()
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.got.append(message)
        self.news.set()
        if len(self.got) >= self._reads:
            await asyncio.Event().wait()

    async def call(self, command: ScriptedCommand, accept: str) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/exec",
            "query_string": b"",
            "headers": [
                (b"host", b"localhost"),
                (b"accept", accept.encode()),
                (b"x-dev-user", b"alice@example.com"),
            ],
            "client": ("127.0.0.1", 1),
        }
        await application(command)(scope, self.receive, self.send)


@pytest.mark.parametrize("accept", [JSON, *STREAMS])
async def test_a_command_ends_when_its_caller_disconnects(accept: str) -> None:
    command, caller = ScriptedCommand([Started(1)], forever=True), Caller()
    call = asyncio.create_task(caller.call(command, accept))
    await (caller.listened_to if accept == JSON else caller.news).wait()
    assert not command.ended.is_set()
    caller.disconnect()
    await asyncio.wait_for(call, PATIENCE)
    assert command.ended.is_set()


@pytest.mark.parametrize("accept", STREAMS)
async def test_a_command_ends_when_a_caller_that_stopped_reading_disconnects(accept: str) -> None:
    command = ScriptedCommand([Started(1), Output("stdout", 0, b"a")], forever=True)
    caller = Caller(reads=2)
    call = asyncio.create_task(caller.call(command, accept))
    while len(caller.got) < 2:
        caller.news.clear()
        await caller.news.wait()
    assert not command.ended.is_set()
    caller.disconnect()
    await asyncio.wait_for(call, PATIENCE)
    assert command.ended.is_set()


@pytest.mark.parametrize("accept", [JSON, *STREAMS])
async def test_a_command_ends_when_the_server_gives_the_request_up(accept: str) -> None:
    command, caller = ScriptedCommand([Started(1)], forever=True), Caller()
    call = asyncio.create_task(caller.call(command, accept))
    await (caller.listened_to if accept == JSON else caller.news).wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert command.ended.is_set()


async def test_a_command_ends_when_the_connection_breaks_under_the_answer() -> None:
    command = ScriptedCommand([Started(1)], forever=True)

    class Broken(Caller):
        async def send(self, message: Any) -> None:
            raise BrokenPipeError

    await asyncio.wait_for(Broken().call(command, NDJSON), PATIENCE)
    assert command.ended.is_set()


@pytest.mark.parametrize("accept", [JSON, NDJSON])
async def test_the_end_is_told_before_what_is_done_behind_it_and_the_response_ends_after(accept: str) -> None:
    told, let, sent = asyncio.Event(), asyncio.Event(), bytearray()

    async def events() -> AsyncGenerator[ExecEvent, None]:
        try:
            yield Started(1)
            yield DONE
        finally:
            await let.wait()

    async def handler(call: Call) -> Response:
        return await respond(call, events(), RequestBody())

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.extend(message.get("body", b""))
        if b'"exit_code":0' in sent:
            told.set()

    headers = {"host": "localhost", "x-dev-user": "alice@example.com", "accept": accept}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/exec",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    serve = serving([Route("POST", "/exec", handler)])
    serving_it = asyncio.create_task(serve(scope, receive, send))
    async with asyncio.timeout(PATIENCE):
        await told.wait()
        assert not serving_it.done()
        let.set()
        await serving_it
