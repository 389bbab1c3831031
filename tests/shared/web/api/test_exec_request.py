"""What to run, from the query: the same rules as in a JSON body, and never another reading than meant."""

from __future__ import annotations

import urllib.parse

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from shared.errors import InvalidRequest
from shared.settings.commands import CommandSettings
from shared.web.api.commands import ExecOptions
from shared.web.api.exec_request import query_options, read_command
from shared.web.http.call import Call
from shared.web.http.request_body import RequestBody
from shared.web.http.routing import Route
from tests.support.web_app import ask, serving

COMMANDS = CommandSettings()
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def encoded(*parameters: tuple[str, str]) -> bytes:
    return urllib.parse.urlencode(parameters).encode()


def test_a_command_given_once_is_a_line_for_the_shell() -> None:
    options = query_options(b"command=wc%20-c%20%3E%20n+m")
    assert options == ExecOptions(command="wc -c > n m")
    assert options.with_stdin(None, COMMANDS).argv == ["sh", "-c", "wc -c > n m"]


@given(argv=st.lists(TEXT, min_size=2, max_size=5))
def test_a_command_given_several_times_is_program_and_arguments(argv: list[str]) -> None:
    assert query_options(encoded(*[("command", word) for word in argv])).command == argv


@given(value=TEXT, workdir=st.just("/a b/ä&="))
def test_options_arrive_exactly(value: str, workdir: str) -> None:
    query = encoded(
        ("command", "cat"),
        ("timeout_seconds", "2.5"),
        ("workdir", workdir),
        ("env", f"A={value}"),
        ("env", "B="),
    )
    assert query_options(query) == ExecOptions(
        command="cat", timeout_seconds=2.5, workdir=workdir, env={"A": value, "B": ""}
    )


@pytest.mark.parametrize(
    ("query", "reason", "field"),
    [
        (b"", "MISSING_FIELD", None),
        (b"command=", "INVALID_FIELD", "command"),
        (b"command=a&stdin=x", "UNKNOWN_FIELD", "stdin"),
        (b"command=a&stdin_base64=eA==", "UNKNOWN_FIELD", "stdin_base64"),
        (b"command=a&tty=true&tty=true", "UNKNOWN_FIELD", "tty"),
        (b"command=a&timeout_seconds=1&timeout_seconds=1", "INVALID_FIELD", "timeout_seconds"),
        (b"command=a&workdir=/&workdir=/tmp", "INVALID_FIELD", "workdir"),
        (b"command=a&timeout_seconds=soon", "WRONG_TYPE", "timeout_seconds"),
        (b"command=a&timeout_seconds=", "WRONG_TYPE", "timeout_seconds"),
        (b"command=a&timeout_seconds=null", "WRONG_TYPE", "timeout_seconds"),
        (b"command=a&timeout_seconds=0", "INVALID_FIELD", "timeout_seconds"),
        (b"command=a&timeout_seconds=nan", "INVALID_FIELD", "timeout_seconds"),
        (b"command=a&timeout_seconds=inf", "INVALID_FIELD", "timeout_seconds"),
        (b"command=a&timeout_seconds=3500", "INVALID_FIELD", "timeout_seconds"),
        (b"command=a&workdir=tmp", "INVALID_FIELD", "workdir"),
        (b"command=a&workdir=/" + b"x" * 4096, "FIELD_TOO_LONG", "workdir"),
        (b"command=a%00b", "INVALID_FIELD", "command"),
        (b"command=&command=a", "INVALID_FIELD", "command"),
        (b"command=a&env=A", "INVALID_FIELD", "env"),
        (b"command=a&env==1", "INVALID_FIELD", "env"),
        (b"command=a&env=A-B=1", "INVALID_FIELD", "env"),
        (b"command=a&env=A=1&env=A=2", "INVALID_FIELD", "env"),
        (b"command=a&command=%ff", "INVALID_FIELD", None),
        (b"command=a&command=\xff", "INVALID_FIELD", None),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_field(query: bytes, reason: str, field: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        query_options(query).with_stdin(None, COMMANDS)
    assert refused.value.reason == reason
    assert refused.value.fields.get("field") == field
    assert len(refused.value.detail) < 500


def application() -> ASGIApp:
    async def handler(call: Call) -> Response:
        command = await read_command(call, RequestBody(), COMMANDS)
        return JSONResponse({"argv": list(command.argv), "has_stdin": command.stdin is not None})

    return serving([Route("POST", "/exec", handler)])


async def post(path: str, content: bytes, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(application(), path, method="POST", content=content, headers=sent)


async def test_a_body_of_octets_is_input_and_is_not_looked_into() -> None:
    answer = await post("/exec?command=cat", b'{"command": "no"}', content_type="application/octet-stream")
    assert answer.json() == {"argv": ["sh", "-c", "cat"], "has_stdin": True}


async def test_json_takes_no_query() -> None:
    answer = await post("/exec?timeout_seconds=5", b'{"command": "a"}', content_type="application/json")
    assert (answer.status_code, answer.json()["reason"]) == (400, "UNKNOWN_FIELD")


@pytest.mark.parametrize("media_type", ["application/octet-stream", "application/json"])
async def test_a_compressed_body_is_refused(media_type: str) -> None:
    answer = await post("/exec?command=cat", b"x", content_type=media_type, content_encoding="gzip")
    assert (answer.status_code, answer.json()["reason"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_another_body_is_refused_with_what_is_taken() -> None:
    answer = await post("/exec?command=cat", b"x", content_type="text/plain")
    assert answer.status_code == 415
    assert answer.json()["detail"] == "the body must be application/json or application/octet-stream"
