"""The answer to a create: status, headers, and once per Idempotency-Key."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from shared.core.person import Person
from shared.core.sessions.idempotency import IdempotentRequests
from shared.core.sessions.model import Resources, Session, SessionState
from shared.core.sessions.new_session import NewSession
from shared.errors import ClusterUnavailable, GamguiError, SessionStartFailed, TooManyRequests
from shared.reasons import Reason
from shared.web.api.sessions import session_creation
from shared.web.http.call import Call
from shared.web.http.idempotency import answer_once
from shared.web.http.routing import Route
from tests.shared.store.samples import SetClock, a_session
from tests.support.stores import SqliteStore
from tests.support.web_app import ask, serving

NEW = NewSession(
    name="",
    image="gam:7",
    resources=Resources(cpu="1", memory="1Gi"),
    labels={},
    env={},
    ttl_seconds=3600,
    idle_seconds=600,
    wait_seconds=30,
)


class Creations:
    """Creates sessions, or fails, as told; counts how often it was asked."""

    def __init__(self) -> None:
        self.error: GamguiError | None = None
        self.state = SessionState.RUNNING
        self.repeatable = False
        self.ids: list[str] = []

    async def create(self, owner: Person, new: NewSession, session_id: str) -> Session:
        self.ids.append(session_id)
        if self.error is not None:
            raise self.error
        return a_session(id=session_id, state=self.state)


@pytest.fixture
def creations() -> Creations:
    return Creations()


@pytest.fixture
async def post(tmp_path: Path, creations: Creations) -> AsyncIterator[Callable[..., Any]]:
    """Posts a create with an Idempotency-Key, or without."""
    clock = SetClock()
    store = SqliteStore(tmp_path / "sessions.db", clock=clock)
    requests = IdempotentRequests(store, clock)

    async def handler(call: Call) -> Response:
        creation = session_creation(creations, call.caller, NEW)  # type: ignore[arg-type] # create is all it takes
        creation = dataclasses.replace(creation, repeatable=creations.repeatable)
        return await answer_once(call, await call.json_body(), requests, creation)

    application = serving([Route("POST", "/v1/sessions", handler)])

    async def post(key: str | None = "key", body: str = "{}", **headers: str) -> httpx.Response:
        sent = {"Content-Type": "application/json", **headers}
        if key is not None:
            sent["Idempotency-Key"] = key
        return await ask(application, "/v1/sessions", method="POST", headers=sent, content=body)

    yield post
    await store.close()


@pytest.mark.parametrize(("state", "status"), [(SessionState.RUNNING, 201), (SessionState.PENDING, 202)])
async def test_a_running_session_is_201_a_pending_one_202_and_both_say_where(
    post: Any, creations: Creations, state: SessionState, status: int
) -> None:
    creations.state = state
    answer = await post(key=None)
    assert answer.status_code == status
    assert answer.headers["location"] == f"/v1/sessions/{answer.json()['id']}"
    assert answer.json()["state"] == state


async def test_without_a_key_each_request_creates(post: Any, creations: Creations) -> None:
    first, second = await post(key=None), await post(key=None)
    assert first.json()["id"] != second.json()["id"]
    assert creations.ids == [first.json()["id"], second.json()["id"]]


@pytest.mark.parametrize("state", [SessionState.RUNNING, SessionState.PENDING])
async def test_a_repetition_gets_the_first_answer_with_an_id_of_its_own(
    post: Any, creations: Creations, state: SessionState
) -> None:
    creations.state = state
    first = await post(**{"X-Request-Id": "one"})
    again = await post(**{"X-Request-Id": "two"})
    assert len(creations.ids) == 1
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert (first.headers["x-request-id"], again.headers["x-request-id"]) == ("one", "two")


async def test_another_body_under_the_key_is_422(post: Any, creations: Creations) -> None:
    await post()
    answer = await post(body='{"name": "other"}')
    assert (answer.status_code, answer.json()["reason"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(creations.ids) == 1


async def test_a_failure_for_good_is_the_answer_to_repetitions_too(post: Any, creations: Creations) -> None:
    creations.error = SessionStartFailed("not found", reason=Reason.IMAGE_UNAVAILABLE, session="s")
    first = await post(**{"X-Request-Id": "one"})
    creations.error = None
    again = await post(**{"X-Request-Id": "two"})
    assert len(creations.ids) == 1
    assert again.status_code == 422
    assert again.headers["content-type"] == "application/problem+json"
    assert again.json() == {**first.json(), "request_id": "two"}


@pytest.mark.parametrize(
    "error", [ClusterUnavailable("not reached"), TooManyRequests("full", retry_after_seconds=30)]
)
async def test_a_failure_that_passes_frees_the_key_for_another_session(
    post: Any, creations: Creations, error: GamguiError
) -> None:
    creations.error = error
    failed = await post()
    creations.error = None
    answer = await post()
    assert (failed.status_code, answer.status_code) == (error.status, 201)
    assert len(set(creations.ids)) == 2


async def test_what_can_be_repeated_is_repeated_under_the_same_id(post: Any, creations: Creations) -> None:
    creations.repeatable = True
    creations.error = ClusterUnavailable("not reached")
    await post()
    creations.error = None
    assert (await post()).status_code == 201
    assert len(creations.ids) == 2
    assert len(set(creations.ids)) == 1
