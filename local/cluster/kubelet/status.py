"""Computes the status of a pod from the states of its containers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..objects import Object
from .addresses import HOST_IP


@dataclass(slots=True)
class ContainerState:
    """The current state of one container.

    Attributes:
        spec: The container as in the pod's spec.
        state: Its ``state``, with one of the keys waiting, running and terminated.
        last: Its ``lastState``.
        ready: Whether it is ready, as its readiness probe sees it.
        restarts: How often it has been restarted.
        image_id: Id of its image, once the container has been created.
        container_id: Id of its current run, once it has been created.
    """

    spec: Object
    state: Object
    last: Object = field(default_factory=dict)
    ready: bool = False
    restarts: int = 0
    image_id: str = ""
    container_id: str = ""

    @property
    def name(self) -> str:
        """Name of the container."""
        return str(self.spec["name"])

    @property
    def terminated(self) -> Object | None:
        """Its ``state.terminated``, if it has ended."""
        return self.state.get("terminated")

    def wait_for(self, reason: str, message: str = "") -> None:
        """Enter the state ``waiting``."""
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        self.ready = False


@dataclass(frozen=True, slots=True)
class PodOutcome:
    """A phase that does not follow from the containers, with its reason."""

    phase: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PodView:
    """Everything from which a pod's status is made; ``address`` is empty until the pod has one."""

    pod: Object
    inits: Sequence[ContainerState]
    containers: Sequence[ContainerState]
    sandbox: bool
    address: str
    started_at: str
    outcome: PodOutcome | None = None


def pod_status(view: PodView, now: str) -> Object:
    """Return the whole ``status`` of a pod.

    Args:
        view: The facts about the pod.
        now: The time for conditions that change.
    """
    pod = view.pod
    status: Object = {"observedGeneration": pod["metadata"].get("generation", 1)}
    phase = view.outcome.phase if view.outcome is not None else phase_of(view)
    status["phase"] = phase
    status["conditions"] = _conditions(view, phase, now)
    if view.outcome is not None:
        status["message"], status["reason"] = view.outcome.message, view.outcome.reason
    status |= {"hostIP": HOST_IP, "hostIPs": [{"ip": HOST_IP}]}
    if view.address:
        status |= {"podIP": view.address, "podIPs": [{"ip": view.address}]}
    status["startTime"] = view.started_at
    if view.inits:
        status["initContainerStatuses"] = [_container_status(state, init=True) for state in view.inits]
    status["containerStatuses"] = [_container_status(state) for state in view.containers]
    status["qosClass"] = pod["status"]["qosClass"]
    status["resources"] = {}
    return status


def phase_of(view: PodView) -> str:
    """Return the phase that follows from the containers' states (pkg/kubelet getPhase)."""
    policy = view.pod["spec"]["restartPolicy"]
    for state in view.inits:
        ended = state.terminated
        if ended is None or ended["exitCode"] != 0:
            return "Failed" if ended is not None and policy == "Never" else "Pending"
    if any("waiting" in state.state and not state.last for state in view.containers):
        return "Pending"
    codes = [state.terminated["exitCode"] for state in view.containers if state.terminated is not None]
    if len(codes) < len(view.containers) or policy == "Always":
        return "Running"
    if all(code == 0 for code in codes):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _conditions(view: PodView, phase: str, now: str) -> list[Object]:
    generation = view.pod["metadata"].get("generation", 1)
    before = {item["type"]: item for item in view.pod["status"].get("conditions") or []}

    def condition(kind: str, holds: bool, reason: str = "", message: str = "") -> Object:
        known = before.get(kind, {})
        status = "True" if holds else "False"
        changed = known.get("lastTransitionTime", now) if known.get("status") == status else now
        made: Object = {"type": kind, "observedGeneration": generation, "status": status}
        made |= {"lastProbeTime": None, "lastTransitionTime": changed}
        return made | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})

    ready, reason, message = _readiness(view, phase)
    incomplete = [state.name for state in view.inits if not state.terminated or state.terminated["exitCode"]]
    initialized = condition("Initialized", True, "PodCompleted" if phase == "Succeeded" else "")
    if incomplete:
        listed = f"containers with incomplete status: [{' '.join(incomplete)}]"
        initialized = condition("Initialized", False, "ContainersNotInitialized", listed)
    return [
        condition("PodReadyToStartContainers", view.sandbox),
        initialized,
        condition("Ready", ready, reason, message),
        condition("ContainersReady", ready, reason, message),
        condition("PodScheduled", True),
    ]


def _readiness(view: PodView, phase: str) -> tuple[bool, str, str]:
    if phase == "Failed":
        return False, "PodFailed", ""
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    unready = [state.name for state in view.containers if not state.ready]
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return True, "", ""


def _container_status(state: ContainerState, *, init: bool = False) -> Object:
    running = "running" in state.state
    ended_well = init and state.terminated is not None and state.terminated["exitCode"] == 0
    status: Object = {
        "name": state.name,
        "state": state.state,
        "lastState": state.last,
        "ready": state.ready or ended_well,
        "restartCount": state.restarts,
        "image": state.spec["image"],
        "imageID": state.image_id,
    }
    if state.container_id:
        status["containerID"] = state.container_id
    status["started"] = running
    mounts = [_mount_status(mount) for mount in state.spec.get("volumeMounts") or []]
    if state.container_id:
        requests = state.spec["resources"].get("requests")
        if requests:
            status["allocatedResources"] = requests
        status["resources"] = state.spec["resources"]
    if mounts:
        status["volumeMounts"] = mounts
    return status


def _mount_status(mount: Object) -> Object:
    shown: dict[str, Any] = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        shown |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
    return shown
