"""What Terraform makes in production: the objects of infra/kubernetes/, in a namespace of a test's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Mapping
from pathlib import Path
from typing import Any

import yaml

from local import manifests
from local.cluster.objects.resources import RESOURCES, Resource
from shared.kube.api.client import KubeApi
from shared.kube.api.errors import ApiError
from shared.kube.connect.connector import ClusterConnector
from shared.settings.cluster import ClusterSettings
from tests.support.kubectl import kubectl

_RESOURCES = {(resource.api_version, resource.kind): resource for resource in RESOURCES}
_ACCOUNT = "functions"


def resource_of(found: Mapping[str, Any]) -> Resource:
    """The local cluster's resource of an object."""
    return _RESOURCES[found["apiVersion"], found["kind"]]


def path(found: Mapping[str, Any]) -> str:
    """The path of the collection that an object belongs to."""
    version, namespace = found["apiVersion"], found["metadata"].get("namespace")
    prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{prefix}{where}/{resource_of(found).plural}"


@contextlib.contextmanager
def installed(kubeconfig: str, user: str, **values: str) -> Generator[None]:
    """Makes the objects, and removes them at the end.

    Args:
        kubeconfig: Of an administrator.
        user: Who is every function.
        values: Other values than in infra/kubernetes/defaults.yaml.
    """
    users = dict.fromkeys(manifests.function_roles(), user)
    made = manifests.objects({**manifests.defaults(), **values}, users)
    asyncio.run(create(kubeconfig, made))
    try:
        yield
    finally:
        asyncio.run(_remove(kubeconfig, [found for found in made if "namespace" not in found["metadata"]]))


async def account_kubeconfig(kubeconfig: str, namespace: str, folder: Path) -> Path:
    """A kubeconfig of a service account without any role of its own, where there is no other user.

    The account is in the namespace; its name for RBAC is :func:`account_user`.
    """
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    async with _api(kubeconfig) as api:
        await api.request("POST", path, body={"metadata": {"name": _ACCOUNT}})
        answer = await api.request("POST", f"{path}/{_ACCOUNT}/token", body=request)
    _, shown, _ = await kubectl(kubeconfig, "config", "view", "--raw", "--flatten", "--minify", "-o", "yaml")
    config = yaml.safe_load(shown)
    config["users"][0]["user"] = {"token": answer["status"]["token"]}
    written = folder / "functions.kubeconfig"
    written.touch(mode=0o600)
    written.write_text(yaml.safe_dump(config))
    return written


def account_user(namespace: str) -> str:
    """How RBAC names that account."""
    return f"system:serviceaccount:{namespace}:{_ACCOUNT}"


@contextlib.asynccontextmanager
async def _api(kubeconfig: str) -> AsyncGenerator[KubeApi]:
    api = KubeApi(ClusterConnector(ClusterSettings(kubeconfig=kubeconfig)))
    try:
        yield api
    finally:
        await api.close()


async def create(kubeconfig: str, made: list[dict[str, Any]]) -> None:
    """Makes objects, in their order."""
    async with _api(kubeconfig) as api:
        for found in made:
            await api.request("POST", path(found), body=found)


async def _remove(kubeconfig: str, made: list[dict[str, Any]]) -> None:
    """Removes what is in no namespace, the namespace with all in it included."""
    async with _api(kubeconfig) as api:
        for found in made:
            with contextlib.suppress(ApiError):
                await api.request("DELETE", f"{path(found)}/{found['metadata']['name']}")
