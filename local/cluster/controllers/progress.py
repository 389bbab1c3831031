"""Says how far a Deployment is: the counts of its pods and the conditions that follow from them.

Rules: k8s.io/kubernetes, pkg/controller/deployment/progress.go and sync.go.
"""

from datetime import UTC, datetime

from ..clock import timestamp
from ..objects import Object
from ..objects.replicated import rolling_bounds

_COUNTS = ("replicas", "readyReplicas", "availableReplicas")


def deployment_status(
    deployment: Object, current: Object | None, sets: list[Object]
) -> tuple[Object, float | None]:
    """Return the status of a Deployment.

    Args:
        deployment: The Deployment.
        current: The ReplicaSet of its present template, if there is one.
        sets: All its ReplicaSets.

    Returns:
        The status, and the time in seconds until the progress deadline, if that is what is waited for.
    """
    spec, before = deployment["spec"], deployment.get("status") or {}
    counts = {name: sum(_count(item, name) for item in sets) for name in _COUNTS}
    updated = _count(current, "replicas")
    unavailable = max(spec["replicas"] - counts["availableReplicas"], 0)
    status: Object = {"observedGeneration": deployment["metadata"]["generation"]}
    shown = {"replicas": counts["replicas"], "updatedReplicas": updated}
    shown |= {name: counts[name] for name in _COUNTS[1:]}
    shown["unavailableReplicas"] = unavailable
    status |= {name: count for name, count in shown.items() if count}
    status["terminatingReplicas"] = sum(_count(item, "terminatingReplicas") for item in sets)
    known = {item["type"]: item for item in before.get("conditions") or []}
    enough = counts["availableReplicas"] >= spec["replicas"] - _too_few(spec)
    conditions = {**known, "Available": _available(known.get("Available"), enough=enough)}
    conditions["Progressing"], wait = _progressing(deployment, current, status, known.get("Progressing"))
    failure = _failure(sets)
    conditions.pop("ReplicaFailure", None)
    if failure is not None:
        conditions["ReplicaFailure"] = _changed(known.get("ReplicaFailure"), failure)
    status["conditions"] = list(conditions.values())
    return status, wait


def _too_few(spec: Object) -> int:
    return rolling_bounds(spec)[1] if spec["strategy"]["type"] == "RollingUpdate" else 0


def _count(item: Object | None, name: str) -> int:
    return int(((item or {}).get("status") or {}).get(name, 0))


def _available(known: Object | None, *, enough: bool) -> Object:
    message = "has" if enough else "does not have"
    wanted = {
        "type": "Available",
        "status": "True" if enough else "False",
        "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        "message": f"Deployment {message} minimum availability.",
    }
    return _changed(known, wanted)


def _progressing(
    deployment: Object, current: Object | None, status: Object, known: Object | None
) -> tuple[Object, float | None]:
    """Return the condition, and how long there is still time for progress."""
    name = f'ReplicaSet "{current["metadata"]["name"]}"' if current is not None else "Deployment"
    if deployment["spec"].get("paused") and not _is_complete(deployment, status):
        return _told(known, "Unknown", "DeploymentPaused", "Deployment is paused"), None
    if _is_complete(deployment, status):
        message = f"{name} has successfully progressed."
        return _told(known, "True", "NewReplicaSetAvailable", message), None
    before = deployment.get("status") or {}
    same = known is not None and name in known["message"]
    if known is not None and same and known["reason"] == "NewReplicaSetAvailable" and _is_rolled_out(status):
        # What was complete stays so while its pods come back or others are added.
        return known, None
    if known is None or not same or _has_moved(before, status):
        condition = _told(known, "True", "ReplicaSetUpdated", f"{name} is progressing.")
        condition["lastUpdateTime"] = timestamp()
        return condition, float(deployment["spec"]["progressDeadlineSeconds"])
    return _until_deadline(deployment, known, name)


def _until_deadline(deployment: Object, known: Object, name: str) -> tuple[Object, float | None]:
    """Return the condition of a Deployment that does not move, and how long it still may."""
    if known["reason"] == "ProgressDeadlineExceeded":
        return known, None
    since = datetime.fromisoformat(known["lastUpdateTime"])
    left = deployment["spec"]["progressDeadlineSeconds"] - (datetime.now(UTC) - since).total_seconds()
    if left > 0:
        return known, left
    return _told(known, "False", "ProgressDeadlineExceeded", f"{name} has timed out progressing."), None


def _is_complete(deployment: Object, status: Object) -> bool:
    wanted = deployment["spec"]["replicas"]
    names = ("updatedReplicas", "replicas", "availableReplicas")
    return all(status.get(name, 0) == wanted for name in names)


def _is_rolled_out(status: Object) -> bool:
    """Return whether every pod is of the present template."""
    return bool(status.get("replicas", 0) == status.get("updatedReplicas", 0))


def _has_moved(before: Object, now: Object) -> bool:
    """Return whether pods were made, became ready, or ended."""
    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    old = before.get("replicas", 0) - before.get("updatedReplicas", 0)
    left = now.get("replicas", 0) - now.get("updatedReplicas", 0)
    return left < old or any(now.get(name, 0) > before.get(name, 0) for name in grown)


def _failure(sets: list[Object]) -> Object | None:
    for item in sets:
        for condition in (item.get("status") or {}).get("conditions") or []:
            if condition["type"] == "ReplicaFailure":
                return {key: condition[key] for key in ("type", "status", "reason", "message")}
    return None


def _told(known: Object | None, status: str, reason: str, message: str) -> Object:
    wanted = {"type": "Progressing", "status": status, "reason": reason, "message": message}
    return _changed(known, wanted)


def _changed(known: Object | None, wanted: Object) -> Object:
    """Return a condition with its times: of the last change of its status, and of anything in it."""
    now = timestamp()
    same = known is not None and all(known.get(key) == value for key, value in wanted.items())
    if known is not None and same:
        return dict(known)
    turned = known is None or known["status"] != wanted["status"]
    since = now if turned or known is None else known["lastTransitionTime"]
    head = {"type": wanted["type"], "status": wanted["status"], "lastUpdateTime": now}
    return {**head, "lastTransitionTime": since, "reason": wanted["reason"], "message": wanted["message"]}
