"""Whatever becomes of the collector, requests are answered and the process ends in time."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import laptop
from tests.support.collector import collector
from tests.support.gateway_process import (
    ALICE,
    ROOT,
    server,
    virtual_environment,
    virtual_settings,
)
from tests.support.patience import PATIENCE
from tests.support.ports import free_port

EXPORT_SECONDS = 2 * PATIENCE
"""Whoever waits for an export, which is given up after this time, is not waited for."""

QUICK = {
    "OTEL_BSP_SCHEDULE_DELAY": "50",
    "OTEL_METRIC_EXPORT_INTERVAL": "50",
    "OTEL_EXPORTER_OTLP_TIMEOUT": str(int(EXPORT_SECONDS)),
}
PROGRAM = """
import asyncio, importlib.util, json, sys
import httpx

async def main():
    spec = importlib.util.spec_from_file_location("main", "functions/create_session/main.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    async def application(scope, receive, send):
        from starlette.requests import Request
        response = await module.create_session(Request(scope, receive))
        await response(scope, receive, send)

    transport = httpx.ASGITransport(application, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post("/v1/sessions", json={}, headers={"X-Dev-User": "a@example.com"})
    assert answer.status_code == 201, answer.text
    print(json.dumps(sorted(name for name in sys.modules if "opentelemetry" in name or "otel" in name)))

asyncio.run(main())
"""


def imported(folder: Path, **variables: str) -> str:
    """Modules of OpenTelemetry in a process that has created a session."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=virtual_environment(folder, **variables),
        capture_output=True,
        check=True,
        timeout=PATIENCE,
        text=True,
    )
    return run.stdout.strip()


def test_without_an_endpoint_nothing_of_opentelemetry_is_imported(tmp_path: Path) -> None:
    assert imported(tmp_path) == "[]"
    assert imported(tmp_path, OTEL_SERVICE_NAME="other") == "[]"


def test_with_an_endpoint_it_is(tmp_path: Path) -> None:
    with collector() as kept:
        assert "opentelemetry.sdk.trace" in imported(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=kept.url)
        assert kept.span("POST /v1/sessions").attributes["http.response.status_code"] == 201


@pytest.mark.parametrize("away", ["refuses", "hangs", "fails"])
def test_a_collector_that_is_away_harms_no_request_and_no_end(away: str, tmp_path: Path) -> None:
    with collector(status=503, hang=away == "hangs") as kept:
        url = f"http://127.0.0.1:{free_port()}" if away == "refuses" else kept.url
        settings = virtual_settings(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url, **QUICK)
        with laptop.gateway(tmp_path / "gateway.log", **settings) as (process, gateway):
            with httpx.Client(timeout=PATIENCE, headers=ALICE) as client:
                assert client.get(f"{gateway}/v1/sessions").status_code == 200
                # From now on an export is under way, or is tried again, to the end of the test.
                assert away == "refuses" or kept.asked.wait(PATIENCE)
                for _ in range(200):
                    assert client.get(f"{gateway}/v1/sessions").status_code == 200
            process.terminate()
            assert process.wait(PATIENCE) == 0


@contextlib.contextmanager
def listing(folder: Path, endpoint: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A function under functions-framework, as Cloud Run starts it."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "shared.app.serve"),
        *("--source", "functions/list_sessions/main.py", "--target", "list_sessions"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    environment = virtual_environment(folder, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    with server(command, port, environment, folder / "server.log") as running:
        yield running


def test_a_function_that_is_told_to_end_sends_what_it_has(tmp_path: Path) -> None:
    with collector() as kept:
        with listing(tmp_path, kept.url) as (process, url):
            for _ in range(3):
                assert httpx.get(f"{url}/v1/sessions", headers=ALICE, timeout=PATIENCE).status_code == 200
            assert kept.metrics == {}  # the interval is a minute
            process.terminate()
            process.wait(PATIENCE)
        assert kept.total("gamgui.requests", gamgui_function="list_sessions") == 3
        assert len([span for span in kept.spans if span.name == "GET /v1/sessions"]) == 3


def test_a_function_whose_collector_hangs_ends_in_time(tmp_path: Path) -> None:
    with collector(hang=True) as kept, listing(tmp_path, kept.url) as (process, url):
        assert httpx.get(f"{url}/v1/sessions", headers=ALICE, timeout=PATIENCE).status_code == 200
        process.terminate()
        process.wait(PATIENCE)


def test_the_operators_own_name_of_the_service_wins(tmp_path: Path) -> None:
    with collector() as kept:
        settings = virtual_settings(
            tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT=kept.url,
            OTEL_SERVICE_NAME="mine",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
        )
        with laptop.gateway(tmp_path / "gateway.log", **settings) as (_, url):
            httpx.get(f"{url}/v1/sessions", headers=ALICE, timeout=PATIENCE)
        assert kept.resource["service.name"] == "mine"
        assert kept.resource["deployment.environment.name"] == "test"


@pytest.mark.parametrize("variable", ["OTEL_BSP_SCHEDULE_DELAY", "OTEL_METRIC_EXPORT_INTERVAL"])
def test_a_variable_that_the_sdk_refuses_is_a_configuration_error(variable: str, tmp_path: Path) -> None:
    refused = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", variable: "-1"}
    with laptop.gateway(tmp_path / "gateway.log", **virtual_settings(tmp_path, **refused)) as (_, url):
        answer = httpx.get(f"{url}/v1/sessions", headers=ALICE, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["reason"]) == (500, "CONFIGURATION_INVALID")
