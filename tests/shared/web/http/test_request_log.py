"""The one line of a request: what it says, when it is written, and that nothing breaks it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

from shared.core.sessions.names import owner_hash
from shared.errors import StoreUnavailable
from shared.web.http import logs
from shared.web.http.call import Call
from shared.web.http.events import EventObject
from shared.web.http.request_body import RequestBody
from shared.web.http.routing import Handler, Route
from shared.web.http.streaming import EventStream, StreamedResponse
from tests.support.patience import PATIENCE
from tests.support.web_app import ask, raising, serving

SESSION = "saaaaaaaaaaaaaaaa"


class Lines:
    """What the request log writes."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(formatter)

    def __enter__(self) -> Lines:
        logger = logging.getLogger("gamgui.request")
        self.level = logger.level
        logger.addHandler(self.handler)
        logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("gamgui.request")
        logger.removeHandler(self.handler)
        logger.setLevel(self.level)

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def one(self) -> dict[str, Any]:
        (line,) = self.all()
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    with Lines(logs.CloudFormatter("p")) as lines:
        yield lines


def application(handler: Handler, path: str = "/v1/sessions/{session_id}/x", method: str = "GET") -> Any:
    return serving([Route(method, path, handler)])


async def told(call: Call) -> Response:
    return JSONResponse({"a": 1})


async def test_a_line_has_what_cloud_logging_and_an_operator_look_for(lines: Lines) -> None:
    headers = {"User-Agent": "curl/8", "X-Request-Id": "r-1", "Content-Length": "3"}
    path = f"/v1/sessions/{SESSION}/x?secret=1"
    await ask(application(told, method="POST"), path, method="POST", headers=headers, content=b"abc")
    line = lines.one()
    latency = line["httpRequest"].pop("latency")
    assert float(latency.removesuffix("s")) < 60
    assert line["httpRequest"] == {
        "requestMethod": "POST",
        "requestUrl": f"/v1/sessions/{SESSION}/x",
        "requestSize": "3",
        "status": 200,
        "responseSize": str(len(b'{"a":1}')),
        "userAgent": "curl/8",
    }
    assert line["severity"] == "INFO"
    assert line["function"] == "tested"
    assert line["owner"] == owner_hash("alice@example.com")
    assert line["session"] == SESSION
    assert line["ended"] == "completed"
    assert line["request_id"] == "r-1"
    assert "reason" not in line


async def test_an_error_is_named_by_its_reason_and_a_fault_of_ours_is_a_warning(lines: Lines) -> None:
    await ask(application(raising(StoreUnavailable("away"))), f"/v1/sessions/{SESSION}/x")
    await ask(application(told), "/nowhere")
    fault, missing = lines.all()
    assert (fault["reason"], fault["severity"]) == ("STORE_UNAVAILABLE", "WARNING")
    assert (missing["reason"], missing["severity"]) == ("NOT_FOUND", "INFO")
    assert fault["ended"] == missing["ended"] == "completed"
    assert {"owner", "session"} & set(missing) == set()


async def test_only_the_first_request_of_a_process_is_a_cold_start(lines: Lines) -> None:
    for _ in range(2):
        await ask(application(told), f"/v1/sessions/{SESSION}/x")
    assert lines.all()[1]["cold_start"] is False


