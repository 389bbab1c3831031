"""Applies patches: JSON merge (RFC 7386), JSON patch (RFC 6902), strategic merge, and apply.

Strategic merge: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
"""

import copy
from collections.abc import Mapping
from typing import Any

from . import Object
from .errors import ApiError, bad_request

# Lists that are merged by a key of their items; every other list is replaced.
_MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "conditions": "type",
    "ownerReferences": "uid",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "addresses": "type",
    "secrets": "name",
}
# Lists of scalars that are merged as sets.
_SETS = frozenset(("finalizers",))
_DIRECTIVE = "$patch"
_MAX_OPERATIONS = 10000


def merge_patch(target: Any, patch: Any) -> Any:
    """Return ``target`` changed by a JSON merge patch."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_merge_patch(target: Any, patch: Any, field: str = "") -> Any:
    """Return ``target`` changed by a strategic merge patch.

    Args:
        target: The present value, or None.
        patch: The patch for it.
        field: Name of the field with the value, which decides how lists are merged.

    Raises:
        ApiError: 400 for unknown directives.
    """
    if isinstance(patch, list):
        return _merge_lists(target if isinstance(target, list) else [], patch, field)
    if not isinstance(patch, dict):
        return patch
    directive = patch.get(_DIRECTIVE, "merge")
    if directive == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive != "merge":
        raise bad_request(f"Unknown patch type {directive}")
    return _merge_objects(target if isinstance(target, dict) else {}, patch)


def _merge_objects(target: Object, patch: Object) -> Object:
    merged = dict(target)
    for key, value in patch.items():
        if key == _DIRECTIVE or key.startswith("$setElementOrder/"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            if isinstance(value, list) and isinstance(merged.get(field), list):
                merged[field] = [item for item in merged[field] if item not in value]
        elif key == "$retainKeys":
            continue
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = strategic_merge_patch(merged.get(key), value, key)
    kept = patch.get("$retainKeys")
    return {key: value for key, value in merged.items() if key in kept} if isinstance(kept, list) else merged


def _merge_lists(target: list[Any], patch: list[Any], field: str) -> list[Any]:
    if field in _SETS:
        return target + [item for item in patch if item not in target]
    key = _merge_key(field, patch)
    if any(isinstance(item, dict) and item == {_DIRECTIVE: "replace"} for item in patch):
        return [copy.deepcopy(item) for item in patch if item != {_DIRECTIVE: "replace"}]
    if key is None:
        return copy.deepcopy(patch)
    merged: list[Any] = list(target)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {field} does not contain declared merge key: {key}")
        index = next((at for at, known in enumerate(merged) if _same(known, item, key)), None)
        if item.get(_DIRECTIVE) == "delete":
            merged = [known for known in merged if not _same(known, item, key)]
        elif index is None:
            merged.append(strategic_merge_patch({}, item))
        else:
            merged[index] = strategic_merge_patch(merged[index], item)
    return merged


def _merge_key(field: str, patch: list[Any]) -> str | None:
    if field == "ports":
        # A container's ports are merged by containerPort, a service's ports by port.
        service = any(isinstance(item, dict) and "port" in item for item in patch)
        return "port" if service else "containerPort"
    return _MERGE_KEYS.get(field)


def _same(known: Any, item: Object, key: str) -> bool:
    return isinstance(known, dict) and known.get(key) == item[key]


def json_patch(target: Any, operations: Any) -> Any:
    """Return ``target`` changed by a JSON patch.

    As in the API server, ``replace`` makes a missing field and ``remove`` of one does nothing.

    Raises:
        ApiError: 400 when ``operations`` are no JSON patch, 422 when they do not fit the object.
    """
    if not isinstance(operations, list):
        why = "cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        raise bad_request(f"error decoding patch: json: {why}")
    if len(operations) > _MAX_OPERATIONS:
        raise bad_request(f"a JSON patch is a list of at most {_MAX_OPERATIONS} operations")
    document = copy.deepcopy(target)
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise bad_request("a JSON patch operation has op and path")
        document = _operate(document, operation)
    return document


def _operate(document: Any, operation: Object) -> Any:
    kind, path = operation.get("op"), _pointer(operation["path"])
    if kind in ("add", "replace", "test"):
        if "value" not in operation:
            raise _unfit()
        value = copy.deepcopy(operation["value"])
    elif kind in ("move", "copy"):
        if not isinstance(operation.get("from"), str):
            raise bad_request("a JSON patch operation of this kind has from")
        source = _pointer(operation["from"])
        if kind == "move" and path[: len(source)] == source and path != source:
            raise _unfit()
        value = copy.deepcopy(_look_up(document, source))
        if kind == "move":
            document = _remove(document, source)
    elif kind == "remove":
        return _remove(document, path)
    else:
        raise _unfit()
    if kind == "test":
        absent = _is_absent(document, path)
        if (None if absent else _look_up(document, path)) != value:
            raise _unfit()
        return document
    if kind == "replace":
        document = _remove(document, path) if path else document
    return _add(document, path, value)


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise _unfit()
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _look_up(document: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list):
            document = document[_index(part, len(document) - 1)]
        else:
            raise _unfit()
    return document


def _is_absent(document: Any, path: list[str]) -> bool:
    """Return whether a path names a field that an object does not have."""
    if not path:
        return False
    parent = _look_up(document, path[:-1])
    return isinstance(parent, dict) and path[-1] not in parent


def _index(part: str, last: int) -> int:
    if not (part.isascii() and part.isdigit()) or len(part) > 9 or int(part) > last:
        raise _unfit()
    return int(part)


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _look_up(document, path[:-1])
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else _index(path[-1], len(parent)), value)
    else:
        raise _unfit()
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    parent = _look_up(document, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)
    elif isinstance(parent, list):
        del parent[_index(path[-1], len(parent) - 1)]
    else:
        raise _unfit()
    return document


def _unfit() -> ApiError:
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})
