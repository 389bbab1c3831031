"""Clusters that run inside the test's own event loop, and clients for them."""

import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local.cluster import LocalCluster
from tests.support.needs import kubectl_path, needs

from .client import Client

_RECORDINGS = Path(__file__).parents[2] / "kubernetes-recordings"
_KUBECTLS = ("1.31", "1.32", "1.33")


@pytest.fixture
def recording() -> Callable[[str], list[dict[str, Any]]]:
    """Steps of a recorded scenario, by its name."""

    def load(name: str) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = json.loads((_RECORDINGS / f"{name}.json").read_bytes())["steps"]
        return steps

    return load


@pytest.fixture(params=[pytest.param("in namespaces", marks=needs("namespaces")), "process groups"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Both ways to run containers, for tests that ask for it."""
    return str(request.param)


@pytest.fixture
async def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[LocalCluster]:
    """A cluster; in both runtimes for tests that also ask for ``runtime``."""
    wanted = request.getfixturevalue("runtime") if "runtime" in request.fixturenames else "in namespaces"
    images = tmp_path / "images"
    images.mkdir()
    async with LocalCluster(tmp_path / "cluster", images, namespaces=wanted == "in namespaces") as running:
        if "runtime" in request.fixturenames:
            assert wanted in running.runtime_description
        yield running


@pytest.fixture
async def client(cluster: LocalCluster) -> AsyncIterator[Client]:
    """A client with namespace ``rec`` made."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        made = Client(cluster, session)
        await made.create("/api/v1/namespaces", {"metadata": {"name": "rec"}})
        yield made


def _kubectls(*versions: str) -> Iterator[Any]:
    """The pinned one, and the older ones of the Google Cloud SDK where those are."""
    yield pytest.param(kubectl_path(), id="pinned")
    for version in versions:
        for known in filter(None, (shutil.which(f"kubectl.{version}"), shutil.which("kubectl"))):
            path = Path(known).resolve().with_name(f"kubectl.{version}")
            if path.exists():
                yield pytest.param(str(path), id=f"{version}-sdk")
                break


@pytest.fixture(params=_kubectls(*_KUBECTLS))
def kubectl(request: pytest.FixtureRequest) -> str:
    """Path of a real kubectl, in each version that is here."""
    return str(request.param)


@pytest.fixture(params=_kubectls("1.27"))
def edge_kubectl(request: pytest.FixtureRequest) -> str:
    """Path of the newest real kubectl, and of the oldest."""
    return str(request.param)
