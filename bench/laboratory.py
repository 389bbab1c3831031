"""What the benchmarks run against: a cluster and a gateway in their own processes, and one session."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp

from bench.bare import BareExec
from bench.kubectl import Kubectl
from bench.official import OfficialExec
from local.images import IMAGES, LOCAL_IMAGE
from shared.kube.connect.resolver import resolve
from shared.settings import Settings
from tests.support import laptop
from tests.support.client import Client, Json
from tests.support.official import official

USER = "bench@example.com"


@dataclasses.dataclass(frozen=True, slots=True)
class Laboratory:
    """Everything that a benchmark needs.

    Attributes:
        folder: A folder for files, removed at the end.
        settings: Environment of the gateway: cluster, store, image.
        gateway_pid: Process id of the gateway.
        client: Calls the gateway over kept connections.
        session: A running session.
        bare: Runs commands in the same pod without any code of ours.
        kubectl: Runs commands in the same pod by kubectl.
        official: Runs commands in the same pod by the official Python client.
    """

    folder: Path
    settings: dict[str, str]
    gateway_pid: int
    client: Client
    session: Json
    bare: BareExec
    kubectl: Kubectl
    official: OfficialExec


@contextlib.asynccontextmanager
async def laboratory(folder: Path) -> AsyncGenerator[Laboratory]:
    """Starts the local cluster and the gateway that uses it, and creates a session.

    Args:
        folder: An empty folder.
    """
    async with contextlib.AsyncExitStack() as stack:
        kubeconfig = stack.enter_context(laptop.local_cluster(folder / "cluster", IMAGES))
        settings = {
            "KUBECONFIG": kubeconfig,
            "SESSION_IMAGE": LOCAL_IMAGE,
            "AUTH_MODE": "dev",
            "SESSION_STORE": "sqlite",
            "SQLITE_PATH": str(folder / "sessions.db"),
        }
        process, url = stack.enter_context(laptop.gateway(folder / "gateway.log", **settings))
        http = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_read=120))
        )
        client = Client(http, url, USER)
        session = await client.create()
        bare = BareExec(http, await resolve(Settings.from_env(settings).cluster), session)
        kubectl = Kubectl(kubeconfig, folder, session)
        peer = OfficialExec(await stack.enter_async_context(official(kubeconfig)), session)
        yield Laboratory(folder, settings, process.pid, client, session, bare, kubectl, peer)
        await client.delete(session)
