"""What every capability needs from its instance: the time, room for pods' output, and telemetry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from shared.app.composition import App
    from shared.core.telemetry import Telemetry


class SystemClock:
    """The time of day of this machine."""

    def now(self) -> datetime:
        """See ``Clock``."""
        return datetime.now(UTC)


def telemetry(app: App) -> Telemetry:
    """The receiver of traces and metrics; it drops them unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set.

    Raises:
        ConfigurationError: OpenTelemetry refuses one of its own variables.
    """
    platform = app.settings.platform
    if not platform.otlp_endpoint:
        from shared.core.telemetry import SILENT

        return SILENT
    from shared.shutdown import shutdown_event
    from shared.telemetry.otel import OtelTelemetry

    service, store = platform.k_service or "gamgui", app.settings.store.kind
    try:
        return OtelTelemetry(service=service, version=app.version, store=store, shutdown=shutdown_event())
    except ValueError as error:
        raise ConfigurationError(
            f"OpenTelemetry refuses a variable whose name begins with OTEL_: {error}", variable="OTEL_"
        ) from error
