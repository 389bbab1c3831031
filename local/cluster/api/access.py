"""Decides who calls, and what callers may do: bearer tokens and role-based access control.

Rules: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ..objects import Object
from ..objects.errors import ApiError, forbidden, not_found
from ..objects.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Resource
from ..store import Store

_MASTERS = "system:masters"
_AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    """A caller: a name, the groups besides ``system:authenticated``, and what a token says besides."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, str], ...] = ()

    @property
    def info(self) -> Object:
        """Return the ``userInfo`` of reviews."""
        info: Object = {"username": self.name, **({"uid": self.uid} if self.uid else {})}
        info["groups"] = [*self.groups, _AUTHENTICATED]
        return {**info, "extra": {key: [value] for key, value in self.extra}} if self.extra else info


ADMIN = User("admin", (_MASTERS,))


class Authenticator:
    """Recognizes users by their tokens.

    Args:
        users: User by token.
        accounts: Returns the service account of a token that is none of these, or None.
    """

    def __init__(self, users: Mapping[str, User], accounts: Callable[[str], User | None]) -> None:
        self._users = {token.encode(): user for token, user in users.items()}
        self._accounts = accounts

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
        return found or self._accounts(token.strip())


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

    def held(self, user: User, namespace: str) -> list[Object]:
        """Return the rules that hold for a user in a namespace, or cluster-wide if it is empty."""
        return [rule for rule, _ in self._rules(user, namespace)]

    def unresolved(self, user: User, namespace: str) -> list[str]:
        """Return what is wrong with the bindings of a user: that they name roles that there are not."""
        return [
            not_found(resource, binding["roleRef"]["name"]).message
            for resource, binding in self._bindings(namespace)
            if _subject_of(user, binding) is not None
            and role_of(self._store, binding["roleRef"], namespace) is None
        ]

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
        for resource, binding in self._bindings(namespace):
            subject = _subject_of(user, binding)
            if subject is None:
                continue
            reference = binding.get("roleRef") or {}
            where = f"/{namespace}" if resource is ROLE_BINDINGS else ""
            whom = f'{subject["kind"]} "{subject["name"]}"'
            which = f'{reference.get("kind")} "{reference.get("name")}"'
            name = binding["metadata"]["name"]
            reason = f'RBAC: allowed by {resource.kind} "{name}{where}" of {which} to {whom}'
            role = role_of(self._store, reference, namespace)
            for rule in (role or {}).get("rules") or []:
                yield rule, reason

    def _bindings(self, namespace: str) -> Iterator[tuple[Resource, Object]]:
        for binding in self._store.items(CLUSTER_ROLE_BINDINGS):
            yield CLUSTER_ROLE_BINDINGS, binding
        for binding in self._store.items(ROLE_BINDINGS, namespace) if namespace else ():
            yield ROLE_BINDINGS, binding


def role_of(store: Store, reference: Object, namespace: str) -> Object | None:
    """Return the role that a binding names, or None if there is no such role.

    Args:
        store: Holds the roles.
        reference: The ``roleRef`` of the binding.
        namespace: The namespace of the binding.
    """
    local = reference.get("kind") == "Role"
    return store.get(ROLES if local else CLUSTER_ROLES, namespace if local else "", reference.get("name", ""))


def _subject_of(user: User, binding: Object) -> Object | None:
    return next((item for item in binding.get("subjects") or [] if _is_subject(user, item)), None)


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
