"""One container of a pod: its image, configuration, start, end and restarts."""

import asyncio
import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..clock import timestamp
from ..objects import Object
from ..runtime.model import ContainerSpec, RunningContainer, Runtime, StartError
from ..store import Store
from .addresses import Addresses
from .configuration import ConfigError, container_spec, pod_identity
from .images import Image, Images, is_reference
from .link import Link
from .logs import ContainerLog
from .recorder import Recorder
from .status import ContainerState

_FIRST_BACKOFF_S = 10.0
_LAST_BACKOFF_S = 300.0
# A container that has run for so long is restarted without delay (kubelet: twice the longest back-off).
_FORGIVEN_AFTER_S = 2 * _LAST_BACKOFF_S
_LOG_DRAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of the node that every container needs."""

    name: str
    directory: Path
    store: Store
    images: Images
    runtime: Runtime
    recorder: Recorder
    addresses: Addresses
    link: Link


@dataclass(slots=True)
class ContainerRunner:
    """Runs one container of a pod, repeatedly if its restart policy says so.

    Attributes:
        node: The node on which it runs.
        pod: Returns the current pod.
        state: The state of the container, from which the pod's status is made.
        publish: Called after every change of ``state``.
        volumes: Folders of the pod's volumes, by name.
        init: Whether it is an init container.
        running: The container while it runs.
        logs: Logs of the current run and of the one before.
        stopping: Set when the pod shuts down; the container is then not restarted.
        settled: Set when a run has ended and its end is published.
    """

    node: Node
    pod: Callable[[], Object]
    state: ContainerState
    publish: Callable[[], None]
    volumes: dict[str, Path]
    init: bool = False
    running: RunningContainer | None = None
    logs: list[ContainerLog] = field(default_factory=list)
    stopping: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0

    @property
    def field_path(self) -> str:
        """The path of the container's field in the pod, as in events."""
        return f"spec.{'initContainers' if self.init else 'containers'}{{{self.state.name}}}"

    @property
    def _owner(self) -> str:
        return pod_identity(self.pod())

    def close_logs(self) -> None:
        """Stop logging, because the pod is gone."""
        for log in self.logs:
            log.close()

    def event(self, reason: str, message: str, type_: str = "Normal") -> None:
        """Record an event about this container."""
        self.node.recorder.kubelet(self.pod(), reason, message, self.field_path, type_)

    async def run(self) -> None:
        """Run the container until it has ended for good; its state is then ``terminated``."""
        while True:
            image = await self._wait_for_image()
            spec = await self._wait_for_config(image)
            began = asyncio.get_running_loop().time()
            await self._run_once(image, spec)
            if not self._restarts():
                return
            if asyncio.get_running_loop().time() - began > _FORGIVEN_AFTER_S:
                self._failures = 0
            await self._back_off()

    def _restarts(self) -> bool:
        policy = self.pod()["spec"]["restartPolicy"]
        ended = self.state.terminated or {}
        if self.stopping:
            return False
        if self.init and ended.get("exitCode") == 0:
            return False
        return policy == "Always" or (policy == "OnFailure" and ended.get("exitCode") != 0)

    async def _back_off(self) -> None:
        self.state.last = self.state.state
        if self._failures:
            delay = min(_FIRST_BACKOFF_S * 2 ** (self._failures - 1), _LAST_BACKOFF_S)
            text = f"back-off {delay:g}s restarting failed container={self.state.name} pod={self._owner}"
            self.state.wait_for("CrashLoopBackOff", text)
            self.publish()
            message = f"Back-off restarting failed container {self.state.name} in pod {self._owner}"
            self.event("BackOff", message, "Warning")
            await asyncio.sleep(delay)
        self._failures += 1
        self.state.restarts += 1

    async def _wait_for_image(self) -> Image:
        name, never = self.state.spec["image"], self.state.spec["imagePullPolicy"] == "Never"
        attempt = 0
        while True:
            image = self.node.images.find(name)
            if image is not None:
                present = (
                    f'Container image "{name}" already present on machine and can be accessed by the pod'
                )
                self.event("Pulled", present)
                return image
            if not is_reference(name):
                fault = f'couldn\'t parse image name "{name}": invalid reference format'
                self._refuse_image("InvalidImageName", f'Failed to apply default image tag "{name}": {fault}')
            elif never:
                message = f'Container image "{name}" is not present with pull policy of Never'
                self._refuse_image("ErrImageNeverPull", message)
            else:
                self._fail_to_pull(name)
            await asyncio.sleep(min(_FIRST_BACKOFF_S * 2**attempt, _LAST_BACKOFF_S))
            attempt = min(attempt + 1, 10)

    def _refuse_image(self, reason: str, message: str) -> None:
        self.state.wait_for(reason, message)
        self.publish()
        self.event(reason, message, "Warning")
        self.event("Failed", f"Error: {reason}", "Warning")

    def _fail_to_pull(self, name: str) -> None:
        unpack = f'failed to pull and unpack image "{name}": failed to resolve reference "{name}"'
        error = f"{unpack}: the local cluster has no image of this name and pulls none"
        self.event("Pulling", f'Pulling image "{name}"')
        self.event("Failed", f'Failed to pull image "{name}": {error}', "Warning")
        self.event("Failed", "Error: ErrImagePull", "Warning")
        self.state.wait_for("ErrImagePull", error)
        self.publish()
        back_off = f'Back-off pulling image "{name}"'
        self.event("BackOff", back_off)
        self.event("Failed", "Error: ImagePullBackOff", "Warning")
        self.state.wait_for("ImagePullBackOff", f"{back_off}: ErrImagePull: {error}")
        self.publish()

    async def _wait_for_config(self, image: Image) -> ContainerSpec:
        delay = _FIRST_BACKOFF_S
        while True:
            try:
                uid = self.pod()["metadata"]["uid"]
                directory = (
                    self.node.directory / uid / "containers" / f"{self.state.name}-{self.state.restarts}"
                )
                address = self.node.addresses.of(self.pod())
                return container_spec(
                    self.node.store, self.pod(), self.state.spec, image, self.volumes, directory, address
                )
            except ConfigError as error:
                self.state.wait_for("CreateContainerConfigError", str(error))
                self.publish()
                self.event("Failed", f"Error: {error}", "Warning")
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_BACKOFF_S)

    async def _run_once(self, image: Image, spec: ContainerSpec) -> None:
        log = ContainerLog(spec.directory / "log")
        for forgotten in self.logs[1:]:
            forgotten.close()
        self.logs = [log, *self.logs[:1]]
        self.state.image_id = image.id
        self.state.container_id = "containerd://" + hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        self.event("Created", "Container created")
        stdout, stderr = log.stream("stdout"), log.stream("stderr")
        try:
            self.running = await self.node.runtime.start(spec, stdout, stderr)
        except StartError as error:
            self._fail_to_start(str(error))
            return
        finally:
            os.close(stdout)
            os.close(stderr)
        self.settled.clear()
        started = timestamp()
        self.state.state = {"running": {"startedAt": started}}
        self.state.ready = not self.init
        self.event("Started", "Container started")
        self.publish()
        code = await asyncio.shield(self.running.exit)
        await self._ended(code, started)

    async def _ended(self, code: int, started: str) -> None:
        """Record that the container has ended, after the rest of its output is in the log."""
        # A process that escaped the container may still hold the output open; then the log stays open for it.
        with contextlib.suppress(TimeoutError):
            # wait_for may lose a cancellation that comes together with the end of the log.
            async with asyncio.timeout(_LOG_DRAIN_S):
                await self.logs[0].finished.wait()
        self.running = None
        self.state.ready = False
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": started}
        ended |= {"finishedAt": timestamp(), "containerID": self.state.container_id}
        self.state.state = {"terminated": ended}
        self.publish()
        self.settled.set()

    def _fail_to_start(self, error: str) -> None:
        shim = "failed to create containerd task: failed to create shim task: OCI runtime create failed"
        message = f"{shim}: runc create failed: unable to start container process: {error}: unknown"
        ended = {
            "exitCode": 128,
            "reason": "StartError",
            "message": message,
            "startedAt": "1970-01-01T00:00:00Z",
        }
        ended |= {"finishedAt": timestamp(), "containerID": self.state.container_id}
        self.state.state = {"terminated": ended}
        self.state.ready = False
        self.event("Failed", f"Error: {message}", "Warning")
        self.publish()
