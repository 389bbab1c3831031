"""Checks that an update does not change what must not change."""

import json

from . import Object
from .errors import Cause
from .resources import Resource

_FROZEN = "field is immutable when `immutable` is set"
_POD_FIELDS = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check_update(resource: Resource, old: Object, new: Object) -> list[Cause]:
    """Return the violated rules of an update; both objects have their defaults."""
    if resource.kind == "Pod":
        return _pod(old["spec"], new["spec"])
    if resource.kind in ("Secret", "ConfigMap"):
        return _frozen_data(resource, old, new)
    if resource.kind in ("Deployment", "ReplicaSet") and old["spec"]["selector"] != new["spec"]["selector"]:
        shown = json.dumps(new["spec"]["selector"], separators=(",", ":"), ensure_ascii=False)
        return [Cause("spec.selector", "FieldValueInvalid", f"Invalid value: {shown}: field is immutable")]
    if resource.kind in ("RoleBinding", "ClusterRoleBinding") and old.get("roleRef") != new.get("roleRef"):
        return [Cause("roleRef", "FieldValueInvalid", "Invalid value: cannot change roleRef")]
    return []


def _pod(old: Object, new: Object) -> list[Cause]:
    causes = []
    before, after = old.get("activeDeadlineSeconds"), new.get("activeDeadlineSeconds")
    if before is not None and (after is None or after > before):
        field = "spec.activeDeadlineSeconds"
        shown = "null" if after is None else after
        why = f"Invalid value: {shown}: must be less than or equal to previous value"
        causes.append(
            Cause(
                field,
                "FieldValueInvalid",
                why if after is not None else "Invalid value: null: must not be removed",
            )
        )
    if _fixed(old) != _fixed(new):
        causes.append(Cause("spec", "FieldValueForbidden", f"Forbidden: {_POD_FIELDS}"))
    return causes


def _fixed(spec: Object) -> Object:
    """Return the part of a pod's spec that must not change."""
    fixed = {key: value for key, value in spec.items() if key not in ("activeDeadlineSeconds", "tolerations")}
    for kind in ("containers", "initContainers"):
        if kind in fixed:
            fixed[kind] = [{key: item[key] for key in item if key != "image"} for item in fixed[kind]]
    return fixed


def _frozen_data(resource: Resource, old: Object, new: Object) -> list[Cause]:
    causes = []
    if resource.kind == "Secret" and old.get("type") != new.get("type"):
        causes.append(
            Cause("type", "FieldValueInvalid", f'Invalid value: "{new.get("type")}": field is immutable')
        )
    if old.get("immutable"):
        changed = [
            field for field in ("data", "binaryData") if (old.get(field) or {}) != (new.get(field) or {})
        ]
        causes += [Cause(field, "FieldValueForbidden", f"Forbidden: {_FROZEN}") for field in changed]
        if not new.get("immutable"):
            causes.append(Cause("immutable", "FieldValueForbidden", f"Forbidden: {_FROZEN}"))
    return causes
