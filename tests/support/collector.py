"""An OpenTelemetry collector for tests: takes OTLP over HTTP, keeps all of it, decoded."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclasses.dataclass(slots=True)
class SeenSpan:
    """A span as it came."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    failed: bool
    seconds: float
    attributes: dict[str, Any]


@dataclasses.dataclass(slots=True)
class Point:
    """A data point of a metric: its number, or how many were recorded, and their sum."""

    attributes: dict[str, Any]
    value: float
    sum: float = 0.0


class Collector:
    """What came.

    Attributes:
        url: Base URL, for OTEL_EXPORTER_OTLP_ENDPOINT.
        raw: All bodies, to look for what must not be in them.
        asked: Set when a request has come, answered or not.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.raw = b""
        self.asked = threading.Event()
        self.spans: list[SeenSpan] = []
        self.metrics: dict[str, list[Point]] = {}
        self.resource: dict[str, Any] = {}

    def take(self, path: str, body: bytes) -> None:
        """Keeps one request."""
        self.raw += body
        if path == "/v1/traces":
            self._traces(ExportTraceServiceRequest.FromString(body))
        else:
            self._metrics(ExportMetricsServiceRequest.FromString(body))

    def span(self, name: str) -> SeenSpan:
        """The only span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def total(self, metric: str, **attributes: Any) -> float:
        """Sum of a metric's points whose attributes, dots as underscores, have these values."""
        return sum(point.value for point in self.points(metric, **attributes))

    def points(self, metric: str, **attributes: Any) -> list[Point]:
        """Those points."""
        wanted = {name.replace("_", "."): value for name, value in attributes.items()}
        return [
            point
            for point in self.metrics.get(metric, [])
            if wanted.items() <= {name.replace("_", "."): v for name, v in point.attributes.items()}.items()
        ]

    def _traces(self, request: ExportTraceServiceRequest) -> None:
        for group in request.resource_spans:
            self.resource = _attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [
                    SeenSpan(
                        name=span.name,
                        kind=span.kind,
                        trace=span.trace_id.hex(),
                        id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        failed=span.status.code == span.status.STATUS_CODE_ERROR,
                        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                        attributes=_attributes(span.attributes),
                    )
                    for span in scope.spans
                ]

    def _metrics(self, request: ExportMetricsServiceRequest) -> None:
        """Points are cumulative: the last ones say it all."""
        for group in request.resource_metrics:
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    data = getattr(metric, metric.WhichOneof("data"))
                    self.metrics[metric.name] = [_point(point) for point in data.data_points]


def _point(point: Any) -> Point:
    attributes = _attributes(point.attributes)
    if hasattr(point, "bucket_counts"):
        return Point(attributes, point.count, point.sum)
    return Point(attributes, getattr(point, point.WhichOneof("value")))


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextlib.contextmanager
def collector(*, status: int = 200, hang: bool = False) -> Iterator[Collector]:
    """Runs a collector in threads of its own.

    Args:
        status: Of all its answers.
        hang: It takes connections and never answers.
    """
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            seen.asked.set()
            if hang:
                over.wait()
                return
            if status == 200:
                seen.take(self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Tests have their own output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()
