"""Composes the cluster: store, node, API and TLS server, started and stopped together."""

import asyncio
import contextlib
import fcntl
import secrets
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import IO, Self

import yaml
from aiohttp import web

from .api.access import ADMIN, Observer, User
from .api.bootstrap import bootstrap_roles
from .api.discovery import GIT_VERSION
from .api.server import Api
from .api.tokens import AccountTokens
from .certificates import server_context, write_private
from .controllers.expiry import expire_events
from .controllers.nodes import NodeLife
from .controllers.replication import Replication
from .kubelet.addresses import Addresses
from .kubelet.containers import Node
from .kubelet.images import Images
from .kubelet.kubelet import Kubelet, node_object
from .kubelet.link import Link
from .kubelet.recorder import Recorder
from .objects.resources import NAMESPACES, NODES
from .provisioning import make_namespace, provision_namespaces
from .runtime.groups import GroupRuntime
from .runtime.model import Runtime
from .runtime.namespaces import probe_namespaces
from .runtime.processes import Processes
from .store import Store

UNPRIVILEGED_USER = "functions@local.iam.gserviceaccount.com"
_NODE = "local"
_KEEP_ALIVE_SECONDS = 620.0
"""How long an idle connection is kept: longer than clients do, of which kubectl keeps one for 90 s."""

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class LocalCluster:
    """A Kubernetes API on this machine.

    Use it as an asynchronous context manager. Everything that it runs ends with the context.

    Args:
        directory: Folder for certificates, kubeconfig and pods. It is made if missing; one cluster at a time
            can use it.
        images: Folder of images (:class:`.kubelet.images.Images`), or None for busybox only.
        port: TCP port on 127.0.0.1; 0 takes a free port.
        namespaces: False to run containers as process groups even where namespaces work.
        history: Number of past changes from which a watch can begin.
        users: Further users without a role, by token.
        observer: Called for every request that is checked.
        event_ttl_s: The time in seconds for which an Event is kept after it was last written.
        token_clock: Returns the time, in seconds since the epoch, by which service accounts' tokens expire.
        incomplete_rules: Whether reviews of rules say that there may be more, as on a cluster that asks
            others than its roles, which GKE's do.

    Attributes:
        kubeconfig: The administrator's kubeconfig file, for kubectl and other clients.
        unprivileged_kubeconfig: The same for :data:`UNPRIVILEGED_USER`.
        url: Base address, ``https://127.0.0.1:<port>``.
        ca_file: Certificate of the authority that signed the server's.
        token: Bearer token of the administrator.
        unprivileged_token: Bearer token of :data:`UNPRIVILEGED_USER`, who has no role.
        runtime_description: How containers are run, for people.
    """

    def __init__(
        self,
        directory: Path,
        images: Path | None = None,
        *,
        port: int = 0,
        namespaces: bool = True,
        history: int = 4096,
        users: Mapping[str, str] | None = None,
        observer: Observer | None = None,
        event_ttl_s: float = 3600.0,
        token_clock: Callable[[], float] = time.time,
        incomplete_rules: bool = False,
    ) -> None:
        self._directory = directory.absolute()
        self._images = images
        self._port = port
        self._namespaces = namespaces
        self._users = {token: User(name) for token, name in (users or {}).items()}
        self._observer = observer
        self._event_ttl_s = event_ttl_s
        self._token_clock = token_clock
        self._incomplete_rules = incomplete_rules
        self._store = Store(history)
        self._node_life: NodeLife | None = None
        self._stack = contextlib.AsyncExitStack()
        self.kubeconfig = self._directory / "kubeconfig"
        self.unprivileged_kubeconfig = self._directory / "unprivileged.kubeconfig"
        self.ca_file = self._directory / "ca.crt"
        self.token = secrets.token_urlsafe(32)
        self.unprivileged_token = secrets.token_urlsafe(32)
        self.url = ""
        self.runtime_description = ""

    async def __aenter__(self) -> Self:
        """Start the cluster.

        Raises:
            RuntimeError: Another cluster uses the directory.
            OSError: The port is taken, or the directory cannot be used.
        """
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill the processes of all pods and stop."""
        await self._stack.aclose()

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        stack.enter_context(_lock(self._directory))
        pods = self._directory / "pods"
        await asyncio.to_thread(shutil.rmtree, pods, ignore_errors=True)
        # Pods see the machine under other user ids, and these must be able to reach the pods' folders.
        pods.mkdir()
        stack.callback(shutil.rmtree, pods, ignore_errors=True)
        context = server_context(self._directory)
        processes = Processes()
        runtime = await self._runtime(processes, pods)
        stack.push_async_callback(runtime.close)
        stack.push_async_callback(processes.close)
        self.runtime_description = runtime.description
        kubelet = await self._start_node(stack, pods, runtime)
        users = {**self._users, self.token: ADMIN, self.unprivileged_token: User(UNPRIVILEGED_USER)}
        tokens = AccountTokens(self._store, self._token_clock)
        api = Api(
            self._store,
            kubelet,
            users,
            tokens,
            observer=self._observer,
            incomplete_rules=self._incomplete_rules,
        )
        application = api.application()
        runner = web.AppRunner(
            application,
            handler_cancellation=True,
            shutdown_timeout=0.2,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        listener = socket.create_server(("127.0.0.1", self._port))
        await web.SockSite(runner, listener, ssl_context=context).start()
        self.url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        write_private(self.kubeconfig, self.kubeconfig_of("admin", self.token).encode())
        unprivileged = self.kubeconfig_of("functions", self.unprivileged_token)
        write_private(self.unprivileged_kubeconfig, unprivileged.encode())

    async def _start_node(self, stack: contextlib.AsyncExitStack, pods: Path, runtime: Runtime) -> Kubelet:
        """Start the node and the controllers, and make the objects that every cluster has."""
        store, link = self._store, Link()
        addresses = stack.enter_context(Addresses())
        recorder = Recorder(store, _NODE, link)
        node = Node(_NODE, pods, store, Images(self._images), runtime, recorder, addresses, link)
        kubelet = Kubelet(node)
        self._node_life = NodeLife(store, recorder, kubelet, _NODE)
        stack.callback(self._node_life.close)
        await _background(stack, kubelet.run())
        await _background(stack, provision_namespaces(store))
        await _background(stack, Replication(store, recorder).run())
        await _background(stack, expire_events(store, self._event_ttl_s))
        store.put(NODES, node_object(_NODE, str(uuid.uuid4()), GIT_VERSION))
        for resource, item in bootstrap_roles():
            store.put(resource, item)
        cluster = _cluster_id(self._directory / "id")
        for name in _NAMESPACES:
            store.put(NAMESPACES, make_namespace(name, cluster))
        return kubelet

    def lose_node(self) -> None:
        """Let the node be lost: its processes go on, but nobody hears of them, nor do they of anybody."""
        assert self._node_life is not None, "the cluster has not been started"
        self._node_life.lose()

    def return_node(self) -> None:
        """Let a lost node come back: it does what was asked for meanwhile, and tells how its pods are."""
        assert self._node_life is not None, "the cluster has not been started"
        self._node_life.recover()

    def compact(self) -> None:
        """Forget the past: watches and lists in pages that began before now are answered with 410."""
        self._store.compact()

    async def _runtime(self, processes: Processes, pods: Path) -> Runtime:
        if self._namespaces:
            probe = Path(tempfile.mkdtemp(dir=pods, prefix="probe-"))
            found = await probe_namespaces(processes, probe)
            shutil.rmtree(probe, ignore_errors=True)
            if found is not None:
                return found
        return GroupRuntime(processes, pods)

    def kubeconfig_of(self, user: str, token: str) -> str:
        """Return a kubeconfig with the token. ``user`` is only the user's name in the file."""
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        context = {"cluster": "local", "user": user, "namespace": "default"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "local", "context": context}],
            "current-context": "local",
        }
        return yaml.safe_dump(config, sort_keys=False)


def _cluster_id(file: Path) -> uuid.UUID:
    """Return the id of the cluster in this directory, which stays the same at every start."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        return uuid.UUID(file.read_text())
    new = uuid.uuid4()
    file.write_text(str(new))
    return new


async def _background(stack: contextlib.AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    """Run a coroutine until the stack closes; let it begin before returning.

    An error that ended it before is raised as the stack closes: nobody has done its work since.
    """
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    stack.push_async_callback(stop)
    await asyncio.sleep(0)


@contextlib.contextmanager
def _lock(directory: Path) -> Iterator[IO[bytes]]:
    """Keep other processes from using the directory."""
    with (directory / "lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another local cluster uses {directory}") from None
        yield file
