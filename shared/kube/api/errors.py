"""Refusals of the Kubernetes API: what they mean, and their words as callers may see them.

An HTTP status says too little. 403 is RBAC's, or a policy's that admits no such object; 409 means that the
caller's version is old, or that two requests met at a quota; 500 may be a container that is not there, or a
node that does not answer now. So reason and message decide (k8s.io/apimachinery/pkg/api/errors and
k8s.io/apiserver/pkg/admission have the words), and three things follow from them:

- ``ApiError.passes``: the same request may succeed in a moment;
- ``ApiError.lacks_role``: RBAC says so, in its own sentence. Nothing else is about roles;
- ``AdmissionDenied``: the API works, and a rule of the cluster does not allow what was asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from shared.errors import ClusterUnavailable
from shared.kube.api.objects import Status
from shared.kube.api.retry_after import seconds_to_wait
from shared.reasons import Reason

_ADDRESS = re.compile(r"\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b|\[[0-9a-fA-F:]{2,}\](:\d+)?|https?://[^\s\"']+")
_MAX_MESSAGE = 500
_MAX_WORD = 100
NO_STATUS = "Unknown"
"""``kubernetes_reason`` of an answer that has none: it may be a proxy's, and not Kubernetes' at all."""

_QUOTED = r'"(?:[^"\\]|\\.){0,1000}"'
_ROLE = re.compile(
    rf"(?:\S{{1,500}} (?:{_QUOTED} )?is )?forbidden: "
    rf"(?:User {_QUOTED} cannot |user {_QUOTED} .{{0,1000}}is attempting to grant RBAC permissions)"
)
"""RBAC's sentences, at the beginning: a policy's words may hold such a sentence, but only after its name."""

_BY_PROGRAM = re.compile(
    rf"(admission webhook {_QUOTED}) denied the request"
    r"|((?:Validating|Mutating)AdmissionPolicy '[^']{1,300}' with binding '[^']{0,300}') denied request"
)
"""Denials of the operator's programs. These may choose any status, so only the words tell."""

_BY_SERVER = re.compile(rf"\S{{1,500}} (?:{_QUOTED} )?is forbidden: ")
"""Denials of the API server's own admission: quotas, limit ranges, pod security, service accounts, ..."""

_NOT_NOW = re.compile(
    r"failed calling webhook|failed to call webhook|context deadline exceeded|Client\.Timeout exceeded"
    r"|i/o timeout|connection refused|not yet ready to handle request|status unknown for quota"
)
"""Admission that could not decide: what it asks did not answer, or it has only just begun."""

_MODIFIED = re.compile(
    r"Operation cannot be fulfilled on ([a-z0-9.-]{1,300}) .{0,300}the object has been modified"
)
_NOT_THERE = re.compile(
    r"container not found|container is not created or running|pod does not exist|completed pod"
)
"""The kubelet's words, with status 500, of a container in which nothing can run."""

_UNFIT = "the server rejected our request due to an error in our request"
_JSON_PATCH = "application/json-patch+json"
_CONSIDERED = 4096
"""So much of a message decides; a hostile one is as long as a refusal may be."""
_BUSY = (408, 429)
_NEVER = (501, 505)


def public_message(message: str) -> str:
    """A message of Kubernetes as callers may see it: printable, without addresses, at most 500 characters."""
    text = " ".join(_ADDRESS.sub("<address>", message).split())
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


