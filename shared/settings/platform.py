"""Where this process runs, and where it sends traces and metrics."""

from __future__ import annotations

from shared.settings.setting import CLOUD_RUN_SERVICE, GOOGLE_CLOUD_PROJECT, Group, setting


class PlatformSettings(Group):
    """Where this process runs, and where it sends traces and metrics."""

    otlp_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        default="",
        doc="Base URL of an OpenTelemetry collector (OTLP over HTTP, port 4318 as a rule) for traces and "
        "metrics; empty: none. Other `OTEL_` variables are read by its SDK",
    )
    google_cloud_project: str = GOOGLE_CLOUD_PROJECT
    k_service: str = CLOUD_RUN_SERVICE
    k_revision: str = setting("K_REVISION", default="", doc="Set by Cloud Run: the revision's name")

    @property
    def on_cloud_run(self) -> bool:
        """Whether this process is a Cloud Run instance."""
        return bool(self.k_service)
