"""Keeps the cluster's objects in memory, with one counter of revisions and a limited history to watch.

Objects in the store are never changed in place. Each write stores a new object, so that readers, watches and
the history can share objects without copying them.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from .objects import Object
from .objects.resources import Resource


@dataclass(frozen=True, slots=True)
class Change:
    """One write: its kind, the object, and the object's state before."""

    revision: int
    type: str
    resource: Resource
    object: Object
    before: Object | None


class HistoryLostError(Exception):
    """The revision is older than the oldest from which a watch can begin."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the oldest revision kept is {oldest}")
        self.oldest = oldest


class Store:
    """Objects by resource, namespace and name.

    Args:
        history: Number of past changes from which a watch can begin.
    """

    def __init__(self, history: int) -> None:
        self._objects: dict[Resource, dict[tuple[str, str], Object]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._compacted = 0
        self._queues: set[asyncio.Queue[Change]] = set()
        self.revision = 1

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return the object, or None. ``namespace`` is empty for resources without a namespace."""
        return self._objects.get(resource, {}).get((namespace, name))

    def items(self, resource: Resource, namespace: str = "") -> list[Object]:
        """Return the objects of one namespace, or of all if ``namespace`` is empty, ordered by key."""
        kept = self._objects.get(resource, {})
        return [kept[key] for key in sorted(kept) if not namespace or key[0] == namespace]

    def resources(self) -> list[Resource]:
        """Return the resources that have had objects."""
        return [*self._objects]

    def put(self, resource: Resource, new: Object) -> Object:
        """Create or replace an object.

        Args:
            new: The whole object, with name and namespace. The caller must not change it afterwards.

        Returns:
            The object with its new ``resourceVersion``.
        """
        metadata = new["metadata"]
        self.revision += 1
        stored = {**new, "metadata": {**metadata, "resourceVersion": str(self.revision)}}
        kept = self._objects.setdefault(resource, {})
        key = (metadata.get("namespace", ""), metadata["name"])
        before = kept.get(key)
        kept[key] = stored
        self._publish("MODIFIED" if before is not None else "ADDED", resource, stored, before)
        return stored

    def remove(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Delete an object and return its last state, or None if there is none."""
        before = self._objects.get(resource, {}).pop((namespace, name), None)
        if before is None:
            return None
        self.revision += 1
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.revision)}}
        self._publish("DELETED", resource, last, before)
        return last

    def _publish(self, type_: str, resource: Resource, stored: Object, before: Object | None) -> None:
        change = Change(self.revision, type_, resource, stored, before)
        self._history.append(change)
        for queue in self._queues:
            queue.put_nowait(change)

    @property
    def oldest(self) -> int:
        """The oldest revision after which every change is known."""
        if len(self._history) == self._history.maxlen:
            return max(self._history[0].revision - 1, self._compacted)
        return self._compacted

    def compact(self) -> None:
        """Forget the past changes: no watch, and no list in pages, can begin before now."""
        self._history.clear()
        self._compacted = self.revision

    def since(self, revision: int) -> list[Change]:
        """Return the changes after ``revision``.

        Raises:
            HistoryLostError: Some of these changes are no longer kept.
        """
        if revision < self.oldest:
            raise HistoryLostError(self.oldest)
        return [change for change in self._history if change.revision > revision]

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[Change]]:
        """Receive every change from now on, of all resources, until the context ends."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
