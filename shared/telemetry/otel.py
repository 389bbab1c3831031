"""Telemetry by OpenTelemetry, sent over OTLP/HTTP. Imported only where an endpoint is set.

Names are those of OpenTelemetry's semantic conventions where they have one
(https://opentelemetry.io/docs/specs/semconv/), otherwise they begin with ``gamgui.``.

The event loop never waits for the collector: spans and metrics are sent by threads of the SDK's,
which gives up what it cannot send. Where and how they are sent, how often, and which traces are
kept, the SDK reads from the environment by itself (docs/adr/0009).
"""

from __future__ import annotations

import asyncio
import contextvars
import time
import uuid
from collections.abc import Mapping
from types import TracebackType

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.core.telemetry import RequestSpan, Work
from shared.errors import GamguiError
from shared.telemetry.flusher import Flusher
from shared.telemetry.kubernetes_paths import path_template

_SCOPE = "gamgui"
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_OTHER_METHOD = "_OTHER"

# The buckets of the conventions, and longer ones: answers may stream for an hour.
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_READY_SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60)


class OtelTelemetry:
    """A ``Telemetry`` that sends to the collector which OTEL_EXPORTER_OTLP_ENDPOINT names.

    Args:
        service: Name of the service, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say another.
        version: Of this project.
        store: Kind of the session store.
        shutdown: Set when this process is told to end: what it knows by then is sent at once.

    Raises:
        ValueError: The SDK refuses a variable of its own.
    """

    def __init__(self, *, service: str, version: str, store: str, shutdown: asyncio.Event) -> None:
        # Each instance counts from 0, so each has an id of its own.
        own = {
            "service.name": service,
            "service.version": version,
            "service.instance.id": str(uuid.uuid4()),
        }
        resource = Resource.create(own).merge(OTELResourceDetector().detect())
        # Neither registers itself with atexit: they would wait for a collector that hangs.
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        spans = BatchSpanProcessor(OTLPSpanExporter())
        self._traces.add_span_processor(spans)
        try:
            reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        except ValueError:
            spans.shutdown()  # type: ignore[no-untyped-call] # the library has no annotations there
            raise
        self._meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer(_SCOPE, version)
        self._store = store
        self._parent: contextvars.ContextVar[Context] = contextvars.ContextVar("gamgui_span")
        self._instruments = _Instruments(self._meters, version)
        self._flusher = Flusher(self._flush, self._end)
        self._waiting = asyncio.create_task(self._flusher.flush_after(shutdown))

    def request(self, function: str, method: str, traceparent: str, started_ns: int) -> RequestSpan:
        """See ``Telemetry``."""
        remote = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
        method = method if method in _METHODS else _OTHER_METHOD
        attributes = {"http.request.method": method, "gamgui.function": function}
        span = self._tracer.start_span(method, remote, SpanKind.SERVER, attributes, start_time=started_ns)
        self._parent.set(set_span_in_context(span, Context()))
        return _RequestSpan(span, self._instruments, function, method)

    def kubernetes(self, method: str, path: str) -> Work:
        """See ``Telemetry``."""
        template = path_template(path)
        attributes = {
            "http.request.method": "GET" if method == "WATCH" else method,
            "url.template": template,
        }
        return _Work(self._child(f"{method} {template}", SpanKind.CLIENT, attributes))

    def store(self, operation: str, collection: str = "") -> Work:
        """See ``Telemetry``."""
        attributes = {"db.system.name": self._store, "db.operation.name": operation}
        if collection:
            attributes["db.collection.name"] = collection
        return _Work(self._child(operation, SpanKind.CLIENT, attributes))

    def exec(self) -> Work:
        """See ``Telemetry``."""
        return _Exec(self._child("exec", SpanKind.INTERNAL, {}), self._instruments)

    def pod_created(self) -> None:
        """See ``Telemetry``."""
        self._instruments.pods_created.add(1)

    def pod_failed(self, reason: str) -> None:
        """See ``Telemetry``."""
        self._instruments.pods_failed.add(1, {"gamgui.reason": reason})

    def pod_ready(self, seconds: float) -> None:
        """See ``Telemetry``."""
        self._instruments.ready.record(seconds)

    def cleanup(self, counts: Mapping[str, int]) -> None:
        """See ``Telemetry``."""
        for outcome, count in counts.items():
            if outcome == "left":
                self._instruments.cleanup_left.set(count)
            else:
                self._instruments.cleanup.add(count, {"gamgui.outcome": outcome})

    async def close(self) -> None:
        """See ``Telemetry``."""
        self._waiting.cancel()
        await self._flusher.close()

    async def flush(self) -> None:
        """Sends what there is now."""
        await self._flusher.flush()

    def _child(self, name: str, kind: SpanKind, attributes: Mapping[str, str]) -> Span:
        return self._tracer.start_span(name, self._parent.get(Context()), kind, attributes)

    def _flush(self) -> None:
        self._traces.force_flush()
        self._meters.force_flush()

    def _end(self) -> None:
        self._traces.shutdown()
        self._meters.shutdown()


