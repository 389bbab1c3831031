"""Deletes what belongs to an object that is gone, by ``ownerReferences``.

Rules: https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from typing import TypeAlias

from ..api.deletion import FOREGROUND, ORPHAN, delete
from ..api.requests import Target
from ..objects import Object
from ..objects.resources import RESOURCES, Resource
from ..store import Change, Store

_Key: TypeAlias = tuple[Resource, str, str]


class GarbageCollector:
    """Knows which objects belong to which.

    Args:
        store: The store, from which it has to be told every change.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._dependents: dict[str, set[_Key]] = {}
        self._living: dict[str, _Key] = {}

    def handle(self, change: Change) -> None:
        """React to a change of any object."""
        metadata = change.object["metadata"]
        key = (change.resource, metadata.get("namespace", ""), metadata["name"])
        if change.type == "DELETED":
            self._living.pop(metadata["uid"], None)
            for owner in _owners(change.object):
                self._forget(owner["uid"], key)
                self._go_on(owner["uid"])
            for dependent in sorted(self._dependents.pop(metadata["uid"], ()), key=str):
                self._lose_owner(dependent, metadata["uid"])
            return
        self._living[metadata["uid"]] = key
        for owner in _owners(change.object):
            self._dependents.setdefault(owner["uid"], set()).add(key)
            if owner["uid"] not in self._living and _is_served(owner):
                self._lose_owner(key, owner["uid"])
        if "deletionTimestamp" in metadata:
            self._end(*key)

    def _forget(self, owner: str, key: _Key) -> None:
        known = self._dependents.get(owner)
        if known is not None:
            known.discard(key)
            if not known:
                del self._dependents[owner]

    def _go_on(self, owner: str) -> None:
        """Go on with the foreground deletion of an owner, one of whose dependents is gone."""
        key = self._living.get(owner)
        if key is not None:
            self._end(*key)

    def _end(self, resource: Resource, namespace: str, name: str) -> None:
        """Do what the finalizers of an object that ends ask of the garbage collector."""
        item = self._store.get(resource, namespace, name)
        if item is None or "deletionTimestamp" not in item["metadata"]:
            return
        uid, finalizers = item["metadata"]["uid"], item["metadata"].get("finalizers") or []
        dependents = sorted(self._dependents.get(uid, ()), key=str)
        if ORPHAN in finalizers:
            for dependent in dependents:
                self._drop_owner(dependent, uid)
            self._take_finalizer(resource, item, ORPHAN)
        elif FOREGROUND in finalizers:
            for dependent in dependents:
                self._delete(dependent, "Foreground" if dependent[0] in _OWNERS else "Background")
            if not self._dependents.get(uid):
                self._take_finalizer(resource, item, FOREGROUND)

    def _lose_owner(self, key: _Key, uid: str) -> None:
        """Delete an object whose owner is gone, unless it has another owner."""
        item = self._store.get(*key)
        if item is None or not any(owner["uid"] == uid for owner in _owners(item)):
            return
        if any(owner["uid"] in self._living for owner in _owners(item)):
            self._drop_owner(key, uid)
        else:
            self._delete(key, "Background")

    def _drop_owner(self, key: _Key, uid: str) -> None:
        item = self._store.get(*key)
        self._forget(uid, key)
        if item is not None:
            metadata = dict(item["metadata"])
            kept = [owner for owner in _owners(item) if owner["uid"] != uid]
            metadata.pop("ownerReferences", None)
            self._store.put(
                key[0], {**item, "metadata": metadata | ({"ownerReferences": kept} if kept else {})}
            )

    def _delete(self, key: _Key, policy: str) -> None:
        item = self._store.get(*key)
        if item is not None and "deletionTimestamp" not in item["metadata"]:
            target = Target("delete", *key, "", {})
            delete(self._store, target, {"propagationPolicy": policy})

    def _take_finalizer(self, resource: Resource, item: Object, finalizer: str) -> None:
        metadata = dict(item["metadata"])
        kept = [name for name in metadata.pop("finalizers", []) if name != finalizer]
        if kept:
            self._store.put(resource, {**item, "metadata": {**metadata, "finalizers": kept}})
        else:
            self._store.remove(resource, metadata.get("namespace", ""), metadata["name"])


def _owners(item: Object) -> list[Object]:
    found: list[Object] = item["metadata"].get("ownerReferences") or []
    return found


def _is_served(owner: Object) -> bool:
    """Return whether an owner is of a kind that this cluster has, so that its absence can be known."""
    return (owner.get("apiVersion"), owner.get("kind")) in _KINDS


_KINDS = {(resource.api_version, resource.kind) for resource in RESOURCES if resource.stored}
_OWNERS = {resource for resource in RESOURCES if resource.kind in ("Deployment", "ReplicaSet")}
