"""Does the work of controllers: fills new namespaces, and removes deleted ones."""

import uuid

from .api.deletion import finish_namespace
from .clock import timestamp
from .objects import Object
from .objects.defaults import apply_defaults
from .objects.resources import NAMESPACES, RESOURCE_QUOTAS, SERVICE_ACCOUNTS
from .quotas import update_quotas
from .store import Store


def make_namespace(name: str, cluster: uuid.UUID) -> Object:
    """Return a namespace that every cluster has.

    Args:
        name: Name of the namespace.
        cluster: The cluster's own id, from which the namespace's uid is made; clients tell clusters apart by
            it.
    """
    metadata = {"name": name, "uid": str(uuid.uuid5(cluster, name)), "creationTimestamp": timestamp()}
    return apply_defaults(NAMESPACES, {"kind": "Namespace", "apiVersion": "v1", "metadata": metadata})


async def provision_namespaces(store: Store) -> None:
    """Follow the store until cancelled, and do what the controllers of a real cluster do.

    Every new namespace gets its default service account. A namespace that is being deleted is removed after
    the last of what is in it. The status of quotas shows what is used.
    """
    with store.subscribe() as changes:
        while True:
            change = await changes.get()
            metadata = change.object["metadata"]
            if change.resource is NAMESPACES and change.type == "ADDED":
                give_account(store, metadata["name"])
            elif change.resource is NAMESPACES and change.type == "MODIFIED":
                finish_namespace(store, metadata["name"])
            elif change.type == "DELETED" and change.resource.namespaced:
                finish_namespace(store, metadata["namespace"])
            if change.resource is RESOURCE_QUOTAS or store.items(
                RESOURCE_QUOTAS, metadata.get("namespace", "")
            ):
                update_quotas(store, metadata.get("namespace", ""))


def give_account(store: Store, namespace: str) -> None:
    """Make the default service account of a namespace if it is missing."""
    if store.get(SERVICE_ACCOUNTS, namespace, "default") is None:
        metadata = {"name": "default", "namespace": namespace, "uid": str(uuid.uuid4())}
        metadata["creationTimestamp"] = timestamp()
        store.put(SERVICE_ACCOUNTS, {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": metadata})
