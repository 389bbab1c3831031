"""Records Events with the fields and counts of a real scheduler, kubelet and controllers."""

import itertools
import time

from ..clock import micro_timestamp, timestamp
from ..objects import Object
from ..objects.resources import EVENTS
from ..store import Store
from .link import Link

_SCHEDULER = "default-scheduler"
_KEPT_PER_POD = 200
_REMEMBERED = 4096


class Recorder:
    """Writes Events into the store.

    Args:
        store: The store.
        node: Name of the node, which is the source of the kubelet's events.
        link: Whether the node is reachable; while it is not, the kubelet's events are lost.
    """

    def __init__(self, store: Store, node: str, link: Link) -> None:
        self._store = store
        self._link = link
        self._node = node
        self._serial = itertools.count(time.time_ns())
        self._seen: dict[tuple[str | None, ...], Object] = {}

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
        """Record an act of the kubelet.

        Args:
            pod: The pod that the event is about.
            container: Path of the container's field (``spec.containers{name}``), if it is about a container.
            type_: ``Normal`` or ``Warning``.
        """
        if not self._link.up:
            return
        event = self._event(pod, reason, message, type_, container)
        self._count(event, {"component": "kubelet", "host": self._node}, self._node)

    def controller(
        self, component: str, about: Object, reason: str, message: str, type_: str = "Normal"
    ) -> None:
        """Record an act of a controller.

        Args:
            component: Name of the controller.
            about: The object that the event is about, with ``kind`` and ``apiVersion``.
            reason: Short CamelCase word.
            message: Sentence for people.
            type_: ``Normal`` or ``Warning``.
        """
        self._count(self._event(about, reason, message, type_, ""), {"component": component}, "")

    def _count(self, event: Object, source: Object, instance: str) -> None:
        """Store an event, or count on the one that it repeats.

        As a real recorder it remembers what it has recorded: an event that has expired meanwhile is made
        again under its name, with a new uid, and its count goes on.
        """
        metadata, about = event["metadata"], event["involvedObject"]
        parts = [about.get(key) for key in ("uid", "fieldPath")] + [event["reason"], event["message"]]
        key = (metadata["namespace"], event["type"], source["component"], *parts)
        seen = self._seen.pop(key, None)
        if seen is None:
            event |= {"source": source, "firstTimestamp": timestamp(), "count": 1, "eventTime": None}
            event |= {"reportingComponent": source["component"], "reportingInstance": instance}
        else:
            name = seen["metadata"]["name"]
            known = self._store.get(EVENTS, metadata["namespace"], name)
            again = {**metadata, "name": name}
            event = {**seen, "metadata": known["metadata"] if known is not None else again}
            event["count"] = seen["count"] + 1
        event = {**event, "lastTimestamp": timestamp()}
        self._seen[key] = event
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._put(event)

    def _event(self, pod: Object, reason: str, message: str, type_: str, container: str) -> Object:
        metadata = pod["metadata"]
        # An object without a namespace has its events in the namespace "default".
        namespace = metadata.get("namespace", "")
        involved = {"kind": pod.get("kind", "Pod"), "namespace": namespace, "name": metadata["name"]}
        involved |= {
            "uid": metadata["uid"],
            "apiVersion": pod.get("apiVersion", "v1"),
            "resourceVersion": metadata["resourceVersion"],
        }
        if container:
            involved["fieldPath"] = container
        serial = next(self._serial)
        event_metadata = {"name": f"{metadata['name']}.{serial:x}", "namespace": namespace or "default"}
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
