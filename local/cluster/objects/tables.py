"""Makes the Table form of objects, which ``kubectl get`` prints."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from . import Object
from .resources import Resource

_STRING = "string"
# A column between NAME and AGE: name, type, and how to read its value.
_Column = tuple[str, str, Callable[[Object], Any]]


def wants_table(accept: str) -> bool:
    """Return whether an Accept header prefers the Table form."""
    return "as=Table" in accept


def table(resource: Resource, items: list[Object], metadata: Object) -> Object:
    """Return objects as a ``Table``.

    Args:
        items: The objects, in the order of the rows.
        metadata: Metadata of the list or of the object.
    """
    columns = _COLUMNS.get(resource.kind, ())
    names = [("Name", _STRING, "name")] + [(name, kind, "") for name, kind, _ in columns]
    aged = resource.kind != "Event"
    if aged:
        names.append(("Age", _STRING, ""))
    if resource.kind == "Event":
        names = names[1:]
    rows = []
    for item in items:
        cells = [read(item) for _, _, read in columns]
        cells = [item["metadata"]["name"], *cells, _age(item)] if aged else cells
        rows.append({"cells": cells, "object": _partial(item)})
    kept = {
        key: metadata[key] for key in ("resourceVersion", "continue", "remainingItemCount") if key in metadata
    }
    definitions = [
        {"name": name, "type": kind, "format": form, "description": "", "priority": 0}
        for name, kind, form in names
    ]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": kept}
    return {**head, "columnDefinitions": definitions, "rows": rows}


def _partial(item: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


# The number of seconds below which a duration is shown in these units
# (k8s.io/apimachinery/pkg/util/duration).
_DURATIONS = (
    (120, ((1, "s"),)),
    (600, ((60, "m"), (1, "s"))),
    (3 * 3600, ((60, "m"),)),
    (8 * 3600, ((3600, "h"), (60, "m"))),
    (48 * 3600, ((3600, "h"),)),
    (8 * 86400, ((86400, "d"), (3600, "h"))),
    (730 * 86400, ((86400, "d"),)),
)


def human_duration(seconds: float) -> str:
    """Return a duration as kubectl shows it: ``8s``, ``3m5s``, ``2h``, ``4d``."""
    whole = max(int(seconds), 0)
    units = next((units for limit, units in _DURATIONS if whole < limit), ((365 * 86400, "y"),))
    shown = ""
    for size, letter in units:
        count, whole = divmod(whole, size)
        shown += f"{count}{letter}" if count or not shown else ""
    return shown


def _since(text: str | None) -> str:
    if not text:
        return "<unknown>"
    then = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return human_duration((datetime.now(UTC) - then).total_seconds())


def _age(item: Object) -> str:
    return _since(item["metadata"].get("creationTimestamp"))


def _pod_statuses(item: Object) -> list[Object]:
    found: list[Object] = (item.get("status") or {}).get("containerStatuses") or []
    return found


def _pod_ready(item: Object) -> str:
    ready = sum(bool(status.get("ready")) for status in _pod_statuses(item))
    return f"{ready}/{len(item['spec']['containers'])}"


def _pod_status(item: Object) -> str:
    status = item.get("status") or {}
    shown = str(status.get("reason") or status.get("phase", ""))
    for part in _pod_statuses(item):
        state = part.get("state") or {}
        if reason := (state.get("waiting") or {}).get("reason") or (state.get("terminated") or {}).get(
            "reason"
        ):
            shown = reason
    if "deletionTimestamp" in item["metadata"]:
        return "Terminating"
    return str(status["reason"]) if status.get("reason") == "DeadlineExceeded" else shown


def _pod_restarts(item: Object) -> str:
    return str(sum(int(status.get("restartCount", 0)) for status in _pod_statuses(item)))


def _count(field: str) -> Callable[[Object], int]:
    return lambda item: len(item.get(field) or {})


def _deep(*path: str) -> Callable[[Object], str]:
    def read(item: Object) -> str:
        found: Any = item
        for step in path:
            found = found.get(step) if isinstance(found, dict) else None
        return "<none>" if found in (None, "") else str(found)

    return read


def _event_object(item: Object) -> str:
    involved = item.get("involvedObject") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _event_last_seen(item: Object) -> str:
    return _since(item.get("lastTimestamp") or item.get("eventTime"))


def _node_status(item: Object) -> str:
    conditions = (item.get("status") or {}).get("conditions") or []
    ready = any(part.get("type") == "Ready" and part.get("status") == "True" for part in conditions)
    off = ",SchedulingDisabled" if (item.get("spec") or {}).get("unschedulable") else ""
    return ("Ready" if ready else "NotReady") + off


def _replicas(item: Object) -> str:
    status = item.get("status") or {}
    return f"{status.get('readyReplicas', 0)}/{(item.get('spec') or {}).get('replicas', 0)}"


def _role(item: Object) -> str:
    reference = item.get("roleRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


def _ports(item: Object) -> str:
    ports = (item.get("spec") or {}).get("ports") or []
    return ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


_COLUMNS: Mapping[str, tuple[_Column, ...]] = {
    "Pod": (
        ("Ready", _STRING, _pod_ready),
        ("Status", _STRING, _pod_status),
        ("Restarts", _STRING, _pod_restarts),
    ),
    "Namespace": (("Status", _STRING, _deep("status", "phase")),),
    "Node": (
        ("Status", _STRING, _node_status),
        ("Roles", _STRING, lambda _: "<none>"),
        ("Version", _STRING, _deep("status", "nodeInfo", "kubeletVersion")),
    ),
    "Secret": (("Type", _STRING, _deep("type")), ("Data", "integer", _count("data"))),
    "ConfigMap": (("Data", "integer", _count("data")),),
    "Event": (
        ("Last Seen", _STRING, _event_last_seen),
        ("Type", _STRING, _deep("type")),
        ("Reason", _STRING, _deep("reason")),
        ("Object", _STRING, _event_object),
        ("Message", _STRING, _deep("message")),
    ),
    "Service": (
        ("Type", _STRING, _deep("spec", "type")),
        ("Cluster-IP", _STRING, _deep("spec", "clusterIP")),
        ("External-IP", _STRING, lambda _: "<none>"),
        ("Port(s)", _STRING, _ports),
    ),
    "Deployment": (("Ready", _STRING, _replicas),),
    "RoleBinding": (("Role", _STRING, _role),),
    "ClusterRoleBinding": (("Role", _STRING, _role),),
    "PriorityClass": (("Value", "integer", lambda item: item.get("value", 0)),),
    "ServiceAccount": (("Secrets", "integer", _count("secrets")),),
}
