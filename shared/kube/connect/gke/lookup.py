"""Asks Google's API for a cluster (container.googleapis.com, ``ClusterManager.GetCluster``)."""

from __future__ import annotations

import asyncio
import ipaddress
from urllib.parse import urlsplit

import grpc
import stamina
from google.api_core import exceptions
from google.cloud.container_v1.services.cluster_manager import ClusterManagerAsyncClient
from google.cloud.container_v1.services.cluster_manager.transports import ClusterManagerGrpcAsyncIOTransport
from google.cloud.container_v1.types import Cluster, GetClusterRequest

from shared.errors import ConnectionFailed
from shared.kube.connect.access.urls import is_base_url
from shared.kube.connect.gke.cluster import ClusterId
from shared.kube.connect.gke.google_tokens import GoogleCredentials
from shared.reasons import Reason

DEFAULT_ENDPOINT = "container.googleapis.com:443"
_TIMEOUT_SECONDS = 10.0
_ATTEMPT_SECONDS = 4.0

_ROLE = "roles/container.clusterViewer (container.clusters.get and container.clusters.connect)"


async def get_cluster(
    identity: ClusterId,
    credentials: GoogleCredentials,
    *,
    endpoint: str = "",
    timeout_seconds: float = _TIMEOUT_SECONDS,
) -> Cluster:
    """The cluster as GKE describes it.

    The look-up changes nothing, so it is repeated while the API is unavailable, and
    once with a new token when the token is refused.

    Args:
        identity: The cluster.
        credentials: The identity that asks.
        endpoint: Another address of the API, see ``ClusterSettings.gke_api_endpoint``; empty: Google's.
        timeout_seconds: Longest time for all repetitions with one token.

    Raises:
        ConnectionFailed: The cluster does not exist or may not be seen, or the API does not
            answer; each with a reason of its own.
    """
    channel = _channel(endpoint or DEFAULT_ENDPOINT)
    client = ClusterManagerAsyncClient(transport=ClusterManagerGrpcAsyncIOTransport(channel=channel))
    try:
        try:
            return await _ask(client, identity, await credentials.metadata(), timeout_seconds)
        except exceptions.Unauthenticated:
            return await _ask(client, identity, await credentials.metadata(refresh=True), timeout_seconds)
    except (exceptions.GoogleAPICallError, TimeoutError) as error:
        raise _failure(identity, error) from error
    finally:
        await channel.close()


async def _ask(
    client: ClusterManagerAsyncClient,
    identity: ClusterId,
    metadata: list[tuple[str, str]],
    timeout_seconds: float,
) -> Cluster:
    attempts = stamina.retry_context(
        on=(exceptions.ServiceUnavailable, exceptions.DeadlineExceeded),
        attempts=None,
        timeout=timeout_seconds,
        wait_initial=0.1,
        wait_max=2.0,
        wait_jitter=0.3,
    )
    request = GetClusterRequest(name=identity.path)
    async with asyncio.timeout(timeout_seconds):
        async for attempt in attempts:
            with attempt:
                return await client.get_cluster(
                    request, retry=None, timeout=min(_ATTEMPT_SECONDS, timeout_seconds), metadata=metadata
                )
    raise AssertionError("a retry context returns or raises")


def _channel(endpoint: str) -> grpc.aio.Channel:
    """A channel to ``host:port`` with TLS, or to ``http://host:port`` on this machine."""
    scheme, separator, address = endpoint.rpartition("://")
    if not separator:
        scheme = "https"
    if not is_base_url(f"{scheme}://{address}", ("https", "http")) or "/" in address or "@" in address:
        raise _bad_endpoint("must be host:port")
    if scheme == "https":
        return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials())
    if not _is_loopback(urlsplit(endpoint).hostname or ""):
        raise _bad_endpoint("may be http:// on a loopback address only: a token would travel in the clear")
    return grpc.aio.insecure_channel(address)


def _bad_endpoint(problem: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"GKE_API_ENDPOINT {problem}", reason=Reason.GKE_API_ENDPOINT_INVALID, variable="GKE_API_ENDPOINT"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _failure(identity: ClusterId, error: Exception) -> ConnectionFailed:
    """What a failed look-up means and what to do about it."""
    cause = getattr(error, "reason", None)
    if cause == "SERVICE_DISABLED":
        return identity.failed(
            Reason.GKE_API_DISABLED,
            "cannot be looked up: the Kubernetes Engine API is off; enable it: "
            f"gcloud services enable container.googleapis.com --project={identity.project}",
        )
    if cause == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
        return identity.failed(
            Reason.GKE_SCOPE_INSUFFICIENT,
            "cannot be looked up: the credentials lack the scope cloud-platform; "
            "give the machine's service account that scope",
        )
    for kind, reason, problem in _FAILURES:
        if isinstance(error, kind):
            retry_after = 5.0 if reason in _PASSING else None
            return identity.failed(reason, problem, retry_after_seconds=retry_after)
    return identity.failed(
        Reason.GKE_LOOKUP_FAILED, "cannot be looked up: Google's API answered with an error"
    )


_PASSING = (Reason.GKE_API_QUOTA, Reason.GKE_API_UNAVAILABLE, Reason.GKE_API_TIMEOUT)

_FAILURES: tuple[tuple[type[Exception], Reason, str], ...] = (
    (
        exceptions.NotFound,
        Reason.GKE_CLUSTER_NOT_FOUND,
        "does not exist; check GKE_CLUSTER_NAME, GKE_CLUSTER_LOCATION (a region or a zone) "
        "and GOOGLE_CLOUD_PROJECT",
    ),
    (
        exceptions.Forbidden,
        Reason.GKE_CLUSTER_FORBIDDEN,
        f"may not be looked up by this service account; grant it {_ROLE} in the cluster's project",
    ),
    (
        exceptions.Unauthenticated,
        Reason.GKE_CREDENTIALS_REFUSED,
        "cannot be looked up: Google's API refuses the access token; "
        "check the service account that this runs as",
    ),
    (
        exceptions.InvalidArgument,
        Reason.GKE_CLUSTER_INVALID,
        "cannot be: Google's API refuses the name; check GKE_CLUSTER_NAME, GKE_CLUSTER_LOCATION "
        "and GOOGLE_CLOUD_PROJECT",
    ),
    (
        exceptions.TooManyRequests,
        Reason.GKE_API_QUOTA,
        "cannot be looked up now: the project's quota of Kubernetes Engine API requests is used up",
    ),
    (
        exceptions.GatewayTimeout,
        Reason.GKE_API_TIMEOUT,
        "cannot be looked up now: Google's API does not answer in time",
    ),
    (
        TimeoutError,
        Reason.GKE_API_TIMEOUT,
        "cannot be looked up now: Google's API does not answer in time",
    ),
    (
        exceptions.ServiceUnavailable,
        Reason.GKE_API_UNAVAILABLE,
        "cannot be looked up now: Google's API is not reached; check egress to container.googleapis.com",
    ),
)
