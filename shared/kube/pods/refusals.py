"""What it means for the caller that Kubernetes refuses to create a session's pod."""

from __future__ import annotations

import re

from shared.core.sessions.model import Session
from shared.errors import SessionStartFailed, TooManyRequests
from shared.kube.api.errors import NO_STATUS, ApiError, denied_by, exceeds_quota, public_message
from shared.reasons import Reason

_BEYOND_LIMIT_RANGE = re.compile(r" usage per (Container|Pod) is | limit to request ratio per ")
"""The words of a LimitRange (kubernetes/plugin/pkg/admission/limitranger); no reason names it."""


def refusal_of_create(error: ApiError, session: Session) -> Exception:
    """What a refused create means: the namespace is full, or the pod is not admitted."""
    words = public_message(error.message)
    if error.passes or error.lacks_role:
        return error
    if exceeds_quota(error):
        return TooManyRequests(
            f"the namespace's quota is used up: {words}",
            reason=Reason.NAMESPACE_QUOTA_EXCEEDED,
            retry_after_seconds=30,
            session=session.id,
        )
    reason = None
    if error.code == 403 and "violates PodSecurity" in error.message:
        reason = Reason.POD_SECURITY_VIOLATION
    elif denied_by(error.message):
        reason = Reason.ADMISSION_DENIED
    elif error.code in (400, 422) or (error.code == 403 and _BEYOND_LIMIT_RANGE.search(error.message)):
        reason = Reason.POD_INVALID
    elif error.code == 403 and error.kubernetes_reason != NO_STATUS:
        reason = Reason.ADMISSION_DENIED
    return error if reason is None else SessionStartFailed(words, reason=reason, session=session.id)
