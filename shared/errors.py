"""Everything that this project raises on purpose, in one hierarchy.

    GamguiError
    ├── InvalidRequest            400  the request cannot be understood or breaks a rule
    ├── Unauthenticated           401  no identity, or one that does not verify
    ├── PermissionDenied          403  a verified identity that may not do this
    ├── NotFound                  404  absent, or another owner's: the two look the same
    ├── MethodNotAllowed          405
    ├── NotAcceptable             406
    ├── Conflict                  409  the state of the resource forbids it, or somebody was faster
    │   └── VersionConflict            a compare-and-set met another version
    ├── PreconditionFailed        412  it is not what the caller has seen
    ├── PayloadTooLarge           413
    ├── UnsupportedMediaType      415
    ├── RangeNotSatisfiable       416  none of the bytes asked for are there
    ├── UnprocessableRequest      422  understood, yet it cannot be done
    │   └── SessionStartFailed         Kubernetes says that the pod cannot start
    ├── TooManyRequests           429  a limit or a quota; tells when to try again
    ├── InternalError             500  a fault of ours; the detail stays in the log
    ├── ConfigurationError        500  settings that are missing or contradict each other
    ├── InsufficientStorage       507  the session's disk is full
    └── Unavailable               503  a dependency that does not answer now
        ├── StoreUnavailable
        ├── TransferFailed             a file did not get through as a whole
        ├── ClusterUnavailable         the Kubernetes API is not reached, or refuses us
        │   └── ClusterNotKnown            it answers, but nobody knows whether it is the right one
        ├── OnAnotherCluster           what is asked for is on a cluster that is not seen from here
        └── ConnectionFailed           no source of a cluster connection serves

Adapters translate library errors into these at the edge, with the cause kept
(``raise ... from error``); ``shared.web.http.problems`` turns them into RFC 9457
responses and is the only place that does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

from shared.reasons import Reason

FieldValue: TypeAlias = str | int | float | bool | list[str] | None


class GamguiError(Exception):
    """Base of all errors raised on purpose.

    Args:
        detail: One sentence for the caller. Never holds a secret, a stack trace
            or an internal address.
        reason: Why, in the stable word for it; the class's own by default.
        retry_after_seconds: When a repetition may succeed, if that is known.
        fields: The values that ``detail`` mentions, as extension members of the
            problem document.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_reason: ClassVar[Reason] = Reason.INTERNAL

    def __init__(
        self,
        detail: str,
        *,
        reason: Reason | None = None,
        retry_after_seconds: float | None = None,
        **fields: FieldValue,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = reason or self.default_reason
        self.retry_after_seconds = retry_after_seconds
        self.fields = fields


class InvalidRequest(GamguiError):
    """The request cannot be understood or breaks a documented rule."""

    status = 400
    title = "Invalid request"
    default_reason = Reason.INVALID_REQUEST


class Unauthenticated(GamguiError):
    """No identity was shown, or one that does not verify."""

    status = 401
    title = "Unauthenticated"
    default_reason = Reason.UNAUTHENTICATED


class PermissionDenied(GamguiError):
    """The identity is verified, but may not do this."""

    status = 403
    title = "Permission denied"
    default_reason = Reason.PERMISSION_DENIED


class NotFound(GamguiError):
    """Absent, or somebody else's: a caller cannot tell which."""

    status = 404
    title = "Not found"
    default_reason = Reason.NOT_FOUND


class MethodNotAllowed(GamguiError):
    """The path exists, but not with this method."""

    status = 405
    title = "Method not allowed"
    default_reason = Reason.METHOD_NOT_ALLOWED


class NotAcceptable(GamguiError):
    """No representation that the caller accepts."""

    status = 406
    title = "Not acceptable"
    default_reason = Reason.NOT_ACCEPTABLE


class Conflict(GamguiError):
    """The state of the resource forbids it, or somebody else was faster."""

    status = 409
    title = "Conflict"
    default_reason = Reason.CONFLICT


class VersionConflict(Conflict):
    """A compare-and-set met another version than the one expected."""

    default_reason = Reason.VERSION_CONFLICT


class PreconditionFailed(GamguiError):
    """What the caller wants to change is not what he has seen."""

    status = 412
    title = "Precondition failed"
    default_reason = Reason.PRECONDITION_FAILED


class PayloadTooLarge(GamguiError):
    """The body is larger than this endpoint takes."""

    status = 413
    title = "Payload too large"
    default_reason = Reason.PAYLOAD_TOO_LARGE


class UnsupportedMediaType(GamguiError):
    """The body has a content type that this endpoint does not take."""

    status = 415
    title = "Unsupported media type"
    default_reason = Reason.UNSUPPORTED_MEDIA_TYPE


class RangeNotSatisfiable(GamguiError):
    """None of the bytes asked for are there (RFC 9110, 15.5.17)."""

    status = 416
    title = "Range not satisfiable"
    default_reason = Reason.RANGE_NOT_SATISFIABLE


class UnprocessableRequest(GamguiError):
    """Well-formed, but it cannot be done."""

    status = 422
    title = "Unprocessable request"
    default_reason = Reason.UNPROCESSABLE


class SessionStartFailed(UnprocessableRequest):
    """Kubernetes says that the session's pod cannot start."""

    title = "Session cannot start"
    default_reason = Reason.SESSION_START_FAILED


class TooManyRequests(GamguiError):
    """A limit or a quota is reached."""

    status = 429
    title = "Too many requests"
    default_reason = Reason.TOO_MANY_REQUESTS


class InternalError(GamguiError):
    """A fault of ours. What happened is in the log, not in the answer."""


class ConfigurationError(GamguiError):
    """Settings are missing, malformed or contradict each other."""

    title = "Configuration error"
    default_reason = Reason.CONFIGURATION_INVALID


class InsufficientStorage(GamguiError):
    """The session's disk is full (RFC 4918, 11.5)."""

    status = 507
    title = "Insufficient storage"
    default_reason = Reason.DISK_FULL


class Unavailable(GamguiError):
    """A dependency does not answer now; a repetition may succeed."""

    status = 503
    title = "Temporarily unavailable"
    default_reason = Reason.UNAVAILABLE


class StoreUnavailable(Unavailable):
    """The session store does not answer."""

    default_reason = Reason.STORE_UNAVAILABLE


class TransferFailed(Unavailable):
    """A file did not get through as a whole; an upload has changed nothing, unless its end was lost."""

    default_reason = Reason.TRANSFER_FAILED


class ClusterUnavailable(Unavailable):
    """The Kubernetes API is not reached, or refuses our identity."""

    default_reason = Reason.CLUSTER_UNAVAILABLE


class ClusterNotKnown(ClusterUnavailable):
    """What is asked for is not on the cluster that is seen, and it was not noted on which cluster it is."""

    default_reason = Reason.CLUSTER_NOT_KNOWN


class OnAnotherCluster(Unavailable):
    """What is asked for is on a cluster that this instance does not see: nobody here knows how it is."""

    default_reason = Reason.ON_ANOTHER_CLUSTER


class ConnectionFailed(Unavailable):
    """No source of a cluster connection serves; names each source and why."""

    default_reason = Reason.CLUSTER_CONNECTION_FAILED


_OWN_MEMBERS = ("title", "status", "detail", "reason", "retry_after_seconds")
_OF_ONE_REQUEST = ("type", "instance", "request_id")
"""Members of a problem document that ``members_of`` leaves out: they are the request's, or derived."""


def members_of(error: GamguiError) -> dict[str, Any]:
    """What an error says, as members of a JSON object: those of its problem document."""
    wait = error.retry_after_seconds
    return {
        **error.fields,
        **({} if wait is None else {"retry_after_seconds": math.ceil(wait)}),
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "reason": error.reason,
    }


def error_from(members: Mapping[str, Any]) -> GamguiError:
    """The error that ``members_of`` told of: the same for callers, of a class with that status and title.

    Args:
        members: As they were kept; those of a whole problem document do as well.
    """
    alike = [kind for kind in _kinds(GamguiError) if kind.status == members["status"]]
    alike.sort(key=lambda kind: kind.title != members["title"])
    fields = {name: value for name, value in members.items() if name not in (*_OWN_MEMBERS, *_OF_ONE_REQUEST)}
    told = str(members["reason"])
    return (alike or [InternalError])[0](
        str(members["detail"]),
        # A newer release may have kept one that is not known here: the class's own is right, and says less.
        reason=Reason(told) if told in Reason.__members__ else None,
        retry_after_seconds=members.get("retry_after_seconds"),
        **fields,
    )


def _kinds(kind: type[GamguiError]) -> Iterator[type[GamguiError]]:
    """A class of this module and those below it; others may be made in another way."""
    if kind.__module__ == __name__:
        yield kind
        for below in kind.__subclasses__():
            yield from _kinds(below)
