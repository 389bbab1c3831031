"""Admission: namespaces, service accounts, pod security and quotas, in the order of a real API server."""

from collections.abc import Mapping
from decimal import Decimal

from ..objects import Object
from ..objects.errors import ApiError, forbidden, not_found
from ..objects.podsecurity import restricted_violations
from ..objects.quantities import format_quantity, parse_quantity, total_requests
from ..objects.resources import NAMESPACES, PODS, RESOURCE_QUOTAS, SERVICE_ACCOUNTS, Resource
from ..store import Store
from .requests import Target

_ENFORCE = "pod-security.kubernetes.io/enforce"
_LEVELS = ("baseline", "restricted")


def admit_namespace(store: Store, target: Target, name: str) -> None:
    """Refuse to create objects in a namespace that is missing or is being deleted.

    Args:
        store: The store.
        target: The request.
        name: Name of the new object, or empty if it is still to be generated.

    Raises:
        ApiError: 404 or 403.
    """
    if not target.resource.namespaced:
        return
    namespace = store.get(NAMESPACES, "", target.namespace)
    if namespace is None:
        raise not_found(NAMESPACES, target.namespace)
    if namespace["status"]["phase"] == "Terminating":
        why = f"unable to create new content in namespace {target.namespace} because it is being terminated"
        error = forbidden(target.resource, name, why)
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {target.namespace} is being terminated",
            "field": "metadata.namespace",
        }
        raise ApiError(403, "Forbidden", error.message, {**(error.details or {}), "causes": [cause]})


def admit(store: Store, resource: Resource, body: Object) -> None:
    """Refuse a new object that a policy of its namespace forbids.

    Raises:
        ApiError: 403.
    """
    if resource is PODS:
        _admit_service_account(store, body)
        _admit_security(store, body)
    if resource.namespaced and resource is not RESOURCE_QUOTAS:
        _admit_quota(store, resource, body)


def _admit_service_account(store: Store, pod: Object) -> None:
    namespace, name = pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"]
    if store.get(SERVICE_ACCOUNTS, namespace, name) is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(PODS, pod["metadata"]["name"], why)


def _admit_security(store: Store, pod: Object) -> None:
    namespace = store.get(NAMESPACES, "", pod["metadata"]["namespace"]) or {"metadata": {}}
    labels: Mapping[str, str] = namespace["metadata"].get("labels") or {}
    level = labels.get(_ENFORCE, "privileged")
    if level not in _LEVELS:
        return
    violations = restricted_violations(pod["spec"], baseline_only=level == "baseline")
    if violations:
        version = labels.get(f"{_ENFORCE}-version", "latest")
        why = f'violates PodSecurity "{level}:{version}": {", ".join(violations)}'
        raise forbidden(PODS, pod["metadata"]["name"], why)


def _admit_quota(store: Store, resource: Resource, body: Object) -> None:
    metadata = body["metadata"]
    for quota in store.items(RESOURCE_QUOTAS, metadata["namespace"]):
        hard: Mapping[str, str] = (quota.get("spec") or {}).get("hard") or {}
        asked = usage(resource, body)
        limited = [key for key in sorted(hard) if quota_key(key) in _governed(resource)]
        unset = [key for key in limited if quota_key(key) not in asked]
        if unset:
            # If a quota limits a compute resource, every pod has to say how much of the resource it wants.
            names = [container["name"] for container in body["spec"]["containers"]]
            missing = "; ".join(f"{key} for: {','.join(names)}" for key in unset)
            raise forbidden(
                resource,
                metadata["name"],
                f"failed quota: {quota['metadata']['name']}: must specify {missing}",
            )
        used = {key: quota_usage(store, metadata["namespace"], quota_key(key)) for key in limited}
        over = [key for key in limited if used[key] + asked[quota_key(key)] > parse_quantity(hard[key])]
        if over:
            requested = ",".join(f"{key}={format_quantity(asked[quota_key(key)], hard[key])}" for key in over)
            taken = ",".join(f"{key}={format_quantity(used[key], hard[key])}" for key in over)
            limits = ",".join(f"{key}={hard[key]}" for key in over)
            name = quota["metadata"]["name"]
            why = f"exceeded quota: {name}, requested: {requested}, used: {taken}, limited: {limits}"
            raise forbidden(resource, metadata["name"], why)


def quota_key(key: str) -> str:
    """Return the full name of a quota's key: ``cpu`` alone means ``requests.cpu``."""
    return f"requests.{key}" if key in ("cpu", "memory", "ephemeral-storage") else key


def _governed(resource: Resource) -> tuple[str, ...]:
    if resource is PODS:
        kinds = ("cpu", "memory", "ephemeral-storage")
        compute = tuple(f"{part}.{kind}" for part in ("requests", "limits") for kind in kinds)
        return ("pods", "count/pods", *compute)
    plain = () if resource.group else (resource.plural,)
    return (*plain, f"count/{resource.qualified}")


def usage(resource: Resource, body: Object) -> dict[str, Decimal]:
    """Return how much one object counts against quotas, by canonical name of the quota's key."""
    counted = {resource.plural: Decimal(1), f"count/{resource.qualified}": Decimal(1)}
    if resource is not PODS:
        return counted
    spec = body["spec"]
    limits = {"containers": [_with_requests(item) for item in spec["containers"]]}
    limits["initContainers"] = [_with_requests(item) for item in spec.get("initContainers") or []]
    counted |= {f"requests.{key}": amount for key, amount in total_requests(spec).items()}
    return counted | {f"limits.{key}": amount for key, amount in total_requests(limits).items()}


def _with_requests(container: Object) -> Object:
    return {"resources": {"requests": container["resources"].get("limits") or {}}}


def quota_usage(store: Store, namespace: str, key: str) -> Decimal:
    """Return how much of a quota's key is used in a namespace; finished pods do not count."""
    total = Decimal(0)
    for resource in store.resources():
        if not resource.namespaced or key not in _governed(resource):
            continue
        for item in store.items(resource, namespace):
            if resource is PODS and item["status"]["phase"] in ("Succeeded", "Failed"):
                continue
            total += usage(resource, item).get(key, Decimal(0))
    return total
