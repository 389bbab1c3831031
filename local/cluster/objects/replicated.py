"""Rules of the objects that keep copies of a pod: Deployments, and the ReplicaSets that they make.

Rules: k8s.io/kubernetes, pkg/apis/apps/validation and pkg/controller/deployment/util.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from . import Object
from .causes import invalid_value, required, unsupported
from .errors import Cause

_STRATEGIES = ("Recreate", "RollingUpdate")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_PERCENT = re.compile(r"[0-9]{1,9}%")
_MOST = 2**31 - 1


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Return whether a ``LabelSelector`` selects an object with these labels; an empty one selects all."""
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    return all(_holds(requirement, labels) for requirement in selector.get("matchExpressions") or [])


def _holds(requirement: Object, labels: Mapping[str, str]) -> bool:
    key, operator, values = requirement["key"], requirement["operator"], requirement.get("values") or []
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) is (operator == "Exists")


def selector_text(selector: Object) -> str:
    """Return a selector as the text that a list takes, which is the ``status.selector`` of a Scale."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for requirement in selector.get("matchExpressions") or []:
        key, values = requirement["key"], ",".join(sorted(requirement.get("values") or []))
        shown = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(shown.get(requirement["operator"], f"!{key}"))
    return ",".join(sorted(parts))


def rolling_bounds(spec: Object) -> tuple[int, int]:
    """Return how many pods a rolling update may have too many, and how many too few.

    Args:
        spec: The spec of a Deployment, with its defaults.
    """
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", 0), spec["replicas"], up=True)
    unavailable = _share(rolling.get("maxUnavailable", 0), spec["replicas"], up=False)
    # A rolling update that may neither add nor remove a pod would never end.
    return surge, unavailable if surge or unavailable else 1


def _share(value: Any, replicas: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    exact = int(str(value).removesuffix("%")) * replicas / 100
    return math.ceil(exact) if up else math.floor(exact)


def replica_causes(spec: Object) -> list[Cause]:
    """Return the broken rules of a Deployment's or a ReplicaSet's spec, apart from those of its pods."""
    causes: list[Cause] = []
    if spec["replicas"] < 0:
        causes.append(invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
    selector = spec.get("selector") or {}
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    faults = _selector_causes(selector)
    if faults or not selector:
        causes += faults or [required("spec.selector")]
    elif not selects(selector, labels):
        why = "`selector` does not match template `labels`"
        causes.append(invalid_value("spec.template.metadata.labels", labels, why))
    policy = spec["template"]["spec"]["restartPolicy"]
    if policy in ("OnFailure", "Never"):
        causes.append(unsupported("spec.template.spec.restartPolicy", policy, ("Always",)))
    return causes + (_strategy_causes(spec["strategy"]) if "strategy" in spec else [])


def _selector_causes(selector: Object) -> list[Cause]:
    causes = []
    for index, requirement in enumerate(selector.get("matchExpressions") or []):
        field = f"spec.selector.matchExpressions[{index}]"
        if not requirement.get("key"):
            causes.append(required(f"{field}.key"))
        if requirement.get("operator") not in _OPERATORS:
            why = "not a valid selector operator"
            causes.append(invalid_value(f"{field}.operator", requirement.get("operator", ""), why))
    return causes


def _strategy_causes(strategy: Object) -> list[Cause]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind not in _STRATEGIES:
        return [unsupported("spec.strategy.type", kind, _STRATEGIES)]
    if kind == "Recreate":
        why = "Forbidden: may not be specified when strategy `type` is 'Recreate'"
        field = "spec.strategy.rollingUpdate"
        return [Cause(field, "FieldValueForbidden", why)] if rolling is not None else []
    why = "a valid percent string must be a numeric string followed by an ending '%'"
    return [
        invalid_value(f"spec.strategy.rollingUpdate.{field}", value, why)
        for field, value in (rolling or {}).items()
        if not _is_share(value)
    ]


def _is_share(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return 0 <= value <= _MOST
    return isinstance(value, str) and bool(_PERCENT.fullmatch(value))
