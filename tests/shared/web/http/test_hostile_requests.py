"""Odd requests over a real connection: each gets a problem document and a 4xx, never a 5xx."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.gateway_process import ALICE, BOB, gateway
from tests.support.patience import PATIENCE

CREATE = "/v1/sessions"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gateway(tmp_path_factory.mktemp("gateway")) as base:
        yield base


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers=ALICE, timeout=PATIENCE) as one:
        yield one


@pytest.fixture(scope="module")
def session_id(client: httpx.Client) -> str:
    return str(client.post(CREATE, json={}).json()["id"])


def raw(url: str, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends bytes as they are and reads one answer."""
    address = urlsplit(url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 0), timeout=PATIENCE) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, body


def request_bytes(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    fields = [b"X-Dev-User: alice@example.com", b"Connection: close", *headers]
    if not any(field.lower().startswith(b"host:") for field in headers):
        fields.append(b"Host: localhost")
    if body and not any(field.lower().startswith(b"transfer-encoding") for field in headers):
        fields.append(b"Content-Length: %d" % len(body))
    return line + b" HTTP/1.1\r\n" + b"\r\n".join(fields) + b"\r\n\r\n" + body


def assert_problem(status: int, headers: Any, body: bytes, expected: int, reason: str) -> dict[str, Any]:
    assert status == expected, body
    assert headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(body)
    assert (problem["reason"], problem["status"]) == (reason, expected)
    assert headers["x-request-id"] == problem["request_id"]
    return problem


BODIES = [
    (b"", "INVALID_JSON"),
    (b"{", "INVALID_JSON"),
    (b"nothing", "INVALID_JSON"),
    (b"{}{}", "INVALID_JSON"),
    (b"\xef\xbb\xbf{}", "INVALID_JSON"),
    (b'{"name":"\xff"}', "INVALID_JSON"),
    (b'{"name":"\\ud800"}', "INVALID_JSON"),
    (b'{"name":"\xed\xa0\x80"}', "INVALID_JSON"),
    (b'{"wait_seconds":NaN}', "INVALID_JSON"),
    (b'{"wait_seconds":Infinity}', "INVALID_JSON"),
    (b"null", "WRONG_TYPE"),
    (b"[]", "WRONG_TYPE"),
    (b"[" * 500_000, "WRONG_TYPE"),
    (b'{"env":' + b'{"a":' * 100_000, "WRONG_TYPE"),
    (b'{"x":' + b"[" * 500_000, "UNKNOWN_FIELD"),
    (b'{"wait_seconds":1e400}', "INVALID_FIELD"),
    (b'{"ttl_seconds":' + b"9" * 5000 + b"}", "INVALID_FIELD"),
    (b'{"ttl_seconds":-9223372036854775809}', "INVALID_FIELD"),
    (b'{"ttl_seconds":2147483648}', "INVALID_FIELD"),
    (b'{"name":"a\\u0000b"}', "INVALID_FIELD"),
    (b'{"image":"gam:7\\n"}', "INVALID_FIELD"),
    (b'{"resources":{"cpu":"500m\\n"}}', "INVALID_FIELD"),
    (b'{"resources":{"memory":"' + b"9" * 5000 + b'"}}', "INVALID_FIELD"),
    (b'{"env":{"A":"\\u0000"}}', "INVALID_FIELD"),
    (b'{"labels":{"' + b"a" * 100_000 + b'":"b"}}', "INVALID_LABEL"),
    (b'{"' + b"a" * 100_000 + b'":1}', "UNKNOWN_FIELD"),
    (b'{"name":"first","Name":"second"}', "UNKNOWN_FIELD"),
]


@pytest.mark.parametrize(("body", "reason"), BODIES, ids=[repr(body[:40]) for body, _ in BODIES])
def test_a_bad_body_is_400_and_its_answer_is_short(client: httpx.Client, body: bytes, reason: str) -> None:
    answer = client.post(CREATE, content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer.status_code, answer.headers, answer.content, 400, reason)
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "*/*", ""]
)
def test_a_body_that_is_not_declared_as_json_is_415(client: httpx.Client, media_type: str) -> None:
    answer = client.post(CREATE, content=b"{}", headers={"Content-Type": media_type})
    assert_problem(answer.status_code, answer.headers, answer.content, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_body_without_content_type_is_415(url: str) -> None:
    assert_problem(*raw(url, request_bytes(b"POST /v1/sessions", body=b"{}")), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_compressed_body_is_415(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = client.post(CREATE, content=b"\x1f\x8b", headers=headers)
    problem = assert_problem(
        answer.status_code, answer.headers, answer.content, 415, "UNSUPPORTED_MEDIA_TYPE"
    )
    assert problem["content_encoding"] == "gzip"


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON ;x=y"])
def test_parameters_and_case_of_the_content_type_do_not_matter(client: httpx.Client, media_type: str) -> None:
    answer = client.post(CREATE, content=b"{}", headers={"Content-Type": media_type})
    assert answer.status_code == 201


def test_a_body_of_one_mebibyte_is_read_and_one_byte_more_is_413(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    fits = client.post(CREATE, content=b"{}".ljust(MIB), headers=headers)
    too_large = client.post(CREATE, content=b"{}".ljust(MIB + 1), headers=headers)
    assert fits.status_code == 201
    problem = assert_problem(
        too_large.status_code, too_large.headers, too_large.content, 413, "PAYLOAD_TOO_LARGE"
    )
    assert problem["max_bytes"] == MIB


def test_a_chunked_body_that_is_too_large_is_413_before_its_end(url: str) -> None:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    headers = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    request = request_bytes(b"POST /v1/sessions", *headers, body=chunk * 16 + b"1\r\n \r\n")
    assert_problem(*raw(url, request), 413, "PAYLOAD_TOO_LARGE")


QUERIES = [
    "state=",
    "state=RUNNING",
    "state=running%00",
    "state=running&state=failed",
    "page_size=",
    "page_size=0",
    "page_size=201",
    "page_size=-1",
    "page_size=1.0",
    "page_size=%2B5",
    "page_size=%D9%A3",
    "page_size=5%00",
    "page_size=5%0A",
    "page_size=000000001" + "9" * 20,
    "page_size=000000001" + "9" * 5000,
    "page_size=1&page_size=2",
    "page_token=%00",
    "page_token=%FF",
    "page_token=bnVsbA==",
    "page_token=" + "W1" * 2000,
    "page_token=W1tbW1tbW1tbW1tb" + "W1tb" * 10_000,
    "page_token=WyIyMDI2LTAzLTAxVDEyOjAwOjAwKzAwOjAwIiwgIi4uIl0=",
]


@pytest.mark.parametrize("query", QUERIES, ids=[query[:40] for query in QUERIES])
def test_a_bad_query_is_400(client: httpx.Client, query: str) -> None:
    answer = client.get(f"{CREATE}?{query}")
    assert_problem(answer.status_code, answer.headers, answer.content, 400, "INVALID_FIELD")


@pytest.mark.parametrize("query", ["x=1", "%00=1", "%FF", "Page_size=1", "page_size[]=1", "=1"])
def test_an_unknown_query_parameter_is_400(client: httpx.Client, query: str) -> None:
    answer = client.get(f"{CREATE}?{query}")
    assert_problem(answer.status_code, answer.headers, answer.content, 400, "UNKNOWN_FIELD")


@pytest.mark.parametrize("target", [b"/healthz?\xff\xfe", b"/healthz?\x80=1", b"/healthz?a#b"])
def test_a_query_that_is_not_ascii_does_no_harm(url: str, target: bytes) -> None:
    status, headers, _ = raw(url, request_bytes(b"GET " + target))
    assert status in (200, 400)
    assert status == 400 or headers["x-request-id"]


@pytest.mark.parametrize(
    "host", [b"", b"[", b"]", b"a:b", b"localhost/v1/status?", b"a b", b"\xff", b"user:pass@host"]
)
def test_no_host_header_leads_elsewhere_or_to_a_fault(url: str, host: bytes) -> None:
    status, _, body = raw(url, request_bytes(b"GET /v1/nothing", b"Host: " + host))
    assert status in (400, 404), body
    assert b"version" not in body


PATHS = [
    "/",
    "//",
    "/v1",
    "/v1/sessions/",
    "//v1/sessions",
    "/v1/sess%0Aions",
    "/v1/sess%09ions",
    "/v1/sessions%00",
    "/V1/sessions",
    "/v1/sessions/../sessions%2F",
    "/v1/sessions/a%2Fb",
    "/robots.txt",
    "/favicon.ico",
    "/%FF%FE",
    "/" + "a" * 8000,
    "/v1/sessions%3Fpage_size=1",
]


@pytest.mark.parametrize("path", PATHS, ids=[path[:40] for path in PATHS])
def test_an_unknown_path_is_404(url: str, path: str) -> None:
    answer = raw(url, request_bytes(b"GET " + path.encode()))
    problem = assert_problem(*answer, 404, "NOT_FOUND")
    assert "\n" not in problem["instance"]


@pytest.mark.parametrize(
    "session", ["x", "..%2e", "s%00", "saaaaaaaaaaaaaaaaa", "SAAAAAAAAAAAAAAAA", "saaaaaaaaaaaaaaa%0A", "%FF"]
)
def test_what_is_no_session_id_is_a_session_that_does_not_exist(url: str, session: str) -> None:
    for line in (b"GET /v1/sessions/%b", b"DELETE /v1/sessions/%b"):
        answer = raw(url, request_bytes(line % session.encode()))
        assert_problem(*answer, 404, "SESSION_NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/sessions", "GET, POST"),
        ("/v1/sessions/x", "DELETE, GET, PATCH"),
        ("/v1/cleanup", "POST"),
        ("/v1/sessions/x/exec", "POST"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
        ("/v1/status", "GET"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PURGE", "OPTIONS", "TRACE", "CONNECT", "QUERY", "get"])
def test_another_method_is_405_and_says_which_are_allowed(
    url: str, path: str, allow: str, method: str
) -> None:
    status, headers, body = raw(url, request_bytes(f"{method} {path}".encode()))
    assert_problem(status, headers, body, 405, "METHOD_NOT_ALLOWED")
    assert headers["allow"] == allow


def test_head_is_405_without_a_body(url: str) -> None:
    status, headers, body = raw(url, request_bytes(b"HEAD /healthz"))
    assert (status, headers["allow"], body) == (405, "GET", b"")


@pytest.mark.parametrize(
    "keys",
    [(b"",), (b" ",), (b"a b",), (b"\xe9",), (b"k" * 256,), (b"one", b"two"), (b"one", b"one")],
    ids=repr,
)
def test_a_bad_idempotency_key_is_400(url: str, keys: tuple[bytes, ...]) -> None:
    headers = [b"Content-Type: application/json", *(b"Idempotency-Key: " + key for key in keys)]
    problem = assert_problem(
        *raw(url, request_bytes(b"POST /v1/sessions", *headers, body=b"{}")), 400, "INVALID_FIELD"
    )
    assert problem["field"] == "Idempotency-Key"


@pytest.mark.parametrize("user", [b"", b"nobody", b"a@b@c", b"\xe9@example.com", b"a b@example.com"])
def test_a_bad_identity_is_401_and_says_which_credentials_are_wanted(url: str, user: bytes) -> None:
    request = b"GET /v1/sessions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Dev-User: " + user
    status, headers, body = raw(url, request + b"\r\n\r\n")
    assert_problem(status, headers, body, 401, "TOKEN_INVALID" if user else "TOKEN_MISSING")
    assert headers["www-authenticate"] == "Bearer"


def test_a_web_page_under_a_name_of_its_own_is_not_believed(url: str) -> None:
    answer = raw(url, request_bytes(b"GET /v1/sessions", b"Host: evil.example.com"))
    assert_problem(*answer, 401, "IDENTITY_NOT_LOCAL")


def test_two_identities_are_none(url: str) -> None:
    answer = raw(url, request_bytes(b"GET /v1/sessions", b"X-Dev-User: bob@example.com"))
    assert_problem(*answer, 401, "TOKEN_INVALID")


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "*/*;q=0", ";", "text/html, x"])
def test_exec_in_no_format_of_ours_is_406(client: httpx.Client, session_id: str, accept: str) -> None:
    answer = client.post(f"{CREATE}/{session_id}/exec", json={"command": "true"}, headers={"Accept": accept})
    assert_problem(answer.status_code, answer.headers, answer.content, 406, "NOT_ACCEPTABLE")


def test_several_accept_lines_are_one_list(url: str, session_id: str) -> None:
    headers = (
        b"Content-Type: application/json",
        b"Accept: application/json;q=0.5",
        b"Accept: application/x-ndjson",
    )
    line = f"POST {CREATE}/{session_id}/exec".encode()
    status, answered, _ = raw(url, request_bytes(line, *headers, body=b'{"command":"true"}'))
    assert (status, answered["content-type"]) == (200, "application/x-ndjson")


def test_a_request_id_is_taken_and_a_bad_one_replaced(client: httpx.Client) -> None:
    taken = client.get("/healthz", headers={"X-Request-Id": "my-id.1_2"}).headers["x-request-id"]
    replaced = client.get("/healthz", headers={"X-Request-Id": "bad id"}).headers["x-request-id"]
    too_long = client.get("/healthz", headers={"X-Request-Id": "a" * 129}).headers["x-request-id"]
    assert taken == "my-id.1_2"
    assert len(replaced) == len(too_long) == 32


def test_a_session_of_another_caller_does_not_exist(client: httpx.Client, session_id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/exec")):
        body = {"command": "true"} if method == "POST" else None
        answer = client.request(method, f"{CREATE}/{session_id}{path}", json=body, headers=BOB)
        assert_problem(answer.status_code, answer.headers, answer.content, 404, "SESSION_NOT_FOUND")
    assert client.get(CREATE, headers=BOB).json() == {"sessions": []}
