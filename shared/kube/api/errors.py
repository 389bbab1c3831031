"""Refusals of the Kubernetes API, and their messages as callers may see them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from shared.errors import ClusterUnavailable
from shared.kube.api.objects import Status
from shared.reasons import Reason

_ADDRESS = re.compile(r"\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b|\[[0-9a-fA-F:]{2,}\](:\d+)?|https?://[^\s\"']+")
_MAX_MESSAGE = 500


def public_message(message: str) -> str:
    """A message of Kubernetes as callers may see it: without addresses, at most 500 characters."""
    text = " ".join(_ADDRESS.sub("<address>", message).split())
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


class ApiError(ClusterUnavailable):
    """An answer with an HTTP status of 300 or above, as its ``Status`` object describes it.

    If no code of ours expects the error, it reaches the caller as 503: something is wrong
    between us and the cluster, e.g. a role is missing.

    Attributes:
        code: HTTP status.
        kubernetes_reason: ``Status.reason``: NotFound, AlreadyExists, Forbidden, ...
        message: ``Status.message``, unabridged: for decisions and the log, not for callers.
        continue_token: With 410, the token to go on with in a list whose pages have expired; else empty.
    """

    default_reason = Reason.CLUSTER_REFUSED

    def __init__(
        self, code: int, kubernetes_reason: str, message: str, retry_after: float | None = None
    ) -> None:
        hint = "; the functions' service account lacks a role in the namespace" if code == 403 else ""
        super().__init__(
            f"Kubernetes answered {code} {kubernetes_reason}: {public_message(message)}{hint}",
            reason={401: Reason.CLUSTER_UNAUTHORIZED, 403: Reason.CLUSTER_FORBIDDEN}.get(code),
            retry_after_seconds=retry_after,
            kubernetes_reason=kubernetes_reason,
        )
        self.code = code
        self.kubernetes_reason = kubernetes_reason
        self.message = message
        self.continue_token = ""

    @classmethod
    def from_answer(cls, code: int, body: Any, headers: Mapping[str, str]) -> ApiError:
        """Reads a ``Status`` object, or what another server answered in its place.

        Args:
            code: HTTP status of the answer.
            body: Decoded JSON or text.
            headers: The answer's headers, for Retry-After.
        """
        retry_after = headers.get("Retry-After", "")
        seconds = float(retry_after) if retry_after.isdecimal() else None
        if isinstance(body, dict):
            status = cast("Status", body)
            reason, message = str(status.get("reason") or "Unknown"), str(status.get("message") or "")
            error = cls(code, reason, message, seconds)
            metadata: Any = status.get("metadata")
            error.continue_token = str(metadata.get("continue") or "") if isinstance(metadata, dict) else ""
            return error
        return cls(code, "Unknown", str(body), seconds)
