"""Which cluster, and how it is reached."""

from __future__ import annotations

from typing import Literal

from shared.errors import ConfigurationError
from shared.settings.setting import GOOGLE_CLOUD_PROJECT, Group, setting

GkeEndpoint = Literal["auto", "dns", "private", "public"]


class ClusterSettings(Group):
    """Which cluster, and how it is reached.

    Raises:
        ConfigurationError: Only one of a GKE cluster's name and location is set; names the missing variable.
    """

    gke_cluster_name: str = setting(
        "GKE_CLUSTER_NAME", default="", doc="Cluster to look up through Google's API"
    )
    gke_cluster_location: str = setting(
        "GKE_CLUSTER_LOCATION", default="", doc="Region or zone of that cluster"
    )
    gke_endpoint: GkeEndpoint = setting(
        "GKE_ENDPOINT",
        default="auto",
        doc="Control-plane endpoint to use: `auto` (DNS when it takes external traffic, else public IP, "
        "else private IP), `dns`, `private` or `public`",
    )
    gke_api_endpoint: str = setting(
        "GKE_API_ENDPOINT",
        default="",
        doc="Other address of the GKE API (host:port; http://host:port, without TLS, on loopback only)",
    )
    google_cloud_project: str = GOOGLE_CLOUD_PROJECT
    kubeconfig_base64: str = setting("KUBECONFIG_BASE64", default="", doc="A kubeconfig file, base64-encoded")
    kubeconfig: str = setting(
        "KUBECONFIG", default="", doc="Path(s) of kubeconfig files, as kubectl reads them"
    )
    home: str = setting("HOME", default="", doc="Home folder, for ~/.kube/config")
    kubernetes_service_host: str = setting(
        "KUBERNETES_SERVICE_HOST", default="", doc="Set by Kubernetes inside a pod: in-cluster connection"
    )
    kubernetes_service_port: str = setting("KUBERNETES_SERVICE_PORT", default="443", doc="The port beside it")

    def check(self) -> None:
        """See ``Group``."""
        if bool(self.gke_cluster_name) != bool(self.gke_cluster_location):
            missing = "GKE_CLUSTER_LOCATION" if self.gke_cluster_name else "GKE_CLUSTER_NAME"
            raise ConfigurationError(
                f"GKE lookup needs both GKE_CLUSTER_NAME and GKE_CLUSTER_LOCATION; {missing} is not set",
                variable=missing,
            )
