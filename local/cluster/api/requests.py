"""Reads what a request asks for: verb, resource, namespace, name, subresource (as in k8s RequestInfo)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import yaml
from aiohttp import web

from ..objects import Object
from ..objects.errors import bad_request, method_not_allowed, no_such_path, too_large, unsupported_media_type
from ..objects.fields import Pairs
from ..objects.protobuf import MEDIA_TYPE, UnsupportedKindError, decode_protobuf
from ..objects.resources import NAMESPACES, Resource, find_resource

MAX_BODY = 3 * 1024 * 1024
_MAX_DEPTH = 100
_JSON = "application/json"
_WRITABLE_TYPES = (_JSON, "application/yaml", MEDIA_TYPE)
APPLY_PATCH = "application/apply-patch+yaml"
PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    APPLY_PATCH,
)
_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A request for a resource.

    Attributes:
        verb: Kubernetes verb, as in RBAC rules.
        namespace: The namespace; empty for resources without a namespace, and for requests over all
            namespaces.
        name: Name of the object; empty for collections.
        subresource: ``status``, ``log``, ``exec``, ``scale``, ``token``, ``finalize`` or empty.
        query: Decoded query parameters.
        warnings: What the answer warns of; whoever serves the request adds to it.
    """

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    query: Mapping[str, str]
    warnings: list[str] = field(default_factory=list)

    @property
    def scope(self) -> str:
        """The namespace whose roles decide; for a request about a namespace, that namespace itself."""
        return self.name if self.resource is NAMESPACES else self.namespace


def parse_target(method: str, raw_path: str, query: Mapping[str, str]) -> Target:
    """Parse the request line of a request below ``/api`` or ``/apis``.

    Args:
        method: HTTP method.
        raw_path: The path as received. It stays percent-encoded, so that an encoded slash stays in its
            segment.
        query: Decoded query parameters.

    Raises:
        ApiError: 404 for paths that name no resource, 405 for methods that no resource has.
    """
    segments = [unquote(segment) for segment in raw_path.strip("/").split("/")]
    if segments[0] == "api" and len(segments) > 2:
        group, version, rest = "", segments[1], segments[2:]
    elif segments[0] == "apis" and len(segments) > 3:
        group, version, rest = segments[1], segments[2], segments[3:]
    else:
        raise no_such_path()
    if "" in rest:
        raise no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = find_resource(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise no_such_path()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    _check_subresource(resource, subresource)
    if name and resource.namespaced and not namespace:
        raise no_such_path()
    return Target(_verb(method, name, query), resource, namespace, name, subresource, query)


def _check_subresource(resource: Resource, subresource: str) -> None:
    known = {"status"} if resource.status else set()
    known |= {name for name, _, _ in resource.connects}
    if subresource and subresource not in known:
        raise no_such_path()


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    verb = _VERBS.get(method)
    if verb is None:
        raise method_not_allowed()
    if verb == "get" and flag(query, "watch"):
        return "watch"
    if verb == "get" and not name:
        return "list"
    if verb == "delete" and not name:
        return "deletecollection"
    return verb


def needed_verbs(target: Target) -> tuple[str, ...]:
    """Return the verbs that the caller needs for a request.

    From Kubernetes 1.35 on an exec that begins with GET, as WebSockets do, needs ``create`` besides
    (https://github.com/kubernetes/kubernetes/pull/134577).
    """
    if target.subresource == "exec" and target.verb == "get":
        return ("get", "create")
    return (target.verb,)


def flag(query: Mapping[str, str], name: str) -> bool:
    """Return a boolean query parameter; Go's ``strconv.ParseBool`` decides what is true."""
    return query.get(name, "") in ("1", "t", "T", "true", "TRUE", "True")


def number(query: Mapping[str, str], name: str) -> int | None:
    """Return a non-negative integer parameter, or None if it is absent.

    Raises:
        ApiError: 400 when the parameter is something else.
    """
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


async def read_body(request: web.Request) -> bytes:
    """Return the body.

    Raises:
        ApiError: 413 when the body is longer than :data:`MAX_BODY`.
    """
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large(MAX_BODY) from None


async def read_object(request: web.Request, resource: Resource | None = None) -> Object:
    """Return the object in the body.

    Args:
        resource: The resource that the object must be of, or None. Missing ``kind`` and ``apiVersion`` are
            filled in.

    Raises:
        ApiError: 415 for a format that is not accepted, 400 for a body that does not parse or is of another
            kind.
    """
    body = await read_body(request)
    # The API server takes a body without a declared type as JSON; the official client sends such bodies.
    content_type = (request.headers.get("Content-Type") or _JSON).partition(";")[0].strip().lower()
    if content_type not in _WRITABLE_TYPES or not body:
        raise unsupported_media_type(_WRITABLE_TYPES)
    parsed = decode(body, content_type)
    if not isinstance(parsed, dict):
        raise bad_request("the body of the request is not an object")
    if resource is not None:
        _check_kind(resource, parsed)
    return parsed


async def read_patch(request: web.Request) -> tuple[str, Any]:
    """Return the format and the decoded body of a patch.

    Raises:
        ApiError: 415 for a format that is not accepted, 400 for a body that does not parse.
    """
    content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type not in PATCH_TYPES:
        raise unsupported_media_type(PATCH_TYPES)
    return content_type, decode(await read_body(request), content_type)


def decode(body: bytes, content_type: str = _JSON) -> Any:
    """Parse JSON, or YAML or protobuf when the content type says so.

    Raises:
        ApiError: 400 when the body does not parse, 415 for a kind that is not accepted as protobuf.
    """
    try:
        if content_type == MEDIA_TYPE:
            return _plain(decode_protobuf(body))
        if content_type.endswith("yaml"):
            loaded = yaml.load(body, _PlainLoader)  # noqa: S506 - a narrower SafeLoader
            return _plain(json.loads(json.dumps(loaded)))
        return _plain(json.loads(body, object_pairs_hook=Pairs))
    except UnsupportedKindError:
        raise unsupported_media_type((_JSON, "application/yaml")) from None
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise bad_request(f"the object provided is unrecognized: {type(error).__name__}") from error


class _PlainLoader(yaml.SafeLoader):
    """Loads YAML without aliases, by which a short text could grow without bound."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken")
        return super().compose_node(parent, index)


def _plain(value: Any) -> Any:
    """Return a value, unless it cannot be written as JSON in UTF-8, or is nested too deep to walk."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [item for outer in level if isinstance(outer, dict | list) for item in _items(outer)]
        if not level:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
            return value
    raise ValueError("nested too deep")


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _check_kind(resource: Resource, body: Object) -> None:
    kind, version = (
        body.setdefault("kind", resource.kind),
        body.setdefault("apiVersion", resource.api_version),
    )
    if kind != resource.kind or version != resource.api_version:
        raise bad_request(
            f'{kind} in version "{version}" cannot be handled as a {resource.kind}: '
            f'no kind "{kind}" is registered for version "{version}" in scheme "local cluster"'
        )
