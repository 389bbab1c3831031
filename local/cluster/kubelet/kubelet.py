"""Scheduler and kubelet of the only node: watches pods and gives a worker to each pod that can run."""

import asyncio
import logging
from collections.abc import Mapping

from ..clock import timestamp
from ..objects import Object
from ..objects.quantities import parse_quantity, total_requests
from ..objects.resources import NODES, PODS
from ..store import Change, Store
from .containers import Node
from .worker import PodWorker

_log = logging.getLogger(__name__)

_CAPACITY = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "256Gi", "pods": "1000"}


def node_object(name: str, uid: str, version: str) -> Object:
    """Return the Node object that stands for this machine.

    It has the capacity of a large node, not that of this machine. Nothing enforces requests here; the
    capacity is for tests of sessions that ask for too much.
    """
    now = timestamp()
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now}
    ready |= {"reason": "KubeletReady", "message": "kubelet is posting ready status"}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    metadata = {"name": name, "uid": uid, "creationTimestamp": now, "labels": labels}
    info = {"kubeletVersion": version, "osImage": "this machine", "containerRuntimeVersion": "local://1"}
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}]
    status = {"capacity": dict(_CAPACITY), "allocatable": dict(_CAPACITY), "conditions": [ready]}
    status |= {"addresses": addresses, "nodeInfo": info}
    return {"kind": "Node", "apiVersion": "v1", "metadata": metadata, "spec": {}, "status": status}


class Kubelet:
    """Runs the pods in the store.

    Args:
        node: The parts of the node that containers need.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._store: Store = node.store
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def worker(self, uid: str) -> PodWorker | None:
        """Return the worker of the pod with that uid, or None if the pod is not on the node."""
        return self._workers.get(uid)

    @property
    def reachable(self) -> bool:
        """Whether the API server hears of the node."""
        return self._node.link.up

    def lose(self) -> None:
        """Lose the connection to the API server; the processes of the pods go on."""
        self._node.link.cut()

    def recover(self) -> None:
        """Have the connection again, do what was asked for meanwhile, and tell how the pods are."""
        self._node.link.restore()
        for uid, worker in [*self._workers.items()]:
            pod = next((item for item in self._store.items(PODS) if item["metadata"]["uid"] == uid), None)
            if pod is None:
                worker.removed()
            else:
                worker.changed(pod)
                worker.publish()
        self._schedule_waiting()

    async def run(self) -> None:
        """Follow the store until cancelled; then kill the processes of every pod."""
        try:
            with self._store.subscribe() as changes:
                while True:
                    self._handle(await changes.get())
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _handle(self, change: Change) -> None:
        if change.resource is NODES:
            self._schedule_waiting()
        elif change.resource is PODS:
            worker = self._workers.get(change.object["metadata"]["uid"])
            if worker is not None:
                # A node that is lost learns of nothing.
                if not self.reachable:
                    return
                worker.removed() if change.type == "DELETED" else worker.changed(change.object)
            elif change.type != "DELETED":
                current = self._store.get(
                    PODS, change.object["metadata"]["namespace"], change.object["metadata"]["name"]
                )
                if current is not None and current["metadata"]["uid"] == change.object["metadata"]["uid"]:
                    self._schedule(current)

    def _schedule_waiting(self) -> None:
        for pod in self._store.items(PODS):
            if not pod["spec"].get("nodeName") or pod["metadata"]["uid"] not in self._workers:
                self._schedule(pod)

    def _schedule(self, pod: Object) -> None:
        """Bind the pod to the node and start it, or record why it cannot run."""
        metadata, spec = pod["metadata"], pod["spec"]
        if "deletionTimestamp" in metadata or pod["status"]["phase"] != "Pending":
            return
        if spec.get("nodeName") and not self.reachable:
            return
        if spec.get("nodeName") not in (None, self._node.name):
            return
        if not spec.get("nodeName"):
            obstacle = self._obstacle(spec)
            if obstacle:
                self._refuse(pod, obstacle)
                return
        scheduled = {
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": timestamp(),
        }
        status = {**pod["status"], "conditions": [scheduled]}
        bound = {**pod, "spec": {**spec, "nodeName": self._node.name}, "status": status}
        pod = self._store.put(PODS, bound)
        message = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {self._node.name}"
        self._node.recorder.scheduler(pod, "Scheduled", message, action="Binding")
        self._start(pod)

    def _obstacle(self, spec: Object) -> str:
        """Return why the pod does not fit on the node, in the scheduler's words; empty if it fits."""
        node = self._store.get(NODES, "", self._node.name)
        if node is None:
            return "no nodes available to schedule pods"
        labels = node["metadata"].get("labels") or {}
        if (node.get("spec") or {}).get("unschedulable"):
            return "1 node(s) were unschedulable"
        taints = (node.get("spec") or {}).get("taints") or []
        if not all(_tolerates(spec, taint) for taint in taints if taint["effect"] != "PreferNoSchedule"):
            return "1 node(s) had untolerated taint(s)"
        if not (spec.get("nodeSelector") or {}).items() <= labels.items():
            return "1 node(s) didn't match Pod's node affinity/selector"
        room: Mapping[str, str] = node["status"]["allocatable"]
        for key, wanted in total_requests(spec).items():
            if wanted > parse_quantity(room.get(key, "0")):
                return f"1 Insufficient {key}"
        return ""

    def _refuse(self, pod: Object, obstacle: str) -> None:
        preemption = "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        message = (
            f"0/1 nodes are available: {obstacle}. no new claims to deallocate, preemption: {preemption}"
        )
        if obstacle.startswith("no nodes"):
            message = obstacle
        before: list[Object] = pod["status"].get("conditions") or [{}]
        if before[0].get("message") == message:
            return
        generation = pod["metadata"].get("generation", 1)
        condition = {"type": "PodScheduled", "observedGeneration": generation, "status": "False"}
        condition |= {"lastProbeTime": None, "lastTransitionTime": timestamp(), "reason": "Unschedulable"}
        status = {**pod["status"], "conditions": [{**condition, "message": message}]}
        pod = self._store.put(PODS, {**pod, "status": status})
        self._node.recorder.scheduler(pod, "FailedScheduling", message, action="Scheduling", type_="Warning")

    def _start(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        worker = PodWorker(self._node, pod)
        self._workers[uid] = worker
        task = asyncio.create_task(worker.run(), name=f"pod {pod['metadata']['name']}")
        self._tasks[uid] = task
        task.add_done_callback(lambda done: self._ended(uid, done))

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        self._workers.pop(uid, None)
        self._tasks.pop(uid, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)


def _tolerates(spec: Object, taint: Object) -> bool:
    return any(
        item.get("effect") in (None, "", taint["effect"])
        and (not item.get("key") or item["key"] == taint["key"])
        and (item.get("operator") == "Exists" or item.get("value", "") == taint.get("value", ""))
        for item in spec.get("tolerations") or []
    )
