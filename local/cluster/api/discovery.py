"""Serves discovery, the version, and as much OpenAPI as kubectl needs to validate and explain."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from ..objects import Object
from ..objects.errors import no_such_path
from ..objects.resources import GROUPS, RESOURCES, SCALES, TOKEN_REQUESTS, Resource

GIT_VERSION = "v1.36.2-gamgui"
_PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_HEALTH = ("healthz", "livez", "readyz")

# The groups of what subresources take and give, where these are other groups than the resource's.
_FOREIGN = {
    resource.kind: {"group": resource.group, "version": resource.version}
    for resource in (SCALES, TOKEN_REQUESTS)
}

PUBLIC_PATHS = frozenset((*_HEALTH, "version"))


def answer(request: web.Request, path: str) -> web.Response:
    """Answer a request about the API itself, which concerns no object.

    Args:
        request: The request.
        path: The path of the request without slashes at the ends.

    Raises:
        ApiError: 404 if there is no such document.
    """
    if path.partition("/")[0] in _HEALTH:
        return web.Response(text="ok")
    if path == "openapi/v2" and "protobuf" in request.headers.get("Accept", ""):
        # An empty protobuf message is a valid, empty document.
        return web.Response(body=b"", content_type=_PROTOBUF_V2)
    document = _DOCUMENTS.get(path)
    if document is None:
        raise no_such_path()
    body = document()
    if path == "api":
        body["serverAddressByClientCIDRs"] = [{"clientCIDR": "0.0.0.0/0", "serverAddress": request.host}]
    return web.json_response(body)


def _root() -> Object:
    return {"paths": ["/api", "/api/v1", "/apis", *(f"/{name}" for name in _HEALTH), "/version"]}


def _groups() -> Object:
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in GROUPS if name]}


def _openapi_paths() -> Object:
    return {
        "paths": {
            _gv_path(group): {"serverRelativeURL": f"/openapi/v3/{_gv_path(group)}"} for group in GROUPS
        }
    }


def _version() -> Object:
    return {
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "local/emulator",
    }


def _group(name: str) -> Object:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resource_list(group: str) -> Object:
    resources: list[Object] = []
    for resource in _of_group(group):
        resources.append(_entry(resource))
        subresources = [(name, kind, verbs) for name, kind, verbs in resource.connects]
        if resource.status:
            subresources.append(("status", resource.kind, ("get", "patch", "update")))
        for name, kind, verbs in sorted(subresources):
            resources.append(
                {
                    "name": f"{resource.plural}/{name}",
                    "singularName": "",
                    "namespaced": resource.namespaced,
                    **_FOREIGN.get(kind, {}),
                    "kind": kind,
                    "verbs": list(verbs),
                }
            )
    version = f"{group}/v1" if group else "v1"
    body = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
    return {**body, "apiVersion": "v1"} if group else body


def _entry(resource: Resource) -> Object:
    entry: Object = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _of_group(group: str) -> list[Resource]:
    return [resource for resource in RESOURCES if resource.group == group]


def _gv_path(group: str) -> str:
    return f"apis/{group}/v1" if group else "api/v1"


def _openapi_v2() -> Object:
    return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": GIT_VERSION}, "paths": {}}


def _openapi_v3(group: str) -> Object:
    """Return a minimal document: it says which kinds there are, and that the server validates fields.

    kubectl leaves validation to the server if a kind's PATCH has the ``fieldValidation`` parameter.
    """
    paths: Object = {}
    schemas: Object = {}
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation", "force")
    ]
    for resource in _of_group(group):
        gvk = {"group": group, "kind": resource.kind, "version": resource.version}
        where = "namespaces/{namespace}/" if resource.namespaced else ""
        path = f"/{_gv_path(group)}/{where}{resource.plural}/{{name}}"
        schema = _schema_name(resource)
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
        operation: Object = {
            "description": f"partially update the specified {resource.kind}",
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": gvk,
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": content}},
        }
        paths[path] = {
            "patch": operation,
            "get": {**operation, "x-kubernetes-action": "get", "parameters": []},
        }
        schemas[schema] = {
            "type": "object",
            "description": f"{resource.kind}, described in the Kubernetes API reference.",
            "properties": {name: {"type": kind} for name, kind in _properties(resource)},
            "x-kubernetes-group-version-kind": [gvk],
        }
    info = {"title": "Kubernetes", "version": GIT_VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _schema_name(resource: Resource) -> str:
    package = resource.group.partition(".")[0] or "core"
    return f"io.k8s.api.{package}.v1.{resource.kind}"


def _properties(resource: Resource) -> list[tuple[str, Any]]:
    fields = [("apiVersion", "string"), ("kind", "string"), ("metadata", "object")]
    return [*fields, ("spec", "object"), ("status", "object")] if resource.status else fields


_DOCUMENTS: Mapping[str, Callable[[], Object]] = {
    "": _root,
    "version": _version,
    "api": lambda: {"kind": "APIVersions", "versions": ["v1"]},
    "apis": _groups,
    "openapi/v2": _openapi_v2,
    "openapi/v3": _openapi_paths,
    **{_gv_path(group): partial(_resource_list, group) for group in GROUPS},
    **{f"openapi/v3/{_gv_path(group)}": partial(_openapi_v3, group) for group in GROUPS},
    **{
        f"apis/{group}": partial(lambda name: {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}, group)
        for group in GROUPS
        if group
    },
}
