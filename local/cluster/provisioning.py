"""What controllers put into a new namespace, and how a namespace ends."""

import uuid

from .api.deletion import finish_namespace
from .clock import timestamp
from .objects import Object
from .objects.defaults import apply_defaults
from .objects.resources import NAMESPACES, PODS, RESOURCE_QUOTAS, SERVICE_ACCOUNTS
from .quotas import update_quotas
from .store import Store


def make_namespace(name: str, cluster: uuid.UUID) -> Object:
    """Return a namespace that every cluster has.

    Args:
        cluster: The cluster's own id, of which the namespace's comes: clients tell clusters apart by it.
    """
    metadata = {"name": name, "uid": str(uuid.uuid5(cluster, name)), "creationTimestamp": timestamp()}
    return apply_defaults(NAMESPACES, {"kind": "Namespace", "apiVersion": "v1", "metadata": metadata})


async def provision_namespaces(store: Store) -> None:
    """Follow the store until cancelled and do what the controllers of a real cluster do.

    Every new namespace gets its default service account; a namespace that is being deleted goes when its last
    pod is gone; quotas show what is used.
    """
    with store.subscribe() as changes:
        while True:
            change = await changes.get()
            metadata = change.object["metadata"]
            if change.resource is NAMESPACES and change.type == "ADDED":
                give_account(store, metadata["name"])
            elif change.resource is PODS and change.type == "DELETED":
                finish_namespace(store, metadata["namespace"])
            if change.resource is RESOURCE_QUOTAS or store.items(
                RESOURCE_QUOTAS, metadata.get("namespace", "")
            ):
                update_quotas(store, metadata.get("namespace", ""))


def give_account(store: Store, namespace: str) -> None:
    """Make the default service account of a namespace, unless it is there."""
    if store.get(SERVICE_ACCOUNTS, namespace, "default") is None:
        metadata = {"name": "default", "namespace": namespace, "uid": str(uuid.uuid4())}
        metadata["creationTimestamp"] = timestamp()
        store.put(SERVICE_ACCOUNTS, {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": metadata})