class _Instruments:
    """All metrics."""

    def __init__(self, meters: MeterProvider, version: str) -> None:
        meter = meters.get_meter(_SCOPE, version)
        self.requests = meter.create_counter("gamgui.requests", "{request}", "Requests answered")
        self.duration = meter.create_histogram(
            "http.server.request.duration",
            "s",
            "From a request to the end of its answer",
            explicit_bucket_boundaries_advisory=_REQUEST_SECONDS,
        )
        self.execs = meter.create_up_down_counter(
            "gamgui.execs.active", "{command}", "Commands that run in pods, those of files and jobs included"
        )
        self.pods_created = meter.create_counter("gamgui.pods.created", "{pod}", "Pods made")
        self.pods_failed = meter.create_counter(
            "gamgui.pods.failed", "{pod}", "Pods refused, not started, or dead, by reason"
        )
        self.ready = meter.create_histogram(
            "gamgui.session.ready.duration",
            "s",
            "From a session's document to its pod's readiness, where the request waited for it",
            explicit_bucket_boundaries_advisory=_READY_SECONDS,
        )
        self.cleanup = meter.create_counter("gamgui.cleanup", "{session}", "What cleanup did, by outcome")
        self.cleanup_left = meter.create_gauge(
            "gamgui.cleanup.left", "{session}", "What the last round of cleanup left to the next"
        )


class _RequestSpan:
    """See ``RequestSpan``."""

    def __init__(self, span: Span, instruments: _Instruments, function: str, method: str) -> None:
        self._span = span
        self._instruments = instruments
        self._function = function
        self._method = method

    @property
    def traceparent(self) -> str:
        """See ``RequestSpan``."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(self, *, route: str, status: int, seconds: float, ended: str, reason: str) -> None:
        """See ``RequestSpan``."""
        failed = status >= 500 or ended == "failed"
        common: dict[str, str | int] = {
            "gamgui.function": self._function,
            "http.request.method": self._method,
            "http.response.status_code": status,
        }
        if route:
            common["http.route"] = route
            self._span.update_name(f"{self._method} {route}")
        if failed:
            common["error.type"] = reason or str(status)
            self._span.set_status(StatusCode.ERROR)
        self._span.set_attributes({**common, "gamgui.ended": ended, "gamgui.reason": reason})
        self._span.end()
        by_class = {"gamgui.function": self._function, "gamgui.status_class": f"{status // 100}xx"}
        self._instruments.requests.add(1, by_class)
        self._instruments.duration.record(seconds, common)


class _Work:
    """A span that ends with a block, and tells of an error no more than its reason."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Somebody wanted this end: the work was cancelled or closed.
        if isinstance(error, Exception):
            reason = error.reason if isinstance(error, GamguiError) else type(error).__name__
            self._span.set_attribute("error.type", reason)
            if isinstance(code := getattr(error, "code", None), int):
                self._span.set_attribute("http.response.status_code", code)
            self._span.set_status(StatusCode.ERROR)
        self._span.end(time.time_ns())


class _Exec(_Work):
    """The span of a command, which counts as active meanwhile."""

    def __init__(self, span: Span, instruments: _Instruments) -> None:
        super().__init__(span)
        self._instruments = instruments

    def __enter__(self) -> None:
        self._instruments.execs.add(1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._instruments.execs.add(-1)
        super().__exit__(kind, error, trace)
