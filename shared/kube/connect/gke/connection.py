"""The connection to a GKE cluster without kubeconfig and gcloud, as Cloud Run needs it."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl

from google.cloud.container_v1.types import Cluster

from shared.errors import ConnectionFailed
from shared.kube.api.connection import Connection
from shared.kube.connect.access import tls
from shared.kube.connect.access.pem import decode_base64
from shared.kube.connect.gke.cluster import ClusterId
from shared.kube.connect.gke.endpoint import choose_endpoint
from shared.kube.connect.gke.google_tokens import GoogleCredentials
from shared.kube.connect.gke.lookup import get_cluster
from shared.reasons import Reason
from shared.settings.cluster import ClusterSettings

_log = logging.getLogger(__name__)

# A project may belong to a domain: example.com:project.
_SEGMENT = re.compile(r"[A-Za-z0-9][-.:_A-Za-z0-9]*")
_PROVISIONING_SECONDS = 60.0


async def from_gke(settings: ClusterSettings) -> Connection:
    """Looks the cluster up and connects with this process's Google credentials.

    Args:
        settings: Name the cluster, its location, project and endpoint.

    Raises:
        ConnectionFailed: There are no credentials, the cluster is missing or may not be
            seen, is not running, or has no endpoint that can be used and verified.
    """
    credentials = await GoogleCredentials.default()
    identity = _identify(settings, credentials)
    cluster = await get_cluster(identity, credentials, endpoint=settings.gke_api_endpoint)
    _check_status(cluster, identity)
    endpoint = choose_endpoint(cluster, settings.gke_endpoint, identity)
    if endpoint.public_certificate:
        trust = await asyncio.to_thread(tls.public_trust)
    else:
        trust = _cluster_trust(cluster, identity)
    return Connection(
        method="gke",
        cluster=identity.path,
        server=endpoint.url,
        credentials=credentials,
        ssl_context=trust,
    )


def _identify(settings: ClusterSettings, credentials: GoogleCredentials) -> ClusterId:
    project = settings.google_cloud_project or credentials.project
    if not project:
        raise ConnectionFailed(
            f"the project of the GKE cluster {settings.gke_cluster_name} is not known; "
            "set GOOGLE_CLOUD_PROJECT",
            reason=Reason.GKE_PROJECT_UNKNOWN,
            location=settings.gke_cluster_location,
            cluster=settings.gke_cluster_name,
        )
    identity = ClusterId(project, settings.gke_cluster_location, settings.gke_cluster_name)
    if not all(_SEGMENT.fullmatch(part) for part in (identity.project, identity.location, identity.name)):
        raise identity.failed(
            Reason.GKE_CLUSTER_INVALID,
            "cannot be: check GKE_CLUSTER_NAME, GKE_CLUSTER_LOCATION and GOOGLE_CLOUD_PROJECT",
        )
    return identity


def _check_status(cluster: Cluster, identity: ClusterId) -> None:
    """Refuses a cluster that has no API server yet or any more, or is in state ERROR."""
    status = cluster.status
    if status in (Cluster.Status.ERROR, Cluster.Status.DEGRADED):
        # Google's message may hold addresses, so it goes to the log only.
        _log.warning("the GKE cluster %s is %s: %s", identity.path, status.name, cluster.status_message)
    if status == Cluster.Status.PROVISIONING:
        raise identity.failed(
            Reason.GKE_CLUSTER_PROVISIONING,
            "is still being created; try again in a few minutes",
            retry_after_seconds=_PROVISIONING_SECONDS,
        )
    if status == Cluster.Status.STOPPING:
        raise identity.failed(
            Reason.GKE_CLUSTER_STOPPED,
            "is being deleted; set GKE_CLUSTER_NAME to another one, or create it again",
        )
    if status == Cluster.Status.ERROR:
        raise identity.failed(
            Reason.GKE_CLUSTER_ERROR,
            "is in state ERROR and cannot be used; see its status: "
            f"gcloud container clusters describe {identity.name} --location={identity.location}",
        )


def _cluster_trust(cluster: Cluster, identity: ClusterId) -> ssl.SSLContext:
    """Trust in the cluster's own CA. Without one there is no connection, never an unverified one."""
    try:
        return tls.private_trust(decode_base64(cluster.master_auth.cluster_ca_certificate))
    except ValueError as error:
        raise identity.failed(
            Reason.GKE_CLUSTER_CA_MISSING,
            "has no valid CA certificate, so its address cannot be verified; "
            "use its DNS endpoint (GKE_ENDPOINT=dns), or rotate the cluster's credentials",
        ) from error
