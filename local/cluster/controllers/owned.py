"""What controllers have in common: to own objects, and to write a status."""

from ..objects import Object
from ..objects.replicated import selects
from ..objects.resources import Resource
from ..store import Store


def owner_reference(resource: Resource, owner: Object) -> Object:
    """Return the ``ownerReference`` by which a controller claims an object."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned(store: Store, resource: Resource, owner_resource: Resource, owner: Object) -> list[Object]:
    """Return the objects that belong to an owner.

    Those that the owner's selector selects and that no controller owns are adopted; those that it no longer
    selects are let go.

    Args:
        store: The store.
        resource: The kind of the objects.
        owner_resource: The kind of the owner.
        owner: The owner.
    """
    found = []
    uid, ends = owner["metadata"]["uid"], "deletionTimestamp" in owner["metadata"]
    for item in store.items(resource, owner["metadata"]["namespace"]):
        references = item["metadata"].get("ownerReferences") or []
        controller = next((each for each in references if each.get("controller")), None)
        fits = selects(owner["spec"]["selector"], item["metadata"].get("labels") or {})
        if controller is not None and controller["uid"] == uid:
            if fits or ends:
                found.append(item)
            else:
                _refer(store, resource, item, [each for each in references if each is not controller])
        elif controller is None and fits and not ends and "deletionTimestamp" not in item["metadata"]:
            claimed = [*references, owner_reference(owner_resource, owner)]
            found.append(_refer(store, resource, item, claimed))
    return found


def _refer(store: Store, resource: Resource, item: Object, references: list[Object]) -> Object:
    return store.put(resource, {**item, "metadata": {**item["metadata"], "ownerReferences": references}})


def put_status(store: Store, resource: Resource, item: Object, status: Object) -> Object:
    """Store an object with a new status, if it is another than before."""
    if item.get("status") == status:
        return item
    return store.put(resource, {**item, "status": status})
