"""Errors of the API, shaped as a real Kubernetes shapes its ``Status`` objects.

Every function returns an :class:`ApiError` to raise; one place in the server turns it into a response.
Wording and fields follow the recordings of a real cluster (k8s.io/apimachinery/pkg/api/errors).
"""

from dataclasses import dataclass

from . import Object
from .resources import Resource


class ApiError(Exception):
    """An error that the API answers.

    Args:
        code: HTTP status code.
        reason: CamelCase reason that clients switch on; may be empty.
        message: Sentence for people.
        details: ``details`` of the Status, if it has any.
        metadata: ``metadata`` of the Status, if it has any.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Object | None = None,
        *,
        metadata: Object | None = None,
    ) -> None:
        super().__init__(message)
        self.metadata = metadata or {}
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Object:
        """Return the ``Status`` object that is the body of the response."""
        body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata}
        body["status"] = "Failure"
        body["message"] = self.message
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


@dataclass(frozen=True, slots=True)
class Cause:
    """One violated rule of a 422: the field, the kind of violation, and what is wrong."""

    field: str
    reason: str
    message: str

    def as_detail(self) -> Object:
        """Return the entry for ``details.causes``."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


def success(resource: Resource, name: str, uid: str) -> Object:
    """Return the ``Status`` that answers the deletion of an object that is gone at once."""
    details = {**_details(resource, name), "uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def unauthorized() -> ApiError:
    """Return 401: the token is missing or unknown."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def not_found(resource: Resource, name: str) -> ApiError:
    """Return 404: there is no such object."""
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name))


def no_such_path() -> ApiError:
    """Return 404: there is no such resource or path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str, *, ends: bool = False) -> ApiError:
    """Return 409: the name is taken, or still taken by an object that ends."""
    message = f'{"object is being deleted: " if ends else ""}{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, why: str = "") -> ApiError:
    """Return 409: the object is not the version that the caller has seen.

    Args:
        why: What did not fit; by default, that the object has been modified.
    """
    modified = "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why or modified}'
    return ApiError(409, "Conflict", message, _details(resource, name))


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    """Return 403: refused for lack of a role, or by admission."""
    named = f' "{name}"' if name else ""
    message = f"{resource.qualified}{named} is forbidden: {why}"
    return ApiError(403, "Forbidden", message, _details(resource, name))


def invalid(resource: Resource, name: str, causes: list[Cause]) -> ApiError:
    """Return 422: the object breaks rules of its kind."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details: Object = {**({"name": name} if name else {}), "kind": resource.kind}
    if resource.group:
        details["group"] = resource.group
    details["causes"] = [cause.as_detail() for cause in causes]
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {_listed(causes)}', details)


def invalid_options(causes: list[Cause]) -> ApiError:
    """Return 422: the query of a list or a watch breaks rules."""
    details = {
        "group": "meta.k8s.io",
        "kind": "ListOptions",
        "causes": [cause.as_detail() for cause in causes],
    }
    return ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {_listed(causes)}', details)


def bad_request(message: str) -> ApiError:
    """Return 400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def method_not_allowed() -> ApiError:
    """Return 405: the resource has no such verb."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def unsupported_media_type(accepted: tuple[str, ...]) -> ApiError:
    """Return 415: the verb does not accept the format of the body."""
    problem = "the body of the request was in an unknown format - accepted media types include"
    return ApiError(415, "UnsupportedMediaType", f"{problem}: {', '.join(accepted)}")


def too_large(limit: int) -> ApiError:
    """Return 413: the body is longer than ``limit`` bytes."""
    message = f"Request entity too large: limit is {limit}"
    return ApiError(413, "RequestEntityTooLarge", message)


def expired(message: str, metadata: Object | None = None) -> ApiError:
    """Return 410: the resourceVersion or continue token is older than the kept history.

    Args:
        message: What is too old.
        metadata: Metadata of the Status, where it offers another token.
    """
    return ApiError(410, "Expired", message, metadata=metadata)


def internal(message: str) -> ApiError:
    """Return 500: a fault of the emulator itself; the message names no internals."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")


def _listed(causes: list[Cause]) -> str:
    listed = [f"{cause.field}: {cause.message}" for cause in causes]
    return listed[0] if len(listed) == 1 else "[" + ", ".join(listed) + "]"


def _details(resource: Resource, name: str) -> Object:
    details: Object = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.plural
    return details
