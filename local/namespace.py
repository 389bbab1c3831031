"""Makes the namespace of the sessions on a laptop's cluster. On other clusters Terraform makes it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.errors import GamguiError

if TYPE_CHECKING:
    from shared.app.composition import App

log = logging.getLogger("gamgui.local")


async def try_namespace(app: App) -> None:
    """Makes the namespace if it is missing. If that fails, prints why and goes on."""
    try:
        await ensure_namespace(app)
    except GamguiError as error:
        log.warning("the namespace could not be made: %s", error.detail)


async def ensure_namespace(app: App) -> None:
    """Makes the namespace if it is missing.

    Raises:
        GamguiError: The cluster cannot be reached, or does not allow it.
    """
    if app.settings.virtual.only:
        return
    from shared.kube.api.client import KubeApi
    from shared.kube.api.errors import ApiError
    from shared.kube.connect.connector import ClusterConnector

    api = KubeApi(ClusterConnector(app.settings.cluster))
    metadata = {
        "name": app.settings.pods.namespace,
        "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
    }
    try:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        await api.request("POST", "/api/v1/namespaces", body=body, idempotent=True)
    except ApiError as error:
        if error.kubernetes_reason != "AlreadyExists":
            raise
    finally:
        await api.close()
