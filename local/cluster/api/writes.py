"""Serves create, update and patch: makes a stored object from a body."""

import copy
import secrets
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

from ..clock import timestamp
from ..objects import Object
from ..objects.causes import invalid_value
from ..objects.defaults import apply_defaults, qos_class
from ..objects.errors import already_exists, bad_request, conflict, invalid, not_found
from ..objects.patches import json_patch, merge_patch, strategic_merge_patch
from ..objects.resources import NAMESPACES, PODS, Resource
from ..objects.shapes import check_shape, without_nulls
from ..objects.updates import check_update
from ..objects.validation import validate
from ..store import Store
from .admission import admit, admit_namespace
from .fieldvalidation import check_declared, without_unknown_fields
from .requests import APPLY_PATCH, Target

Check: TypeAlias = Callable[[Object], None]
"""Refuses an object that is about to be validated, or does nothing."""

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
_FIXED_FIELDS = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_PATCHES = {
    "application/merge-patch+json": merge_patch,
    "application/strategic-merge-patch+json": strategic_merge_patch,
    "application/json-patch+json": json_patch,
}


def allow(_: Object) -> None:
    """Refuse nothing: the check for what the cluster itself writes."""


def create(store: Store, target: Target, body: Object, check: Check = allow) -> Object:
    """Create an object.

    Args:
        store: The store.
        target: The collection.
        body: The decoded body, which becomes the object.
        check: Is asked before the object is validated.

    Returns:
        The object as stored; with ``dryRun``, as it would have been stored.

    Raises:
        ApiError: 400, 403, 404, 409 or 422.
    """
    resource = target.resource
    body = _checked(target, body)
    metadata = body["metadata"]
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    _place(target, metadata)
    admit_namespace(store, target, metadata.get("name", ""))
    for field in (*_SERVER_FIELDS, "deletionGracePeriodSeconds", "managedFields"):
        metadata.pop(field, None)
    if not metadata.get("name") and metadata.get("generateName"):
        suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(5))
        metadata["name"] = metadata["generateName"][:58] + suffix
    metadata.setdefault("name", "")
    _reset_status(resource, body)
    apply_defaults(resource, body)
    check(body)
    validate(resource, body)
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp()}
    if resource.tracked:
        metadata["generation"] = 1
    if resource.kind == "Service":
        _allocate_address(body)
    if resource is PODS:
        body["status"] = {"phase": "Pending", "qosClass": qos_class(body["spec"])}
    admit(store, resource, body)
    known = store.get(resource, metadata.get("namespace", ""), metadata["name"])
    if known is not None:
        raise already_exists(resource, metadata["name"], ends="deletionTimestamp" in known["metadata"])
    return _kept(store, target, body)


def _allocate_address(service: Object) -> None:
    """Give a service an address, as a cluster does. Nothing listens at the address."""
    spec = service["spec"]
    if spec["type"] != "ExternalName":
        low = uuid.UUID(service["metadata"]["uid"]).int
        address = spec.setdefault("clusterIP", f"10.96.{low % 254 + 1}.{low // 254 % 254 + 1}")
        spec.setdefault("clusterIPs", [address])


def _checked(target: Target, body: Object) -> Object:
    resource = target.resource
    body = without_nulls(without_unknown_fields(target, resource, body))
    body.setdefault("kind", resource.kind)
    body.setdefault("apiVersion", resource.api_version)
    body.setdefault("metadata", {})
    check_shape(resource, body)
    return body


def _place(target: Target, metadata: Object) -> None:
    if not target.resource.namespaced:
        metadata.pop("namespace", None)
        return
    if metadata.setdefault("namespace", target.namespace) != target.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _reset_status(resource: Resource, body: Object) -> None:
    if resource.status and resource.kind != "Node":
        body.pop("status", None)


def _kept(store: Store, target: Target, body: Object) -> Object:
    # A dry run does everything except for storing the object.
    return body if target.query.get("dryRun") else store.put(target.resource, body)


def update(store: Store, target: Target, body: Object, check: Check = allow) -> Object:
    """Replace an object, or only its status when the request names that subresource.

    Args:
        store: The store.
        target: The object.
        body: The decoded body.
        check: Is asked before the object is validated.

    Raises:
        ApiError: 400, 404, 409 or 422.
    """
    current = _current(store, target)
    return _replace(store, target, current, _checked(target, body), check)


