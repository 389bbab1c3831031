"""The port to which the rest of the project reports its telemetry, and an implementation that keeps nothing.

The code that reports does not depend on OpenTelemetry, because importing OpenTelemetry takes longer than a
function takes to start: ``shared.telemetry.otel`` is imported only where OTEL_EXPORTER_OTLP_ENDPOINT is set.
No report contains a person, a query, the variable parts of a path, or a command.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeAlias

Work: TypeAlias = AbstractContextManager[None]
"""A context that is one span: the work done inside. An error that leaves it is the span's outcome."""


class RequestSpan(Protocol):
    """The span of one request."""

    @property
    def traceparent(self) -> str:
        """W3C trace context of the span, for the log; empty when there is none."""
        ...

    def end(self, *, route: str, status: int, seconds: float, ended: str, reason: str) -> None:
        """Ends the span, after the end of the answer.

        Args:
            route: Path template; empty when no route serves the request.
            status: HTTP status that was sent.
            seconds: Time from the request to the end of the answer.
            ended: ``completed``, ``client_gone`` or ``failed``.
            reason: Reason code of the error that the request met; empty when there was none.
        """
        ...


class Telemetry(Protocol):
    """Takes the reports. No method blocks or raises."""

    def request(self, function: str, method: str, traceparent: str, started_ns: int) -> RequestSpan:
        """Begins a request. Later reports of this task, and of tasks that it starts, belong to the request.

        Args:
            function: Name of the function that serves the request.
            method: HTTP method.
            traceparent: The caller's W3C trace context; it may be empty or invalid.
            started_ns: When the request arrived, in nanoseconds since 1970.
        """
        ...

    def kubernetes(self, method: str, path: str) -> Work:
        """A call of the Kubernetes API.

        Args:
            method: HTTP method, or ``WATCH``.
            path: Path of the resource, without the query.
        """
        ...

    def store(self, operation: str, collection: str = "") -> Work:
        """A call of the store.

        Args:
            operation: Name of the engine's method.
            collection: Name of the collection that the call reads or writes.
        """
        ...

    def exec(self) -> Work:
        """The run of a command in a pod."""
        ...

    def pod_created(self) -> None:
        """Reports that a session's pod was created."""
        ...

    def pod_failed(self, reason: str) -> None:
        """Reports that a session's pod was refused, could not start, or died.

        Args:
            reason: As in the problem document.
        """
        ...

    def pod_ready(self, seconds: float) -> None:
        """Reports that a session's pod became ready, ``seconds`` after its session was created."""
        ...

    def cleanup(self, counts: Mapping[str, int]) -> None:
        """Reports that a run of cleanup has ended.

        Args:
            counts: ``deleted``, ``failed`` and ``orphans``: what this run did; ``left``: what it leaves to
                the next run.
        """
        ...

    async def close(self) -> None:
        """Sends the reports that are not sent yet, as far as that is possible in a short time."""
        ...


class _SilentSpan:
    """A span that records nothing."""

    traceparent = ""

    def end(self, *, route: str, status: int, seconds: float, ended: str, reason: str) -> None:
        """See ``RequestSpan``."""


_SPAN = _SilentSpan()
_WORK: Work = nullcontext()


class SilentTelemetry:
    """A ``Telemetry`` that keeps nothing and takes no measurable time."""

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
"""For instances without telemetry."""
