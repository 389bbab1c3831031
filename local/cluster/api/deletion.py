"""Serves delete and deletecollection, and ends namespaces."""

from collections.abc import Mapping
from typing import Any

from ..clock import timestamp
from ..objects import Object
from ..objects.errors import bad_request, conflict, not_found, success
from ..objects.resources import NAMESPACES, PODS, Resource
from ..objects.shapes import check_shape, without_nulls
from ..store import Store
from .namespaces import ending_conditions
from .reads import list_object, read_list
from .requests import Target

# Finalizers that the garbage collector takes away when it has done what they say.
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


def delete(store: Store, target: Target, options: Object) -> tuple[Object, int]:
    """Delete one object.

    Args:
        options: ``DeleteOptions`` from the body, or empty.

    Returns:
        The body of the answer and its HTTP status. The body is the object while it still ends, else a
        ``Status``.

    Raises:
        ApiError: 400, 404, or 409 when a precondition does not hold.
    """
    current = store.get(target.resource, target.namespace, target.name)
    if current is None:
        raise not_found(target.resource, target.name)
    _check_preconditions(target.resource, current, options)
    if target.query.get("dryRun"):
        return current, 200
    if target.resource is NAMESPACES:
        return _delete_namespace(store, current), 200
    policy = _propagation(target.query, options)
    if target.resource is PODS:
        return _delete_pod(store, current, _grace(target.query, options)), 200
    current = _with_dependents(current, policy)
    if current["metadata"].get("finalizers"):
        return _mark(store, target.resource, current, 0), 200
    store.remove(target.resource, target.namespace, target.name)
    return success(target.resource, target.name, current["metadata"]["uid"]), 200


def delete_collection(store: Store, target: Target, options: Object) -> Object:
    """Delete the objects that a list selects, and return the list as it was before.

    Raises:
        ApiError: 400 for selectors that do not parse.
    """
    page = read_list(store, target)
    for item in page.items:
        metadata = item["metadata"]
        one = Target(
            "delete", target.resource, metadata.get("namespace", ""), metadata["name"], "", target.query
        )
        delete(store, one, options)
    return list_object(target, page)


def _check_preconditions(resource: Resource, current: Object, options: Object) -> None:
    wanted = options.get("preconditions") or {}
    metadata = current["metadata"]
    if not isinstance(wanted, dict):
        raise bad_request("preconditions is not an object")
    if (uid := wanted.get("uid")) and uid != metadata["uid"]:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {metadata['uid']}"
        raise conflict(resource, metadata["name"], why)
    if (version := wanted.get("resourceVersion")) and version != metadata["resourceVersion"]:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {version}, "
            f"ResourceVersion in object meta: {metadata['resourceVersion']}"
        )
        raise conflict(resource, metadata["name"], why)


def _propagation(query: Mapping[str, str], options: Object) -> str:
    policy: Any = options.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    if policy not in ("Background", "Foreground", "Orphan"):
        raise bad_request(f"propagationPolicy is none of Background, Foreground and Orphan: {policy!r}")
    return str(policy)


def _with_dependents(current: Object, policy: str) -> Object:
    """Say with a finalizer what the garbage collector has to do before the object goes."""
    finalizer = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(policy)
    known = current["metadata"].get("finalizers") or []
    if finalizer is None or finalizer in known:
        return current
    metadata = {**current["metadata"], "finalizers": [*known, finalizer]}
    return {**current, "metadata": metadata}


def _grace(query: Mapping[str, str], options: Object) -> int | None:
    given: Any = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    if given is None:
        return None
    try:
        seconds = int(given)
    except (TypeError, ValueError):
        raise bad_request(f"gracePeriodSeconds is not a number: {given!r}") from None
    if not 0 <= seconds <= 2**31:
        raise bad_request("gracePeriodSeconds must be between 0 and 2147483648")
    return seconds


