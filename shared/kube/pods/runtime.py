"""Session pods in Kubernetes: the adapter behind ``PodRuntime``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, cast

from shared.core.clusters.installation import Installation, id_of
from shared.core.clusters.model import Sight
from shared.core.clusters.ports import Cluster
from shared.core.commands import Command, ExecEvent
from shared.core.held import Held
from shared.core.sessions.model import Session
from shared.core.sessions.names import SESSION_LABEL
from shared.core.sessions.pod import ConnectionInfo, PodPhase, PodStatus
from shared.errors import ClusterUnavailable, ConfigurationError, NotFound
from shared.kube.api.client import WATCH_STALL_SECONDS, KubeApi
from shared.kube.api.connection import Connection
from shared.kube.api.errors import AdmissionDenied, ApiError
from shared.kube.api.objects import Pod, PodTemplate
from shared.kube.api.retries import least_pause
from shared.kube.exec.execution import Execution
from shared.kube.exec.socket import Container
from shared.kube.pods.diagnosis import CONTAINER, GONE, diagnose
from shared.kube.pods.manifest import GRACE_SECONDS, PodOptions, pod_manifest
from shared.kube.pods.refusals import refusal_of_create
from shared.reasons import Reason

_DRAIN_SECONDS = 8.0
_TEMPLATE_SECONDS = 60.0


class KubernetesRuntime:
    """Runs session pods on the cluster that ``api`` talks to.

    Args:
        api: The cluster.
        options: The operator's choices for pods.
        template_name: Name of the PodTemplate that is merged under the manifest; empty: none.
        shutdown: Set when this process is told to end; commands then end too.
        held: Counts the bytes that are held of commands' output; None: nobody asks.
        cluster: Says which cluster a connection leads to; None: nobody can.
        installation: Says which installation this is, for the labels of pods; None: they do not say it.
    """

    def __init__(
        self,
        api: KubeApi,
        options: PodOptions,
        template_name: str = "",
        *,
        shutdown: asyncio.Event,
        held: Held | None = None,
        cluster: Cluster | None = None,
        installation: Installation | None = None,
    ) -> None:
        self._cluster = cluster
        self._installation = installation
        self._api = api
        self._options = options
        self._template_name = template_name
        self._shutdown = shutdown
        self._held = held
        self._template: tuple[float, Mapping[str, Any]] | None = None
        self._background: set[asyncio.Task[None]] = set()

    async def connect(self) -> ConnectionInfo:
        """See ``PodRuntime``."""
        connection = await self._api.connection()
        return ConnectionInfo(connection.method, connection.cluster)

    async def create(self, session: Session) -> str:
        """See ``PodRuntime``. Safe to repeat: the name derives from the session's id."""
        template = await self._pod_template(session.namespace)
        installation = await id_of(self._installation)
        manifest = pod_manifest(session, self._options, template, installation)
        try:
            answer = await self._api.request("POST", _pods(session), body=manifest, idempotent=True)
            pod = cast("Pod", answer)
        except ApiError as error:
            if error.kubernetes_reason != "AlreadyExists":
                raise refusal_of_create(error, session) from error
            pod = await self._read(session)
            if pod["metadata"].get("labels", {}).get(SESSION_LABEL) != session.id:
                raise
            # It may have become ready before this moment, and would then not change any more.
            return ""
        return str(pod["metadata"]["resourceVersion"])

    async def wait_ready(self, session: Session, timeout_seconds: float, since: str = "") -> PodStatus:
        """See ``PodRuntime``."""
        return await self._wait(
            session, timeout_seconds, since, (PodPhase.READY, PodPhase.FAILED, PodPhase.GONE)
        )

    async def status(self, session: Session) -> PodStatus:
        """See ``PodRuntime``."""
        try:
            return diagnose(await self._read(session))
        except ApiError as error:
            if error.code == 404:
                return GONE
            raise

    async def delete(self, session: Session, timeout_seconds: float) -> bool:
        """See ``PodRuntime``."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": GRACE_SECONDS}
        try:
            await self._api.request("DELETE", _pod(session), body=body)
        except ApiError as error:
            if error.code == 404:
                return True
            raise
        if timeout_seconds <= 0:
            return False
        status = await self._wait(session, timeout_seconds, "", (PodPhase.GONE,))
        return status.phase is PodPhase.GONE

    async def execute(self, session: Session, command: Command) -> AsyncGenerator[ExecEvent, None]:
        """See ``PodRuntime``."""
        connection = await self._api.connection()
        execution = Execution(
            self._api,
            Container(session.namespace, session.pod_name, CONTAINER),
            command,
            pod_lost=lambda grace: self._lost(session, grace, connection),
            background=self._run_in_background,
            shutdown=self._shutdown,
            held=self._held,
        )
        try:
            async with contextlib.aclosing(execution.events()) as events:
                async for event in events:
                    yield event
        except ApiError as error:
            raise await self._no_exec(error, session) from error

    async def _read(self, session: Session) -> Pod:
        return cast("Pod", await self._api.request("GET", _pod(session)))

    async def ping(self) -> None:
        """See ``PodRuntime``."""
        await self._api.request("GET", "/version", timeout_seconds=5)

    async def close(self) -> None:
        """Waits for the tasks that end the commands of callers that are gone, then disconnects."""
        if self._background:
            await asyncio.wait(self._background, timeout=_DRAIN_SECONDS)
        await self._api.close()

    async def _wait(
        self, session: Session, timeout_seconds: float, since: str, ends: tuple[PodPhase, ...]
    ) -> PodStatus:
        """Watches the pod until it has one of the phases ``ends`` or the time is over; returns its status.

        It also reads the pod now and then, because a watch can stall silently (kubespawner#209).
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_seconds
        status, failures = PodStatus(PodPhase.PENDING), 0
        while True:
            if not since:
                try:
                    pod = await self._read(session)
                except ApiError as error:
                    if error.code != 404:
                        raise
                    return GONE
                status, since = diagnose(pod), str(pod["metadata"]["resourceVersion"])
            left = end - loop.time()
            if status.phase in ends or left <= 0:
                return status
            try:
                async with asyncio.timeout(min(left, WATCH_STALL_SECONDS)):
                    return await self._watch(session, since, ends)
            except TimeoutError:
                failures = 0
            except ClusterUnavailable as error:
                # A watch that is torn or has ended, or a version that is too old (410): it looks again, and
                # learns from that whether the cluster is reached.
                failures += 1
                pause = least_pause(failures, error.retry_after_seconds)
                await asyncio.sleep(min(pause, max(end - loop.time(), 0)))
            since = ""

    async def _watch(self, session: Session, since: str, ends: tuple[PodPhase, ...]) -> PodStatus:
        """Follows the pod's events until it has one of the phases ``ends``.

        Raises:
            ClusterUnavailable: The watch was refused, broke or ended before.
        """
        params = [("fieldSelector", f"metadata.name={session.pod_name}"), ("resourceVersion", since)]
        watch = self._api.watch(_pods(session), params=params, timeout_seconds=WATCH_STALL_SECONDS)
        async with contextlib.aclosing(watch) as events:
            async for kind, pod in events:
                status = GONE if kind == "DELETED" else diagnose(cast("Pod", pod))
                if status.phase in ends:
                    return status
        raise ClusterUnavailable("the watch ended")

    async def _lost(self, session: Session, grace: bool, connection: Connection) -> PodStatus:
        """Waits until the pod cannot run anything any more.

        Args:
            session: The session whose pod it is.
            grace: Whether to wait for the end of a pod's deletion, not only for its beginning: until
                then the commands live on, and what they still say is worth having.
            connection: The connection over which the command was begun. Another one may lead to another
                cluster: there the absence of the pod counts only if the cluster is the session's.

        Raises:
            ClusterUnavailable: The connection now leads to another cluster than the session's.
        """
        status = PodStatus(PodPhase.PENDING)
        while status.phase not in (PodPhase.FAILED, PodPhase.GONE):
            status = await self._wait(session, 3600.0, "", (PodPhase.FAILED, PodPhase.GONE))
        if await self._api.connection() is not connection and not await self._is_here(session):
            raise ClusterUnavailable("the cluster that had the session's pod is not seen any more")
        if grace and status.lingers:
            await self._wait(session, GRACE_SECONDS + 2.0, "", (PodPhase.GONE,))
        return status

    async def _is_here(self, session: Session) -> bool:
        if self._cluster is None:
            return False
        return (await self._cluster.look(session.cluster_identity)).sight is Sight.HERE

    async def _no_exec(self, error: ApiError, session: Session) -> Exception:
        """Why the API server did not start an exec: most often the pod does not run, or not any more.

        A node that does not answer (500) may be the reason, or that the pod is not on it any more.
        """
        if error.code in (401, 403, 408, 429) or error.code > 500 or isinstance(error, AdmissionDenied):
            return error
        try:
            status = await self.status(session)
        except ClusterUnavailable:
            return error
        if status.phase is PodPhase.READY:
            return error
        return NotFound(
            f"the session's pod does not run: {status.reason or 'it is starting'}",
            reason=Reason.POD_NOT_RUNNING,
            session=session.id,
        )

    async def _pod_template(self, namespace: str) -> Mapping[str, Any] | None:
        if not self._template_name:
            return None
        now = asyncio.get_running_loop().time()
        if self._template is None or now - self._template[0] > _TEMPLATE_SECONDS:
            path = f"/api/v1/namespaces/{namespace}/podtemplates/{self._template_name}"
            try:
                found = cast("PodTemplate", await self._api.request("GET", path))
            except ApiError as error:
                if error.code != 404:
                    raise
                raise ConfigurationError(
                    f"the PodTemplate {self._template_name} of K8S_POD_TEMPLATE is not in the namespace",
                    variable="K8S_POD_TEMPLATE",
                ) from error
            self._template = (now, found.get("template") or {})
        return self._template[1]

    def _run_in_background(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _pods(session: Session) -> str:
    return f"/api/v1/namespaces/{session.namespace}/pods"


def _pod(session: Session) -> str:
    return f"{_pods(session)}/{session.pod_name}"
