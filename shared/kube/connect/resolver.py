"""From settings to a connected cluster: finds the source that serves, or says why none does."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import Any

from shared.errors import ConnectionFailed
from shared.kube.api.connection import Connection
from shared.settings.cluster import ClusterSettings


async def resolve(settings: ClusterSettings) -> Connection:
    """Finds the cluster: the first source that is configured, in this order.

    1. ``GKE_CLUSTER_NAME`` and ``GKE_CLUSTER_LOCATION``: looked up through Google's API;
    2. ``KUBECONFIG_BASE64``: a kubeconfig file in a setting;
    3. ``KUBECONFIG``: paths of kubeconfig files;
    4. inside a pod: its service account;
    5. ``~/.kube/config``, if that file exists.

    Only absent sources are passed over. A source that is configured but broken fails
    with its own error: going on to the next one could mean another cluster. Nothing is
    assumed, in particular no server on this machine.

    Args:
        settings: Where the operator says that the cluster is.

    Returns:
        The connection. It was not tried; only a GKE cluster was looked up, through Google's API.

    Raises:
        ConnectionFailed: The configured source does not serve, with a reason of its own;
            or none is configured: then ``detail`` and the field ``sources`` name each
            source and why it does not serve.
    """
    absent: list[str] = []
    for source in (_gke, _kubeconfig_base64, _kubeconfig, _in_cluster, _home_kubeconfig):
        result = await source(settings)
        if isinstance(result, Connection):
            return result
        absent.append(result)
    raise ConnectionFailed(
        f"no source of a cluster connection is configured: {'; '.join(absent)}. "
        "Set GKE_CLUSTER_NAME and GKE_CLUSTER_LOCATION, or a kubeconfig",
        sources=absent,
    )


# Each source is imported when it is used: Google's libraries take longer to import than
# a function takes to start. They are imported in a thread, so that the event loop can serve
# others meanwhile.


async def _gke(settings: ClusterSettings) -> Connection | str:
    if not settings.gke_cluster_name or not settings.gke_cluster_location:
        return "GKE: GKE_CLUSTER_NAME and GKE_CLUSTER_LOCATION are not set"
    gke: Any = await asyncio.to_thread(importlib.import_module, "shared.kube.connect.gke.connection")
    connection: Connection = await gke.from_gke(settings)
    return connection


async def _kubeconfig_base64(settings: ClusterSettings) -> Connection | str:
    if not settings.kubeconfig_base64:
        return "KUBECONFIG_BASE64: not set"
    from shared.kube.connect.kubeconfig.connection import from_base64

    return await from_base64(settings.kubeconfig_base64)


async def _kubeconfig(settings: ClusterSettings) -> Connection | str:
    if not settings.kubeconfig:
        return "KUBECONFIG: not set"
    from shared.kube.connect.kubeconfig.connection import from_paths

    return await from_paths(settings.kubeconfig)


async def _in_cluster(settings: ClusterSettings) -> Connection | str:
    if not settings.kubernetes_service_host:
        return "in-cluster: not in a pod (KUBERNETES_SERVICE_HOST is not set)"
    from shared.kube.connect.incluster import from_service_account

    result = await from_service_account(settings.kubernetes_service_host, settings.kubernetes_service_port)
    return f"in-cluster: {result}" if isinstance(result, str) else result


async def _home_kubeconfig(settings: ClusterSettings) -> Connection | str:
    if not settings.home:
        return "~/.kube/config: HOME is not set"
    path = Path(settings.home, ".kube", "config")
    if not await asyncio.to_thread(path.exists):
        return "~/.kube/config: no such file"
    from shared.kube.connect.kubeconfig.connection import from_paths

    return await from_paths(str(path), method="home-kubeconfig")
