"""What recorded pods are taken for: ready, may become ready, never will - and in whose words."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.sessions.pod import PodPhase
from shared.kube.api.errors import ApiError, public_message
from shared.kube.api.objects import Pod, Words
from shared.kube.pods.diagnosis import diagnose
from tests.support.exec_server import RECORDINGS


def recorded(name: str) -> Pod:
    steps = json.loads((RECORDINGS / "pod-failures.json").read_text())["steps"]
    pod: Pod = next(step["response"]["body"] for step in steps if step["note"] == name)
    return pod


VERDICTS = [
    ("imgpull", PodPhase.FAILED, "IMAGE_UNAVAILABLE", "ErrImageNeverPull: Container image"),
    ("imgpull-pull", PodPhase.PENDING, None, "ImagePullBackOff: Back-off pulling image"),
    ("crash", PodPhase.FAILED, "CONTAINER_EXITED", "Error: the container ended with exit code 9"),
    ("badcmd", PodPhase.FAILED, "CONTAINER_START_FAILED", "StartError: failed to create containerd task"),
    ("oom", PodPhase.FAILED, "OUT_OF_MEMORY", "OOMKilled: the container ended with exit code 137"),
    ("unsched", PodPhase.PENDING, None, "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."),
    ("deadline", PodPhase.FAILED, "DEADLINE_EXCEEDED", "DeadlineExceeded: Pod was active on the node"),
    ("nosecret", PodPhase.PENDING, None, "ContainerCreating"),
    (
        "nonroot",
        PodPhase.FAILED,
        "CONTAINER_CONFIG_INVALID",
        "CreateContainerConfigError: container has runAsNonRoot",
    ),
]


@pytest.mark.parametrize(("name", "phase", "code", "words"), VERDICTS)
def test_every_recorded_failure_is_told_in_kubernetes_words(
    name: str, phase: PodPhase, code: str | None, words: str | None
) -> None:
    status = diagnose(recorded(name))
    assert (status.phase, status.code) == (phase, code)
    assert (status.reason or "").startswith(words or "")
    assert (status.reason is None) == (words is None)


def test_the_recorded_life_of_a_pod_is_pending_then_ready_then_going() -> None:
    steps = json.loads((RECORDINGS / "pod-lifecycle.json").read_text())["steps"]
    phases = []
    for step in steps:
        for event in step.get("watch", {}).get("events", []):
            phases.append((event["type"], diagnose(event["object"]).phase))
    assert phases[0] == ("ADDED", PodPhase.PENDING)
    ready = [kind for kind, phase in phases if phase is PodPhase.READY]
    assert ready
    assert phases[-1] == ("DELETED", PodPhase.FAILED)


@pytest.mark.parametrize(
    ("message", "phase"),
    [
        ("failed to resolve reference: example.com/x:1: not found", PodPhase.FAILED),
        ("pull access denied, repository does not exist or may require authorization", PodPhase.FAILED),
        ("unexpected status from HEAD request: 401 Unauthorized", PodPhase.FAILED),
        ("dial tcp 10.0.0.1:443: i/o timeout", PodPhase.PENDING),
        ("unexpected status from HEAD request: 503 Service Unavailable", PodPhase.PENDING),
    ],
)
def test_a_pull_fails_for_good_only_when_the_registry_says_no(message: str, phase: PodPhase) -> None:
    waiting: Words = {"reason": "ErrImagePull", "message": message}
    status = diagnose(
        {"status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]}}
    )
    assert status.phase is phase
    assert "10.0.0.1" not in (status.reason or "")


def test_messages_lose_their_addresses() -> None:
    message = 'Get "https://10.1.2.3:10250/x": dial tcp 10.1.2.3:10250: connect: refused; [::1]:443'
    assert public_message(message) == 'Get "<address>": dial tcp <address>: connect: refused; <address>'
    assert len(public_message("x" * 10_000)) == 500


def test_recorded_refusals_are_read() -> None:
    steps = json.loads((RECORDINGS / "api-errors.json").read_text())["steps"]
    for step in steps:
        answer = step["response"]
        if answer["status"] < 400:
            continue
        error = ApiError.from_answer(answer["status"], answer["body"], {"Retry-After": "3"})
        assert error.code == answer["body"]["code"]
        assert error.kubernetes_reason == answer["body"]["reason"]
        assert error.message == answer["body"]["message"]
        assert error.retry_after_seconds == 3


@given(
    status=st.dictionaries(st.sampled_from(["phase", "reason", "message"]), st.none() | st.text(max_size=5))
)
def test_a_pod_with_an_odd_status_is_never_taken_for_ready(status: dict[str, Any]) -> None:
    assert diagnose(cast("Pod", {"status": status, "metadata": {}})).phase is not PodPhase.READY