class ApiError(ClusterUnavailable):
    """An answer with an HTTP status of 300 or above, as its ``Status`` object describes it.

    If no code of ours expects the error, it reaches the caller as 503: something is wrong
    between us and the cluster, e.g. a role is missing.

    Args:
        code: HTTP status.
        kubernetes_reason: ``Status.reason``.
        message: ``Status.message``.
        retry_after: Seconds after which the server asks to be asked again, if it does.
        versioned: Resource of the object whose version the request stated, e.g. ``secrets``. If that
            object was modified, the caller has to read it again; any other conflict passes by itself.

    Attributes:
        code: HTTP status.
        kubernetes_reason: ``Status.reason``: NotFound, AlreadyExists, Forbidden, ...
        message: ``Status.message``, unabridged: for decisions and the log, not for callers.
        lacks_role: RBAC refused.
        passes: A repetition may succeed.
        continue_token: With 410, the token to go on with in a list whose pages have expired; else empty.
    """

    default_reason = Reason.CLUSTER_REFUSED
    reasons: ClassVar[Mapping[int, Reason]] = {
        401: Reason.CLUSTER_UNAUTHORIZED,
        403: Reason.CLUSTER_FORBIDDEN,
    }

    def __init__(
        self,
        code: int,
        kubernetes_reason: str,
        message: str,
        retry_after: float | None = None,
        *,
        versioned: str = "",
    ) -> None:
        said = message[:_CONSIDERED]
        self.lacks_role = code == 403 and _ROLE.match(said) is not None
        self.passes = _passes(code, said, versioned=versioned, lacks_role=self.lacks_role)
        hint = "; the functions' service account lacks a role in the namespace" if self.lacks_role else ""
        word = public_message(kubernetes_reason)[:_MAX_WORD]
        super().__init__(
            f"Kubernetes answered {code} {word}: {public_message(message)}{hint}",
            reason=None if self.passes else self.reasons.get(code),
            retry_after_seconds=retry_after,
            kubernetes_reason=word,
        )
        self.code = code
        self.kubernetes_reason = kubernetes_reason
        self.message = message
        self.continue_token = ""

    @classmethod
    def from_answer(
        cls,
        code: int,
        body: Any,
        headers: Mapping[str, str],
        *,
        writes: bool = False,
        versioned: str = "",
        content_type: str = "",
    ) -> ApiError:
        """Reads a ``Status`` object, or what another server answered in its place.

        Args:
            code: HTTP status of the answer.
            body: Decoded JSON or text.
            headers: The answer's headers, for Retry-After.
            writes: Whether the request passes admission: it changes something or runs something.
            versioned: See the class.
            content_type: Media type of the request's body.
        """
        status = cast("Status", body) if isinstance(body, dict) else Status(message=str(body))
        reason, message = str(status.get("reason") or NO_STATUS), str(status.get("message") or "")
        wait = seconds_to_wait(headers, status.get("details"))
        error = ApiError(code, reason, message, wait, versioned=versioned)
        if not error.passes and not error.lacks_role:
            if writes and (denied_by(message) or (code == 403 and _BY_SERVER.match(message))):
                error = AdmissionDenied(code, reason, message, wait)
            elif code == 422 and content_type == _JSON_PATCH and message.startswith(_UNFIT):
                error = PatchDoesNotFit(code, reason, message, wait)
        metadata: Any = status.get("metadata")
        error.continue_token = str(metadata.get("continue") or "") if isinstance(metadata, dict) else ""
        return error


class AdmissionDenied(ApiError):
    """A rule of the cluster does not allow what was asked: a webhook, a policy, pod security, a limit range.

    The caller gets 422 and Kubernetes' words: a repetition, or another role, would change nothing.
    """

    status = 422
    title = "Unprocessable request"
    default_reason = Reason.ADMISSION_DENIED
    reasons: ClassVar[Mapping[int, Reason]] = {}


class PatchDoesNotFit(ApiError):
    """A JSON patch was not applied: one of its tests failed, or it names what the object does not have.

    Kubernetes does not say which operation it was (``patch.go`` drops the cause).
    """

    status = 422
    title = "Unprocessable request"
    default_reason = Reason.PATCH_TEST_FAILED

    def __init__(
        self, code: int, kubernetes_reason: str, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(code, kubernetes_reason, message, retry_after)
        self.detail = (
            "the object is not as the change expects it: a test of the JSON patch failed, or a path is absent"
        )
        self.args = (self.detail,)


def denied_by(message: str) -> str:
    """Which webhook or policy of the operator's denied a request, in Kubernetes' words; empty: none did.

    The name comes from the cluster's configuration. What follows it in the message may quote the request.
    """
    found = _BY_PROGRAM.search(message[:_CONSIDERED])
    return public_message(found[1] or found[2]) if found else ""


def exceeds_quota(error: ApiError) -> bool:
    """Whether the API server refused because a ResourceQuota of the namespace is used up."""
    return error.code == 403 and "exceeded quota" in error.message and not denied_by(error.message)


def _passes(code: int, message: str, *, versioned: str, lacks_role: bool) -> bool:
    if code in _BUSY:
        return True
    if code >= 500:
        return code not in _NEVER and not _NOT_THERE.search(message)
    if code == 409:
        modified = _MODIFIED.match(message)
        return modified is not None and modified[1].partition(".")[0] != (versioned or None)
    # A rule of the operator's may say of itself that it could not decide; RBAC always can.
    admission = (code == 403 and not lacks_role) or (code < 500 and denied_by(message) != "")
    return admission and _NOT_NOW.search(message) is not None
