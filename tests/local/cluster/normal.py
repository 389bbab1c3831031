"""Takes out of answers what differs between any two clusters: ids, times, addresses, names of nodes."""

import re
from typing import Any

_TIMES = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_USER = re.compile(r'User "[^"]*iam.gserviceaccount.com"')
_NODES = ("n1", "local")
_PLACEHOLDERS = {
    "uid": "UID",
    "resourceVersion": "RV",
    "hostIP": "IP",
    "podIP": "IP",
    "ip": "IP",
    "nodeName": "NODE",
    "host": "NODE",
    "clusterIP": "IP",
    "clusterIPs": "IP",
    "reportingInstance": "NODE",
    "token": "TOKEN",
}


def normal(value: Any, key: str = "") -> Any:
    """Return a value with everything of one cluster alone replaced by placeholders."""
    if key in _PLACEHOLDERS and value:
        return _PLACEHOLDERS[key]
    if isinstance(value, dict):
        return {name: normal(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, str):
        if _TIMES.match(value):
            # The epoch is not a time but the way to say that there is none.
            return value if value.startswith("1970") else "TIME"
        value = _DIGEST.sub("DIGEST", _UUID.sub("UID", value))
        value = _USER.sub('User "NOBODY"', value)
        for node in _NODES:
            value = re.sub(rf" to {node}$", " to NODE", value)
    return value


def normal_pod(pod: dict[str, Any]) -> dict[str, Any]:
    """Return a pod in normal form.

    ``status.resources`` goes too: 1.36 fills it with what it reads from the cgroup, down to
    ``memory: 9007199254740988Ki`` for "no limit" once the pod ends.
    """
    made = normal(pod)
    made["metadata"].pop("managedFields", None)
    made["status"].pop("resources", None)
    made.pop("kind", None)
    made.pop("apiVersion", None)
    return dict(made)
