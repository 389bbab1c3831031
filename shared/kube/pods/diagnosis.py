"""Reads from a pod's status whether it is, may become or never will be ready, and why in Kubernetes' words.

Source of the reasons: tests/kubernetes-recordings/pod-failures.json and
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/.
"""

from __future__ import annotations

import re

from shared.core.sessions.pod import PodPhase, PodStatus
from shared.kube.api import objects
from shared.kube.api.errors import public_message
from shared.kube.api.objects import ContainerStatus, Pod, Terminated, Words
from shared.reasons import Reason

CONTAINER = "session"

_NEVER = {
    "ErrImageNeverPull": Reason.IMAGE_UNAVAILABLE,
    "InvalidImageName": Reason.IMAGE_UNAVAILABLE,
    "CreateContainerConfigError": Reason.CONTAINER_CONFIG_INVALID,
    "CreateContainerError": Reason.CONTAINER_CONFIG_INVALID,
    "RunContainerError": Reason.CONTAINER_START_FAILED,
    "StartError": Reason.CONTAINER_START_FAILED,
    "CrashLoopBackOff": Reason.CONTAINER_EXITED,
}
_PULLING = ("ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable")
_PULL_NEVER = re.compile(
    r"not found|not exist|manifest unknown|unauthorized|denied|forbidden|no match for platform|"
    r"invalid reference",
    re.IGNORECASE,
)
_POD_REASONS = {
    "DeadlineExceeded": Reason.DEADLINE_EXCEEDED,
    "Evicted": Reason.POD_EVICTED,
    "Preempting": Reason.POD_EVICTED,
}

GONE = PodStatus(PodPhase.GONE, "NotFound: the pod is gone", Reason.POD_GONE)


def diagnose(pod: Pod) -> PodStatus:
    """What a pod's object says about it.

    Args:
        pod: A core/v1 Pod.

    Returns:
        READY without a reason; PENDING, with the reason if there is one, for a state that may
        pass (no node yet, a registry that does not answer); FAILED for a state that never will.
    """
    status = pod.get("status") or objects.PodStatus()
    if status.get("phase") in ("Failed", "Succeeded"):
        return _ended(status)
    if pod.get("metadata", {}).get("deletionTimestamp"):
        return PodStatus(PodPhase.FAILED, "Deleted: the pod is being deleted", Reason.POD_DELETED)
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        verdict = _waiting(container)
        if verdict is not None:
            return verdict
    conditions = {c.get("type"): c for c in status.get("conditions") or []}
    if conditions.get("Ready", {}).get("status") == "True":
        return PodStatus(PodPhase.READY)
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return PodStatus(PodPhase.PENDING, _words(scheduled))
    return PodStatus(PodPhase.PENDING)


def _ended(status: objects.PodStatus) -> PodStatus:
    """Why a pod has ended: by the pod's own reason, if there is one, else by its containers'."""
    if status.get("reason"):
        code = _POD_REASONS.get(str(status["reason"]), Reason.POD_FAILED)
        return PodStatus(PodPhase.FAILED, _words(status), code)
    for container in status.get("containerStatuses") or []:
        ended: Terminated | None = (container.get("state") or {}).get("terminated")
        if not ended:
            continue
        reason = str(ended.get("reason") or "Error")
        code = {"OOMKilled": Reason.OUT_OF_MEMORY}.get(reason) or _NEVER.get(reason, Reason.CONTAINER_EXITED)
        words = _words(ended, f"the container ended with exit code {ended.get('exitCode')}")
        return PodStatus(PodPhase.FAILED, words, code)
    return PodStatus(PodPhase.FAILED, f"{status.get('phase')}: the pod has ended", Reason.POD_FAILED)


def _waiting(container: ContainerStatus) -> PodStatus | None:
    """The verdict on the pod by a container that waits; None when the container gives none."""
    waiting: Words | None = (container.get("state") or {}).get("waiting")
    if not waiting:
        return None
    reason = str(waiting.get("reason") or "")
    if reason in _NEVER:
        return PodStatus(PodPhase.FAILED, _words(waiting), _NEVER[reason])
    if reason in _PULLING:
        if _PULL_NEVER.search(str(waiting.get("message") or "")):
            return PodStatus(PodPhase.FAILED, _words(waiting), Reason.IMAGE_UNAVAILABLE)
        return PodStatus(PodPhase.PENDING, _words(waiting))
    return None


def _words(source: Words, otherwise: str = "") -> str:
    """``Reason: message``, as people know it from kubectl describe, but without addresses."""
    message = str(source.get("message") or otherwise)
    return public_message(": ".join(part for part in (str(source.get("reason") or ""), message) if part))