def _delete_pod(store: Store, pod: Object, asked: int | None) -> Object:
    metadata = pod["metadata"]
    grace = pod["spec"]["terminationGracePeriodSeconds"] if asked is None else asked
    if not pod["spec"].get("nodeName") or pod["status"]["phase"] in ("Succeeded", "Failed"):
        # No container runs, so there is nothing to wait for.
        grace = 0
    if "deletionTimestamp" in metadata:
        grace = min(grace, metadata["deletionGracePeriodSeconds"]) if asked is not None else grace
        if asked is None or (grace and grace >= metadata["deletionGracePeriodSeconds"]):
            return pod
    if grace == 0 and metadata.get("finalizers"):
        return pod if "deletionTimestamp" in metadata else _mark(store, PODS, pod, 0)
    if grace == 0:
        ended = {**metadata, "deletionTimestamp": timestamp(), "deletionGracePeriodSeconds": 0}
        store.put(PODS, {**pod, "metadata": ended})
        return store.remove(PODS, metadata["namespace"], metadata["name"]) or pod
    return _mark(store, PODS, pod, grace)


def _mark(store: Store, resource: Resource, current: Object, grace: int) -> Object:
    metadata = dict(current["metadata"])
    if "deletionTimestamp" not in metadata and resource.tracked:
        metadata["generation"] = metadata.get("generation", 1) + 1
    metadata |= {"deletionTimestamp": timestamp(grace), "deletionGracePeriodSeconds": grace}
    return store.put(resource, {**current, "metadata": metadata})


def _delete_namespace(store: Store, namespace: Object) -> Object:
    """Mark a namespace as being deleted and delete its objects; the namespace goes after the last of them."""
    name = namespace["metadata"]["name"]
    if "deletionTimestamp" not in namespace["metadata"]:
        metadata = {**namespace["metadata"], "deletionTimestamp": timestamp()}
        status = {**namespace["status"], "phase": "Terminating"}
        namespace = store.put(NAMESPACES, {**namespace, "metadata": metadata, "status": status})
    for resource in store.resources():
        for item in store.items(resource, name) if resource.namespaced else ():
            if resource is PODS:
                _delete_pod(store, item, None)
            elif not item["metadata"].get("finalizers"):
                store.remove(resource, name, item["metadata"]["name"])
            elif "deletionTimestamp" not in item["metadata"]:
                _mark(store, resource, item, 0)
    return finish_namespace(store, name) or namespace


def finish_namespace(store: Store, name: str) -> Object | None:
    """Go on with the end of a namespace that is being deleted: remove it if it is empty.

    Args:
        store: The store.
        name: Name of the namespace, which may be one that is not being deleted.

    Returns:
        The namespace while something of it is left, else None.
    """
    namespace = store.get(NAMESPACES, "", name)
    if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
        return None
    left: dict[Resource, list[Object]] = {}
    for resource in store.resources():
        for item in store.items(resource, name) if resource.namespaced else ():
            if resource is PODS or item["metadata"].get("finalizers"):
                left.setdefault(resource, []).append(item)
            else:
                # Such as the events that were recorded while the pods ended.
                store.remove(resource, name, item["metadata"]["name"])
    if not left:
        return _finalized(store, {**namespace, "spec": {"finalizers": []}})
    conditions = ending_conditions(left, namespace["status"].get("conditions") or [])
    status = {"phase": "Terminating", "conditions": conditions}
    if status == namespace["status"]:
        return namespace
    return store.put(NAMESPACES, {**namespace, "status": status})


def finalize_namespace(store: Store, target: Target, body: Object) -> Object:
    """Replace the finalizers of a namespace; without any, a namespace that is being deleted goes at once.

    What is in the namespace stays behind, as in a real cluster.

    Raises:
        ApiError: 400, 404 or 409.
    """
    body = without_nulls(body)
    check_shape(NAMESPACES, body)
    current = store.get(NAMESPACES, "", target.name)
    if current is None:
        raise not_found(NAMESPACES, target.name)
    version = (body.get("metadata") or {}).get("resourceVersion")
    if version and version != current["metadata"]["resourceVersion"]:
        raise conflict(NAMESPACES, target.name)
    finalizers = (body.get("spec") or {}).get("finalizers") or []
    new = {**current, "spec": {"finalizers": finalizers} if finalizers else {}}
    return _finalized(store, new) or new


def _finalized(store: Store, namespace: Object) -> Object | None:
    metadata = namespace["metadata"]
    ends = "deletionTimestamp" in metadata
    if ends and not (namespace["spec"].get("finalizers") or metadata.get("finalizers")):
        store.remove(NAMESPACES, "", metadata["name"])
        return None
    known = store.get(NAMESPACES, "", metadata["name"])
    return namespace if namespace == known else store.put(NAMESPACES, namespace)
