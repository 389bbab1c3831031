"""Checks that a body has the JSON types on which the rest of the emulator relies.

A real API server refuses other bodies when it decodes them. Because the types are checked once here, later
code reads fields without checking them again. Fields that no code reads are not described, and pass
unchecked.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from . import Object
from .errors import ApiError, bad_request
from .resources import Resource

# A type; a mapping of known fields; a list whose items have one shape; or a dictionary whose values do ("*").
Shape: TypeAlias = type | Mapping[str, Any] | list[Any]

_STRINGS: Shape = {"*": str}
_METADATA: Shape = {
    "name": str,
    "generateName": str,
    "namespace": str,
    "uid": str,
    "resourceVersion": str,
    "labels": _STRINGS,
    "annotations": _STRINGS,
    "finalizers": [str],
    "ownerReferences": [{"uid": str, "kind": str, "name": str, "apiVersion": str, "controller": bool}],
    "managedFields": [{}],
}
_SECURITY: Shape = {
    "runAsUser": int,
    "runAsGroup": int,
    "runAsNonRoot": bool,
    "privileged": bool,
    "readOnlyRootFilesystem": bool,
    "allowPrivilegeEscalation": bool,
    "seccompProfile": {"type": str},
    "capabilities": {"add": [str], "drop": [str]},
    "procMount": str,
    "sysctls": [{"name": str}],
    "seLinuxOptions": _STRINGS,
    "appArmorProfile": {"type": str},
    "windowsOptions": {"hostProcess": bool},
}
_PROBE: Shape = {
    "exec": {"command": [str]},
    "initialDelaySeconds": int,
    "periodSeconds": int,
    "timeoutSeconds": int,
    "successThreshold": int,
    "failureThreshold": int,
}
_KEY_SELECTOR: Shape = {"name": str, "key": str, "optional": bool}
_ITEMS: Shape = [{"key": str, "path": str, "mode": int}]
_CONTAINER: Shape = {
    "name": str,
    "image": str,
    "imagePullPolicy": str,
    "command": [str],
    "args": [str],
    "workingDir": str,
    "restartPolicy": str,
    "env": [
        {
            "name": str,
            "value": str,
            "valueFrom": {
                "secretKeyRef": _KEY_SELECTOR,
                "configMapKeyRef": _KEY_SELECTOR,
                "fieldRef": {"fieldPath": str},
            },
        }
    ],
    "envFrom": [{}],
    "ports": [{"containerPort": int, "hostPort": int, "protocol": str, "name": str}],
    "resources": {"requests": {}, "limits": {}},
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool, "subPath": str}],
    "securityContext": _SECURITY,
    "readinessProbe": _PROBE,
    "livenessProbe": _PROBE,
    "startupProbe": _PROBE,
    "tty": bool,
    "stdin": bool,
}
POD_SPEC: Shape = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "ephemeralContainers": [_CONTAINER],
    "volumes": [
        {
            "name": str,
            "emptyDir": {"medium": str},
            "secret": {"secretName": str, "defaultMode": int, "optional": bool, "items": _ITEMS},
            "configMap": {"name": str, "defaultMode": int, "optional": bool, "items": _ITEMS},
        }
    ],
    "nodeSelector": _STRINGS,
    "nodeName": str,
    "restartPolicy": str,
    "serviceAccountName": str,
    "serviceAccount": str,
    "schedulerName": str,
    "priorityClassName": str,
    "activeDeadlineSeconds": int,
    "terminationGracePeriodSeconds": int,
    "automountServiceAccountToken": bool,
    "securityContext": _SECURITY,
    "tolerations": [{"key": str, "operator": str, "effect": str, "value": str, "tolerationSeconds": int}],
    "hostNetwork": bool,
    "hostPID": bool,
    "hostIPC": bool,
}
_TEMPLATE: Shape = {"metadata": _METADATA, "spec": POD_SPEC}
_REPLICAS: dict[str, Shape] = {
    "replicas": int,
    "selector": {
        "matchLabels": _STRINGS,
        "matchExpressions": [{"key": str, "operator": str, "values": [str]}],
    },
    "template": _TEMPLATE,
}
_RULES: Shape = [
    {key: [str] for key in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")}
]
_BINDING: Shape = {
    "roleRef": {"apiGroup": str, "kind": str, "name": str},
    "subjects": [{"kind": str, "name": str, "namespace": str, "apiGroup": str}],
}
_RESOURCE_ATTRIBUTES: Shape = dict.fromkeys(
    ("namespace", "verb", "group", "version", "resource", "subresource", "name"), str
)
_BY_KIND: Mapping[str, Shape] = {
    "Pod": {"spec": POD_SPEC, "status": {"phase": str, "conditions": [{"type": str}]}},
    "PodTemplate": {"template": _TEMPLATE},
    "Deployment": {
        "spec": {
            **_REPLICAS,
            "strategy": {"type": str, "rollingUpdate": {}},
            "paused": bool,
            "minReadySeconds": int,
            "progressDeadlineSeconds": int,
            "revisionHistoryLimit": int,
        }
    },
    "ReplicaSet": {"spec": _REPLICAS},
    "Secret": {"data": _STRINGS, "stringData": _STRINGS, "type": str, "immutable": bool},
    "ConfigMap": {"data": _STRINGS, "binaryData": _STRINGS, "immutable": bool},
    "Service": {"spec": {"ports": [{"port": int}], "selector": _STRINGS, "type": str}},
    "ResourceQuota": {"spec": {"hard": {}}, "status": {}},
    "Namespace": {"spec": {"finalizers": [str]}, "status": {"conditions": [{"type": str}]}},
    "NetworkPolicy": {"spec": {"podSelector": {}, "policyTypes": [str], "egress": [{}], "ingress": [{}]}},
    "Node": {
        "spec": {"unschedulable": bool, "taints": [{"key": str, "value": str, "effect": str}]},
        "status": {"capacity": {}, "allocatable": {}},
    },
    "Event": {"involvedObject": {}, "reason": str, "message": str, "type": str},
    "Role": {"rules": _RULES},
    "ClusterRole": {"rules": _RULES},
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "PriorityClass": {"value": int, "globalDefault": bool},
    "SelfSubjectAccessReview": {
        "spec": {"resourceAttributes": _RESOURCE_ATTRIBUTES, "nonResourceAttributes": _STRINGS}
    },
    "SelfSubjectRulesReview": {"spec": {"namespace": str}},
    "Scale": {"spec": {"replicas": int}},
    "TokenRequest": {
        "spec": {
            "audiences": [str],
            "expirationSeconds": int,
            "boundObjectRef": dict.fromkeys(("kind", "apiVersion", "name", "uid"), str),
        }
    },
}
_GO_NAMES: Mapping[type, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "bool",
    list: "array",
    dict: "object",
}


def check_shape(resource: Resource, body: Object) -> None:
    """Refuse a body whose fields have the wrong JSON types.

    Args:
        resource: The resource of which the body must be.
        body: The decoded body, which is a JSON object.

    Raises:
        ApiError: 400, which names the first wrong field.
    """
    shape: dict[str, Any] = {"apiVersion": str, "kind": str, "metadata": _METADATA, "spec": {}, "status": {}}
    known = _BY_KIND.get(resource.kind, {})
    assert isinstance(known, Mapping)
    _check(resource, {**shape, **known}, body, "")


def _check(resource: Resource, shape: Shape, value: Any, path: str) -> None:
    if value is None:
        return
    if isinstance(shape, type):
        matches = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
        if not matches:
            raise _mismatch(resource, value, path, shape)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _mismatch(resource, value, path, list)
        for item in value:
            if item is None:
                raise _mismatch(resource, item, path, dict)
            _check(resource, shape[0], item, path)
    else:
        if not isinstance(value, dict):
            raise _mismatch(resource, value, path, dict)
        for key, item in value.items():
            inner = shape.get(key, shape.get("*"))
            if inner is not None:
                _check(resource, inner, item, f"{path}.{key}" if path else key)


def _mismatch(resource: Resource, value: Any, path: str, wanted: type) -> ApiError:
    got = "null" if value is None else _GO_NAMES.get(type(value), "value")
    return bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: json: '
        f"cannot unmarshal {got} into Go struct field {resource.kind}.{path} of type {_GO_NAMES[wanted]}"
    )


def without_nulls(value: Any) -> Any:
    """Return a copy without null fields, because to the API a null field is an absent field."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
