"""What the pods of all sessions have in common."""

from __future__ import annotations

from shared.settings.setting import Group, setting
from shared.settings.values import require_dns_label, size


class PodSettings(Group):
    """What the pods of all sessions have in common.

    Raises:
        ConfigurationError: A value is malformed; names the variable.
    """

    namespace: str = setting("K8S_NAMESPACE", default="gamgui", doc="Namespace of the session pods")
    service_account: str = setting(
        "K8S_SERVICE_ACCOUNT",
        default="",
        doc="Service account of the pods (no token is mounted); empty: the default one",
    )
    template: str = setting(
        "K8S_POD_TEMPLATE",
        default="",
        doc="Name of a core/v1 PodTemplate in the namespace, merged under our manifest",
    )
    runtime_class: str = setting(
        "SESSION_RUNTIME_CLASS", default="", doc="runtimeClassName of the pods, e.g. gvisor"
    )
    disk: str = setting(
        "SESSION_DISK", default="2Gi", doc="Bound of /workspace, of the home folder, and of /tmp"
    )
    disk_request: str = setting(
        "SESSION_DISK_REQUEST",
        default="",
        doc="Disk that a session's pod asks its node for, at most what its volumes may take; `10Gi` on GKE "
        "Autopilot, which gives no more than that; empty: none is asked for",
    )

    def check(self) -> None:
        """See ``Group``."""
        require_dns_label("K8S_NAMESPACE", self.namespace)
        size("SESSION_DISK", self.disk)
        if self.disk_request:
            size("SESSION_DISK_REQUEST", self.disk_request)
