"""The containers of a pod, and what each has to do with the session's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Literal, cast

from shared.kube.api import objects
from shared.kube.api.objects import Condition, ContainerStatus, Pod, PodStatus, Terminated, Words

SESSION: Final = "session"
"""Name of the container that a session works in."""

INIT: Final = "init container"
SIDECAR: Final = "sidecar"


@dataclasses.dataclass(frozen=True, slots=True)
class Blocker:
    """An init container for which the session's container waits.

    Attributes:
        kind: ``INIT`` or ``SIDECAR``, for people.
        name: The container's name.
        status: Its status.
    """

    kind: str
    name: str
    status: ContainerStatus


@dataclasses.dataclass(frozen=True, slots=True)
class Culprit:
    """A container that ended, and the pod with it.

    Attributes:
        kind: What it is, for people.
        name: Its name.
        exit: How it ended.
    """

    kind: str
    name: str
    exit: Terminated


def own(status: PodStatus) -> ContainerStatus | None:
    """The status of the session's own container.

    If no container has its name, the only one counts, should that have no name.
    """
    found = list(_statuses(status, "containerStatuses"))
    for container in found:
        if container.get("name") == SESSION:
            return container
    return found[0] if len(found) == 1 and not found[0].get("name") else None


def state(
    container: ContainerStatus | None, kind: Literal["waiting", "running", "terminated"]
) -> Words | None:
    """The container's state of this kind; None if the container is in another state.

    An empty state counts as waiting (https://pkg.go.dev/k8s.io/api/core/v1#ContainerState).
    """
    if container is None:
        return None
    states = mapping(container.get("state"))
    found = states.get(kind)
    if isinstance(found, dict):
        return cast("Words", found)
    return Words() if kind == "waiting" and not states else None


def exit_of(container: ContainerStatus | None) -> Terminated | None:
    """How the container ended; None if it has not."""
    return cast("Terminated | None", state(container, "terminated"))


def is_running(container: ContainerStatus | None) -> bool:
    """Whether the container runs, ready or not."""
    return state(container, "running") is not None


def is_ready(container: ContainerStatus | None) -> bool:
    """Whether the container runs and is ready."""
    return container is not None and is_running(container) and container.get("ready") is True


def blocker(pod: Pod, status: PodStatus) -> Blocker | None:
    """The init container that the session's container waits for: the first that is not done.

    A sidecar among the init containers (``restartPolicy: Always``) is done when it has started
    (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
    """
    for kind, name, container in _inits(pod, status):
        exit_ = exit_of(container)
        if kind == SIDECAR and is_running(container) and container.get("started") is True:
            continue
        if kind == INIT and exit_ is not None and exit_.get("exitCode") == 0:
            continue
        return Blocker(kind, name, container)
    return None


def failed(pod: Pod, status: PodStatus) -> Culprit | None:
    """The container whose end ended a pod before the session's container ran.

    It is the first init container that failed; else another container that failed, a sidecar among the init
    containers last: those are ended with the pod.
    """
    inits = list(_inits(pod, status))
    others = [("container", _name(one), one) for one in _statuses(status, "containerStatuses")]
    in_order = [
        *(one for one in inits if one[0] == INIT),
        *others,
        *(one for one in inits if one[0] == SIDECAR),
    ]
    for kind, name, container in in_order:
        exit_ = exit_of(container)
        if exit_ is not None and exit_.get("exitCode") != 0:
            return Culprit(kind, name, exit_)
    return None


def conditions(status: PodStatus) -> dict[str, Condition]:
    """The pod's conditions by type."""
    found = status.get("conditions")
    listed = found if isinstance(found, list) else []
    return {str(one.get("type")): one for one in listed if isinstance(one, dict)}


def grace_seconds(pod: Pod) -> object:
    """``spec.terminationGracePeriodSeconds`` as the pod has it; it may be missing or nonsense."""
    return mapping(pod.get("spec")).get("terminationGracePeriodSeconds")


def moment(text: object) -> float | None:
    """A time of Kubernetes, in seconds since the epoch; None if there is none, or if it is no time."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.timestamp() if found and found.tzinfo else None


def mapping(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _inits(pod: Pod, status: PodStatus) -> Iterator[tuple[str, str, ContainerStatus]]:
    """Kind, name and status of each init container, in the order in which they start."""
    spec = mapping(pod.get("spec")).get("initContainers")
    listed = [one for one in spec if isinstance(one, dict)] if isinstance(spec, list) else []
    named = {str(one.get("name")): one for one in listed}
    order = {name: place for place, name in enumerate(named)}
    found = list(_statuses(status, "initContainerStatuses"))
    for container in sorted(found, key=lambda one: order.get(_name(one), len(order))):
        always = mapping(named.get(_name(container))).get("restartPolicy") == "Always"
        yield (SIDECAR if always else INIT), _name(container), container


def _statuses(
    status: PodStatus, key: Literal["initContainerStatuses", "containerStatuses"]
) -> Iterator[ContainerStatus]:
    found: Any = status.get(key)
    for container in found if isinstance(found, list) else ():
        if isinstance(container, dict):
            yield cast("objects.ContainerStatus", container)


def _name(container: ContainerStatus) -> str:
    return str(container.get("name") or "")
