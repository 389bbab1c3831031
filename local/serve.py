"""``make gateway`` and ``make run``: serves all functions on this machine.

python -m local.serve                                  against whatever the environment names
python -m local.serve --laptop                         on a local cluster, whatever the environment names
python -m local.serve --laptop --cluster kubeconfig    on the cluster of KUBECONFIG or ~/.kube/config
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shlex
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, MutableMapping
from pathlib import Path

from local.environment import InstallError
from local.images import IMAGES, LOCAL_IMAGE, prepare_image
from server.serving import listen, serve
from shared.errors import GamguiError
from shared.settings import Settings
from shared.settings.cluster import ClusterSettings

# Variables that lead to a cluster other than the requested one, or that describe such a cluster.
_SOURCES = ("GKE_CLUSTER_NAME", "GKE_CLUSTER_LOCATION", "KUBECONFIG_BASE64", "KUBERNETES_SERVICE_HOST")
_OF_A_CLUSTER = ("K8S_SERVICE_ACCOUNT", "K8S_POD_TEMPLATE", "SESSION_RUNTIME_CLASS", "ALLOWED_IMAGES")
STATE = Path(".local").resolve()
_START_SECONDS = 30.0


async def main(arguments: list[str]) -> int:
    """Serves until it is told to stop.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m local.serve", description=__doc__)
    parser.add_argument("--laptop", action="store_true", help="on a local cluster, with a scheduler")
    parser.add_argument("--cluster", choices=("local", "kubeconfig"), default="local")
    options = parser.parse_args(arguments)
    os.environ.setdefault("AUTH_MODE", "dev")
    os.environ.setdefault("SESSION_STORE", "sqlite")
    if options.laptop:
        choose_cluster(os.environ, options.cluster)
    try:
        virtual = Settings.from_env(os.environ).virtual.only
        listener = listen(os.environ.get("PORT") or "8080")
        async with contextlib.AsyncExitStack() as stack:
            if options.laptop and options.cluster == "local" and not virtual:
                _use(await stack.enter_async_context(local_cluster()))
            elif not virtual:
                await _tell_what_is_used(asked=options.cluster == "kubeconfig")
            return await _serve(listener, laptop=options.laptop)
    except GamguiError as error:
        print(f"{error.reason}: {error.detail}", file=sys.stderr)
    except (InstallError, OSError, RuntimeError) as error:
        print(f"This cannot start: {error}", file=sys.stderr)
    return 2


def choose_cluster(environ: MutableMapping[str, str], cluster: str) -> None:
    """Removes the variables that lead to a cluster other than the requested one.

    Args:
        environ: The environment, changed in place.
        cluster: ``local``, or ``kubeconfig`` for the cluster of KUBECONFIG or ~/.kube/config.
    """
    for name in _SOURCES if cluster == "kubeconfig" else (*_SOURCES, *_OF_A_CLUSTER, "KUBECONFIG"):
        environ.pop(name, None)


def _use(kubeconfig: str) -> None:
    os.environ["KUBECONFIG"] = kubeconfig
    os.environ["SESSION_IMAGE"] = LOCAL_IMAGE
    print("Works on a local cluster of its own. Cluster and sessions end with this process.", flush=True)
    # A new cluster gets a new store, because the sessions of an earlier run ended with its cluster.
    if "SQLITE_PATH" not in os.environ:
        os.environ["SQLITE_PATH"] = str(Path(kubeconfig).parent / "sessions.db")
        if told := unused_store(STATE):
            print(told, flush=True)


def unused_store(state: Path) -> str:
    """A note about stored sessions that a run on a new cluster does not use; empty if there are none.

    Args:
        state: The folder of everything that the laptop edition keeps.
    """
    store = state / "sessions.db"
    if not store.exists():
        return ""
    return (
        f"Not used here: {store}, the sessions of `make gateway` and of other clusters. "
        "Those of an earlier `make run` ended with it; if there are no others, the file can go."
    )


async def _tell_what_is_used(*, asked: bool) -> None:
    """Prints which cluster is used.

    Args:
        asked: Whether the user named the cluster, so that it must exist.

    Raises:
        GamguiError: The user named the cluster, and no kubeconfig leads to one that answers.
    """
    from shared.kube.connect.resolver import resolve

    settings = Settings.from_env(os.environ)
    if asked:
        await resolve(settings.cluster)
    source = (
        (settings.cluster.gke_cluster_name and f"GKE_CLUSTER_NAME={settings.cluster.gke_cluster_name}")
        or (settings.cluster.kubeconfig_base64 and "KUBECONFIG_BASE64")
        or (settings.cluster.kubeconfig and f"KUBECONFIG={settings.cluster.kubeconfig}")
        or (settings.cluster.kubernetes_service_host and "the pod that this runs in")
        or "~/.kube/config"
    )
    print(f"Works on the cluster of {source}, in its namespace {settings.pods.namespace}.", flush=True)
    if not settings.images.default:
        print(
            "SESSION_IMAGE is not set: a session that names no image cannot be created. "
            "Set it to an image that the cluster can pull, made of images/gam-session.",
            file=sys.stderr,
            flush=True,
        )
    if asked:
        await _ask(settings.cluster)


async def _ask(settings: ClusterSettings) -> None:
    from shared.kube.api.client import KubeApi
    from shared.kube.connect.connector import ClusterConnector

    api = KubeApi(ClusterConnector(settings))
    try:
        await api.request("GET", "/version")
    finally:
        await api.close()


async def _serve(listener: socket.socket, *, laptop: bool) -> int:
    from local.namespace import try_namespace
    from local.scheduler import scheduled
    from server.functions import load_functions
    from server.gateway import Gateway
    from shared.app.composition import app

    gateway = Gateway(load_functions(), app(), prepare=lambda: try_namespace(app()))
    print(f"GAMGUI session functions: http://localhost:{listener.getsockname()[1]}", flush=True)
    async with scheduled(app().cleanup) if laptop else contextlib.nullcontext():
        await serve(gateway, listener)
    return 0


@contextlib.asynccontextmanager
async def local_cluster() -> AsyncGenerator[str, None]:
    """Runs the local cluster in its own process.

    Yields:
        Path of its kubeconfig.

    Raises:
        RuntimeError: The cluster did not start.
    """
    await asyncio.to_thread(prepare_image)
    folder = tempfile.TemporaryDirectory(prefix="cluster-", dir=STATE)
    command = ("-m", "local.cluster", "--dir", folder.name, "--images", str(IMAGES), "--until-eof")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None, "asked for a pipe"
    try:
        async with asyncio.timeout(_START_SECONDS):
            async for line in process.stdout:
                text = line.decode().rstrip()
                print(text, flush=True)
                if text.startswith("export KUBECONFIG="):
                    break
            else:
                # The process ends by itself. A signal now could change the exit code that its parent waits
                # for.
                await process.wait()
                raise RuntimeError("the local cluster did not start")
        yield shlex.split(text)[1].partition("=")[2]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        folder.cleanup()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
