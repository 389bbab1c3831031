"""A session lives as long as its own container, whatever is beside it: generated pods, and found ones."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.sessions.pod import PodPhase, PodStatus
from shared.kube.api.objects import Pod
from shared.kube.pods.diagnosis import diagnose
from shared.kube.pods.waiting import final_code
from shared.reasons import Reason

Json = dict[str, Any]

WAITING = st.sampled_from(
    [
        ("ContainerCreating", ""),
        ("PodInitializing", ""),
        ("CrashLoopBackOff", "back-off 5m0s restarting failed container"),
        ("ImagePullBackOff", 'Back-off pulling image "x/y:1"'),
        ("ErrImagePull", "failed to resolve reference: x/y:1: not found"),
        ("ErrImagePull", "dial tcp 10.0.0.1:443: i/o timeout"),
        ("CreateContainerError", 'failed to reserve container name "a_b_c_0": it is reserved for "1"'),
        ("CreateContainerConfigError", 'secret "credentials" not found'),
        ("InvalidImageName", ""),
        ("Whatever", "comes next"),
        ("", ""),
    ]
).map(lambda said: {"waiting": {"reason": said[0], **({"message": said[1]} if said[1] else {})}})
RUNNING = st.just({"running": {"startedAt": "2026-01-01T00:00:00Z"}})
EXITS = st.builds(
    lambda code, reason: {"terminated": {"exitCode": code, "reason": reason}},
    st.sampled_from([0, 1, 128, 137]),
    st.sampled_from(["Error", "Completed", "OOMKilled", "StartError", "ContainerStatusUnknown"]),
)
STATES = WAITING | RUNNING | EXITS


def container(name: str, state: Json, ready: bool = False, started: bool = False) -> Json:
    return {"name": name, "state": state, "ready": ready, "started": started}


def containers(prefix: str) -> st.SearchStrategy[list[Json]]:
    one = st.builds(container, st.just(""), STATES, st.booleans(), st.booleans())
    return st.lists(one, max_size=3).map(
        lambda found: [{**item, "name": f"{prefix}{place}"} for place, item in enumerate(found)]
    )


@st.composite
def pods(draw: st.DrawFn) -> Json:
    """A pod in the middle of its life, with the session's container anywhere among the others."""
    own = draw(st.builds(container, st.just("session"), STATES, st.booleans(), st.booleans()))
    others, inits = draw(containers("c")), draw(containers("i"))
    sidecars = draw(st.sets(st.sampled_from([one["name"] for one in inits]))) if inits else set()
    spec = [
        {"name": one["name"], **({"restartPolicy": "Always"} if one["name"] in sidecars else {})}
        for one in inits
    ]
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
    ]
    status = {"phase": draw(st.sampled_from(["Pending", "Running"])), "conditions": conditions}
    status |= {"containerStatuses": draw(st.permutations([own, *others]))}
    status |= {"initContainerStatuses": inits} if inits else {}
    return {"metadata": {}, "spec": {"initContainers": spec}, "status": status}


def own_of(pod: Json) -> Json:
    return next(one for one in pod["status"]["containerStatuses"] if one["name"] == "session")


def read(pod: Json) -> PodStatus:
    return diagnose(cast("Pod", pod))


@given(pods())
def test_the_sessions_container_decides(pod: Json) -> None:
    own, status = own_of(pod), read(pod)
    if "terminated" in own["state"]:
        assert status.phase is PodPhase.FAILED
        assert status.reason is not None
        assert f"exit code {own['state']['terminated']['exitCode']}" in status.reason
    elif "running" in own["state"]:
        assert status.phase is (PodPhase.READY if own["ready"] else PodPhase.PENDING)
    else:
        assert status.phase in (PodPhase.PENDING, PodPhase.FAILED)


