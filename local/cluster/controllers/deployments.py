"""Brings a Deployment's ReplicaSets to its template and its number of pods.

Rules: k8s.io/kubernetes, pkg/controller/deployment.
"""

import hashlib
import json
import uuid
from dataclasses import dataclass

from ..api.deletion import delete
from ..api.requests import Target
from ..clock import timestamp
from ..kubelet.recorder import Recorder
from ..objects import Object
from ..objects.replicated import rolling_bounds
from ..objects.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from ..store import Store
from .owned import owned, owner_reference, put_status
from .progress import deployment_status

_COMPONENT = "deployment-controller"
_HASH = "pod-template-hash"
_REVISION, _DESIRED, _MOST = (
    f"deployment.kubernetes.io/{name}" for name in ("revision", "desired-replicas", "max-replicas")
)
# The alphabet of generated names: no vowels, so that no words arise.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Deployments:
    """The controller of all Deployments.

    Args:
        store: The store.
        recorder: Records what is done.
    """

    store: Store
    recorder: Recorder

    def reconcile(self, deployment: Object) -> float | None:
        """Go one step with one Deployment, and write its status.

        Returns:
            The time in seconds after which to look again although nothing changes, or None.
        """
        sets = owned(self.store, REPLICA_SETS, DEPLOYMENTS, deployment)
        if "deletionTimestamp" in deployment["metadata"]:
            return self._report(deployment, sets)
        current = next((item for item in sets if _template(item) == _template(deployment)), None)
        others = [item for item in sets if item is not current]
        if deployment["spec"].get("paused"):
            # What is paused is not rolled out, but scaled.
            if current is not None and not any(item["spec"]["replicas"] for item in others):
                self._scale(deployment, current, deployment["spec"]["replicas"])
        elif deployment["spec"]["strategy"]["type"] == "Recreate":
            self._recreate(deployment, current, others)
        else:
            self._roll(deployment, current, others)
        deployment = self._current(deployment)
        sets = owned(self.store, REPLICA_SETS, DEPLOYMENTS, deployment)
        self._forget_old(deployment, sets)
        return self._report(deployment, sets)

    def _current(self, deployment: Object) -> Object:
        metadata = deployment["metadata"]
        return self.store.get(DEPLOYMENTS, metadata["namespace"], metadata["name"]) or deployment

    def _recreate(self, deployment: Object, current: Object | None, others: list[Object]) -> None:
        """End every old pod; when the last is gone, make the new ones."""
        if any(item["spec"]["replicas"] for item in others):
            for item in others:
                self._scale(deployment, item, 0)
            return
        running = [
            pod
            for item in others
            for pod in owned(self.store, PODS, REPLICA_SETS, item)
            if pod["status"]["phase"] not in _ENDED
        ]
        if not running:
            current = self._newest(deployment, current, others, 0)
            self._scale(deployment, current, deployment["spec"]["replicas"])

    def _roll(self, deployment: Object, current: Object | None, others: list[Object]) -> None:
        """Make as many new pods as may be too many, and end as many old ones as may be too few."""
        wanted = deployment["spec"]["replicas"]
        surge, unavailable = rolling_bounds(deployment["spec"])
        old = sum(item["spec"]["replicas"] for item in others)
        room = max(wanted + surge - old, 0)
        current = self._newest(deployment, current, others, min(wanted, room))
        now = current["spec"]["replicas"]
        if now > wanted or not old:
            self._scale(deployment, current, wanted)
        elif now < wanted:
            self._scale(deployment, current, max(now, min(wanted, room)))
        self._end_old(deployment, self._again(current), others, wanted - unavailable)

    def _end_old(self, deployment: Object, current: Object, others: list[Object], least: int) -> None:
        """End old pods: those that do not work at once, others while enough work."""
        unborn = current["spec"]["replicas"] - (current.get("status") or {}).get("availableReplicas", 0)
        total = current["spec"]["replicas"] + sum(item["spec"]["replicas"] for item in others)
        spare = total - least - unborn
        for item in sorted(others, key=lambda each: str(each["metadata"]["creationTimestamp"])):
            broken = item["spec"]["replicas"] - (item.get("status") or {}).get("availableReplicas", 0)
            ended = min(broken, max(spare, 0))
            spare -= ended
            self._scale(deployment, item, item["spec"]["replicas"] - ended)
        working = sum((item.get("status") or {}).get("availableReplicas", 0) for item in (current, *others))
        for item in map(self._again, others):
            ended = min(item["spec"]["replicas"], max(working - least, 0))
            working -= ended
            self._scale(deployment, item, item["spec"]["replicas"] - ended)

    def _again(self, item: Object) -> Object:
        metadata = item["metadata"]
        return self.store.get(REPLICA_SETS, metadata["namespace"], metadata["name"]) or item

    def _newest(
        self, deployment: Object, current: Object | None, others: list[Object], replicas: int
    ) -> Object:
        """Return the ReplicaSet of the present template, made if need be, with the highest revision."""
        last = max((_revision(item) for item in others), default=0)
        if current is None:
            made = self._made(deployment, replicas, last + 1)
            self._note_revision(deployment, last + 1)
            if replicas:
                self._record_scaling(deployment, made, 0, replicas)
            return made
        revision = _revision(current) if _revision(current) > last else last + 1
        if revision != _revision(current):
            annotations = {**current["metadata"]["annotations"], _REVISION: str(revision)}
            metadata = {**current["metadata"], "annotations": annotations}
            current = self.store.put(REPLICA_SETS, {**current, "metadata": metadata})
        self._note_revision(deployment, revision)
        return current

    def _made(self, deployment: Object, replicas: int, revision: int) -> Object:
        metadata, spec = deployment["metadata"], deployment["spec"]
        digest = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).digest()
        word = "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:10])
        labels = {**spec["template"]["metadata"]["labels"], _HASH: word}
        selector = spec["selector"]
        head = {
            "name": f"{metadata['name']}-{word}",
            "namespace": metadata["namespace"],
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": timestamp(),
            "labels": labels,
            "annotations": _annotations(deployment, revision),
            "ownerReferences": [owner_reference(DEPLOYMENTS, deployment)],
        }
        template = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": labels}}
        chosen = {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), _HASH: word}}
        made: Object = {"kind": "ReplicaSet", "apiVersion": REPLICA_SETS.api_version, "metadata": head}
        made |= {"spec": {"replicas": replicas, "selector": chosen, "template": template}}
        if least_s := spec.get("minReadySeconds"):
            made["spec"]["minReadySeconds"] = least_s
        return self.store.put(REPLICA_SETS, {**made, "status": {"replicas": 0}})

    def _note_revision(self, deployment: Object, revision: int) -> None:
        deployment = self._current(deployment)
        known = deployment["metadata"].get("annotations") or {}
        if known.get(_REVISION) != str(revision):
            metadata = {**deployment["metadata"], "annotations": {**known, _REVISION: str(revision)}}
            self.store.put(DEPLOYMENTS, {**deployment, "metadata": metadata})

    def _scale(self, deployment: Object, item: Object, replicas: int) -> None:
        item = self._again(item)
        before, annotations = item["spec"]["replicas"], item["metadata"].get("annotations") or {}
        noted = {**annotations, **_annotations(deployment, _revision(item))}
        if before == replicas and annotations == noted:
            return
        metadata = {**item["metadata"], "annotations": noted}
        metadata["generation"] += before != replicas
        self.store.put(
            REPLICA_SETS, {**item, "metadata": metadata, "spec": {**item["spec"], "replicas": replicas}}
        )
        if before != replicas:
            self._record_scaling(deployment, item, before, replicas)

    def _record_scaling(self, deployment: Object, item: Object, before: int, after: int) -> None:
        how = "up" if after > before else "down"
        message = f"Scaled {how} replica set {item['metadata']['name']} from {before} to {after}"
        self.recorder.controller(_COMPONENT, deployment, "ScalingReplicaSet", message)

    def _forget_old(self, deployment: Object, sets: list[Object]) -> None:
        """Delete the oldest ReplicaSets that have no pod, beyond those that are kept for a way back."""
        idle = [
            item
            for item in sets
            if not item["spec"]["replicas"]
            and not (item.get("status") or {}).get("replicas")
            and _template(item) != _template(deployment)
        ]
        idle.sort(key=_revision)
        for item in idle[: max(len(idle) - deployment["spec"]["revisionHistoryLimit"], 0)]:
            metadata = item["metadata"]
            where = Target("delete", REPLICA_SETS, metadata["namespace"], metadata["name"], "", {})
            delete(self.store, where, {})

    def _report(self, deployment: Object, sets: list[Object]) -> float | None:
        current = next((item for item in sets if _template(item) == _template(deployment)), None)
        status, wait = deployment_status(deployment, current, sets)
        put_status(self.store, DEPLOYMENTS, deployment, status)
        return wait


def _template(item: Object) -> Object:
    """Return the template of a Deployment or of a ReplicaSet, in the form in which they are compared."""
    template = item["spec"]["template"]
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != _HASH}
    return {**template, "metadata": {**metadata, "labels": labels}}


def _revision(item: Object) -> int:
    text = (item["metadata"].get("annotations") or {}).get(_REVISION, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _annotations(deployment: Object, revision: int) -> dict[str, str]:
    spec = deployment["spec"]
    surge = rolling_bounds(spec)[0]
    known = deployment["metadata"].get("annotations") or {}
    # kubectl's record of what was applied is the Deployment's own.
    kept = {key: value for key, value in known.items() if key.startswith("kubernetes.io/change-cause")}
    counts = {_DESIRED: str(spec["replicas"]), _MOST: str(spec["replicas"] + surge)}
    return {**kept, **counts, _REVISION: str(revision)}
