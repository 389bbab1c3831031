"""The adapter of OpenTelemetry by itself, in front of a collector."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import StoreUnavailable
from shared.kube.api.errors import ApiError
from shared.reasons import Reason
from shared.telemetry.flusher import Flusher
from shared.telemetry.otel import OtelTelemetry
from tests.support.collector import Collector, collector

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_MADE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]")
"""Sampled; 2 says that the trace id is random (W3C Trace Context, level 2)."""


@pytest.fixture
async def told(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[OtelTelemetry, Collector]]:
    with collector() as kept:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", kept.url)
        telemetry = OtelTelemetry(service="s", version="1", store="sqlite", shutdown=asyncio.Event())
        yield telemetry, kept
        await telemetry.close()


async def test_a_round_of_cleanup_is_counted_and_what_is_left_is_the_last_rounds(
    told: tuple[OtelTelemetry, Collector],
) -> None:
    telemetry, kept = told
    telemetry.cleanup({"deleted": 2, "failed": 1, "orphans": 0, "left": 5})
    telemetry.cleanup({"deleted": 1, "failed": 0, "orphans": 4, "left": 3})
    await telemetry.flush()
    counted = {point.attributes["gamgui.outcome"]: point.value for point in kept.points("gamgui.cleanup")}
    assert counted == {"deleted": 3, "failed": 1, "orphans": 4}
    assert [point.value for point in kept.points("gamgui.cleanup.left")] == [3]


async def test_a_command_counts_as_active_while_it_runs(told: tuple[OtelTelemetry, Collector]) -> None:
    telemetry, kept = told
    with telemetry.exec():
        await telemetry.flush()
        assert kept.total("gamgui.execs.active") == 1
    with pytest.raises(StoreUnavailable), telemetry.exec():
        raise StoreUnavailable("x")
    await telemetry.flush()
    assert kept.total("gamgui.execs.active") == 0


async def test_an_error_is_told_by_its_reason_and_never_by_its_message(
    told: tuple[OtelTelemetry, Collector],
) -> None:
    telemetry, kept = told
    for error in (ApiError(409, "AlreadyExists", "canary"), ValueError("canary")):
        with pytest.raises(type(error)), telemetry.store(f"raises_{type(error).__name__}"):
            raise error
    with pytest.raises(asyncio.CancelledError), telemetry.store("cancelled"):
        raise asyncio.CancelledError
    await telemetry.flush()
    refused, broken = kept.span("raises_ApiError"), kept.span("raises_ValueError")
    assert (refused.attributes["error.type"], refused.attributes["http.response.status_code"]) == (
        "CLUSTER_REFUSED",
        409,
    )
    assert broken.attributes["error.type"] == "ValueError"
    assert not kept.span("cancelled").failed
    assert b"canary" not in kept.raw


async def test_a_method_that_nobody_knows_is_no_name_of_a_span(told: tuple[OtelTelemetry, Collector]) -> None:
    telemetry, kept = told
    span = telemetry.request("f", "CANARY", "", 1)
    span.end(route="", status=404, seconds=0.1, ended="completed", reason=Reason.NOT_FOUND)
    await telemetry.flush()
    assert kept.span("_OTHER").attributes["gamgui.reason"] == Reason.NOT_FOUND
    assert b"CANARY" not in kept.raw


@pytest.mark.parametrize(
    ("parent", "flags"), [(f"00-{TRACE}-{SPAN}-01", "01"), (f"00-{TRACE}-{SPAN}-00", "00")]
)
async def test_the_callers_trace_and_its_decision_are_kept(
    told: tuple[OtelTelemetry, Collector], parent: str, flags: str
) -> None:
    made = told[0].request("f", "GET", parent, 1).traceparent
    assert made.startswith(f"00-{TRACE}-")
    assert made.endswith(f"-{flags}")
    assert SPAN not in made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parent=st.text(max_size=80).filter(lambda text: not text.startswith("00-")))
async def test_garbage_is_no_parent(told: tuple[OtelTelemetry, Collector], parent: str) -> None:
    assert _MADE.fullmatch(told[0].request("f", "GET", parent, 1).traceparent)


async def test_a_flush_that_fails_is_followed_by_others() -> None:
    calls: list[int] = []

    def flush() -> None:
        calls.append(1)
        raise RuntimeError

    flusher = Flusher(flush, flush)
    for _ in range(2):
        await flusher.flush()
    assert len(calls) == 2
    await flusher.close()