@given(pods())
def test_everything_but_readiness_has_a_reason_and_every_failure_a_code(pod: Json) -> None:
    status = read(pod)
    assert (status.phase is PodPhase.READY) == (not status.reason)
    assert (status.phase is PodPhase.FAILED) == (status.code is not None)
    assert not status.lingers


@given(pods(), st.randoms(use_true_random=False))
def test_the_order_in_which_containers_are_reported_says_nothing(pod: Json, order: Any) -> None:
    other = copy.deepcopy(pod)
    for key in ("containerStatuses", "initContainerStatuses"):
        order.shuffle(other["status"].get(key, []))
    assert read(other) == read(pod)


@given(pods(), containers("c"))
def test_what_becomes_of_sidecars_is_not_the_sessions_end(pod: Json, others: list[Json]) -> None:
    changed = copy.deepcopy(pod)
    changed["status"]["containerStatuses"] = [*others, own_of(pod)]
    assert read(changed) == read(pod)


@given(pods())
def test_init_containers_count_only_while_the_sessions_container_waits(pod: Json) -> None:
    without = copy.deepcopy(pod)
    without["status"].pop("initContainerStatuses", None)
    if "waiting" not in own_of(pod)["state"]:
        assert read(without) == read(pod)


# pkg.go.dev/k8s.io/api/core/v1 (PodReason...), kubernetes pkg/controller/tainteviction and podgc.
DISRUPTIONS = [
    ("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"),
    ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"),
    ("EvictionByEvictionAPI", "Eviction API: evicting"),
    ("DeletionByPodGC", "PodGC: node no longer exists"),
    ("TerminationByKubelet", "Pod was terminated in response to imminent node shutdown."),
]


@pytest.mark.parametrize(("reason", "message"), DISRUPTIONS)
@given(pod=pods(), ended=st.booleans(), own_words=st.sampled_from(["", "Evicted", "Terminated"]))
def test_a_disruption_is_told_with_its_own_reason_and_message(
    reason: str, message: str, pod: Json, ended: bool, own_words: str
) -> None:
    target = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    pod["status"]["conditions"].append(target)
    assert (read(pod).phase is PodPhase.READY) == own_of(pod)["ready"] & ("running" in own_of(pod)["state"])
    if ended:
        pod["status"] |= {"phase": "Failed", **({"reason": own_words} if own_words else {})}
    else:
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:05Z"
    status = read(pod)
    assert (status.phase, status.code) == (PodPhase.FAILED, Reason.POD_EVICTED)
    assert status.reason == f"{reason}: {message}"
    assert status.lingers == (not ended and "terminated" not in own_of(pod)["state"])


@given(pods())
def test_a_disruption_that_was_called_off_is_none(pod: Json) -> None:
    before = read(pod)
    pod["status"]["conditions"].append({"type": "DisruptionTarget", "status": "False", "reason": "Any"})
    assert read(pod) == before


def exited(at: str, **pod: Any) -> Json:
    ended = {"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": at}}
    status = {"phase": "Running", "containerStatuses": [container("session", ended)]}
    return {
        "metadata": pod.pop("metadata", {}),
        "spec": {"terminationGracePeriodSeconds": 5},
        "status": status | pod,
    }


def test_who_ended_before_the_pod_was_deleted_or_disrupted_ended_by_itself() -> None:
    target = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    target |= {"lastTransitionTime": "2026-01-01T12:00:00Z", "message": "preempting"}
    deleted = {"deletionTimestamp": "2026-01-01T12:00:05Z", "deletionGracePeriodSeconds": 5}
    for at, by_itself in (
        ("2026-01-01T11:00:00Z", True),
        ("2026-01-01T12:00:01Z", False),
        ("rubbish", False),
    ):
        disrupted = read(exited(at, conditions=[target], metadata=deleted))
        assert disrupted.code == (Reason.CONTAINER_EXITED if by_itself else Reason.POD_EVICTED)
        gone = read(exited(at, metadata=deleted))
        assert gone.code == (Reason.CONTAINER_EXITED if by_itself else Reason.POD_DELETED)


