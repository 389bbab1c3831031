"""One pod, from its binding to the node until it is gone."""

import asyncio
import shutil
from pathlib import Path

from ..clock import timestamp
from ..objects import Object
from ..objects.resources import PODS
from .containers import ContainerRunner, Node
from .status import ContainerState, PodOutcome, PodView, pod_status
from .volumes import VolumeError, set_up_volumes

_MOUNT_RETRY_S = 0.5
_LAST_MOUNT_RETRY_S = 122.0
_DEADLINE = PodOutcome(
    "Failed", "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
)


class PodWorker:
    """Runs a pod.

    Args:
        node: The node on which it runs.
        pod: The pod, bound to the node.
    """

    def __init__(self, node: Node, pod: Object) -> None:
        self._node = node
        self._pod = pod
        self._outcome: PodOutcome | None = None
        self._sandbox = False
        self._address = ""
        self._started_at = timestamp()
        self._stop = asyncio.Event()
        self._deleted = asyncio.Event()
        self._hurry = asyncio.Event()
        self._directory: Path = node.directory / pod["metadata"]["uid"]
        self._volumes: dict[str, Path] = {}
        starting = "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"
        self._inits = [
            self._runner(spec, starting, init=True) for spec in pod["spec"].get("initContainers") or []
        ]
        self._containers = [self._runner(spec, starting, init=False) for spec in pod["spec"]["containers"]]
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_s: int | None = None

    def _runner(self, spec: Object, reason: str, *, init: bool) -> ContainerRunner:
        state = ContainerState(spec, {"waiting": {"reason": reason}})
        return ContainerRunner(self._node, lambda: self._pod, state, self._publish, self._volumes, init)

    def runner(self, container: str) -> ContainerRunner | None:
        """Return the container of that name, or None."""
        for runner in (*self._containers, *self._inits):
            if runner.state.name == container:
                return runner
        return None

    def changed(self, pod: Object) -> None:
        """React to a new version of the pod: to its deletion or its deadline."""
        if int(pod["metadata"]["resourceVersion"]) > int(self._pod["metadata"]["resourceVersion"]):
            self._pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._delete()
        elif pod["spec"].get("activeDeadlineSeconds") != self._deadline_s:
            self._watch_deadline()

    def removed(self) -> None:
        """React to the pod's removal from the API: kill its processes without grace."""
        self._pod = {**self._pod, "metadata": {**self._pod["metadata"], "deletionGracePeriodSeconds": 0}}
        self._delete()

    def _delete(self) -> None:
        self._deleted.set()
        self._stop.set()
        self._hurry.set()

    async def run(self) -> None:
        """Run the pod to its end, and remove it when it is deleted."""
        self._publish()
        self._watch_deadline()
        living = asyncio.create_task(self._live())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((living, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not living.done():
                await self._shut_down(living)
            living.result() if not living.cancelled() else None
            self._finish()
            await self._deleted.wait()
        finally:
            living.cancel()
            stopping.cancel()
            self._kill()
            for runner in (*self._inits, *self._containers):
                runner.close_logs()
            if self._deadline is not None:
                self._deadline.cancel()
        await self._release()

    async def _live(self) -> None:
        """Start the pod and wait until its containers have ended for good."""
        await self._mount()
        self._sandbox = True
        self._publish()
        self._address = self._node.addresses.of(self._pod)
        for init in self._inits:
            await init.run()
            if init.state.terminated is None or init.state.terminated["exitCode"] != 0:
                return
        async with asyncio.TaskGroup() as group:
            for container in self._containers:
                group.create_task(container.run())

    async def _mount(self) -> None:
        delay = _MOUNT_RETRY_S
        while True:
            try:
                self._volumes.update(set_up_volumes(self._node.store, self._pod, self._directory))
                return
            except VolumeError as error:
                self._node.recorder.kubelet(self._pod, "FailedMount", str(error), type_="Warning")
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_MOUNT_RETRY_S)

    async def _shut_down(self, living: asyncio.Task[None]) -> None:
        """End all containers, with SIGTERM and after the grace period with SIGKILL."""
        self._publish()
        active = self._running()
        for runner in active:
            runner.stopping = True
            runner.event("Killing", f"Stopping container {runner.state.name}")
            if runner.running is not None:
                runner.running.terminate()
        settled = asyncio.create_task(_all_settled(active))
        try:
            await self._wait_out_grace(settled)
            self._kill()
            await settled
        finally:
            settled.cancel()
        # The containers that are left wait for an image or for a restart.
        living.cancel()
        await asyncio.wait((living,))

    async def _wait_out_grace(self, settled: asyncio.Task[None]) -> None:
        """Wait until the containers have ended or the grace period is over.

        A second deletion may shorten it.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not settled.done():
            left = begun + self._grace() - loop.time()
            if left <= 0:
                return
            self._hurry.clear()
            hurry = asyncio.create_task(self._hurry.wait())
            try:
                await asyncio.wait((settled, hurry), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                hurry.cancel()

    def _grace(self) -> float:
        metadata = self._pod["metadata"]
        return float(
            metadata.get("deletionGracePeriodSeconds", self._pod["spec"]["terminationGracePeriodSeconds"])
        )

    def _finish(self) -> None:
        """Publish the final status, after the last container has ended."""
        self._sandbox = False
        self._publish()

    def _running(self) -> list[ContainerRunner]:
        return [runner for runner in (*self._inits, *self._containers) if runner.running is not None]

    def _kill(self) -> None:
        for runner in self._running():
            if runner.running is not None:
                runner.running.kill()

    def _watch_deadline(self) -> None:
        seconds = self._pod["spec"].get("activeDeadlineSeconds")
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline_s = seconds
        if seconds is not None:
            self._deadline = asyncio.get_running_loop().call_later(seconds, self._exceed)

    def _exceed(self) -> None:
        if self._stop.is_set() or self._pod["status"]["phase"] in ("Succeeded", "Failed"):
            return
        self._outcome = _DEADLINE
        self._node.recorder.kubelet(self._pod, _DEADLINE.reason, _DEADLINE.message)
        self._stop.set()

    async def _release(self) -> None:
        """Remove the pod from the API, as the kubelet does when nothing of it is left, and its folder."""
        await self._node.link.wait()
        metadata = self._pod["metadata"]
        self._node.addresses.release(self._pod)
        current = self._current()
        if current is not None:
            final = {**current["metadata"], "deletionTimestamp": timestamp(), "deletionGracePeriodSeconds": 0}
            self._node.store.put(PODS, {**current, "metadata": final})
            if not final.get("finalizers"):
                self._node.store.remove(PODS, metadata["namespace"], metadata["name"])
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    def _current(self) -> Object | None:
        """Return the pod in the store, or None if it is gone or another pod has its name."""
        metadata = self._pod["metadata"]
        current = self._node.store.get(PODS, metadata["namespace"], metadata["name"])
        return current if current is not None and current["metadata"]["uid"] == metadata["uid"] else None

    def publish(self) -> None:
        """Tell how the pod is, after a time in which the node could not."""
        self._publish()

    def _publish(self) -> None:
        """Write the pod's status into the store if it has changed."""
        current = self._current()
        if current is None or not self._node.link.up:
            return
        if self._stop.is_set() and not self._running():
            # A pod that stops loses its sandbox together with its last container.
            self._sandbox = False
        inits = [runner.state for runner in self._inits]
        containers = [runner.state for runner in self._containers]
        view = PodView(
            current, inits, containers, self._sandbox, self._address, self._started_at, self._outcome
        )
        status = pod_status(view, timestamp())
        if status != current["status"]:
            self._pod = self._node.store.put(PODS, {**current, "status": status})


async def _all_settled(runners: list[ContainerRunner]) -> None:
    for runner in runners:
        await runner.settled.wait()
