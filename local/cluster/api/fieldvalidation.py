"""Does what ``fieldValidation`` asks for: refuses unknown and repeated fields, warns of them, or is silent.

Unknown fields are never stored (https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation).
"""

import json
from typing import Any

from ..objects import Object
from ..objects.errors import ApiError, Cause, bad_request
from ..objects.fields import known_fields
from ..objects.resources import Resource
from .requests import Target

_MODES = ("", "Ignore", "Strict", "Warn")
_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


def without_unknown_fields(target: Target, resource: Resource, body: Object) -> Object:
    """Return a body without the fields that its kind does not have.

    Args:
        target: The request; warnings are added to it.
        resource: What the body is, which for a subresource is not the resource of the request.
        body: The decoded body, or the object as a patch leaves it.

    Raises:
        ApiError: 400 (422 for a patch) when the request is strict and there are such fields, or fields that
            came twice; 422 when the request asks for something else than the three ways.
    """
    mode = target.query.get("fieldValidation", "")
    if mode not in _MODES:
        raise _unsupported(target, mode)
    if target.verb == "patch":
        # A patched object is read from a text with sorted keys, which decides the order of what is told.
        body = json.loads(json.dumps(body, sort_keys=True))
    kept, faults = known_fields(resource.kind, body)
    if faults and mode == "Strict":
        problem = f"strict decoding error: {', '.join(faults)}"
        if target.verb == "patch":
            raise _refused_patch(body, problem)
        kind = resource.kind
        raise bad_request(f'{kind} in version "{resource.version}" cannot be handled as a {kind}: {problem}')
    if mode in ("", "Warn"):
        target.warnings.extend(faults)
    return kept


def check_declared(target: Target, body: Object) -> None:
    """Refuse an apply patch with fields that the kind does not have, whatever ``fieldValidation`` says.

    Raises:
        ApiError: 500, as a real API server answers.
    """
    faults = known_fields(target.resource.kind, body)[1]
    if faults:
        metadata = body["metadata"]
        named = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        where = f"{named}; {_version(target.resource)}, Kind={target.resource.kind}"
        names = [fault.split('"')[1] for fault in faults]
        listed = ", ".join(f".{name}: field not declared in schema" for name in names)
        raise ApiError(500, "", f"failed to create typed patch object ({where}): {listed}")


def _version(resource: Resource) -> str:
    return f"{resource.group}/{resource.version}"


def _refused_patch(patched: Any, problem: str) -> ApiError:
    shown = json.dumps(json.dumps(patched, separators=(",", ":"), ensure_ascii=False), ensure_ascii=False)
    cause = Cause("patch", "FieldValueInvalid", f"Invalid value: {shown}: {problem}")
    message = f' "" is invalid: {cause.field}: {cause.message}'
    return ApiError(422, "Invalid", message, {"causes": [cause.as_detail()]})


def _unsupported(target: Target, mode: str) -> ApiError:
    kind = _OPTIONS.get(target.verb, "UpdateOptions")
    listed = ", ".join(f'"{known}"' for known in _MODES)
    why = f'Unsupported value: "{mode}": supported values: {listed}'
    cause = Cause("fieldValidation", "FieldValueNotSupported", why)
    details = {"group": "meta.k8s.io", "kind": kind, "causes": [cause.as_detail()]}
    return ApiError(
        422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {cause.field}: {cause.message}', details
    )
