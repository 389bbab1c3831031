"""Notices that a node is lost or back, and evicts the pods that do not tolerate that it is lost.

Rules: k8s.io/kubernetes, pkg/controller/nodelifecycle and pkg/controller/tainteviction.
"""

import asyncio
from datetime import UTC, datetime

from ..api.deletion import delete
from ..api.requests import Target
from ..clock import timestamp
from ..kubelet.kubelet import Kubelet
from ..kubelet.recorder import Recorder
from ..objects import Object
from ..objects.resources import NODES, PODS
from ..store import Store

_UNREACHABLE = "node.kubernetes.io/unreachable"
_STOPPED = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
_READY = {"reason": "KubeletReady", "message": "kubelet is posting ready status"}
_EVICTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "DeletionByTaintManager",
    "message": "Taint manager: deleting due to NoExecute taint",
}


class NodeLife:
    """Loses the only node and gets it back.

    Args:
        store: The store.
        recorder: Records what is done.
        kubelet: The node.
        name: Name of the node.
    """

    def __init__(self, store: Store, recorder: Recorder, kubelet: Kubelet, name: str) -> None:
        self._store = store
        self._recorder = recorder
        self._kubelet = kubelet
        self._name = name
        self._evictions: list[asyncio.TimerHandle] = []

    def close(self) -> None:
        """Forget the evictions that are still to come."""
        for timer in self._evictions:
            timer.cancel()
        self._evictions.clear()

    def lose(self) -> None:
        """Cut the node off. It is noticed at once, where a real cluster waits for 50 seconds."""
        self._kubelet.lose()
        taint = {"key": _UNREACHABLE, "timeAdded": timestamp()}
        taints = [{**taint, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
        self._write_node("Unknown", _STOPPED, taints)
        for pod in self._store.items(PODS):
            if pod["spec"].get("nodeName") == self._name:
                self._mark_not_ready(pod)
                self._plan_eviction(pod)

    def recover(self) -> None:
        """Let the node be heard again."""
        self.close()
        self._write_node("True", _READY, [])
        self._kubelet.recover()

    def _write_node(self, ready: str, why: Object, taints: list[Object]) -> None:
        node = self._store.get(NODES, "", self._name)
        if node is None:
            return
        now = timestamp()
        conditions = [
            {**item, "status": ready, "lastTransitionTime": now, **why} if item["type"] == "Ready" else item
            for item in node["status"]["conditions"]
        ]
        spec = {key: value for key, value in node["spec"].items() if key != "taints"}
        spec |= {"taints": taints} if taints else {}
        self._store.put(NODES, {**node, "spec": spec, "status": {**node["status"], "conditions": conditions}})

    def _mark_not_ready(self, pod: Object) -> None:
        conditions = [
            {**item, "status": "False", "lastTransitionTime": timestamp()} if _is_ready(item) else item
            for item in pod["status"].get("conditions") or []
        ]
        if conditions != pod["status"].get("conditions"):
            pod = self._store.put(PODS, {**pod, "status": {**pod["status"], "conditions": conditions}})
            self._recorder.controller("node-controller", pod, "NodeNotReady", "Node is not ready", "Warning")

    def _plan_eviction(self, pod: Object) -> None:
        seconds = _tolerated_s(pod)
        if seconds is not None:
            loop = asyncio.get_running_loop()
            metadata = pod["metadata"]
            where = (metadata["namespace"], metadata["name"], metadata["uid"])
            self._evictions.append(loop.call_later(max(seconds, 0), self._evict, *where))

    def _evict(self, namespace: str, name: str, uid: str) -> None:
        pod = self._store.get(PODS, namespace, name)
        if pod is None or pod["metadata"]["uid"] != uid or "deletionTimestamp" in pod["metadata"]:
            return
        message = f"Marking for deletion Pod {namespace}/{name}"
        self._recorder.controller("taint-eviction-controller", pod, "TaintManagerEviction", message)
        generation = pod["metadata"].get("generation", 1)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {**_EVICTED, "observedGeneration": generation, "lastProbeTime": None}
        conditions = [*pod["status"]["conditions"], {**condition, "lastTransitionTime": now}]
        self._store.put(PODS, {**pod, "status": {**pod["status"], "conditions": conditions}})
        delete(self._store, Target("delete", PODS, namespace, name, "", {}), {})


def _is_ready(condition: Object) -> bool:
    return bool(condition["type"] == "Ready" and condition["status"] == "True")


def _tolerated_s(pod: Object) -> float | None:
    """Return for how long a pod tolerates that its node is lost, in seconds, or None for ever."""
    found = [item for item in pod["spec"].get("tolerations") or [] if _tolerates(item)]
    if not found:
        return 0.0
    limits = [item["tolerationSeconds"] for item in found if item.get("tolerationSeconds") is not None]
    return float(min(limits)) if limits else None


def _tolerates(toleration: Object) -> bool:
    return (
        toleration.get("key") in (None, "", _UNREACHABLE)
        and toleration.get("effect") in (None, "", "NoExecute")
        and (toleration.get("operator") == "Exists" or not toleration.get("value"))
    )
