"""Which failures of the Kubernetes API are temporary, and when to try again."""

from __future__ import annotations

from collections.abc import Callable

from shared.errors import ClusterUnavailable
from shared.kube.api.decoding import TOO_LARGE
from shared.kube.api.errors import ApiError
from shared.reasons import Reason

_RETRIED = (429, 500, 502, 503, 504)
_LASTING = (Reason.CLUSTER_CERTIFICATE, TOO_LARGE)


def backoff(error: Exception) -> bool | float:
    """Whether to repeat a request, or after how many seconds if the server said that."""
    if isinstance(error, ApiError):
        if error.code not in _RETRIED:
            return False
        return error.retry_after_seconds if error.retry_after_seconds is not None else True
    return isinstance(error, ClusterUnavailable) and error.reason not in _LASTING


never: Callable[[Exception], bool] = lambda error: False  # noqa: E731
