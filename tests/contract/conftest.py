"""One cluster and one gateway for all contract tests.

The cluster is the local one, or with ``CONTRACT_CLUSTER=real`` the one that KUBECONFIG
names; SESSION_IMAGE is then an image that its nodes have. The tests know neither. On
both the functions are a user with the Roles of infra/kubernetes/ and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from local.cluster import UNPRIVILEGED_USER
from shared.kube.api.client import KubeApi
from shared.kube.connect.connector import ClusterConnector
from shared.settings.cluster import ClusterSettings
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.installation import account_kubeconfig, account_user, installed

BUSYBOX = "localhost/busybox:1"
_MAX_CPU = "9k"


@dataclasses.dataclass(frozen=True)
class Target:
    """What the tests run against.

    Attributes:
        kubeconfig: Of the administrator.
        functions_kubeconfig: Of a user with the functions' Roles and nothing else.
    """

    kubeconfig: str
    functions_kubeconfig: str
    image: str
    namespace: str


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    namespace = f"gamgui-test-{secrets.token_hex(4)}"
    folder = tmp_path_factory.mktemp("contract")
    if os.environ.get("CONTRACT_CLUSTER") == "real":
        with target_in(namespace, os.environ["KUBECONFIG"], folder) as target:
            yield target
        return
    with (
        laptop.local_cluster(folder / "cluster") as admin,
        target_in(namespace, admin, folder) as target,
    ):
        yield target


@contextlib.contextmanager
def target_in(namespace: str, admin: str, folder: Path) -> Iterator[Target]:
    """A namespace with all that Terraform puts into one; removed at the end.

    Args:
        namespace: Its name.
        admin: Kubeconfig of an administrator of the cluster.
        folder: Takes the functions' kubeconfig.
    """
    if os.environ.get("CONTRACT_CLUSTER") == "real":
        image = os.environ.get("SESSION_IMAGE", BUSYBOX)
        with installed(admin, account_user(namespace), **_values(namespace)):
            functions = asyncio.run(account_kubeconfig(admin, namespace, folder))
            yield Target(admin, str(functions), image, namespace)
        return
    with installed(admin, UNPRIVILEGED_USER, **_values(namespace)):
        functions = Path(admin).with_name("unprivileged.kubeconfig")
        yield Target(admin, str(functions), BUSYBOX, namespace)


def _values(namespace: str) -> dict[str, str]:
    """Room for what the tests ask for, and names of their own for what is in no namespace."""
    return {
        "k8s_namespace": namespace,
        "k8s_priority_class": namespace,
        "k8s_cluster_role": namespace,
        "max_session_cpu": _MAX_CPU,
        "quota_sessions": "200",
        "quota_cpu": _MAX_CPU,
    }


def gateway_settings(target: Target, folder: Path) -> dict[str, str]:
    """Settings of a gateway on the target."""
    return {
        "KUBECONFIG": target.functions_kubeconfig,
        "SESSION_IMAGE": target.image,
        "K8S_NAMESPACE": target.namespace,
        "K8S_SERVICE_ACCOUNT": "gam-session",
        "K8S_POD_TEMPLATE": "gam-session",
        "SQLITE_PATH": str(folder / "sessions.db"),
        "AUTH_MODE": "dev",
        "SESSION_STORE": "sqlite",
        "SESSION_CPU": "50m",
        "SESSION_MEMORY": "64Mi",
        "SESSION_DISK": "1Gi",
        "MAX_SESSION_CPU": _MAX_CPU,
        "MAX_CPU_PER_OWNER": _MAX_CPU,
        **laptop.UNLIMITED,
    }


@pytest.fixture(scope="session")
def gateway_url(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gateway")
    with laptop.gateway(folder / "gateway.log", **gateway_settings(target, folder)) as (_, url):
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=100)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture
def client(http: aiohttp.ClientSession, gateway_url: str) -> Client:
    return Client(http, gateway_url, f"user-{secrets.token_hex(4)}@example.com")


@pytest.fixture
async def session(client: Client) -> AsyncIterator[Json]:
    """A running session, deleted afterwards."""
    created = await client.create()
    yield created
    await client.delete(created)


@pytest.fixture
async def kube(target: Target) -> AsyncIterator[KubeApi]:
    """The cluster itself, as its administrator."""
    api = KubeApi(ClusterConnector(ClusterSettings(kubeconfig=target.kubeconfig)))
    yield api
    await api.close()
