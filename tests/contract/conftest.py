"""One cluster and one gateway for all contract tests.

The cluster is the local one, or with ``CONTRACT_CLUSTER=real`` the one that KUBECONFIG
names; SESSION_IMAGE is then an image that its nodes have. The tests know neither.
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

from shared.kube.api import KubeApi
from shared.kube.connector import ClusterConnector
from shared.settings import Settings
from tests.support import laptop
from tests.support.client import Client, Json

BUSYBOX = "localhost/busybox:1"


@dataclasses.dataclass(frozen=True)
class Target:
    """What the tests run against."""

    kubeconfig: str
    image: str
    namespace: str


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    namespace = f"gamgui-test-{secrets.token_hex(4)}"
    if os.environ.get("CONTRACT_CLUSTER") == "real":
        yield Target(os.environ["KUBECONFIG"], os.environ.get("SESSION_IMAGE", BUSYBOX), namespace)
        return
    with laptop.local_cluster(tmp_path_factory.mktemp("contract") / "cluster") as kubeconfig:
        yield Target(kubeconfig, BUSYBOX, namespace)


def gateway_settings(target: Target, folder: Path) -> dict[str, str]:
    """Settings of a gateway on the target."""
    return {
        "KUBECONFIG": target.kubeconfig,
        "SESSION_IMAGE": target.image,
        "K8S_NAMESPACE": target.namespace,
        "SQLITE_PATH": str(folder / "sessions.db"),
        "AUTH_MODE": "dev",
        "SESSION_STORE": "sqlite",
        "SESSION_CPU": "50m",
        "SESSION_MEMORY": "64Mi",
        "MAX_SESSION_CPU": "9000",
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
    api = KubeApi(ClusterConnector(Settings.from_env({"AUTH_MODE": "dev", "KUBECONFIG": target.kubeconfig})))
    yield api
    await api.close()


@contextlib.contextmanager
def namespace_removed(target: Target) -> Iterator[None]:
    """A real cluster outlives the tests: a namespace of theirs must not."""
    yield
    if os.environ.get("CONTRACT_CLUSTER") == "real":

        async def remove() -> None:
            settings = Settings.from_env({"AUTH_MODE": "dev", "KUBECONFIG": target.kubeconfig})
            api = KubeApi(ClusterConnector(settings))
            await api.request("DELETE", f"/api/v1/namespaces/{target.namespace}")
            await api.close()

        asyncio.run(remove())


@pytest.fixture(scope="session", autouse=True)
def _namespace_removed(target: Target) -> Iterator[None]:
    with namespace_removed(target):
        yield
