"""What a collector gets of real requests: spans that hang together, counts that are right, nobody's data."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.contract.conftest import Target, gateway_settings
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.collector import Collector, SeenSpan, collector
from tests.support.patience import PATIENCE

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT = 2, 3
CANARY = "canary-word"


async def work(client: Client) -> Json:
    """Something of everything; the words that must not be told are in all places that take words."""
    session = await client.create(name=CANARY, env={"WORD": CANARY}, labels={"word": CANARY})
    parent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    path = f"/v1/sessions/{session['id']}/exec"
    assert (await client.call("POST", path, {"command": ["echo", CANARY]}, **parent))[0] == 200
    assert (await client.call("GET", f"/v1/sessions/saaaaaaaaaaaaaaaa?{CANARY}={CANARY}"))[0] == 404
    status, failed, _ = await client.call("POST", "/v1/sessions", {"image": "localhost/NO:1"})
    assert (status, failed["reason"]) == (422, "IMAGE_UNAVAILABLE")
    running = asyncio.create_task(client.execute(session, f"touch started; sleep 30; : {CANARY}"))
    async with asyncio.timeout(PATIENCE):
        while (await client.execute(session, "test -e started"))["exit_code"]:
            await asyncio.sleep(0.1)
    running.cancel()
    await client.delete(session)
    return session


@pytest.fixture(scope="module")
def seen(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Collector:
    """What a gateway has told by its end, and the session of its callers."""
    folder = tmp_path_factory.mktemp("telemetry")

    async def use(url: str) -> Json:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
            return await work(Client(http, url, f"{CANARY}@example.com"))

    with collector() as kept:
        settings = {**gateway_settings(target, folder), "OTEL_EXPORTER_OTLP_ENDPOINT": kept.url}
        with laptop.gateway(folder / "gateway.log", **settings) as (_, url):
            session = asyncio.run(use(url))
    assert session["id"].encode() not in kept.raw
    return kept


def children(seen: Collector, parent: SeenSpan) -> list[SeenSpan]:
    return [span for span in seen.spans if span.parent == parent.id]


def test_a_span_of_a_request_goes_on_with_its_callers_trace(seen: Collector) -> None:
    (span,) = [span for span in seen.spans if span.trace == TRACE and span.kind == SERVER]
    assert (span.parent, span.name) == (PARENT, "POST /v1/sessions/{session_id}/exec")
    assert span.attributes["http.route"] == "/v1/sessions/{session_id}/exec"
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["gamgui.function"] == "exec_command"
    assert span.attributes["gamgui.ended"] == "completed"
    assert not span.failed


def test_calls_of_the_store_the_cluster_and_commands_are_children_of_their_request(seen: Collector) -> None:
    (execution,) = [span for span in seen.spans if span.trace == TRACE and span.kind == SERVER]
    told = [(span.attributes.get("db.collection.name"), span.name) for span in children(seen, execution)]
    assert sorted(name for collection, name in told if collection is None) == [
        "GET /api/v1/namespaces/{namespace}/pods/{name}/exec",
        "exec",
    ]
    # The key of digests is asked for once by an instance.
    stored = [one for one in told if one[0] not in (None, "keys")]
    assert sorted(stored) == [("audit", "put"), ("audit", "put"), ("sessions", "get")]
    created = next(span for span in seen.spans if span.name == "POST /v1/sessions" and not span.failed)
    calls = {
        span.name: span
        for span in children(seen, created)
        # An instance makes the installation's document, or looks for it, once.
        if span.attributes.get("db.collection.name") != "installation"
    }
    assert {
        "create",
        "update",
        "POST /api/v1/namespaces/{namespace}/pods",
        "WATCH /api/v1/namespaces/{namespace}/pods",
        "GET /api/v1/namespaces/{namespace}/secrets/{name}",
    } <= set(calls)
    assert all(span.kind == CLIENT for span in calls.values())
    assert calls["create"].attributes["db.system.name"] == "sqlite"
    assert calls["create"].attributes["db.collection.name"] == "sessions"


def test_a_call_that_fails_says_how(seen: Collector) -> None:
    missing = next(span for span in seen.spans if span.name.endswith("secrets/{name}"))
    assert missing.failed
    assert missing.attributes["http.response.status_code"] == 404


def test_requests_are_counted_by_function_and_class_of_status(seen: Collector) -> None:
    count = seen.total
    assert count("gamgui.requests", gamgui_function="create_session", gamgui_status_class="2xx") == 1
    assert count("gamgui.requests", gamgui_function="create_session", gamgui_status_class="4xx") == 1
    assert count("gamgui.requests", gamgui_function="get_session", gamgui_status_class="4xx") == 1
    servers = [span for span in seen.spans if span.kind == SERVER]
    assert count("gamgui.requests") == count("http.server.request.duration") == len(servers)


def test_pods_and_commands_are_counted(seen: Collector) -> None:
    assert seen.total("gamgui.pods.created") == 2
    assert seen.total("gamgui.pods.failed") == 1
    assert seen.total("gamgui.pods.failed", gamgui_reason="IMAGE_UNAVAILABLE") == 1
    (ready,) = seen.points("gamgui.session.ready.duration")
    assert ready.value == 1
    assert 0 < ready.sum < 60
    assert seen.total("gamgui.execs.active") == 0


def test_a_caller_that_goes_away_is_told_as_such(seen: Collector) -> None:
    (gone,) = [span for span in seen.spans if span.attributes.get("gamgui.ended") == "client_gone"]
    assert gone.attributes["gamgui.function"] == "exec_command"
    assert not gone.failed


def test_the_service_is_named(seen: Collector) -> None:
    assert seen.resource["service.name"] == "gamgui"
    assert seen.resource["service.version"]
    assert seen.resource["service.instance.id"]


def test_nothing_of_the_callers_is_told(seen: Collector) -> None:
    assert CANARY.encode() not in seen.raw
    assert b"example.com" not in seen.raw
