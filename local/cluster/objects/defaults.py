"""Defaults that the API server fills in, as the recordings show them."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from . import Object
from .resources import Resource

_NOT_READY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_PROBES = ("readinessProbe", "livenessProbe", "startupProbe")
_PROBE_DEFAULTS = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_RBAC_GROUP = "rbac.authorization.k8s.io"


def apply_defaults(resource: Resource, body: Object) -> Object:
    """Return the object with its defaults.

    Args:
        resource: What the object is.
        body: A checked body (:func:`~.shapes.check_shape`); it is changed in place.
    """
    defaulter = _BY_KIND.get(resource.kind)
    if defaulter is not None:
        defaulter(body)
    return body


def qos_class(spec: Object) -> str:
    """Return the quality-of-service class of a pod: Guaranteed, Burstable or BestEffort."""
    resources = [container.get("resources") or {} for container in _containers(spec)]
    if not any(part.get("requests") or part.get("limits") for part in resources):
        return "BestEffort"
    for part in resources:
        limits, requests = part.get("limits") or {}, part.get("requests") or {}
        if any(key not in limits or limits[key] != requests.get(key) for key in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def _containers(spec: Object) -> list[Object]:
    return [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]


def _pod(body: Object) -> None:
    spec = body.setdefault("spec", {})
    _pod_spec(spec)
    spec.setdefault("serviceAccountName", spec.get("serviceAccount") or "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    tolerations = spec.setdefault("tolerations", [])
    for key in _NOT_READY:
        if not any(item.get("key") == key for item in tolerations):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            )
    spec.setdefault("priority", 0)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _pod_spec(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    for container in _containers(spec):
        _container(container)
    for volume in spec.get("volumes") or []:
        if not any(key != "name" for key in volume):
            volume["emptyDir"] = {}
        for source in ("secret", "configMap"):
            if volume.get(source) is not None:
                volume[source].setdefault("defaultMode", 0o644)


def _container(container: Object) -> None:
    resources = container.setdefault("resources", {})
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    image = container.get("image", "")
    tag = image.rsplit("/", 1)[-1].partition("@")[0].partition(":")[2]
    floating = "@" not in image and tag in ("", "latest")
    container.setdefault("imagePullPolicy", "Always" if floating else "IfNotPresent")
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for probe in _PROBES:
        if container.get(probe) is not None:
            container[probe] = {**_PROBE_DEFAULTS, **container[probe]}
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        if "fieldRef" in source:
            source["fieldRef"].setdefault("apiVersion", "v1")


def _pod_template(body: Object) -> None:
    _pod_spec(body.setdefault("template", {}).setdefault("spec", {}))


def _replica_set(body: Object) -> None:
    spec = body.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))
    body.setdefault("status", {})


def _deployment(body: Object) -> None:
    _replica_set(body)
    spec = body["spec"]
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
        strategy["rollingUpdate"] = {**rolling, **(strategy.get("rollingUpdate") or {})}
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def _event(body: Object) -> None:
    for field in ("firstTimestamp", "lastTimestamp", "eventTime"):
        body.setdefault(field, None)
    body.setdefault("source", {})
    for field in ("reportingComponent", "reportingInstance"):
        body.setdefault(field, "")


def _secret(body: Object) -> None:
    given = body.pop("stringData", None) or {}
    if given:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in given.items()}
        body["data"] = {**(body.get("data") or {}), **encoded}
    body.setdefault("type", "Opaque")


def _service(body: Object) -> None:
    spec = body.setdefault("spec", {})
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    body.setdefault("status", {"loadBalancer": {}})


def _namespace(body: Object) -> None:
    metadata = body["metadata"]
    metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    body["spec"] = {"finalizers": ["kubernetes"]}
    body.setdefault("status", {"phase": "Active"})


def _binding(body: Object) -> None:
    (body.get("roleRef") or {}).setdefault("apiGroup", _RBAC_GROUP)
    for subject in body.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", _RBAC_GROUP)


def _network_policy(body: Object) -> None:
    spec = body.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    spec.setdefault("policyTypes", ["Ingress", *(["Egress"] if spec.get("egress") else [])])


def _priority_class(body: Object) -> None:
    body.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _empty_status(body: Object) -> None:
    body.setdefault("status", {})


_BY_KIND: Mapping[str, Callable[[Any], None]] = {
    "Pod": _pod,
    "PodTemplate": _pod_template,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "Event": _event,
    "Secret": _secret,
    "Service": _service,
    "Namespace": _namespace,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "NetworkPolicy": _network_policy,
    "PriorityClass": _priority_class,
    "ResourceQuota": _empty_status,
}
