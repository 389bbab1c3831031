"""Which of a GKE cluster's control-plane endpoints to use.

https://cloud.google.com/kubernetes-engine/docs/concepts/network-isolation. The API
describes the endpoints in two ways: in ``control_plane_endpoints_config``, and for older
clusters in ``endpoint`` with ``private_cluster_config``.
"""

from __future__ import annotations

import dataclasses
from urllib.parse import urlsplit

from google.cloud.container_v1.types import Cluster

from shared.kube.connect.access.urls import is_base_url, is_ip
from shared.kube.connect.gke.cluster import ClusterId
from shared.reasons import Reason
from shared.settings.cluster import GkeEndpoint


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of the control plane.

    Attributes:
        url: Base URL of the API server.
        public_certificate: Whether a public authority has signed its certificate. That is so
            for names (``*.gke.goog``), which the cluster's own CA would not verify; for IP
            addresses the cluster's CA has signed it.
    """

    url: str
    public_certificate: bool


def choose_endpoint(cluster: Cluster, wanted: GkeEndpoint, identity: ClusterId) -> Endpoint:
    """The endpoint to use: ``auto`` takes the DNS endpoint, else the public address, else the private one.

    Args:
        cluster: The cluster as GKE describes it.
        wanted: The endpoint that the operator wants.
        identity: The cluster's identity, for the error.

    Raises:
        ConnectionFailed: The cluster has no such endpoint, or does not let users in there.
    """
    dns, public, private = _dns(cluster), *_addresses(cluster)
    address = {"dns": dns, "public": public, "private": private, "auto": dns or public or private}[wanted]
    if not address:
        raise _missing(wanted, identity)
    url = f"https://[{address}]" if is_ip(address) and ":" in address else f"https://{address}"
    if not is_base_url(url, ("https",)) or "/" in address or "@" in address:
        raise identity.failed(Reason.GKE_ENDPOINT_INVALID, "has an endpoint that is no host")
    return Endpoint(url=url, public_certificate=not is_ip(urlsplit(url).hostname or ""))


def _dns(cluster: Cluster) -> str:
    """The DNS endpoint if it takes user traffic: it always exists, but by default it is closed."""
    config = cluster.control_plane_endpoints_config.dns_endpoint_config
    if config.endpoint:
        return config.endpoint if config.allow_external_traffic else ""
    return "" if _is_address(cluster.endpoint) else cluster.endpoint


def _addresses(cluster: Cluster) -> tuple[str, str]:
    """The public and the private address; each is empty when it does not exist or is off."""
    addresses = cluster.control_plane_endpoints_config.ip_endpoints_config
    legacy = cluster.private_cluster_config
    if "enabled" in addresses and not addresses.enabled:
        return "", ""
    only_private = legacy.enable_private_endpoint or (
        "enable_public_endpoint" in addresses and not addresses.enable_public_endpoint
    )
    public = addresses.public_endpoint or legacy.public_endpoint
    private = addresses.private_endpoint or legacy.private_endpoint
    if _is_address(cluster.endpoint) and cluster.endpoint != private:
        if only_private:
            private = private or cluster.endpoint
        else:
            public = public or cluster.endpoint
    return ("" if only_private else public), private


def _is_address(endpoint: str) -> bool:
    try:
        return is_ip(endpoint) or is_ip(urlsplit(f"//{endpoint}").hostname or "")
    except ValueError:
        return False


def _missing(wanted: GkeEndpoint, identity: ClusterId) -> Exception:
    open_dns = (
        f"gcloud container clusters update {identity.name} --location={identity.location} "
        f"--project={identity.project} --enable-dns-access"
    )
    problem = {
        "dns": f"takes no external traffic at its DNS endpoint; allow it: {open_dns}",
        "public": "has no public address, or it is off; set GKE_ENDPOINT to another one, e.g. dns",
        "private": "has no private address; set GKE_ENDPOINT to another one, e.g. dns",
        "auto": f"has no endpoint that can be used; open the DNS endpoint: {open_dns}",
    }[wanted]
    return identity.failed(Reason.GKE_ENDPOINT_UNAVAILABLE, problem)
