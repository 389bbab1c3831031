"""The API client under faults: what is repeated, what is not, and what reaches the caller."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from shared.errors import ClusterUnavailable
from shared.kube.api.client import KubeApi
from shared.kube.api.connection import Connection
from shared.kube.api.errors import ApiError
from shared.reasons import Reason
from tests.support.exec_server import FixedConnector, NoCredentials, api_at
from tests.support.kube_server import Answer, KubeServer, events, failure
from tests.support.patience import PATIENCE

OBJECT = Answer(body={"kind": "Pod"})


@pytest.mark.parametrize(
    "fault",
    [
        failure(429, "TooManyRequests"),
        failure(500, "InternalError"),
        failure(503, "ServiceUnavailable"),
        failure(504, "Timeout"),
        Answer(status=0),
        Answer(lines=[b'{"kind": "Po'], torn=True),
        Answer(lines=[b'{"kind": "Po']),
        Answer(lines=[b"<html>Welcome</html>"]),
    ],
    ids=["429", "500", "503", "504", "reset", "torn", "cut", "somebody else's"],
)
async def test_a_passing_fault_is_overcome(fault: Answer) -> None:
    async with KubeServer([fault, fault, OBJECT]).running() as server, closing(api_at(server.url)) as api:
        assert await api.request("GET", "/x") == {"kind": "Pod"}
        assert len(server.requests) == 3


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 422])
async def test_a_refusal_is_not_repeated(code: int) -> None:
    async with KubeServer([failure(code, "No")]).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ApiError) as caught:
            await api.request("GET", "/x")
    assert caught.value.code == code
    assert len(server.requests) == (2 if code == 401 else 1)


async def test_a_post_is_repeated_only_when_it_is_said_to_be_safe() -> None:
    fault = failure(503, "ServiceUnavailable")
    async with KubeServer([fault, OBJECT]).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ApiError):
            await api.request("POST", "/x", body={})
        assert len(server.requests) == 1
    async with KubeServer([fault, OBJECT]).running() as server, closing(api_at(server.url)) as api:
        assert await api.request("POST", "/x", body={}, idempotent=True) == {"kind": "Pod"}


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_what_must_not_be_sent_twice_is_not_when_its_answer_is_lost(method: str) -> None:
    """The HTTP library repeats PUT and DELETE of its own accord."""
    script = [OBJECT, Answer(status=0), failure(404, "NotFound")]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        await api.request("GET", "/x")
        with pytest.raises(ClusterUnavailable) as caught:
            await api.request(method, "/x", body={}, idempotent=False)
        assert not isinstance(caught.value, ApiError)
        assert caught.value.reason == Reason.CLUSTER_UNREACHABLE
        assert [request.method for request in server.requests] == ["GET", method]


async def test_retry_after_is_honoured() -> None:
    """How long is waited: test_retries.py, on a clock of its own."""
    fault = failure(429, "TooManyRequests", Retry_After="1")
    async with KubeServer([fault, OBJECT]).running() as server, closing(api_at(server.url)) as api:
        assert await api.request("GET", "/x") == {"kind": "Pod"}
    assert len(server.requests) == 2
    fault = failure(429, "TooManyRequests", Retry_After="3600")
    async with KubeServer([fault, OBJECT]).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ApiError) as caught:
            await api.request("GET", "/x")
    assert (caught.value.retry_after_seconds, len(server.requests)) == (3600, 1)


@pytest.mark.parametrize(
    "fault",
    [
        failure(429, "TooManyRequests"),
        failure(500, "", "error dialing backend: dial tcp 10.0.0.5:10250: connect: connection refused"),
        failure(503, "ServiceUnavailable"),
        failure(504, "Timeout"),
        Answer(status=0),
    ],
    ids=["429", "500", "503", "504", "reset"],
)
async def test_an_upgrade_that_was_refused_is_asked_for_again(fault: Answer) -> None:
    script = [fault, fault, failure(404, "NotFound", 'pods "p" not found')]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ApiError) as caught:
            await api.websocket("/x", params=(), protocols=("v5.channel.k8s.io",), max_message_bytes=1024)
    assert (caught.value.code, caught.value.message) == (404, 'pods "p" not found')
    assert len(server.requests) == 3


async def test_an_upgrade_that_stays_refused_is_told_in_kubernetes_words() -> None:
    words = "error dialing backend: dial tcp 10.0.0.5:10250: i/o timeout"
    fault = failure(500, "", words, Retry_After="30")
    async with KubeServer([fault]).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(
            ApiError, match="error dialing backend: dial tcp <address>: i/o timeout"
        ) as caught:
            await api.websocket("/x", params=(), protocols=("v5.channel.k8s.io",), max_message_bytes=1024)
    assert caught.value.retry_after_seconds == 30
    assert len(server.requests) == 1


async def test_an_upgrades_refusal_may_be_a_text_and_its_token_is_replaced_once() -> None:
    fault = failure(401, "Unauthorized")
    text = Answer(500, headers={"Content-Type": "text/plain"}, lines=[b'container not found ("session")'])
    async with KubeServer([fault, text]).running() as server:
        async with closing(KubeApi(FixedConnector(connection(server.url, Counting())))) as api:
            with pytest.raises(ApiError, match="container not found"):
                await api.websocket("/x", params=(), protocols=(), max_message_bytes=1024)
        assert [request.headers["Authorization"] for request in server.requests] == ["Bearer 1", "Bearer 2"]


@pytest.mark.parametrize(
    ("method", "body", "passes"),
    [
        ("POST", {"metadata": {"name": "x"}}, True),
        ("PUT", {"metadata": {"resourceVersion": "7"}}, False),
        ("PATCH", {"metadata": {"resourceVersion": "7"}}, False),
        ("PATCH", {"data": {}}, True),
        ("PATCH", [{"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}], False),
        ("PATCH", [{"op": "remove", "path": "/data"}], True),
        ("DELETE", {"preconditions": {"resourceVersion": "7"}}, False),
        ("DELETE", {"kind": "DeleteOptions", "apiVersion": "v1"}, True),
    ],
)
async def test_a_conflict_is_the_callers_only_if_he_stated_a_version(
    method: str, body: Any, passes: bool
) -> None:
    words = 'Operation cannot be fulfilled on secrets "x": the object has been modified; please apply'
    path = "/api/v1/namespaces/n/secrets" + ("" if method == "POST" else "/x")
    script = [failure(409, "Conflict", words), OBJECT]
    async with KubeServer(script).running() as server, closing(api_at(server.url)) as api:
        if passes:
            await api.request(method, path, body=body)
        else:
            with pytest.raises(ApiError) as caught:
                await api.request(method, path, body=body)
            assert (caught.value.code, caught.value.passes) == (409, False)
    assert len(server.requests) == (2 if passes else 1)


async def test_a_silent_server_costs_no_more_than_the_deadline() -> None:
    async with KubeServer([Answer(hangs=True)]).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ClusterUnavailable) as caught:
            async with asyncio.timeout(PATIENCE):
                await api.request("GET", "/x", timeout_seconds=0.5)
    assert caught.value.reason == Reason.CLUSTER_TIMEOUT


async def test_at_the_deadline_the_last_fault_is_told() -> None:
    async with (
        KubeServer([failure(503, "ServiceUnavailable", "etcd is away")]).running() as server,
        closing(api_at(server.url)) as api,
    ):
        with pytest.raises(ClusterUnavailable, match="etcd is away"):
            await api.request("GET", "/x", timeout_seconds=0.6)


async def test_a_server_that_is_not_there_is_named_without_its_address_and_looked_up_again() -> None:
    connector = FixedConnector(connection("http://127.0.0.1:1", Counting()))
    async with closing(KubeApi(connector)) as api:
        with pytest.raises(ClusterUnavailable) as caught:
            await api.request("GET", "/x", timeout_seconds=0.4)
    assert caught.value.reason == Reason.CLUSTER_UNREACHABLE
    assert "127.0.0.1" not in caught.value.detail
    assert "test-cluster" in caught.value.detail
    assert connector.invalidated >= 1


class Counting:
    """Credentials that number their tokens; a new one at each refresh."""

    def __init__(self) -> None:
        self.number = 1

    async def authorization(self, *, refresh: bool = False) -> str | None:
        self.number += refresh
        return f"Bearer {self.number}"


def connection(url: str, credentials: Counting) -> Connection:
    return Connection(method="kubeconfig", cluster="test-cluster", server=url, credentials=credentials)


async def test_a_refused_token_is_replaced_once() -> None:
    async with KubeServer([failure(401, "Unauthorized"), OBJECT]).running() as server:
        async with closing(KubeApi(FixedConnector(connection(server.url, Counting())))) as api:
            await api.request("POST", "/x", body={"a": 1})
        assert [request.headers["Authorization"] for request in server.requests] == ["Bearer 1", "Bearer 2"]
        assert server.bodies == [b'{"a": 1}'] * 2


async def test_an_answer_that_is_no_json_is_an_error_of_the_cluster() -> None:
    async with KubeServer([Answer(body=[1, 2])]).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ClusterUnavailable):
            await api.request("GET", "/x", timeout_seconds=0.3)


POD = {"metadata": {"name": "p"}}


async def watched(api: KubeApi, seconds: float = PATIENCE) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    async with contextlib.aclosing(api.watch("/x", params=(), timeout_seconds=seconds)) as stream:
        async for kind, item in stream:
            found.append((kind, item))
    return found


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_watch_events_are_whole_however_they_arrive(size: int) -> None:
    data = b"".join(
        events(("ADDED", POD), ("BOOKMARK", {}), ("MODIFIED", {"big": "x" * 5000}), ("DELETED", POD))
    )
    pieces = (
        [data[at : at + size] for at in range(0, len(data), size)] if size > 1 else [data[:40], data[40:]]
    )
    async with KubeServer([Answer(lines=pieces)]).running() as server, closing(api_at(server.url)) as api:
        found = await watched(api)
    assert [kind for kind, _ in found] == ["ADDED", "MODIFIED", "DELETED"]
    assert found[1][1] == {"big": "x" * 5000}


async def test_an_event_of_200_kib_passes() -> None:
    lines = events(("ADDED", {"big": "x" * 200_000}))
    async with KubeServer([Answer(lines=lines)]).running() as server, closing(api_at(server.url)) as api:
        assert len(await watched(api)) == 1


async def test_an_expired_watch_is_told_as_410() -> None:
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    async with (
        KubeServer([Answer(lines=events(("ERROR", gone)))]).running() as server,
        closing(api_at(server.url)) as api,
    ):
        with pytest.raises(ApiError) as caught:
            await watched(api)
    assert caught.value.code == 410


@pytest.mark.parametrize(
    "pieces", [events(("ADDED", POD)), [b'{"type": "ADD'], [b"[1]\n"], [b'{"type": "ADDED"}\n']]
)
async def test_a_torn_or_mad_watch_is_an_error_not_an_end(pieces: list[bytes]) -> None:

    answer = Answer(lines=pieces, torn=True)
    async with KubeServer([answer]).running() as server, closing(api_at(server.url)) as api:
        with pytest.raises(ClusterUnavailable):
            await watched(api)


async def test_a_watch_that_stays_silent_is_cut() -> None:
    async with (
        KubeServer([Answer(lines=events(("ADDED", POD)), hangs=True)]).running() as server,
        closing(api_at(server.url)) as api,
    ):
        with pytest.raises(ClusterUnavailable):
            async with asyncio.timeout(PATIENCE):
                await watched(api, seconds=1)


@contextlib.asynccontextmanager
async def closing(api: KubeApi) -> AsyncIterator[KubeApi]:
    """The client, closed at the end."""
    try:
        yield api
    finally:
        await api.close()
        await asyncio.sleep(0)  # lets the transports end before the loop does


class NewConnector(FixedConnector):
    """Each look-up gives another connection, as it does while a cluster is away."""

    async def connection(self) -> Connection:
        return dataclasses.replace(await super().connection())


async def test_a_cluster_that_stays_away_leaves_nothing_behind_however_often_it_is_looked_up() -> None:
    def clients() -> int:
        return sum(isinstance(one, aiohttp.ClientSession) for one in gc.get_objects())

    before = clients()
    connection = Connection(
        method="kubeconfig", cluster="c", server="http://127.0.0.1:1", credentials=NoCredentials()
    )
    async with closing(KubeApi(NewConnector(connection))) as api:
        for _ in range(20):
            with pytest.raises(ClusterUnavailable):
                await api.request("POST", "/x", body={})
        assert clients() <= before + 1