def test_a_deadline_is_not_taken_for_a_disruption() -> None:
    target = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    pod = exited("", phase="Failed", reason="DeadlineExceeded", message="too long", conditions=[target])
    assert read(pod).code is Reason.DEADLINE_EXCEEDED


INIT_SPEC = {"initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "setup"}]}
OWN_WAITS = container("session", {"waiting": {"reason": "PodInitializing"}})


@pytest.mark.parametrize(
    ("proxy", "setup", "phase", "words"),
    [
        (
            {"running": {}},
            {"waiting": {"reason": "PodInitializing"}},
            "pending",
            "PodInitializing: sidecar proxy has not started",
        ),
        (
            {"waiting": {"reason": "ErrImagePull", "message": "x: not found"}},
            {"waiting": {}},
            "failed",
            "ErrImagePull: sidecar proxy: x: not found",
        ),
        (
            {"waiting": {"reason": "CrashLoopBackOff"}},
            {"waiting": {}},
            "pending",
            "CrashLoopBackOff: sidecar proxy",
        ),
        ("started", {"running": {}}, "pending", "PodInitializing: init container setup is still running"),
        (
            "started",
            {"terminated": {"exitCode": 4, "reason": "Error"}},
            "pending",
            "Error: init container setup: it ended with exit code 4",
        ),
        (
            "started",
            {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}},
            "pending",
            "ImagePullBackOff: init container setup: Back-off",
        ),
        ("started", {"terminated": {"exitCode": 0}}, "pending", "PodInitializing"),
    ],
)
def test_it_is_told_which_container_the_session_waits_for(
    proxy: Any, setup: Json, phase: str, words: str
) -> None:
    started = proxy == "started"
    inits = [
        container("proxy", {"running": {}} if started else proxy, started=started),
        container("setup", setup),
    ]
    status = read(
        {
            "spec": INIT_SPEC,
            "status": {"phase": "Pending", "containerStatuses": [OWN_WAITS], "initContainerStatuses": inits},
        }
    )
    assert status.phase == phase
    assert (status.reason or "").startswith(words)


@pytest.mark.parametrize("sidecar_first", [True, False])
def test_a_pod_that_ended_before_the_session_began_names_the_container_that_ended_it(
    sidecar_first: bool,
) -> None:
    killed = container("proxy", {"terminated": {"exitCode": 137, "reason": "Error"}})
    guilty = container("setup", {"terminated": {"exitCode": 4, "reason": "OOMKilled"}})
    inits = [killed, guilty] if sidecar_first else [guilty, killed]
    status = {"phase": "Failed", "containerStatuses": [OWN_WAITS], "initContainerStatuses": inits}
    ended = read({"spec": INIT_SPEC, "status": status})
    assert ended.reason == "OOMKilled: init container setup: it ended with exit code 4"
    assert ended.code is Reason.OUT_OF_MEMORY