class Connection:
    """A connection whose caller can go away."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.gone = asyncio.Event()
        self.begun = asyncio.Event()
        self._asked = False

    async def receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if message.get("body"):
            self.begun.set()

    async def run(self, handler: Handler) -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/v1/sessions/{SESSION}/x",
            "query_string": b"",
            "headers": [(b"host", b"localhost"), (b"x-dev-user", b"a@example.com")],
            "client": ("127.0.0.1", 1),
        }
        await application(handler)(scope, self.receive, self.send)


def events(source: AsyncGenerator[EventObject, None]) -> Handler:
    async def handler(call: Call) -> Response:
        return EventStream(call, source, source=source, body=RequestBody(), form="application/x-ndjson")

    return handler


def bytes_of(source: AsyncGenerator[bytes, None]) -> Handler:
    async def handler(call: Call) -> Response:
        return StreamedResponse(source, status_code=200, headers={})

    return handler


async def test_a_streams_line_comes_when_it_has_ended_and_counts_all_of_it(lines: Lines) -> None:
    on = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield b"a" * 1000
        await on.wait()
        yield b"b"

    connection = Connection()
    running = asyncio.create_task(connection.run(bytes_of(source())))  # type: ignore[arg-type] # anything that is iterated over
    await asyncio.wait_for(connection.begun.wait(), PATIENCE)
    assert lines.all() == []
    await asyncio.sleep(0.1)
    on.set()
    await running
    line = lines.one()
    assert (line["ended"], line["httpRequest"]["responseSize"]) == ("completed", "1001")
    assert float(line["httpRequest"]["latency"].removesuffix("s")) >= 0.1


@pytest.mark.parametrize("kind", [events, bytes_of])
async def test_a_caller_that_goes_away_is_the_end_that_the_line_tells(lines: Lines, kind: Any) -> None:
    async def source() -> AsyncIterator[Any]:
        yield {"type": "started"} if kind is events else b"x"
        await asyncio.Event().wait()

    connection = Connection()
    running = asyncio.create_task(connection.run(kind(source())))
    await asyncio.wait_for(connection.begun.wait(), PATIENCE)
    connection.gone.set()
    await asyncio.wait_for(running, PATIENCE)
    line = lines.one()
    assert (line["ended"], line["httpRequest"]["status"], line["severity"]) == ("client_gone", 200, "INFO")


@pytest.mark.parametrize("kind", [events, bytes_of])
@pytest.mark.parametrize(
    ("error", "reason"), [(StoreUnavailable("away"), "STORE_UNAVAILABLE"), (ValueError("x"), "INTERNAL")]
)
async def test_a_stream_that_fails_in_its_midst_is_no_success(
    lines: Lines, kind: Any, error: Exception, reason: str
) -> None:
    async def source() -> AsyncIterator[Any]:
        yield {"type": "started"} if kind is events else b"x"
        raise error

    await Connection().run(kind(source()))
    line = lines.one()
    assert (line["ended"], line["reason"], line["severity"]) == ("failed", reason, "WARNING")
    assert line["httpRequest"]["status"] == 200


async def test_a_response_that_the_server_cancels_has_its_line(lines: Lines) -> None:
    async def source() -> AsyncIterator[Any]:
        yield b"x"
        await asyncio.Event().wait()

    connection = Connection()
    running = asyncio.create_task(connection.run(bytes_of(source())))  # type: ignore[arg-type] # anything that is iterated over
    await asyncio.wait_for(connection.begun.wait(), PATIENCE)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert lines.one()["ended"] == "failed"


async def test_who_goes_before_there_is_a_status_is_logged_as_499(lines: Lines) -> None:
    class Never(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            while (await receive())["type"] != "http.disconnect":
                continue

    async def handler(call: Call) -> Response:
        return Never()

    connection = Connection()
    connection.gone.set()
    await connection.run(handler)
    line = lines.one()
    assert (line["ended"], line["httpRequest"]["status"]) == ("client_gone", 499)


LATIN = st.binary(max_size=40).filter(lambda value: value == value.strip())


@given(path=st.text(min_size=1, max_size=60), header=LATIN, agent=LATIN, length=LATIN)
async def test_no_value_breaks_a_line(path: str, header: bytes, agent: bytes, length: bytes) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/" + path,
        "query_string": header,
        "headers": [
            (b"host", b"localhost"),
            (b"x-request-id", header),
            (b"traceparent", header),
            (b"user-agent", agent),
            (b"content-length", length),
            (b"x-dev-user", header),
        ],
        "client": ("127.0.0.1", 1),
    }
    connection = Connection()
    for formatter in (logs.CloudFormatter("p"), logs.TerminalFormatter("%(message)s")):
        with Lines(formatter) as lines:
            await application(told, "/{session_id}")(scope, connection.receive, connection.send)
        text = lines.stream.getvalue()
        assert text.endswith("\n")
        assert len(text.splitlines()) == 1
        assert text.rstrip("\n").isprintable()


async def test_what_is_huge_is_cut(lines: Lines) -> None:
    huge = "x" * 50_000
    await ask(application(told, "/{session_id}"), f"/{huge}", headers={"User-Agent": huge})
    assert len(lines.stream.getvalue()) < 4_000


@given(st.text(max_size=60))
def test_any_message_is_one_line_on_a_terminal(message: str) -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "%s", (message,), None)
    line = logs.TerminalFormatter("%(message)s").format(record)
    assert len(line.splitlines()) <= 1
    assert "\x1b" not in line


def test_a_readable_message_stays_as_it_is_on_a_terminal() -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "Grüße, 日本\tx", None, None)
    assert logs.TerminalFormatter("%(message)s").format(record) == "Grüße, 日本\tx"
