"""Serves the subresource ``scale`` of the objects that keep copies of a pod."""

from dataclasses import replace
from typing import Any

from ..objects import Object
from ..objects.causes import invalid_value
from ..objects.errors import invalid
from ..objects.replicated import selector_text
from ..objects.resources import SCALES
from ..objects.shapes import check_shape, without_nulls
from ..store import Store
from .fieldvalidation import without_unknown_fields
from .reads import read
from .requests import Target
from .writes import patched, update

_SHOWN = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def read_scale(store: Store, target: Target) -> Object:
    """Return the ``Scale`` of an object.

    Raises:
        ApiError: 404 if there is no such object.
    """
    return _scale(read(store, target))


def update_scale(store: Store, target: Target, body: Object) -> Object:
    """Change how many copies an object keeps.

    Args:
        store: The store.
        target: The object, with the subresource ``scale``.
        body: The decoded ``Scale``.

    Returns:
        The new ``Scale``.

    Raises:
        ApiError: 400, 404, 409 or 422.
    """
    current = read(store, target)
    body = without_nulls(without_unknown_fields(target, SCALES, body))
    check_shape(SCALES, body)
    replicas = (body.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        why = "must be greater than or equal to 0"
        raise invalid(SCALES, target.name, [invalid_value("spec.replicas", replicas, why)])
    metadata = {**current["metadata"], "name": (body.get("metadata") or {}).get("name", target.name)}
    # Without a version in the body the change holds for any.
    metadata["resourceVersion"] = (body.get("metadata") or {}).get("resourceVersion", "")
    scaled = {**current, "metadata": metadata, "spec": {**current["spec"], "replicas": replicas}}
    return _scale(update(store, replace(target, subresource=""), scaled))


def patch_scale(store: Store, target: Target, content_type: str, body: Any) -> Object:
    """Change the ``Scale`` of an object by a patch.

    Raises:
        ApiError: 400, 404, 409 or 422.
    """
    return update_scale(store, target, patched(read_scale(store, target), content_type, body))


def _scale(found: Object) -> Object:
    replicas = found["spec"]["replicas"]
    metadata = {key: found["metadata"][key] for key in _SHOWN}
    status = {"replicas": (found.get("status") or {}).get("replicas", 0)}
    return {
        "kind": SCALES.kind,
        "apiVersion": SCALES.api_version,
        "metadata": metadata,
        "spec": {"replicas": replicas} if replicas else {},
        "status": {**status, "selector": selector_text(found["spec"]["selector"])},
    }