def test_a_node_that_is_silent_is_no_end_and_no_readiness() -> None:
    own = container("session", {"running": {}}, ready=True)
    conditions = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]
    status = {"phase": "Running", "containerStatuses": [own], "conditions": conditions}
    silent = read({"status": status})
    assert silent.phase is PodPhase.PENDING
    assert silent.reason == "NodeNotReady: the pod's node does not answer"
    gated = {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"}
    assert read({"status": {**status, "conditions": [gated, conditions[1]]}}).phase is PodPhase.READY


FINAL = [
    ("InvalidImageName", "", "IMAGE_UNAVAILABLE"),
    ("ErrImageNeverPull", "Container image is not present with pull policy of Never", "IMAGE_UNAVAILABLE"),
    ("ErrImagePull", "manifest unknown", "IMAGE_UNAVAILABLE"),
    ("SignatureValidationFailed", "A signature was required, but no signature exists", "IMAGE_UNAVAILABLE"),
    (
        "CreateContainerConfigError",
        "container has runAsNonRoot and image will run as root",
        "CONTAINER_CONFIG_INVALID",
    ),
    (
        "CreateContainerConfigError",
        "container's runAsUser breaks non-root policy",
        "CONTAINER_CONFIG_INVALID",
    ),
    (
        "CreateContainerError",
        'failed to generate container "1" spec: no command specified',
        "CONTAINER_CONFIG_INVALID",
    ),
    (
        "CreateContainerError",
        "unable to find user app: no matching entries in passwd file",
        "CONTAINER_CONFIG_INVALID",
    ),
    (
        "RunContainerError",
        'failed to create containerd task: unable to start container process: exec: "/no": stat /no: '
        "no such file or directory: unknown",
        "CONTAINER_START_FAILED",
    ),
    (
        "RunContainerError",
        'runc: container process: exec: "gam": executable file not found in $PATH',
        "CONTAINER_START_FAILED",
    ),
]
AGAIN = [
    ("CreateContainerError", 'failed to reserve container name "a_b_0": name "a_b_0" is reserved for "c"'),
    ("CreateContainerError", "context deadline exceeded"),
    (
        "CreateContainerError",
        "Kubelet may be retrying requests that are timing out in CRI-O due to system load",
    ),
    ("CreateContainerError", "failed to mount /x: no such file or directory"),
    ("CreateContainerError", "failed to create prepare snapshot dir: no space left on device"),
    ("CreateContainerConfigError", 'secret "gam-x" not found'),
    ("CreateContainerConfigError", 'couldn\'t find key TOKEN in ConfigMap ns/"settings"'),
    ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition"),
    ("CreateContainerConfigError", "services have not yet been read at least once, cannot construct envvars"),
    ("RunContainerError", "failed to start container: context deadline exceeded"),
    ("RunContainerError", "failed to create shim task: dial unix /run/x.sock: connect: connection refused"),
    ("CreatePodSandboxError", "failed to set up sandbox container network"),
    ("PostStartHookError", "command exited with 1"),
    ("ImageInspectError", "rpc error: image not found"),
    ("RegistryUnavailable", "503 Service Unavailable"),
    ("ErrImagePull", "toomanyrequests: You have reached your pull rate limit; access denied"),
    ("ErrImagePull", "denied: Quota exceeded for quota metric requests"),
    ("ErrImagePull", 'failed to pull "registry.example/access-denied:not-found": i/o timeout'),
    ("ErrImagePull", 'Get "https://registry/unauthorized": EOF'),
]


@pytest.mark.parametrize(("reason", "message", "code"), FINAL)
def test_final_is_what_cannot_mend_itself(reason: str, message: str, code: str) -> None:
    assert final_code(reason, message) == code


@pytest.mark.parametrize(("reason", "message"), AGAIN)
def test_what_the_kubelet_tries_again_is_not_final(reason: str, message: str) -> None:
    assert final_code(reason, message) is None


@given(st.sampled_from([reason for reason, *_ in FINAL[2:]]) | st.text(max_size=8), st.text(max_size=30))
def test_a_message_that_nobody_knows_is_not_final(reason: str, message: str) -> None:
    assert final_code(reason, message) is None or reason in ("InvalidImageName", "ErrImageNeverPull")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "state", "type"]), inner)
    ),
    max_leaves=6,
)
KEYS = ["phase", "conditions", "containerStatuses", "initContainerStatuses", "reason", "deletionTimestamp"]


@given(st.dictionaries(st.sampled_from(KEYS), ANY), st.fixed_dictionaries({"metadata": ANY, "spec": ANY}))
def test_nonsense_in_a_pods_place_is_never_ready_and_never_raises(status: Json, rest: Json) -> None:
    assert read({**rest, "status": status}).phase is not PodPhase.READY
    assert read({"status": status, "metadata": status}).phase is not PodPhase.READY
