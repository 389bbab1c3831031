"""What the rest of the project tells of itself, and the telemetry that keeps nothing of it.

Whoever tells knows nothing of OpenTelemetry, which takes longer to import than a function takes
to start: ``shared.telemetry.otel`` is imported only where OTEL_EXPORTER_OTLP_ENDPOINT is set.
Nothing that is told names a person, a query, a path's own values or a command.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeAlias

Work: TypeAlias = AbstractContextManager[None]
"""What is done inside is one span. An error that leaves it is its outcome."""


class RequestSpan(Protocol):
    """The span of one request."""

    @property
    def traceparent(self) -> str:
        """W3C trace context of the span, for the log; empty: there is none."""
        ...

    def end(self, *, route: str, status: int, seconds: float, ended: str, reason: str) -> None:
        """The answer has ended.

        Args:
            route: Path template; empty when no route serves the request.
            status: HTTP status that was sent.
            seconds: From the request to the end of the answer.
            ended: ``completed``, ``client_gone`` or ``failed``.
            reason: Of the error that the request met, if there was one.
        """
        ...


class Telemetry(Protocol):
    """Takes what is told. No method blocks, and none raises."""

    def request(self, function: str, method: str, traceparent: str, started_ns: int) -> RequestSpan:
        """Begins a request: what is told from here on, in this task and those it starts, is part of it.

        Args:
            function: Name of the function that serves it.
            method: HTTP method.
            traceparent: The caller's W3C trace context, may be empty or garbage.
            started_ns: When it came, in nanoseconds since 1970.
        """
        ...

    def kubernetes(self, method: str, path: str) -> Work:
        """A call of the Kubernetes API.

        Args:
            method: HTTP method, or ``WATCH``.
            path: Of the resource, without the query.
        """
        ...

    def store(self, operation: str, collection: str = "") -> Work:
        """A call of the store.

        Args:
            operation: Name of the engine's method.
            collection: Name of the collection that it is about.
        """
        ...

    def exec(self) -> Work:
        """A command in a pod, while it runs."""
        ...

    def pod_created(self) -> None:
        """A session's pod was made."""
        ...

    def pod_failed(self, reason: str) -> None:
        """A session's pod was refused, could not start, or died; ``reason`` as in the problem document."""
        ...

    def pod_ready(self, seconds: float) -> None:
        """A session's pod became ready, so long after its session was made."""
        ...

    def cleanup(self, counts: Mapping[str, int]) -> None:
        """A round of cleanup has ended.

        Args:
            counts: ``deleted``, ``failed`` and ``orphans`` are what this round did; ``left`` is
                what it leaves to the next.
        """
        ...

    async def close(self) -> None:
        """Sends what is not sent yet, as far as that is possible in a short time."""
        ...


class _SilentSpan:
    """No span."""

    traceparent = ""

    def end(self, *, route: str, status: int, seconds: float, ended: str, reason: str) -> None:
        """See ``RequestSpan``."""


_SPAN = _SilentSpan()
_WORK: Work = nullcontext()


class SilentTelemetry:
    """Keeps nothing, and costs nothing worth measuring."""

    def request(self, function: str, method: str, traceparent: str, started_ns: int) -> RequestSpan:
        """See ``Telemetry``."""
        return _SPAN

    def kubernetes(self, method: str, path: str) -> Work:
        """See ``Telemetry``."""
        return _WORK

    def store(self, operation: str, collection: str = "") -> Work:
        """See ``Telemetry``."""
        return _WORK

    def exec(self) -> Work:
        """See ``Telemetry``."""
        return _WORK

    def pod_created(self) -> None:
        """See ``Telemetry``."""

    def pod_failed(self, reason: str) -> None:
        """See ``Telemetry``."""

    def pod_ready(self, seconds: float) -> None:
        """See ``Telemetry``."""

    def cleanup(self, counts: Mapping[str, int]) -> None:
        """See ``Telemetry``."""

    async def close(self) -> None:
        """See ``Telemetry``."""


SILENT: Telemetry = SilentTelemetry()
"""For where nobody listens."""
