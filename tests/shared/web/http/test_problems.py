"""Errors as problem documents: what they say, and what never leaves."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from shared.errors import (
    ClusterUnavailable,
    Conflict,
    GamguiError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    TooManyRequests,
    Unauthenticated,
)
from shared.kube.api.errors import ApiError
from shared.reasons import Reason
from shared.web.http.problems import problem
from shared.web.http.routing import Route
from tests.support.web_app import WebApp, ask, raising, serving

SECRET = "ya29.canary-secret"


def all_errors(base: type[GamguiError] = GamguiError) -> list[type[GamguiError]]:
    return [base, *(found for one in base.__subclasses__() for found in all_errors(one))]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
async def test_each_error_becomes_a_problem_with_its_status_and_reason(kind: type[GamguiError]) -> None:
    error = kind(404, "NotFound", "x") if issubclass(kind, ApiError) else kind("What went wrong.")
    answer = await ask(serving([Route("GET", "/", raising(error))]))
    assert answer.status_code == kind.status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["title"] == kind.title
    assert body["status"] == kind.status
    assert body["reason"] == error.reason
    assert body["type"] == "urn:gamgui:problem:" + error.reason.lower().replace("_", "-")
    assert body["detail"] == error.detail
    assert body["instance"] == "/"
    assert body["request_id"] == answer.headers["x-request-id"]


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """What the module logs."""
    kept: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = kept.append  # type: ignore[method-assign,assignment] # takes the method's place
    logger = logging.getLogger("shared.web.http.problems")
    logger.addHandler(handler)
    yield kept
    logger.removeHandler(handler)


async def test_nothing_of_an_unexpected_exception_leaves_but_the_log_has_it(
    records: list[logging.LogRecord],
) -> None:
    cause = ValueError(f"token {SECRET} at 10.0.0.7:443")
    answer = await ask(serving([Route("GET", "/", raising(cause))]))
    assert answer.status_code == 500
    assert answer.json() == {
        "type": "urn:gamgui:problem:internal",
        "title": "Internal error",
        "status": 500,
        "detail": "an unexpected error; the log has it under the request id",
        "instance": "/",
        "reason": "INTERNAL",
        "request_id": answer.headers["x-request-id"],
    }
    for leak in (SECRET, "10.0.0.7", "Traceback", "ValueError"):
        assert leak not in answer.text
        assert leak not in str(answer.headers)
    assert any(record.exc_info and record.exc_info[1] is cause for record in records)


async def test_nothing_of_an_errors_cause_leaves() -> None:
    error = ClusterUnavailable("the Kubernetes API is not reached")
    error.__cause__ = OSError(f"connect to 10.0.0.7:443 with {SECRET}")
    answer = await ask(serving([Route("GET", "/", raising(error))]))
    assert answer.status_code == 503
    assert "10.0.0.7" not in answer.text
    assert SECRET not in answer.text


async def test_settings_that_are_wrong_are_a_problem_too() -> None:
    def fails() -> WebApp:
        raise GamguiError(
            "AUTH_AUDIENCE is not set", reason=Reason.CONFIGURATION_INVALID, variable="AUTH_AUDIENCE"
        )

    answer = await ask(serving([Route("GET", "/", raising(AssertionError()))], fails))
    assert (answer.status_code, answer.json()["variable"]) == (500, "AUTH_AUDIENCE")


@pytest.mark.parametrize(("seconds", "header"), [(2, "2"), (0.2, "1"), (29.01, "30"), (0, "0")])
async def test_when_to_try_again_is_said_in_whole_seconds_rounded_up(seconds: float, header: str) -> None:
    error = TooManyRequests("full", retry_after_seconds=seconds)
    answer = await ask(serving([Route("GET", "/", raising(error))]))
    assert answer.headers["retry-after"] == header


async def test_an_error_that_does_not_know_when_to_try_again_says_nothing() -> None:
    answer = await ask(serving([Route("GET", "/", raising(Conflict("busy")))]))
    assert "retry-after" not in answer.headers


async def test_401_names_the_scheme_and_405_the_methods() -> None:
    unknown = await ask(serving([Route("GET", "/", raising(Unauthenticated("who?")))]))
    assert unknown.headers["www-authenticate"] == "Bearer"
    wrong = await ask(serving([Route("GET", "/", raising(MethodNotAllowed("no", allow="GET, PUT")))]))
    assert wrong.headers["allow"] == "GET, PUT"
    other = await ask(serving([Route("GET", "/", raising(NotFound("no")))]))
    assert not {"www-authenticate", "allow"} & set(other.headers)


def test_values_of_the_detail_are_members_and_never_replace_the_standard_ones() -> None:
    error = InvalidRequest("x", field="cpu", title="mine", status="mine", instance="mine", request_id="mine")
    body = problem(error, instance="/p", request_id="r")
    assert body["field"] == "cpu"
    assert (body["title"], body["status"], body["instance"], body["request_id"]) == (
        "Invalid request",
        400,
        "/p",
        "r",
    )


async def test_the_instance_is_a_uri_reference_whatever_the_path_holds() -> None:
    answer = await ask(serving([Route("GET", "/", raising(NotFound("no")))]), "/a%0Ab%20c%3Fd%23e/%C3%A9")
    assert answer.json()["instance"] == "/a%0Ab%20c%3Fd%23e/%C3%A9"
