"""Log entries: one line of JSON each, of the request that they belong to."""

from __future__ import annotations

import asyncio
import contextvars
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response, StreamingResponse

from shared.core.sessions.names import owner_hash
from shared.web.http import logs
from shared.web.http.call import Call
from shared.web.http.routing import Route
from tests.support.gateway_process import ROOT
from tests.support.patience import PATIENCE
from tests.support.web_app import ask, serving

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What our loggers write as on Cloud Run, in project ``p``."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.CloudFormatter("p"))
    loggers = [logging.getLogger(name) for name in ("gamgui", "shared")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield stream
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def _ok(call: Call) -> Response:
    logging.getLogger("gamgui.test").info("in the handler")
    return Response("ok")


async def test_entries_of_a_request_carry_its_id_and_trace(stream: io.StringIO) -> None:
    await ask(serving([Route("GET", "/", _ok)]), headers={"X-Request-Id": "r-1", "traceparent": PARENT})
    inside, line = entries(stream)
    for entry in (inside, line):
        assert entry["severity"] == "INFO"
        assert entry["request_id"] == "r-1"
        assert entry["logging.googleapis.com/trace"] == f"projects/p/traces/{TRACE}"
        assert entry["logging.googleapis.com/spanId"] == SPAN
    assert inside["message"] == "in the handler"
    assert line["httpRequest"]["status"] == 200
    assert re.fullmatch(r"\d+\.\d{6}s", line["httpRequest"]["latency"])
    assert line["function"] == "tested"


async def test_the_line_of_a_request_names_its_caller_as_a_hash_only(stream: io.StringIO) -> None:
    await ask(serving([Route("GET", "/", _ok)]))
    assert entries(stream)[-1]["owner"] == owner_hash("alice@example.com")
    assert "alice" not in stream.getvalue()


async def test_a_query_is_not_logged(stream: io.StringIO) -> None:
    await ask(serving([Route("GET", "/", _ok)]), "/?page_token=canary")
    assert "canary" not in stream.getvalue()


async def test_what_is_logged_while_an_answer_streams_belongs_to_its_request(stream: io.StringIO) -> None:
    async def parts() -> Any:
        yield b"a"
        logging.getLogger("gamgui.test").info("late")

    async def handler(call: Call) -> Response:
        return StreamingResponse(parts())

    await ask(serving([Route("GET", "/", handler)]), headers={"X-Request-Id": "r-2"})
    late = next(entry for entry in entries(stream) if entry["message"] == "late")
    assert late["request_id"] == "r-2"


async def test_requests_at_the_same_time_keep_their_own_ids(stream: io.StringIO) -> None:
    both = asyncio.Barrier(2)

    async def handler(call: Call) -> Response:
        await both.wait()
        logging.getLogger("gamgui.test").info("%s", call.request_id)
        return Response()

    application = serving([Route("GET", "/", handler)])
    requests = (ask(application, headers={"X-Request-Id": name}) for name in ("one", "two"))
    await asyncio.gather(*(asyncio.create_task(request) for request in requests))
    said = [entry for entry in entries(stream) if entry["logger"] == "gamgui.test"]
    assert {entry["message"] for entry in said} == {"one", "two"}
    assert all(entry["message"] == entry["request_id"] for entry in said)


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "garbage",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_a_bad_traceparent_is_no_trace(parent: str) -> None:
    assert "logging.googleapis.com/trace" not in formatted("x", parent=parent)


def test_a_later_version_of_traceparent_is_read() -> None:
    entry = formatted("x", parent=f"01-{TRACE}-{SPAN}-01-more")
    assert entry["logging.googleapis.com/trace"].endswith(TRACE)


def formatted(message: str, parent: str = "", **extra: Any) -> dict[str, Any]:
    """The one line that a record becomes, read."""

    def format_() -> str:
        logs.bind("r", parent)
        record = logging.LogRecord("n", logging.ERROR, "f", 1, message, None, extra.pop("exc_info", None))
        record.__dict__.update(extra)
        return logs.CloudFormatter("p").format(record)

    line = contextvars.copy_context().run(format_)
    assert "\n" not in line
    assert "\r" not in line
    entry: dict[str, Any] = json.loads(line)
    return entry


@given(st.text())
def test_any_message_is_one_line_of_json(message: str) -> None:
    assert formatted(message)["message"] == message


def test_an_exception_is_one_line_too() -> None:
    error = ValueError("first\nsecond")
    entry = formatted("failed", exc_info=(ValueError, error, None))
    assert entry["severity"] == "ERROR"
    assert "ValueError: first\nsecond" in entry["stack_trace"]


def test_fields_that_json_does_not_know_do_no_harm() -> None:
    assert formatted("x", fields={"audit": {"at": object}})["audit"]["at"] == str(object)


def test_on_cloud_run_entries_are_json_on_stderr_and_on_a_terminal_readable() -> None:
    program = (
        "import logging, sys\n"
        "from shared.settings import Settings\n"
        "from shared.web.http import logs\n"
        "logs.configure(Settings.from_env(dict(pair.split('=') for pair in sys.argv[1:])).platform)\n"
        "logging.getLogger('gamgui.x').info('hello')\n"
        "logging.getLogger('shared.x').info('hello')\n"
        "logging.getLogger('library').info('unimportant')\n"
        "logging.getLogger('library').warning('hello')\n"
    )
    common = ["AUTH_MODE=iap", "AUTH_AUDIENCE=a"]
    cloud, terminal = (
        subprocess.run(
            [sys.executable, "-c", program, *common, *more],
            cwd=ROOT,
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        )
        for more in (["K_SERVICE=s"], [])
    )
    said = [json.loads(line) for line in cloud.stderr.splitlines()]
    assert [(entry["logger"], entry["message"]) for entry in said] == [
        ("gamgui.x", "hello"),
        ("shared.x", "hello"),
        ("library", "hello"),
    ]
    assert terminal.stderr.decode().splitlines()[0].endswith("INFO gamgui.x: hello")
    assert cloud.stdout == terminal.stdout == b""
