"""Records Events about pods, with the fields and counts of a real scheduler and kubelet."""

import itertools
import time

from ..clock import micro_timestamp, timestamp
from ..objects import Object
from ..objects.resources import EVENTS
from ..store import Store

_SCHEDULER = "default-scheduler"
_KEPT_PER_POD = 200


class Recorder:
    """Writes Events into the store.

    Args:
        store: The store.
        node: Name of the node, which is the source of the kubelet's events.
    """

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self._node = node
        self._serial = itertools.count(time.time_ns())

    def scheduler(
        self, pod: Object, reason: str, message: str, *, action: str, type_: str = "Normal"
    ) -> None:
        """Record an act of the scheduler."""
        event = self._event(pod, reason, message, type_, "")
        event |= {"source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": micro_timestamp()}
        event |= {
            "action": action,
            "reportingComponent": _SCHEDULER,
            "reportingInstance": f"{_SCHEDULER}-{self._node}",
        }
        self._put(event)

    def kubelet(
        self, pod: Object, reason: str, message: str, container: str = "", type_: str = "Normal"
    ) -> None:
        """Record an act of the kubelet; a repetition increases the count of the existing event.

        Args:
            pod: The pod that the event is about.
            container: Path of the container's field (``spec.containers{name}``), if it is about a container.
            type_: ``Normal`` or ``Warning``.
        """
        event = self._event(pod, reason, message, type_, container)
        for known in self._store.items(EVENTS, pod["metadata"]["namespace"]):
            if all(known.get(key) == event[key] for key in ("reason", "message", "type")):
                involved = known["involvedObject"]
                if all(involved.get(key) == event["involvedObject"].get(key) for key in ("uid", "fieldPath")):
                    self._store.put(
                        EVENTS, {**known, "count": known["count"] + 1, "lastTimestamp": timestamp()}
                    )
                    return
        event |= {"source": {"component": "kubelet", "host": self._node}}
        event |= {"firstTimestamp": timestamp(), "lastTimestamp": timestamp(), "count": 1, "eventTime": None}
        event |= {"reportingComponent": "kubelet", "reportingInstance": self._node}
        self._put(event)

    def _event(self, pod: Object, reason: str, message: str, type_: str, container: str) -> Object:
        metadata = pod["metadata"]
        involved = {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"]}
        involved |= {
            "uid": metadata["uid"],
            "apiVersion": "v1",
            "resourceVersion": metadata["resourceVersion"],
        }
        if container:
            involved["fieldPath"] = container
        serial = next(self._serial)
        event_metadata = {"name": f"{metadata['name']}.{serial:x}", "namespace": metadata["namespace"]}
        event_metadata |= {"uid": f"{serial:032x}", "creationTimestamp": timestamp()}
        return {
            "metadata": event_metadata,
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": type_,
        }

    def _put(self, event: Object) -> None:
        self._store.put(EVENTS, event)
        self._forget_old(event["metadata"]["namespace"], event["involvedObject"]["uid"])

    def _forget_old(self, namespace: str, uid: str) -> None:
        """Keep a limited number of events for each pod; a real cluster drops events after an hour."""
        of_pod = [
            event
            for event in self._store.items(EVENTS, namespace)
            if event["involvedObject"].get("uid") == uid
        ]
        for event in of_pod[:-_KEPT_PER_POD]:
            self._store.remove(EVENTS, namespace, event["metadata"]["name"])
