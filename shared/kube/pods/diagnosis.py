"""Reads from a pod's status whether its session is, may become or never will be ready, in Kubernetes' words.

The session's life is that of its own container. Init containers and sidecars, which an operator's PodTemplate
or a webhook brings, count for as long as that container waits for them. Whatever ended the whole pod (an
eviction, a deletion, its deadline) is told before the exit code that it gave the container.

Sources: tests/kubernetes-recordings/pod-failures.json, and pod-lifecycle, init-containers, sidecar-containers
and disruptions below https://kubernetes.io/docs/concepts/workloads/pods/.
"""

from __future__ import annotations

from typing import Final, cast

from shared.core.sessions.pod import PodPhase, PodStatus
from shared.kube.api import objects
from shared.kube.api.errors import public_message
from shared.kube.api.objects import ContainerStatus, Pod, Words
from shared.kube.pods import containers
from shared.kube.pods.waiting import final_code
from shared.reasons import Reason

CONTAINER: Final = containers.SESSION

_ENDED = ("Failed", "Succeeded")
_POD_REASONS = {
    "DeadlineExceeded": Reason.DEADLINE_EXCEEDED,
    # kubernetes pkg/kubelet (eviction, preemption, nodeshutdown: old and new) and pkg/util/node.
    "Evicted": Reason.POD_EVICTED,
    "Preempting": Reason.POD_EVICTED,
    "Shutdown": Reason.POD_EVICTED,
    "NodeShutdown": Reason.POD_EVICTED,
    "Terminated": Reason.POD_EVICTED,
    "NodeLost": Reason.POD_EVICTED,
}
_EXIT_REASONS = {
    "OOMKilled": Reason.OUT_OF_MEMORY,
    "StartError": Reason.CONTAINER_START_FAILED,
    "ContainerCannotRun": Reason.CONTAINER_START_FAILED,
}
_CRASHED = "CrashLoopBackOff"
_DEFAULT_GRACE_SECONDS = 30
_CLOCKS_DIFFER_SECONDS = 10.0
"""How far the clocks of a node and of the control plane may differ."""

GONE = PodStatus(PodPhase.GONE, "NotFound: the pod is gone", Reason.POD_GONE)


def diagnose(pod: Pod) -> PodStatus:
    """What a pod's object says about its session.

    Args:
        pod: A core/v1 Pod.

    Returns:
        READY without a reason; PENDING, with what is waited for, for a state that may pass (no node yet, a
        registry that does not answer); FAILED for a state that never will.
    """
    status = cast("objects.PodStatus", containers.mapping(pod.get("status")))
    own = containers.own(status)
    over = containers.exit_of(own) is not None
    if status.get("phase") in _ENDED:
        return _ended(pod, status, own)
    if over or containers.mapping(pod.get("metadata")).get("deletionTimestamp"):
        return _ended(pod, status, own, lingers=not over)
    return _living(pod, status, own)


def _living(pod: Pod, status: objects.PodStatus, own: ContainerStatus | None) -> PodStatus:
    """The status of a pod whose session has not ended."""
    conditions = containers.conditions(status)
    ready = conditions.get("Ready", {})
    if status.get("phase") == "Unknown" or _is_cut_off(conditions):
        return PodStatus(PodPhase.PENDING, "NodeNotReady: the pod's node does not answer")
    if containers.is_ready(own) or (own is None and ready.get("status") == "True"):
        return PodStatus(PodPhase.READY)
    if containers.is_running(own):
        return PodStatus(PodPhase.PENDING, _words(ready) or "ContainersNotReady: the container is not ready")
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return PodStatus(PodPhase.PENDING, _words(scheduled) or "Pending: the pod has no node yet")
    return _waiting(pod, status, own)


def _is_cut_off(conditions: dict[str, objects.Condition]) -> bool:
    """Whether the pod's node is silent: the control plane then takes back ``Ready``, and gives no reason.

    Source: kubernetes pkg/controller/util/node/controller_utils.go (MarkPodsNotReady). All else in the status
    is what the node said last.
    """
    ready = conditions.get("Ready", {})
    said = conditions.get("ContainersReady", {}).get("status")
    return ready.get("status") == "False" and said == "True" and not ready.get("reason")


def _waiting(pod: Pod, status: objects.PodStatus, own: ContainerStatus | None) -> PodStatus:
    """What a pod with a node waits for: its first init container that is not done, or the session's own."""
    verdicts = []
    blocker = containers.blocker(pod, status)
    if blocker is not None:
        whose = f"{blocker.kind} {blocker.name}"
        verdicts.append(_wait_of(blocker.status, whose) or _init_at_work(blocker, whose))
    verdict = _wait_of(own) if own is not None else None
    if verdict is not None:
        verdicts.append(verdict)
    for verdict in verdicts:
        if verdict.phase is PodPhase.FAILED:
            return verdict
    return verdicts[0] if verdicts else PodStatus(PodPhase.PENDING, "Pending: the pod has not begun to start")


