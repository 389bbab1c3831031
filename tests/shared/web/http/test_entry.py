"""Routing, identity and request ids of an endpoint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from shared.errors import NotFound
from shared.web.http.call import Call
from shared.web.http.routing import Route
from tests.support.web_app import WebApp, ask, raising, serving


async def _told(call: Call) -> Response:
    return JSONResponse(
        {"caller": call.caller.email, "params": dict(call.params), "request_id": call.request_id}
    )


ROUTES = [
    Route("GET", "/things", _told),
    Route("GET", "/things/{thing_id}", _told),
    Route("DELETE", "/things/{thing_id}", _told),
    Route("GET", "/open", _told, public=True),
]


async def test_the_route_of_method_and_path_answers_with_the_paths_parameters() -> None:
    answer = await ask(serving(ROUTES), "/things/a%20b")
    assert answer.json()["params"] == {"thing_id": "a b"}
    assert answer.json()["caller"] == "alice@example.com"


@pytest.mark.parametrize(
    ("path", "rest"),
    [("/deep/1/a/b", "a/b"), ("/deep/1/", ""), ("/deep/1/a%2Fb%0Ac/", "a/b\nc/"), ("/deep/1//", "/")],
)
async def test_a_last_parameter_may_take_the_rest_of_the_path(path: str, rest: str) -> None:
    routes = [Route("GET", "/deep/{number}/{rest:rest}", _told)]
    assert (await ask(serving(routes), path)).json()["params"] == {"number": "1", "rest": rest}
    for other in ("/deep/1", "/deep//x", "/deep/1a"):
        assert (await ask(serving(routes), other)).status_code == 404


@pytest.mark.parametrize("colon", [":", "%3A"])
async def test_a_path_may_end_in_a_verb_behind_a_colon(colon: str) -> None:
    routes = [*ROUTES, Route("POST", "/things/{thing_id}/parts:count", _told)]
    answer = await ask(serving(routes), f"/things/1/parts{colon}count", method="POST")
    assert answer.json()["params"] == {"thing_id": "1"}
    assert (await ask(serving(routes), "/things/1/parts", method="POST")).status_code == 404


async def test_a_public_route_asks_for_no_identity_and_has_none() -> None:
    answer = await ask(serving(ROUTES), "/open", headers={"X-Dev-User": ""})
    assert (answer.status_code, answer.json()["caller"]) == (200, "")


async def test_without_identity_no_handler_is_reached() -> None:
    reached = serving([Route("GET", "/things", raising(AssertionError("reached")))])
    answer = await ask(reached, "/things", headers={"X-Dev-User": ""})
    assert (answer.status_code, answer.json()["reason"]) == (401, "TOKEN_MISSING")


async def test_another_method_is_405_with_all_methods_of_the_path() -> None:
    answer = await ask(serving(ROUTES), "/things/1", method="PUT", headers={"X-Dev-User": ""})
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET")
    assert answer.json()["allow"] == "DELETE, GET"


@given(st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True))
async def test_a_good_request_id_is_used(request_id: str) -> None:
    answer = await ask(serving(ROUTES), "/open", headers={"X-Request-Id": request_id})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == request_id


@pytest.mark.parametrize("request_id", ["", "a b", "a\u00e9", "x" * 129, "a,b"])
async def test_a_bad_request_id_is_replaced(request_id: str) -> None:
    answer = await ask(serving(ROUTES), "/open", headers={"X-Request-Id": request_id.encode("latin-1")})
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert len(answer.headers["x-request-id"]) == 32


@given(st.text(max_size=40))
def test_a_template_matches_whole_segments_only(text: str) -> None:
    scope = {"type": "http", "method": "GET", "path": f"/things/{text}"}
    match, child = Route("GET", "/things/{thing_id}", _told).matches(scope)
    if not text or "/" in text:
        assert match is Match.NONE
    else:
        assert (match, child["path_params"]) == (Match.FULL, {"thing_id": text})


async def test_a_connection_that_breaks_in_the_body_is_no_fault_of_ours() -> None:
    async def handler(call: Call) -> Response:
        await call.json_body()
        return Response()

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"x-dev-user", b"a@example.com"),
        ],
        "client": ("127.0.0.1", 1),
    }
    await serving([Route("POST", "/", handler)])(scope, receive, send)  # type: ignore[arg-type] # a plain dict is a scope too
    assert sent[0]["status"] == 400


async def test_an_endpoint_that_cannot_read_its_settings_still_answers() -> None:
    def broken() -> WebApp:
        raise ClientDisconnect

    answer = await ask(serving(ROUTES, broken), "/open")
    assert (answer.status_code, answer.json()["reason"]) == (500, "INTERNAL")


ANSWERS = {
    "json": _told,
    "problem": raising(NotFound("there is no such thing")),
    "fault": raising(ValueError("a fault")),
    "gone": raising(ClientDisconnect()),
    "empty": lambda call: _made(Response(status_code=204)),
    "text": lambda call: _made(Response("text", media_type="text/plain")),
}


async def _made(response: Response) -> Response:
    return response


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("path", ["/things", "/nowhere"])
async def test_no_answer_may_be_kept_by_a_cache(answer: str, path: str) -> None:
    found = await ask(serving([Route("GET", "/things", ANSWERS[answer])]), path)
    assert found.headers["cache-control"] == "no-store"


async def test_a_handler_may_say_itself_who_may_keep_its_answer() -> None:
    async def file(call: Call) -> Response:
        return Response("content", headers={"Cache-Control": "private, no-cache"})

    answer = await ask(serving([Route("GET", "/things", file)]), "/things")
    assert answer.headers["cache-control"] == "private, no-cache"