def patch(
    store: Store, target: Target, content_type: str, body: Any, check: Check = allow
) -> tuple[Object, bool]:
    """Change an object by a patch.

    Args:
        store: The store.
        target: The object.
        content_type: The format of the patch, one of :data:`PATCH_TYPES`.
        body: The decoded patch.
        check: Is asked before the object is validated.

    Returns:
        The object, and whether it was created (by an apply patch).

    Raises:
        ApiError: 400, 404, 409 or 422.
    """
    if content_type == APPLY_PATCH:
        if not target.query.get("fieldManager"):
            raise bad_request(
                "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: "
                "is required for apply patch"
            )
        body = _named(target, body)
        check_declared(target, body)
        if store.get(target.resource, target.namespace, target.name) is None and not target.subresource:
            return create(store, target, body, check), True
    current = _current(store, target)
    return _replace(
        store, target, current, _checked(target, patched(current, content_type, body)), check
    ), False


def patched(current: Object, content_type: str, body: Any) -> Object:
    """Return an object as a patch leaves it, before anything of it is checked.

    Raises:
        ApiError: 400 or 422 for a patch that does not fit.
    """
    if not isinstance(body, dict) and content_type != "application/json-patch+json":
        raise bad_request("the patch is not an object")
    # Without field ownership, an apply patch adds and changes fields but removes none.
    apply_patch: Any = _PATCHES.get(content_type, strategic_merge_patch)
    changed = apply_patch(current, body)
    if not isinstance(changed, dict):
        raise bad_request("the patched object is not an object")
    return copy.deepcopy(changed)


def _named(target: Target, body: Any) -> Object:
    if not isinstance(body, dict) or not isinstance(body.setdefault("metadata", {}), dict):
        raise bad_request("the applied object is not an object")
    if body["metadata"].setdefault("name", target.name) != target.name:
        raise bad_request("the name of the object does not match the name on the URL")
    return body


def _current(store: Store, target: Target) -> Object:
    current = store.get(target.resource, target.namespace, target.name)
    if current is None:
        raise not_found(target.resource, target.name)
    return current


def _replace(store: Store, target: Target, current: Object, new: Object, check: Check) -> Object:
    resource, metadata, known = target.resource, new["metadata"], current["metadata"]
    if metadata.get("name") != target.name:
        given = metadata.get("name", "")
        raise bad_request(
            f"the name of the object ({given}) does not match the name on the URL ({target.name})"
        )
    _place(target, metadata)
    if (uid := metadata.get("uid")) and uid != known["uid"]:
        if target.verb == "patch":
            raise invalid(resource, target.name, [invalid_value("metadata.uid", uid, "field is immutable")])
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {known['uid']}"
        raise conflict(resource, target.name, why)
    if (version := metadata.get("resourceVersion")) and version != known["resourceVersion"]:
        raise conflict(resource, target.name)
    new["metadata"] = _settled_metadata(metadata, known)
    if target.subresource == "status":
        new = {**current, "metadata": known, "status": new.get("status", {})}
    else:
        if resource.status and "status" in current:
            new["status"] = current["status"]
        apply_defaults(resource, new)
        check(new)
        validate(resource, new)
        causes = check_update(resource, current, new)
        if causes:
            raise invalid(resource, target.name, causes)
        _count_generation(resource, current, new)
    if _same(current, new):
        return current
    if _ended(resource, known) and not new["metadata"].get("finalizers"):
        store.remove(resource, target.namespace, target.name)
        return {**new, "metadata": {**new["metadata"], "resourceVersion": known["resourceVersion"]}}
    return _kept(store, target, new)


def _ended(resource: Resource, known: Object) -> bool:
    """Return whether only finalizers keep an object; for pods, whether the node is done with it."""
    if resource is PODS:
        return known.get("deletionGracePeriodSeconds") == 0
    return "deletionTimestamp" in known and resource is not NAMESPACES


def _settled_metadata(metadata: Object, known: Object) -> Object:
    """Return the new metadata, with the old values of the fields that only the server may set."""
    settled = {key: value for key, value in metadata.items() if key not in (*_FIXED_FIELDS, "managedFields")}
    settled |= {key: known[key] for key in (*_FIXED_FIELDS, "generation") if key in known}
    return settled


def _count_generation(resource: Resource, current: Object, new: Object) -> None:
    if not resource.tracked:
        return
    ignored = ("metadata", "status")
    before = {key: value for key, value in current.items() if key not in ignored}
    after = {key: value for key, value in new.items() if key not in ignored}
    new["metadata"]["generation"] = current["metadata"].get("generation", 1) + (before != after)


def _same(current: Object, new: Object) -> bool:
    bare = {key: value for key, value in current["metadata"].items() if key != "resourceVersion"}
    fresh = {key: value for key, value in new["metadata"].items() if key != "resourceVersion"}
    return bare == fresh and {**current, "metadata": {}} == {**new, "metadata": {}}