def _wait_of(container: ContainerStatus, whose: str = "") -> PodStatus | None:
    """What a container's waiting means for the session; None for a container that does not wait.

    Args:
        container: The container.
        whose: Names the container to people; empty: it is the session's own.
    """
    waiting = containers.state(container, "waiting")
    if waiting is None:
        return None
    words = _words(waiting, whose=whose) or "Waiting: no reason is given"
    reason = str(waiting.get("reason") or "")
    code = final_code(reason, str(waiting.get("message") or ""))
    if reason == _CRASHED and not whose:
        code = Reason.CONTAINER_EXITED  # whatever comes next, what ran in it has ended
    return PodStatus(PodPhase.PENDING if code is None else PodPhase.FAILED, words, code)


def _init_at_work(blocker: containers.Blocker, whose: str) -> PodStatus:
    exit_ = containers.exit_of(blocker.status)
    if exit_ is not None:
        return PodStatus(PodPhase.PENDING, _exit_words(exit_, whose))
    doing = "has not started yet" if blocker.kind == containers.SIDECAR else "is still running"
    return PodStatus(PodPhase.PENDING, public_message(f"PodInitializing: {whose} {doing}"))


def _ended(
    pod: Pod, status: objects.PodStatus, own: ContainerStatus | None, *, lingers: bool = False
) -> PodStatus:
    """Why a session's container has ended, or is going to.

    In this order: what was done to the pod, unless the container had ended before; the container's own exit;
    another container's, if the session's never ran.
    """
    ended = PodStatus(PodPhase.FAILED, lingers=lingers)
    exit_ = containers.exit_of(own)
    whose = ""
    for done_at, words, code in _done_to(pod, status):
        if exit_ is None or not _before(exit_, done_at):
            return _told(ended, words, code)
    if exit_ is None:
        culprit = containers.failed(pod, status)
        if culprit is not None:
            exit_, whose = culprit.exit, f"{culprit.kind} {culprit.name}"
    if exit_ is None:
        return _told(ended, f"{status.get('phase')}: the pod has ended", Reason.POD_FAILED)
    code = _EXIT_REASONS.get(str(exit_.get("reason")), Reason.CONTAINER_EXITED)
    return _told(ended, _exit_words(exit_, whose), code)


def _done_to(pod: Pod, status: objects.PodStatus) -> list[tuple[float | None, str, Reason]]:
    """What was done to the whole pod, causes first: when (None: not known), the words, and the code."""
    found: list[tuple[float | None, str, Reason]] = []
    target = containers.conditions(status).get("DisruptionTarget", {})
    reason = str(status.get("reason") or "")
    if reason == "DeadlineExceeded":
        found.append((None, _words(status), Reason.DEADLINE_EXCEEDED))
    if target.get("status") == "True":
        since = containers.moment(target.get("lastTransitionTime"))
        words = _words(target) or "DisruptionTarget: the pod had to give way"
        found.append((since, words, Reason.POD_EVICTED))
    if reason:
        found.append((None, _words(status), _POD_REASONS.get(reason, Reason.POD_FAILED)))
    metadata = containers.mapping(pod.get("metadata"))
    if metadata.get("deletionTimestamp"):
        # The last change of a deleted pod has a grace period of 0, whatever it was.
        graces = (metadata.get("deletionGracePeriodSeconds"), containers.grace_seconds(pod))
        grace = max(value if isinstance(value, int) else _DEFAULT_GRACE_SECONDS for value in graces)
        end = containers.moment(metadata["deletionTimestamp"])
        begun = None if end is None else end - grace
        found.append((begun, "Deleted: the pod is being deleted", Reason.POD_DELETED))
    return found


def _before(exit_: objects.Terminated, moment: float | None) -> bool:
    """Whether a container ended so long before ``moment`` that it was not ended by what was done then."""
    finished = containers.moment(exit_.get("finishedAt"))
    return finished is not None and moment is not None and finished + _CLOCKS_DIFFER_SECONDS < moment


def _told(ended: PodStatus, words: str, code: Reason) -> PodStatus:
    return PodStatus(ended.phase, words, code, lingers=ended.lingers)


def _exit_words(exit_: objects.Terminated, whose: str) -> str:
    said = Words(reason=str(exit_.get("reason") or "Error"), message=str(exit_.get("message") or ""))
    it = "it" if whose else "the container"
    return _words(said, f"{it} ended with exit code {exit_.get('exitCode')}", whose)


def _words(source: Words, otherwise: str = "", whose: str = "") -> str:
    """``Reason: message``, as people know it from kubectl describe, but without addresses.

    Args:
        source: Has the reason and the message.
        otherwise: Stands for a message that is missing.
        whose: The container that is spoken of, if it is not the session's own.
    """
    parts = (str(source.get("reason") or ""), whose, str(source.get("message") or otherwise))
    return public_message(": ".join(part for part in parts if part))
