"""Keeps callers from granting more than they hold: RBAC's ``escalate`` and ``bind``.

Rules: k8s.io/kubernetes, pkg/registry/rbac and pkg/registry/rbac/validation.
"""

from collections.abc import Iterator
from itertools import product

from ..objects import Object
from ..objects.errors import forbidden, not_found
from ..objects.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Resource
from ..store import Store
from .access import Attributes, Authorizer, User, role_of
from .requests import Target

_ROLES = (ROLES, CLUSTER_ROLES)
_BINDINGS = (ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS)
# One permission: group, resource, name (empty for every name), verb. A path has no group.
_Permission = tuple[str | None, str, str, str]


class Grants:
    """Checks new and changed roles and bindings.

    Args:
        store: Holds the roles.
        authorizer: Knows what callers hold.
    """

    def __init__(self, store: Store, authorizer: Authorizer) -> None:
        self._store = store
        self._authorizer = authorizer

    def check(self, user: User, target: Target, body: Object) -> None:
        """Refuse a role or a binding that grants what the caller does not hold.

        Args:
            user: The caller.
            target: The request.
            body: The role or the binding as it would be stored; any other object passes.

        Raises:
            ApiError: 403, or 404 for a binding of a role that there is not.
        """
        name = body["metadata"].get("name", "")
        if target.resource in _ROLES:
            if not self._may(user, "escalate", target.resource, target.namespace, name):
                self._check_rules(user, target, name, body.get("rules") or [])
        elif target.resource in _BINDINGS:
            reference = body.get("roleRef") or {}
            resource = ROLES if reference.get("kind") == "Role" else CLUSTER_ROLES
            role_name = reference.get("name", "")
            if self._may(user, "bind", resource, target.namespace, role_name):
                return
            role = role_of(self._store, reference, target.namespace)
            if role is None:
                raise not_found(target.resource, role_name)
            self._check_rules(user, target, name, role.get("rules") or [])

    def _may(self, user: User, verb: str, resource: Resource, namespace: str, name: str) -> bool:
        wanted = Attributes(verb, resource.group, resource.plural, "", namespace, name)
        return self._authorizer.decide(user, wanted).allowed

    def _check_rules(self, user: User, target: Target, name: str, rules: list[Object]) -> None:
        held = self._authorizer.held(user, target.namespace)
        missing = [
            permission
            for rule in rules
            for permission in _permissions(rule)
            if not any(_covers(own, permission) for own in held)
        ]
        if missing:
            groups = _quoted(user.info["groups"])
            listed = "\n".join(_compacted(missing))
            why = (
                f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions '
                f"not currently held:\n{listed}"
            )
            errors = self._authorizer.unresolved(user, target.namespace)
            why += f"; resolution errors: [{', '.join(errors)}]" if errors else ""
            raise forbidden(target.resource, name, why)


def _permissions(rule: Object) -> Iterator[_Permission]:
    """Yield the single permissions of which a rule consists."""
    verbs, names = rule.get("verbs") or [], rule.get("resourceNames") or [""]
    for path, verb in product(rule.get("nonResourceURLs") or [], verbs):
        yield None, path, "", verb
    yield from product(rule.get("apiGroups") or [], rule.get("resources") or [], names, verbs)


def _covers(own: Object, wanted: _Permission) -> bool:
    group, resource, name, verb = wanted
    if not _has(own.get("verbs"), verb):
        return False
    if group is None:
        paths = own.get("nonResourceURLs") or []
        return any(
            path in ("*", resource) or (path.endswith("*") and resource.startswith(path[:-1]))
            for path in paths
        )
    names = own.get("resourceNames") or []
    _, slash, subresource = resource.partition("/")
    return (
        _has(own.get("apiGroups"), group)
        and (_has(own.get("resources"), resource) or bool(slash and f"*/{subresource}" in own["resources"]))
        and (not names or name in names)
    )


def _has(values: list[str] | None, wanted: str) -> bool:
    return "*" in (values or ()) or wanted in (values or ())


def _compacted(missing: list[_Permission]) -> list[str]:
    """Return the permissions as a real API server lists them, the verbs of one resource together."""
    verbs: dict[tuple[str | None, str, str], list[str]] = {}
    for group, resource, name, verb in missing:
        known = verbs.setdefault((group, resource, name), [])
        known += [verb] if verb not in known else []
    return sorted(_shown(*key, listed) for key, listed in verbs.items())


def _shown(group: str | None, resource: str, name: str, verbs: list[str]) -> str:
    fields = {"NonResourceURLs": [resource]} if group is None else {"APIGroups": [group]}
    if group is not None:
        fields |= {"Resources": [resource], **({"ResourceNames": [name]} if name else {})}
    fields["Verbs"] = verbs
    shown = ", ".join(f"{field}:[{_quoted(values)}]" for field, values in fields.items())
    return f"{{{shown}}}"


def _quoted(values: list[str]) -> str:
    return " ".join(f'"{value}"' for value in values)
