"""The connection that Kubernetes gives to every pod: its service account's token and the cluster's CA.

https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from shared.errors import ConnectionFailed
from shared.kube.api.connection import Connection
from shared.kube.connect.access import tls
from shared.kube.connect.access.authorization import TokenFile
from shared.kube.connect.access.urls import is_host
from shared.reasons import Reason

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


async def from_service_account(host: str, port: str, folder: Path = SERVICE_ACCOUNT) -> Connection | str:
    """Connects as the pod's service account.

    Args:
        host: KUBERNETES_SERVICE_HOST.
        port: KUBERNETES_SERVICE_PORT.
        folder: Where the kubelet mounts token and CA.

    Returns:
        The connection, or why this source does not serve: a pod may have no token.

    Raises:
        ConnectionFailed: There is a token, but the CA or the address is missing or malformed.
    """
    token, authority = folder / "token", folder / "ca.crt"
    if not await asyncio.to_thread(token.exists):
        return "KUBERNETES_SERVICE_HOST is set, but no service account token is mounted"
    if not is_host(host) or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        raise ConnectionFailed(
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are no host and port",
            reason=Reason.IN_CLUSTER_INVALID,
        )
    context = await asyncio.to_thread(_trust, authority)
    return Connection(
        method="in-cluster",
        cluster="in-cluster",
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        credentials=TokenFile(token, where="the service account's token"),
        ssl_context=context,
    )


def _trust(authority: Path) -> ssl.SSLContext:
    try:
        return tls.private_trust(authority.read_bytes())
    except (OSError, ValueError) as error:
        raise ConnectionFailed(
            f"the service account's {authority.name} cannot be read or holds no certificate; "
            "mount the service account token with its CA",
            reason=Reason.IN_CLUSTER_CA_INVALID,
        ) from error
