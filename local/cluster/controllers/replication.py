"""Runs the controllers of Deployments and ReplicaSets and the garbage collector."""

import asyncio
import logging
from typing import TypeAlias

from ..kubelet.recorder import Recorder
from ..objects import Object
from ..objects.resources import DEPLOYMENTS, PODS, REPLICA_SETS, RESOURCE_QUOTAS, Resource
from ..store import Change, Store
from .deployments import Deployments
from .garbage import GarbageCollector
from .replicasets import ReplicaSets

_log = logging.getLogger(__name__)
_Key: TypeAlias = tuple[Resource, str, str]


class Replication:
    """Reconciles what a change concerns, one object at a time.

    Args:
        store: The store.
        recorder: Records what the controllers do.
    """

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store = store
        self._garbage = GarbageCollector(store)
        self._controllers = {
            DEPLOYMENTS: Deployments(store, recorder).reconcile,
            REPLICA_SETS: ReplicaSets(store, recorder).reconcile,
        }
        self._due: dict[_Key, None] = {}
        self._timers: dict[_Key, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Follow the store until cancelled."""
        try:
            with self._store.subscribe() as changes:
                while True:
                    await self._next(changes)
                    while not changes.empty():
                        self._handle(changes.get_nowait())
                    for key in [*self._due]:
                        del self._due[key]
                        self._reconcile(key)
        finally:
            for timer in self._timers.values():
                timer.cancel()

    async def _next(self, changes: "asyncio.Queue[Change]") -> None:
        """Wait for a change or for a timer."""
        if self._due:
            return
        change = asyncio.create_task(changes.get())
        woken = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait((change, woken), return_when=asyncio.FIRST_COMPLETED)
            if change.done():
                self._handle(change.result())
            self._wake.clear()
        finally:
            change.cancel()
            woken.cancel()

    def _handle(self, change: Change) -> None:
        self._garbage.handle(change)
        metadata = change.object["metadata"]
        namespace = metadata.get("namespace", "")
        if change.resource in self._controllers:
            self._due[change.resource, namespace, metadata["name"]] = None
        if change.resource in (PODS, REPLICA_SETS):
            self._note_owner(change)
        gone = change.type == "DELETED" or change.object.get("status", {}).get("phase") == "Failed"
        if change.resource is RESOURCE_QUOTAS or (change.resource is PODS and gone):
            # What a quota has refused may be allowed now.
            for item in self._store.items(REPLICA_SETS, namespace):
                if (item.get("status") or {}).get("conditions"):
                    self._due[REPLICA_SETS, namespace, item["metadata"]["name"]] = None

    def _note_owner(self, change: Change) -> None:
        """Look at the owner of a pod or of a ReplicaSet; at each that may adopt one that has none."""
        owners, namespace = _OWNERS[change.resource], change.object["metadata"]["namespace"]
        references = change.object["metadata"].get("ownerReferences") or []
        named = [each["name"] for each in references if each["kind"] == owners.kind]
        if not named and change.type == "ADDED":
            named = [item["metadata"]["name"] for item in self._store.items(owners, namespace)]
        for name in named:
            self._due[owners, namespace, name] = None
        if change.resource is PODS and named:
            # A Deployment that recreates waits for pods, whose ReplicaSet may have nothing to report.
            for name in named:
                replica_set = self._store.get(owners, namespace, name)
                for each in ((replica_set or {}).get("metadata") or {}).get("ownerReferences") or []:
                    self._due[DEPLOYMENTS, namespace, each["name"]] = None

    def _reconcile(self, key: _Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        item: Object | None = self._store.get(*key)
        if item is None:
            return
        try:
            wait = self._controllers[key[0]](item)
        except Exception:  # noqa: BLE001 - a fault with one object must not stop the controllers of all
            _log.exception("cannot reconcile %s %s/%s", key[0].plural, *key[1:])
            return
        if wait is not None:
            self._timers[key] = asyncio.get_running_loop().call_later(wait, self._again, key)

    def _again(self, key: _Key) -> None:
        self._timers.pop(key, None)
        self._due[key] = None
        self._wake.set()


_OWNERS = {PODS: REPLICA_SETS, REPLICA_SETS: DEPLOYMENTS}
