"""Keeps as many pods as a ReplicaSet asks for.

Rules: k8s.io/kubernetes, pkg/controller/replicaset.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from ..api.deletion import delete
from ..api.requests import Target
from ..api.writes import create
from ..clock import timestamp
from ..kubelet.recorder import Recorder
from ..objects import Object
from ..objects.errors import ApiError
from ..objects.resources import PODS, REPLICA_SETS
from ..store import Store
from .owned import owned, owner_reference, put_status

COMPONENT = "replicaset-controller"
_ENDED = ("Succeeded", "Failed")
_CONDITION = ("lastTransitionTime", "reason", "message")
_RETRY_S = 15.0


@dataclass(frozen=True, slots=True)
class ReplicaSets:
    """The controller of all ReplicaSets.

    Args:
        store: The store.
        recorder: Records what is done.
    """

    store: Store
    recorder: Recorder

    def reconcile(self, replica_set: Object) -> float | None:
        """Make or delete pods of one ReplicaSet, and write its status.

        Returns:
            The time in seconds after which to look again although nothing changes, or None.
        """
        pods = owned(self.store, PODS, REPLICA_SETS, replica_set)
        failure: Object | None = None
        if "deletionTimestamp" not in replica_set["metadata"]:
            active = [pod for pod in pods if is_active(pod)]
            missing = replica_set["spec"]["replicas"] - len(active)
            for _ in range(missing):
                failure = self._make(replica_set)
                if failure is not None:
                    break
            for pod in _least_useful(active)[: max(-missing, 0)]:
                self._delete(replica_set, pod)
            pods = owned(self.store, PODS, REPLICA_SETS, replica_set)
        wait = self._report(replica_set, pods, failure)
        return _RETRY_S if failure is not None else wait

    def _make(self, replica_set: Object) -> Object | None:
        """Make one pod; return the condition that says why it cannot be made."""
        metadata, template = replica_set["metadata"], replica_set["spec"]["template"]
        kept = {key: (template.get("metadata") or {}).get(key) for key in ("labels", "annotations")}
        head = {key: value for key, value in kept.items() if value}
        head |= {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]}
        head["ownerReferences"] = [owner_reference(REPLICA_SETS, replica_set)]
        target = Target("create", PODS, metadata["namespace"], "", "", {})
        try:
            pod = create(self.store, target, {"metadata": head, "spec": template["spec"]})
        except ApiError as error:
            message = f"Error creating: {error.message}"
            self.recorder.controller(COMPONENT, replica_set, "FailedCreate", message, "Warning")
            return {"reason": "FailedCreate", "message": error.message}
        made = f"Created pod: {pod['metadata']['name']}"
        self.recorder.controller(COMPONENT, replica_set, "SuccessfulCreate", made)
        return None

    def _delete(self, replica_set: Object, pod: Object) -> None:
        metadata = pod["metadata"]
        delete(self.store, Target("delete", PODS, metadata["namespace"], metadata["name"], "", {}), {})
        message = f"Deleted pod: {metadata['name']}"
        self.recorder.controller(COMPONENT, replica_set, "SuccessfulDelete", message)

    def _report(self, replica_set: Object, pods: list[Object], failure: Object | None) -> float | None:
        active = [pod for pod in pods if is_active(pod)]
        ready = [pod for pod in active if ready_since(pod) is not None]
        least_s = replica_set["spec"].get("minReadySeconds", 0)
        ages = [datetime.now(UTC).timestamp() - (ready_since(pod) or 0) for pod in ready]
        counts = {
            "fullyLabeledReplicas": len(active),
            "readyReplicas": len(ready),
            "availableReplicas": sum(age >= least_s for age in ages),
        }
        ending = sum("deletionTimestamp" in pod["metadata"] for pod in pods)
        status: Object = {
            "replicas": len(active),
            **{key: count for key, count in counts.items() if count},
            "terminatingReplicas": ending,
            "observedGeneration": replica_set["metadata"]["generation"],
        }
        if failure is not None:
            status["conditions"] = [_failure_condition(replica_set, failure)]
        put_status(self.store, REPLICA_SETS, replica_set, status)
        return min((least_s - age for age in ages if age < least_s), default=None)


def is_active(pod: Object) -> bool:
    """Return whether a pod counts for those who want pods."""
    return pod["status"]["phase"] not in _ENDED and "deletionTimestamp" not in pod["metadata"]


def ready_since(pod: Object) -> float | None:
    """Return since when a pod is ready, in seconds since the epoch, or None if it is not."""
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "Ready" and condition["status"] == "True":
            return datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()
    return None


def _least_useful(pods: list[Object]) -> list[Object]:
    """Return pods in the order in which they are given up: those that are not ready, then the newest."""
    newest = sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
    return sorted(newest, key=lambda pod: ready_since(pod) is not None)


def _failure_condition(replica_set: Object, failure: Object) -> Object:
    before: list[Object] = (replica_set.get("status") or {}).get("conditions") or []
    known: Object = before[0] if before else {}
    # The message names the pod that could not be made, which has another name every time.
    if known.get("message", "").partition('" ')[2] != failure["message"].partition('" ')[2]:
        known = {"lastTransitionTime": timestamp(), **failure}
    return {"type": "ReplicaFailure", "status": "True", **{key: known[key] for key in _CONDITION}}
