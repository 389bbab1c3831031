"""Decides who calls, and what callers may do: bearer tokens and role-based access control.

Rules: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ..objects import Object
from ..objects.errors import ApiError, forbidden
from ..objects.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Resource
from ..store import Store

_MASTERS = "system:masters"
_AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    """A caller: a name, and the groups besides ``system:authenticated``."""

    name: str
    groups: tuple[str, ...] = ()

    @property
    def info(self) -> Object:
        """Return the ``userInfo`` of reviews."""
        return {"username": self.name, "groups": [*self.groups, _AUTHENTICATED]}


ADMIN = User("admin", (_MASTERS,))


class Authenticator:
    """Recognizes users by their tokens.

    Args:
        users: User by token.
    """

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = {token.encode(): user for token, user in users.items()}

    def user(self, authorization: str) -> User | None:
        """Return the user that an ``Authorization`` header proves, or None."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        given = token.strip().encode(errors="surrogateescape")
        found = None
        for known, user in self._users.items():
            # Every token is compared, each in constant time, so that the time taken tells nothing about the
            # tokens.
            if hmac.compare_digest(known, given):
                found = user
        return found


@dataclass(frozen=True, slots=True)
class Attributes:
    """A request that a user wants to make."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request is allowed, and which binding allows it."""

    allowed: bool
    reason: str = ""


Observer: TypeAlias = Callable[[User, Attributes, bool], None]
"""Is called with the user, the request, and whether it was allowed."""


class Authorizer:
    """Evaluates the roles and bindings in the store.

    Args:
        store: Holds the roles and bindings.
        observer: Called for every request that is checked.
    """

    def __init__(self, store: Store, observer: Observer | None = None) -> None:
        self._store = store
        self._observer = observer

    def decide(self, user: User, wanted: Attributes) -> Decision:
        """Return whether the user may make the request."""
        if _MASTERS in user.groups:
            return Decision(True)
        for rule, reason in self._rules(user, wanted.namespace):
            if _rule_allows(rule, wanted):
                return Decision(True, reason)
        return Decision(False)

    def rules(self, user: User, namespace: str) -> list[Object]:
        """Return the rules that hold for a user in a namespace."""
        if _MASTERS in user.groups:
            return [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        return [rule for rule, _ in self._rules(user, namespace)]

    def check(self, user: User, resource: Resource, wanted: Attributes) -> None:
        """Refuse a request that the user may not make.

        Raises:
            ApiError: 403 in the words of a real API server.
        """
        allowed = self.decide(user, wanted).allowed
        if self._observer is not None:
            self._observer(user, wanted, allowed)
        if not allowed:
            raise denial(user, resource, wanted)

    def _rules(self, user: User, namespace: str) -> Iterator[tuple[Object, str]]:
        for binding in self._store.items(CLUSTER_ROLE_BINDINGS):
            yield from self._bound(user, binding, "", "ClusterRoleBinding")
        if namespace:
            for binding in self._store.items(ROLE_BINDINGS, namespace):
                yield from self._bound(user, binding, namespace, "RoleBinding")

    def _bound(self, user: User, binding: Object, namespace: str, kind: str) -> Iterator[tuple[Object, str]]:
        subject = next((item for item in binding.get("subjects") or [] if _is_subject(user, item)), None)
        if subject is None:
            return
        reference = binding.get("roleRef") or {}
        local = reference.get("kind") == "Role"
        role = self._store.get(
            ROLES if local else CLUSTER_ROLES, namespace if local else "", reference.get("name", "")
        )
        where = f"/{namespace}" if namespace else ""
        whom = f'{subject["kind"]} "{subject["name"]}"'
        which = f'{reference.get("kind")} "{reference.get("name")}"'
        reason = f'RBAC: allowed by {kind} "{binding["metadata"]["name"]}{where}" of {which} to {whom}'
        for rule in (role or {}).get("rules") or []:
            yield rule, reason


def denial(user: User, resource: Resource, wanted: Attributes) -> ApiError:
    """Return the 403 for a request that is not allowed."""
    named = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {wanted.verb} resource "{named}" in API group "{wanted.group}" {where}'
    return forbidden(resource, wanted.name, why)


def _is_subject(user: User, subject: Object) -> bool:
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "User":
        return name == user.name
    if kind == "Group":
        return name in (*user.groups, _AUTHENTICATED)
    return (
        kind == "ServiceAccount" and user.name == f"system:serviceaccount:{subject.get('namespace')}:{name}"
    )


def _rule_allows(rule: Object, wanted: Attributes) -> bool:
    resource = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
    resources = rule.get("resources") or []
    return (
        _listed(rule.get("verbs"), wanted.verb)
        and _listed(rule.get("apiGroups"), wanted.group)
        and (
            _listed(resources, resource)
            or bool(wanted.subresource and f"*/{wanted.subresource}" in resources)
        )
        and (not rule.get("resourceNames") or wanted.name in rule["resourceNames"])
    )


def _listed(values: list[str] | None, wanted: str) -> bool:
    return "*" in (values or ()) or wanted in (values or ())
