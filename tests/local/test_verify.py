"""Where the functions of a deployment are, and what a client shows them."""

from __future__ import annotations

import pytest

from local.demo import StepFailed
from local.verify import Deployment, headers

PATTERN = "https://gamgui-{function}-123.europe-west1.run.app"


@pytest.mark.parametrize(
    ("method", "path", "function"),
    [
        ("POST", "/v1/sessions", "create-session"),
        ("GET", "/v1/sessions", "list-sessions"),
        ("GET", "/v1/sessions/s1", "get-session"),
        ("DELETE", "/v1/sessions/s1", "delete-session"),
        ("POST", "/v1/sessions/s1/exec", "exec-command"),
        ("GET", "/v1/sessions/s1/jobs/j1/output", "job-output"),
        ("PUT", "/v1/sessions/s1/files/a/b", "session-files"),
    ],
)
def test_each_request_goes_to_the_function_that_serves_it(method: str, path: str, function: str) -> None:
    url = f"https://gamgui-{function}-123.europe-west1.run.app{path}"
    assert Deployment(PATTERN).url_of(method, path) == url


def test_what_no_function_serves_is_a_failed_step() -> None:
    with pytest.raises(StepFailed, match="PATCH /nothing"):
        Deployment(PATTERN).url_of("PATCH", "/nothing")


def test_one_address_serves_everything() -> None:
    assert (
        Deployment("https://example.com/").url_of("GET", "/v1/sessions") == "https://example.com/v1/sessions"
    )


def test_cloud_run_gets_a_token_of_its_own_beside_the_functions() -> None:
    assert headers("t") == {"Authorization": "Bearer t", "X-Serverless-Authorization": "Bearer t"}
    assert list(headers("")) == ["X-Dev-User"]
