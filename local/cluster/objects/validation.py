"""Checks the rules of objects, with the messages of a real API server.

Names: RFC 1123 as in k8s.io/apimachinery/pkg/util/validation.
Pods: k8s.io/kubernetes/pkg/apis/core/validation.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any

from . import Object
from .causes import invalid_value, required, unsupported
from .errors import Cause, invalid
from .quantities import parse_quantity
from .replicated import replica_causes
from .resources import Resource

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME_PART = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ENV_NAME = re.compile(r"[^=\x00-\x1f\x7f-\uffff]+")

_NOT_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_NOT_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_NOT_KEY = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_NOT_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NOT_CONFIG_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
    "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_LABEL_NAMED = frozenset(("Namespace", "Service"))
_PATH_NAMED = frozenset(("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"))
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_MAX_METADATA_BYTES = 262144
_MAX_DATA_BYTES = 1048576


def _duplicate(field: str, value: object) -> Cause:
    return Cause(field, "FieldValueDuplicate", f'Duplicate value: "{value}"')


def validate(resource: Resource, body: Object) -> None:
    """Refuse an object that breaks a rule of its kind.

    Args:
        resource: What the object is.
        body: The object, with its defaults.

    Raises:
        ApiError: 422 with one cause per broken rule.
    """
    causes = list(_metadata(resource, body["metadata"]))
    if resource.kind == "Pod":
        causes += _pod_spec(body["spec"], "spec")
    elif resource.kind == "PodTemplate":
        causes += _pod_spec(body["template"]["spec"], "template.spec")
    elif resource.kind in ("Deployment", "ReplicaSet"):
        causes += replica_causes(body["spec"])
        causes += _pod_spec(body["spec"]["template"]["spec"], "spec.template.spec")
    elif resource.kind == "Event":
        causes += _event(body)
    elif resource.kind in ("Secret", "ConfigMap"):
        causes += _data(body)
    elif resource.kind == "Service":
        causes += [] if body["spec"].get("ports") else [required("spec.ports")]
    elif resource.kind == "ResourceQuota":
        causes += _amounts((body.get("spec") or {}).get("hard") or {}, "spec.hard")
    elif resource.kind in ("RoleBinding", "ClusterRoleBinding"):
        causes += [] if (body.get("roleRef") or {}).get("name") else [required("roleRef.name")]
    if causes:
        raise invalid(resource, body["metadata"].get("name", ""), causes)


def _metadata(resource: Resource, metadata: Object) -> list[Cause]:
    causes: list[Cause] = []
    name = metadata.get("name", "")
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    elif why := _name_fault(resource, name):
        causes.append(invalid_value("metadata.name", name, why))
    for index, owner in enumerate(metadata.get("ownerReferences") or []):
        at = f"metadata.ownerReferences[{index}]"
        missing = [field for field in ("apiVersion", "kind", "name", "uid") if not owner.get(field)]
        causes += [required(f"{at}.{field}") for field in missing]
    causes += _labels(metadata.get("labels") or {}, "metadata.labels")
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    if sum(len(key) + len(value) for key, value in annotations.items()) > _MAX_METADATA_BYTES:
        message = f"Too long: may not be more than {_MAX_METADATA_BYTES} bytes"
        causes.append(Cause("metadata.annotations", "FieldValueTooLong", message))
    return causes


def _name_fault(resource: Resource, name: str) -> str:
    if resource.kind in _PATH_NAMED:
        broken = name in (".", "..") or "/" in name or "%" in name
        return "may not be '.' or '..' or contain '/' or '%'" if broken else ""
    if resource.kind in _LABEL_NAMED:
        if len(name) > 63:
            return "must be no more than 63 characters"
        return "" if re.fullmatch(_LABEL, name) else _NOT_LABEL
    if len(name) > 253:
        return "must be no more than 253 characters"
    return "" if re.fullmatch(_SUBDOMAIN, name) else _NOT_SUBDOMAIN


def _labels(labels: Mapping[str, str], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for key, value in labels.items():
        prefix, slash, part = key.rpartition("/")
        if len(part) > 63:
            causes.append(invalid_value(field, key, "name part must be no more than 63 bytes"))
        elif not re.fullmatch(_NAME_PART, part):
            causes.append(invalid_value(field, key, _NOT_KEY))
        elif slash and (len(prefix) > 253 or not re.fullmatch(_SUBDOMAIN, prefix)):
            causes.append(invalid_value(field, key, f"prefix part {_NOT_SUBDOMAIN}"))
        if len(value) > 63:
            causes.append(invalid_value(field, value, "must be no more than 63 bytes"))
        elif value and not re.fullmatch(_NAME_PART, value):
            causes.append(invalid_value(field, value, _NOT_VALUE))
    return causes


def _event(body: Object) -> list[Cause]:
    # An object without a namespace has its events in the namespace "default".
    about, own = body.get("involvedObject") or {}, body["metadata"]["namespace"]
    named = about.get("namespace", "")
    if (named or "default") == own:
        return []
    return [invalid_value("involvedObject.namespace", named, "does not match event.namespace")]


def _data(body: Object) -> list[Cause]:
    causes: list[Cause] = []
    size = 0
    for field in ("data", "binaryData"):
        values: Mapping[str, str] = body.get(field) or {}
        size += sum(map(len, values.values()))
        for key, value in values.items():
            at = f"{field}[{key}]"
            if not _CONFIG_KEY.fullmatch(key) or len(key) > 253 or key.startswith(".."):
                causes.append(invalid_value(at, key, _NOT_CONFIG_KEY))
            if (field == "binaryData" or body["kind"] == "Secret") and not _is_base64(value):
                causes.append(invalid_value(at, value[:32], "illegal base64 data"))
    if size > _MAX_DATA_BYTES * 4 // 3:
        message = f"Too long: may not be more than {_MAX_DATA_BYTES} bytes"
        causes.append(Cause("data", "FieldValueTooLong", message))
    return causes


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except ValueError:
        return False
    return True


def _pod_spec(spec: Object, field: str) -> list[Cause]:
    causes: list[Cause] = []
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or []):
        name = volume.get("name", "")
        at = f"{field}.volumes[{index}].name"
        if not name:
            causes.append(required(at))
        elif not re.fullmatch(_LABEL, name) or len(name) > 63:
            causes.append(invalid_value(at, name, _NOT_LABEL))
        elif name in volumes:
            causes.append(_duplicate(at, name))
        volumes.add(name)
    if not spec.get("containers"):
        causes.append(required(f"{field}.containers"))
    names: set[str] = set()
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(kind) or []):
            causes += _container(container, f"{field}.{kind}[{index}]", names, volumes)
    if spec["restartPolicy"] not in _RESTART_POLICIES:
        causes.append(unsupported(f"{field}.restartPolicy", spec["restartPolicy"], _RESTART_POLICIES))
    for key, least, why in (
        ("activeDeadlineSeconds", 1, "must be between 1 and 2147483647, inclusive"),
        ("terminationGracePeriodSeconds", 0, "must be greater than or equal to 0"),
    ):
        if (value := spec.get(key)) is not None and not least <= value <= 2147483647:
            causes.append(invalid_value(f"{field}.{key}", value, why))
    return causes + _labels(spec.get("nodeSelector") or {}, f"{field}.nodeSelector")


def _container(container: Object, field: str, names: set[str], volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    name = container.get("name", "")
    if not name:
        causes.append(required(f"{field}.name"))
    elif not re.fullmatch(_LABEL, name) or len(name) > 63:
        causes.append(invalid_value(f"{field}.name", name, _NOT_LABEL))
    elif name in names:
        causes.append(_duplicate(f"{field}.name", name))
    names.add(name)
    if not container.get("image"):
        causes.append(required(f"{field}.image"))
    if container["imagePullPolicy"] not in _PULL_POLICIES:
        causes.append(unsupported(f"{field}.imagePullPolicy", container["imagePullPolicy"], _PULL_POLICIES))
    for index, variable in enumerate(container.get("env") or []):
        if not variable.get("name"):
            causes.append(required(f"{field}.env[{index}].name"))
        elif not _ENV_NAME.fullmatch(variable["name"]):
            why = "a valid environment variable name must consist only of printable ASCII characters "
            why += "other than '='"
            causes.append(invalid_value(f"{field}.env[{index}].name", variable["name"], why))
    causes += _mounts(container.get("volumeMounts") or [], f"{field}.volumeMounts", volumes)
    return causes + _resources(container["resources"], f"{field}.resources")


def _mounts(mounts: list[Object], field: str, volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        at = f"{field}[{index}]"
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if name not in volumes:
            causes.append(Cause(f"{at}.name", "FieldValueNotFound", f'Not found: "{name}"'))
        if not path:
            causes.append(required(f"{at}.mountPath"))
        elif path in paths:
            causes.append(invalid_value(f"{at}.mountPath", path, "must be unique"))
        elif not path.startswith("/") or ".." in path.split("/") or "\0" in path or path.strip("/") == "":
            causes.append(invalid_value(f"{at}.mountPath", path, "must be an absolute path below the root"))
        paths.add(path)
        inner = mount.get("subPath", "")
        if inner.startswith("/") or ".." in inner.split("/") or "\0" in inner:
            causes.append(invalid_value(f"{at}.subPath", inner, "must be a relative path without '..'"))
    return causes


def _resources(resources: Object, field: str) -> list[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    causes = _amounts(limits, f"{field}.limits") + _amounts(requests, f"{field}.requests")
    if causes:
        return causes
    for key, amount in requests.items():
        if key in limits and parse_quantity(amount) > parse_quantity(limits[key]):
            why = f"must be less than or equal to {key} limit of {limits[key]}"
            causes.append(invalid_value(f"{field}.requests", amount, why))
    return causes


def _amounts(amounts: Mapping[str, Any], field: str) -> list[Cause]:
    causes: list[Cause] = []
    for key, amount in amounts.items():
        try:
            negative = parse_quantity(amount) < 0
        except ValueError:
            why = (
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            )
            causes.append(invalid_value(f"{field}[{key}]", str(amount), why))
        else:
            if negative:
                causes.append(
                    invalid_value(f"{field}[{key}]", str(amount), "must be greater than or equal to 0")
                )
    return causes
