"""The roles and bindings that every cluster has, as far as callers meet them.

Roles: k8s.io/kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy.
"""

import uuid
from collections.abc import Iterator

from ..clock import timestamp
from ..objects import Object
from ..objects.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, Resource

_RBAC = "rbac.authorization.k8s.io"
_HEALTH = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*"]
_DISCOVERY += ["/readyz", "/version", "/version/"]
_ISSUER = ["/.well-known", "/.well-known/*"]
_REVIEWS = {
    "authorization.k8s.io": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    "authentication.k8s.io": ["selfsubjectreviews"],
}
_ALL_ACCOUNTS = "system:serviceaccounts"
_RULES: dict[str, list[Object]] = {
    "cluster-admin": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ],
    "system:basic-user": [
        {"verbs": ["create"], "apiGroups": [group], "resources": names} for group, names in _REVIEWS.items()
    ],
    "system:discovery": [{"verbs": ["get"], "nonResourceURLs": _DISCOVERY}],
    "system:public-info-viewer": [{"verbs": ["get"], "nonResourceURLs": _HEALTH}],
    "system:service-account-issuer-discovery": [{"verbs": ["get"], "nonResourceURLs": _ISSUER}],
}
_GROUPS = {"cluster-admin": "system:masters", "system:service-account-issuer-discovery": _ALL_ACCOUNTS}


def bootstrap_roles() -> Iterator[tuple[Resource, Object]]:
    """Yield the objects with their resources."""
    for name, rules in _RULES.items():
        yield CLUSTER_ROLES, {**_head("ClusterRole", name), "rules": rules}
        group = _GROUPS.get(name, "system:authenticated")
        reference = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
        subjects = [{"apiGroup": _RBAC, "kind": "Group", "name": group}]
        binding = {**_head("ClusterRoleBinding", name), "roleRef": reference, "subjects": subjects}
        yield CLUSTER_ROLE_BINDINGS, binding


def _head(kind: str, name: str) -> Object:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    metadata = {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": timestamp(), "labels": labels}
    return {"kind": kind, "apiVersion": f"{_RBAC}/v1", "metadata": metadata}
